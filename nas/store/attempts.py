"""Attempts: each try at measuring a trial on a device, and who was to blame when it failed."""

from __future__ import annotations

from sqlalchemy import Connection, RowMapping, insert, select, update

from nas.errors import NotFound
from nas.store import tables, trials, work
from nas.store.database import Database
from nas.store.outages import retried
from nas.store.rows import Attempt, Search, as_row
from nas.store.states import ATTEMPT_MOVES, AttemptState, check_move

_table = tables.attempts


@retried
def lease(db: Database, search_id: int, number: int, *, token: int, device: str) -> Attempt:
    """Begin the next attempt of a trial, and count it there.

    Raises:
        NotFound: There is no such trial.
        Conflict: The token is stale.
    """
    with db.write() as connection:
        work.find_held(connection, Search, search_id, token)
        attempt = trials.find(connection, search_id, number)["attempts"] + 1
        trial = tables.trials
        connection.execute(
            update(trial).where(trial.c.search_id == search_id, trial.c.number == number).values(attempts=attempt)
        )
        connection.execute(
            insert(_table).values(
                search_id=search_id,
                number=number,
                attempt=attempt,
                state=AttemptState.leased,
                device=device,
                token=token,
                started_at=tables.now(),
            )
        )
        return as_row(Attempt, _find(connection, search_id, number, attempt))


@retried
def close(db: Database, held: Attempt, state: AttemptState, reason: str | None = None) -> Attempt:
    """End an attempt, if it is still ours; the same end again is fine.

    Raises:
        Conflict: The search was claimed by another controller since (``held.token`` is stale),
            or the attempt has already ended otherwise.
    """
    with db.write() as connection:
        work.find_held(connection, Search, held.search_id, held.token)
        row = _find(connection, held.search_id, held.number, held.attempt)
        name = f"Attempt {held.attempt} of trial {held.number} of search {held.search_id}"
        check_move(name, row["state"], state, ATTEMPT_MOVES)
        if row["state"] != state:
            connection.execute(
                update(_table)
                .where(
                    _table.c.search_id == held.search_id,
                    _table.c.number == held.number,
                    _table.c.attempt == held.attempt,
                )
                .values(state=state, reason=reason, ended_at=tables.now())
            )
        return as_row(Attempt, _find(connection, held.search_id, held.number, held.attempt))


@retried
def of_trial(db: Database, search_id: int, number: int) -> list[Attempt]:
    """All attempts of one trial, first to last."""
    rows = select(_table).where(_table.c.search_id == search_id, _table.c.number == number).order_by(_table.c.attempt)
    with db.read() as connection:
        return [as_row(Attempt, row) for row in connection.execute(rows).mappings()]


def expire(connection: Connection, search_id: int) -> None:
    """End the attempts that a former holder of the search left open; part of claiming it."""
    connection.execute(
        update(_table)
        .where(_table.c.search_id == search_id, _table.c.state == AttemptState.leased)
        .values(
            state=AttemptState.expired, reason="The controller that began it no longer answers.", ended_at=tables.now()
        )
    )


def _find(connection: Connection, search_id: int, number: int, attempt: int) -> RowMapping:
    row = (
        connection.execute(
            select(_table).where(
                _table.c.search_id == search_id, _table.c.number == number, _table.c.attempt == attempt
            )
        )
        .mappings()
        .first()
    )
    if row is None:
        raise NotFound(f"There is no attempt {attempt} of trial {number} in search {search_id}.")
    return row
