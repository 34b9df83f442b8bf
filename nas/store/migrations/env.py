"""Runs the migrations on the connection that ``nas.store.database`` hands over.

A new migration is written by hand under ``versions/``; ``tests/store/test_migrations.py``
fails, and says what is missing, until the migrations and ``nas/store/tables.py`` agree.
"""

from alembic import context

from nas.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table="nas_version",  # Optuna keeps its own ``alembic_version`` in the same database
)
with context.begin_transaction():
    context.run_migrations()
