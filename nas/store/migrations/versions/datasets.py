"""Data sets; jobs that are not about a trial, such as looking at one."""

import sqlalchemy as sa
from alembic import op

revision = "3"
down_revision = "2"


def upgrade() -> None:
    with op.batch_alter_table("nas_jobs") as jobs:
        for name in ("search_id", "trial"):
            jobs.alter_column(name, existing_type=sa.Integer(), nullable=True)
    op.create_table(
        "nas_datasets",
        sa.Column("id", sa.Integer),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("format", sa.String(10), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("path", sa.Text),
        sa.Column("description", sa.JSON, nullable=False),
        sa.Column("job", sa.Integer, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_nas_datasets"),
        sa.ForeignKeyConstraint(["job"], ["nas_jobs.id"], name="fk_nas_datasets_job"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_nas_datasets_digest", "nas_datasets", ["digest"])
