"""Teachers are jobs, too: of a search or of a table of their own, and of no trial."""

import sqlalchemy as sa
from alembic import op

revision = "4"
down_revision = "2"


def upgrade() -> None:
    with op.batch_alter_table("nas_jobs") as jobs:
        jobs.alter_column("search_id", existing_type=sa.Integer(), nullable=True)
        jobs.alter_column("trial", existing_type=sa.Integer(), nullable=True)
