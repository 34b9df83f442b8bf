"""Searches: created and steered by a user, claimed and worked on by a controller."""

from __future__ import annotations

from typing import TypedDict, Unpack

from sqlalchemy import RowMapping, insert, select

from nas.errors import Conflict
from nas.store import tables, work
from nas.store.database import Database
from nas.store.rows import Json, Search, as_row
from nas.store.states import WorkState

_table = tables.searches


class SearchChanges(TypedDict, total=False):
    """What a controller may store about the search it holds."""

    state: WorkState
    waiting: bool
    reason: str | None
    front: Json | None
    timings: Json


def create(db: Database, *, name: str, request: Json, space: Json) -> Search:
    """Queue a new search."""
    with db.write() as connection:
        row = insert(_table).values(
            name=name, state=WorkState.queued, request=request, space=space, timings={}, created_at=tables.now()
        )
        id_ = connection.execute(row.returning(_table.c.id)).scalar_one()
        return as_row(Search, work.find(connection, Search, id_))


def get(db: Database, id_: int) -> Search:
    """Read one search.

    Raises:
        NotFound: There is no such search.
    """
    with db.read() as connection:
        return as_row(Search, work.find(connection, Search, id_))


def page(db: Database, *, limit: int = 50, offset: int = 0) -> list[Search]:
    """Searches, newest first."""
    with db.read() as connection:
        rows = connection.execute(select(_table).order_by(_table.c.id.desc()).limit(limit).offset(offset))
        return [as_row(Search, row) for row in rows.mappings()]


def save(db: Database, id_: int, *, token: int, **changes: Unpack[SearchChanges]) -> Search:
    """Store what the controller that holds ``token`` found out, and move the search on.

    Leaving ``running`` ends the lease and settles what the user wanted.

    Raises:
        NotFound: There is no such search.
        Conflict: The token is stale, or the move is not allowed; nothing was stored.
    """
    with db.write() as connection:
        return as_row(Search, work.save(connection, Search, id_, token, changes))


def stop(db: Database, id_: int) -> Search:
    """Ask for a pause: at once if nobody works on the search, else after the step in hand.

    Raises:
        NotFound: There is no such search.
        Conflict: It has ended, or is being cancelled.
    """
    with db.write() as connection:
        row = work.find(connection, Search, id_, hold=True)
        if row["state"] == WorkState.running:
            _refuse_if_cancelling(row)
            return as_row(Search, work.change(connection, Search, row, {"wants": "pause"}))
        return as_row(Search, work.change(connection, Search, row, {"state": WorkState.paused, "waiting": False}))


def resume(db: Database, id_: int) -> Search:
    """Queue a paused search again, or take back a pause that was only asked for.

    Raises:
        NotFound: There is no such search.
        Conflict: It is neither paused nor about to be.
    """
    with db.write() as connection:
        row = work.find(connection, Search, id_, hold=True)
        if row["state"] == WorkState.paused:
            return as_row(Search, work.change(connection, Search, row, {"state": WorkState.queued, "reason": None}))
        _refuse_if_cancelling(row)
        if row["wants"] != "pause":
            raise Conflict(f"Search {id_} is {row['state']}; only a paused search can be resumed.")
        return as_row(Search, work.change(connection, Search, row, {"wants": None}))


def cancel(db: Database, id_: int) -> Search:
    """Ask for the end: at once if nobody works on the search, else after the step in hand.

    Raises:
        NotFound: There is no such search.
        Conflict: It has ended otherwise.
    """
    with db.write() as connection:
        row = work.find(connection, Search, id_, hold=True)
        changes = {"wants": "cancel"} if row["state"] == WorkState.running else {"state": WorkState.cancelled}
        return as_row(Search, work.change(connection, Search, row, changes))


def _refuse_if_cancelling(row: RowMapping) -> None:
    if row["wants"] == "cancel":
        raise Conflict(f"Search {row['id']} is being cancelled; start a new one instead.")
