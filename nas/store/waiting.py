"""Work that was paused because its devices are away, and goes on by itself once they are back."""

from __future__ import annotations

from sqlalchemy import select

from nas.store import work
from nas.store.database import Database
from nas.store.rows import as_row
from nas.store.states import WorkState
from nas.store.work import KINDS, Work


def waiting(db: Database) -> list[Work]:
    """Searches and jobs that wait for their devices; what a user paused is not among them."""
    with db.read() as connection:
        return [
            as_row(kind, row)
            for kind, where in KINDS.items()
            for row in connection.execute(select(where.table).where(where.table.c.waiting.is_(True))).mappings()
        ]


def wake(db: Database, found: Work) -> None:
    """Queue it again, unless it no longer waits."""
    with db.write() as connection:
        row = work.find(connection, type(found), found.id, hold=True)
        if row["waiting"]:
            work.change(connection, type(found), row, {"state": WorkState.queued, "reason": None})
