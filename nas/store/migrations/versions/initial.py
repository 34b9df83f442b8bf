"""The first tables: searches, trials, attempts, devices, jobs and the cache of measurements."""

import sqlalchemy as sa
from alembic import op

revision = "1"
down_revision = None

_TIME = sa.DateTime(timezone=True)
_STATE = sa.String(20)


def _work() -> list[sa.Column[object]]:
    return [
        sa.Column("state", _STATE, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("started_at", _TIME),
        sa.Column("finished_at", _TIME),
        sa.Column("owner", sa.String(100)),
        sa.Column("beat", sa.Integer, nullable=False),
        sa.Column("token", sa.Integer, nullable=False),
    ]


def upgrade() -> None:
    op.create_table(
        "nas_searches",
        sa.Column("id", sa.Integer),
        sa.Column("name", sa.String(200), nullable=False),
        *_work(),
        sa.Column("wants", sa.String(20)),
        sa.Column("request", sa.JSON, nullable=False),
        sa.Column("space", sa.JSON, nullable=False),
        sa.Column("front", sa.JSON),
        sa.Column("timings", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_nas_searches"),
    )
    op.create_index("ix_nas_searches_state", "nas_searches", ["state"])
    op.create_table(
        "nas_trials",
        sa.Column("search_id", sa.Integer),
        sa.Column("number", sa.Integer, autoincrement=False),
        sa.Column("stage", _STATE, nullable=False),
        sa.Column("architecture", sa.JSON, nullable=False),
        sa.Column("measurements", sa.JSON, nullable=False),
        sa.Column("values", sa.JSON, nullable=False),
        sa.Column("violations", sa.JSON, nullable=False),
        sa.Column("feasible", sa.Boolean),
        sa.Column("scorecard", sa.JSON),
        sa.Column("training", sa.JSON),
        sa.Column("weights", sa.String(64)),
        sa.Column("reason", sa.Text),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("timings", sa.JSON, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("finished_at", _TIME),
        sa.PrimaryKeyConstraint("search_id", "number", name="pk_nas_trials"),
        sa.ForeignKeyConstraint(["search_id"], ["nas_searches.id"], name="fk_nas_trials_search_id", ondelete="CASCADE"),
    )
    op.create_table(
        "nas_attempts",
        sa.Column("search_id", sa.Integer, autoincrement=False),
        sa.Column("number", sa.Integer, autoincrement=False),
        sa.Column("attempt", sa.Integer, autoincrement=False),
        sa.Column("state", _STATE, nullable=False),
        sa.Column("device", sa.String(63), nullable=False),
        sa.Column("token", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("started_at", _TIME, nullable=False),
        sa.Column("ended_at", _TIME),
        sa.PrimaryKeyConstraint("search_id", "number", "attempt", name="pk_nas_attempts"),
        sa.ForeignKeyConstraint(
            ["search_id", "number"],
            ["nas_trials.search_id", "nas_trials.number"],
            name="fk_nas_attempts_search_id",
            ondelete="CASCADE",
        ),
    )
    op.create_table(
        "nas_devices",
        sa.Column("name", sa.String(63)),
        sa.Column("transport", sa.String(10), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("port", sa.Integer, nullable=False),
        sa.Column("user", sa.String(100), nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("host_key", sa.Text, nullable=False),
        sa.Column("python", sa.Text, nullable=False),
        sa.Column("root", sa.Text, nullable=False),
        sa.Column("state", _STATE, nullable=False),
        sa.Column("facts", sa.JSON),
        sa.Column("reason", sa.Text),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("seen_at", _TIME),
        sa.PrimaryKeyConstraint("name", name="pk_nas_devices"),
    )
    op.create_table(
        "nas_jobs",
        sa.Column("id", sa.Integer),
        sa.Column("kind", sa.String(20), nullable=False),
        *_work(),
        sa.Column("search_id", sa.Integer, nullable=False),
        sa.Column("trial", sa.Integer, nullable=False),
        sa.Column("request", sa.JSON, nullable=False),
        sa.Column("progress", sa.JSON, nullable=False),
        sa.Column("result", sa.JSON),
        sa.Column("package", sa.String(64)),
        sa.PrimaryKeyConstraint("id", name="pk_nas_jobs"),
        sa.ForeignKeyConstraint(
            ["search_id", "trial"],
            ["nas_trials.search_id", "nas_trials.number"],
            name="fk_nas_jobs_search_id",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_nas_jobs_state", "nas_jobs", ["state"])
    op.create_table(
        "nas_measurements",
        sa.Column("key", sa.String(64)),
        sa.Column("measurement", sa.JSON, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_nas_measurements"),
    )
