"""Jobs: work besides searches: the export of a student, the making of a teacher, the look at a data set."""

from __future__ import annotations

from typing import Any, TypedDict, Unpack

from sqlalchemy import Connection, insert, select

from nas.errors import NotFound
from nas.store import tables, trials, work
from nas.store.database import Database
from nas.store.outages import retried
from nas.store.rows import Job, Json, Search, as_row
from nas.store.states import WorkState

_table = tables.jobs
LISTS = {
    "student": ("student", "GET /api/v1/students lists those that exist"),
    "teacher": ("teacher", "`nas teacher list` shows those that exist"),
    "profile": ("look at a data set", "`nas data list` shows the data sets"),
}
"""Kind of job -> what a user calls it, and where those that exist are shown."""


class JobChanges(TypedDict, total=False):
    """What a controller may store about the job it holds."""

    state: WorkState
    waiting: bool
    progress: Json
    result: Json | None
    package: str | None
    reason: str | None


@retried
def create(db: Database, kind: str, *, search_id: int | None = None, trial: int | None = None, request: Json) -> Job:
    """Queue a new job: for one trial, for a search as a whole, or by itself.

    Raises:
        NotFound: There is no such search, or no such trial in it.
    """
    with db.write() as connection:
        if search_id is not None:
            work.find(connection, Search, search_id)
            if trial is not None:
                trials.find(connection, search_id, trial)
        id_ = add(connection, kind, search_id=search_id, trial=trial, request=request)
        return as_row(Job, work.find(connection, Job, id_))


def add(connection: Connection, kind: str, **values: Any) -> int:
    """Queue a new job inside a transaction, and return its number."""
    row = insert(_table).values(kind=kind, state=WorkState.queued, progress={}, created_at=tables.now(), **values)
    id_: int = connection.execute(row.returning(_table.c.id)).scalar_one()
    return id_


@retried
def get(db: Database, id_: int, kind: str) -> Job:
    """Read one job of a kind; ``LISTS`` has the kinds.

    Raises:
        NotFound: There is no such job of that kind.
    """
    query = select(_table).where(_table.c.id == id_, _table.c.kind == kind)
    with db.read() as connection:
        row = connection.execute(query).mappings().first()
    if row is None:
        word, remedy = LISTS[kind]
        raise NotFound(f"There is no {word} {id_}; {remedy}.")
    return as_row(Job, row)


@retried
def page(db: Database, kind: str, *, limit: int = 50, offset: int = 0) -> list[Job]:
    """Jobs of one kind, newest first."""
    rows = select(_table).where(_table.c.kind == kind).order_by(_table.c.id.desc()).limit(limit).offset(offset)
    with db.read() as connection:
        return [as_row(Job, row) for row in connection.execute(rows).mappings()]


@retried
def save(db: Database, id_: int, *, token: int, **changes: Unpack[JobChanges]) -> Job:
    """Store what the controller that holds ``token`` found out, and move the job on.

    Raises:
        NotFound: There is no such job.
        Conflict: The token is stale, or the move is not allowed; nothing was stored.
    """
    with db.write() as connection:
        return as_row(Job, work.save(connection, Job, id_, token, changes))
