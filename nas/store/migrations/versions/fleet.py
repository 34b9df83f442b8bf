"""Devices: pools, windows, the way there, and the lease that keeps two controllers apart."""

import sqlalchemy as sa
from alembic import op

revision = "2"
down_revision = "1"


def upgrade() -> None:
    with op.batch_alter_table("nas_devices") as devices:
        for name, kind, default in (
            ("pool", sa.String(63), ""),
            ("measure_between", sa.String(20), ""),
            ("jump", sa.JSON(), "[]"),
            ("certificate", sa.Text(), ""),
            ("use_agent", sa.Boolean(), sa.false()),
            ("faults", sa.Integer(), "0"),
            ("beat", sa.Integer(), "0"),
            ("token", sa.Integer(), "0"),
        ):
            devices.add_column(sa.Column(name, kind, nullable=False, server_default=default))
        devices.add_column(sa.Column("owner", sa.String(100)))
    with op.batch_alter_table("nas_attempts") as attempts:
        attempts.add_column(sa.Column("device_token", sa.Integer(), nullable=False, server_default="0"))
