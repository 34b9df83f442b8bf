"""Data sets: added by a user, looked at by a controller, used by searches."""

from __future__ import annotations

from sqlalchemy import Connection, RowMapping, delete, func, insert, select

from nas.errors import Conflict, NotFound
from nas.store import jobs, tables, work
from nas.store.database import Database
from nas.store.outages import retried
from nas.store.rows import Dataset, Job, Json, as_row
from nas.store.states import WorkState, is_final

_table = tables.datasets


@retried
def create(
    db: Database, *, name: str, format_: str, digest: str, size: int, path: str | None, description: Json
) -> Dataset:
    """Add a data set, and queue the job that looks at it.

    Args:
        db: The database.
        name: What its user calls it.
        format_: ``csv`` or ``parquet``.
        digest: SHA-256 of the file.
        size: Its bytes.
        path: Where it lies; None: it is among the blobs.
        description: What its columns mean.

    Raises:
        NotFound: It is said to be among the blobs, and was removed meanwhile with a data set of the same content.
    """
    with db.write() as connection:
        if path is None:
            db.blobs.path(digest)
        row = insert(_table).values(
            name=name,
            format=format_,
            digest=digest,
            size=size,
            path=path,
            description=description,
            job=jobs.add(connection, "profile", request={}),
            created_at=tables.now(),
        )
        id_ = connection.execute(row.returning(_table.c.id)).scalar_one()
        return as_row(Dataset, _find(connection, id_))


@retried
def get(db: Database, id_: int) -> tuple[Dataset, Job]:
    """Read one data set and the job that looks at it.

    Raises:
        NotFound: There is no such data set.
    """
    with db.read() as connection:
        row = _find(connection, id_)
        return as_row(Dataset, row), as_row(Job, work.find(connection, Job, row["job"]))


@retried
def page(db: Database, *, limit: int = 50, offset: int = 0) -> list[tuple[Dataset, Job]]:
    """Data sets and the jobs that look at them, newest first."""
    rows = select(_table).order_by(_table.c.id.desc()).limit(limit).offset(offset)
    with db.read() as connection:
        return [
            (as_row(Dataset, row), as_row(Job, work.find(connection, Job, row["job"])))
            for row in connection.execute(rows).mappings().all()
        ]


@retried
def of_job(db: Database, job: int) -> Dataset:
    """The data set that a job looks at.

    Raises:
        NotFound: It was removed meanwhile.
    """
    with db.read() as connection:
        row = connection.execute(select(_table).where(_table.c.job == job)).mappings().first()
    if row is None:
        raise NotFound(f"The data set of job {job} was removed meanwhile; there is nothing left to look at.")
    return as_row(Dataset, row)


@retried
def remove(db: Database, id_: int) -> None:
    """Forget a data set; the uploaded file goes with the last one of the same content.

    Raises:
        NotFound: There is no such data set.
        Conflict: A search or a student that has not ended needs it, or a controller looks at it right now.
    """
    with db.write() as connection:
        row = _find(connection, id_, hold=True)
        if users := _users(connection, id_, row["job"]):
            raise Conflict(
                f"Data set {id_} is used by {' and '.join(users)}; wait for the end or cancel, then remove it."
            )
        connection.execute(delete(_table).where(_table.c.id == id_))
        connection.execute(delete(tables.jobs).where(tables.jobs.c.id == row["job"]))
        same = select(func.count()).select_from(_table).where(_table.c.digest == row["digest"], _table.c.path.is_(None))
        if row["path"] is None and not connection.scalar(same):
            db.blobs.drop(row["digest"])


def _users(connection: Connection, id_: int, profile: int) -> list[str]:
    """What still needs it: unfinished searches, students of any search on it, the look at it if that is under way."""
    on_it = {
        row.id: row.state
        for row in connection.execute(select(tables.searches.c.id, tables.searches.c.state, tables.searches.c.request))
        if row.request.get("data", {}).get("dataset") == id_
    }
    unfinished = select(tables.jobs).where(
        tables.jobs.c.state.in_([state for state in WorkState if not is_final(state)])
    )
    found = [f"search {search}" for search, state in on_it.items() if not is_final(state)]
    for job in connection.execute(unfinished):
        if job.search_id in on_it:
            found.append(f"{job.kind} {job.id}")
        elif job.id == profile and job.state == WorkState.running:
            found.append("the profile that is being made of it")
    return found


def _find(connection: Connection, id_: int, *, hold: bool = False) -> RowMapping:
    query = select(_table).where(_table.c.id == id_)
    row = connection.execute(query.with_for_update() if hold else query).mappings().first()
    if row is None:
        raise NotFound(f"There is no data set {id_}; `nas data list` shows those that exist.")
    return row
