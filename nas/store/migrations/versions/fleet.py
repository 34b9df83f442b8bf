"""Devices: pools, windows, the way there, the lease that keeps two controllers apart; work that waits for them."""

import sqlalchemy as sa
from alembic import op

revision = "2"
down_revision = "1"


def upgrade() -> None:
    op.create_table(
        "nas_commits",
        sa.Column("mark", sa.String(32), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("mark", name="pk_nas_commits"),
    )
    with op.batch_alter_table("nas_devices") as devices:
        for name, kind, default in (
            ("pool", sa.String(63), ""),
            ("measure_between", sa.String(20), ""),
            ("jump", sa.JSON(), "[]"),
            ("certificate", sa.Text(), ""),
            ("use_agent", sa.Boolean(), sa.false()),
            ("faults", sa.Integer(), "0"),
            ("barred", sa.Boolean(), sa.false()),
            ("levels", sa.JSON(), "{}"),
            ("queue", sa.JSON(), "[]"),
            ("beat", sa.Integer(), "0"),
            ("token", sa.Integer(), "0"),
        ):
            devices.add_column(sa.Column(name, kind, nullable=False, server_default=default))
        devices.add_column(sa.Column("owner", sa.String(100)))
    with op.batch_alter_table("nas_attempts") as attempts:
        attempts.add_column(sa.Column("device_token", sa.Integer(), nullable=False, server_default="0"))
        attempts.create_index("ix_nas_attempts_device", ["device", "state"])
    for name in ("nas_searches", "nas_jobs"):
        with op.batch_alter_table(name) as work:
            work.add_column(sa.Column("waiting", sa.Boolean(), nullable=False, server_default=sa.false()))
