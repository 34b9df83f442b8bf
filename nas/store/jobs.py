"""Jobs: work besides searches; today the export of one trial as a student package."""

from __future__ import annotations

from typing import TypedDict, Unpack

from sqlalchemy import insert, select

from nas.store import tables, trials, work
from nas.store.database import Database
from nas.store.rows import Job, Json, as_row
from nas.store.states import WorkState

_table = tables.jobs


class JobChanges(TypedDict, total=False):
    """What a controller may store about the job it holds."""

    state: WorkState
    waiting: bool
    progress: Json
    result: Json | None
    package: str | None
    reason: str | None


def create(db: Database, kind: str, *, search_id: int, trial: int, request: Json) -> Job:
    """Queue a new job for one trial.

    Raises:
        NotFound: There is no such search, or no such trial in it.
    """
    with db.write() as connection:
        trials.find(connection, search_id, trial)
        row = insert(_table).values(
            kind=kind,
            state=WorkState.queued,
            search_id=search_id,
            trial=trial,
            request=request,
            progress={},
            created_at=tables.now(),
        )
        id_ = connection.execute(row.returning(_table.c.id)).scalar_one()
        return as_row(Job, work.find(connection, Job, id_))


def get(db: Database, id_: int) -> Job:
    """Read one job.

    Raises:
        NotFound: There is no such job.
    """
    with db.read() as connection:
        return as_row(Job, work.find(connection, Job, id_))


def page(db: Database, kind: str, *, limit: int = 50, offset: int = 0) -> list[Job]:
    """Jobs of one kind, newest first."""
    rows = select(_table).where(_table.c.kind == kind).order_by(_table.c.id.desc()).limit(limit).offset(offset)
    with db.read() as connection:
        return [as_row(Job, row) for row in connection.execute(rows).mappings()]


def save(db: Database, id_: int, *, token: int, **changes: Unpack[JobChanges]) -> Job:
    """Store what the controller that holds ``token`` found out, and move the job on.

    Raises:
        NotFound: There is no such job.
        Conflict: The token is stale, or the move is not allowed; nothing was stored.
    """
    with db.write() as connection:
        return as_row(Job, work.save(connection, Job, id_, token, changes))
