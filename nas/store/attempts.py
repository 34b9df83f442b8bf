"""Attempts: each try at measuring a trial on a device, and who was to blame when it failed."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, RowMapping, insert, select, update

from nas.errors import LeaseLost, NotFound
from nas.store import measurements, tables, trials, work
from nas.store.database import Database
from nas.store.rows import Attempt, Json, Search, as_row
from nas.store.states import ATTEMPT_MOVES, AttemptState, check_move

_table = tables.attempts
TAKEN = "The controller that began it no longer answers."
"""Why an attempt expired."""


def lease(db: Database, search_id: int, number: int, *, token: int, device: str, device_token: int = 0) -> Attempt:
    """Begin the next attempt of a trial, and count it there.

    Args:
        db: The database.
        search_id: The trial's search.
        number: The trial.
        token: Fencing token of the search.
        device: The board that measures.
        device_token: Fencing token of the board; 0 where nobody leases boards.

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
                device_token=device_token,
                started_at=tables.now(),
            )
        )
        return as_row(Attempt, _find(connection, search_id, number, attempt))


def close(
    db: Database,
    held: Attempt,
    state: AttemptState,
    reason: str | None = None,
    *,
    remember: Mapping[str, Json] | None = None,
) -> Attempt:
    """End an attempt, if search and device are still ours; the same end again is fine.

    Args:
        db: The database.
        held: The attempt as it began.
        state: How it ended.
        reason: Why it failed.
        remember: Cache key -> measurement, kept in the same transaction or not at all.

    Raises:
        Conflict: The search was claimed by another controller since (``held.token`` is stale),
            or the attempt has already ended otherwise.
        LeaseLost: The device was taken by another controller since (``held.device_token`` is stale):
            nothing was stored, and the attempt is expired.
    """
    with db.write() as connection:
        work.find_held(connection, Search, held.search_id, held.token)
        row = _find(connection, held.search_id, held.number, held.attempt)
        stale = _is_stale(connection, held)
        if not stale:
            name = f"Attempt {held.attempt} of trial {held.number} of search {held.search_id}"
            check_move(name, row["state"], state, ATTEMPT_MOVES)
            for key, measurement in (remember or {}).items():
                measurements.keep(connection, key, measurement)
        if row["state"] == AttemptState.leased:
            ended = {"state": AttemptState.expired, "reason": TAKEN} if stale else {"state": state, "reason": reason}
            where = [_table.c[column] == getattr(held, column) for column in ("search_id", "number", "attempt")]
            connection.execute(update(_table).where(*where).values(**ended, ended_at=tables.now()))
        found = as_row(Attempt, _find(connection, held.search_id, held.number, held.attempt))
    if stale:
        raise LeaseLost(
            f"Another controller took the device {held.device} while trial {held.number} was measured there (token "
            f"{held.device_token} is stale), so the result is refused; it is measured again."
        )
    return found


def of_trial(db: Database, search_id: int, number: int) -> list[Attempt]:
    """All attempts of one trial, first to last."""
    rows = select(_table).where(_table.c.search_id == search_id, _table.c.number == number).order_by(_table.c.attempt)
    with db.read() as connection:
        return [as_row(Attempt, row) for row in connection.execute(rows).mappings()]


def expire(connection: Connection, **where: int | str) -> None:
    """End what a former holder of a search (``search_id``) or of a device left open; part of taking either."""
    left = [_table.c[column] == value for column, value in where.items()]
    connection.execute(
        update(_table)
        .where(*left, _table.c.state == AttemptState.leased)
        .values(state=AttemptState.expired, reason=TAKEN, ended_at=tables.now())
    )


def _is_stale(connection: Connection, held: Attempt) -> bool:
    if not held.device_token:
        return False
    devices = tables.devices.c
    query = select(devices.token).where(devices.name == held.device).with_for_update()
    return bool(connection.execute(query).scalar_one_or_none() != held.device_token)


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
