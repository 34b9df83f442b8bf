"""What searches and jobs have in common: found by id, stored under a fencing token, moved by one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, Table, select, update

from nas.errors import Conflict, NotFound
from nas.store import tables
from nas.store.rows import Job, Search
from nas.store.states import WORK_MOVES, WorkState, check_move, is_final

Work = Search | Job


@dataclass(frozen=True, slots=True)
class Kind:
    """Where one kind of work is kept, and what a user calls it."""

    table: Table
    word: str
    remedy: str


KINDS: Mapping[type[Work], Kind] = {
    Search: Kind(tables.searches, "search", "`nas search list` shows those that exist"),
    Job: Kind(tables.jobs, "job", "it was removed meanwhile"),
}


def find(connection: Connection, kind: type[Work], id_: int, *, hold: bool = False) -> RowMapping:
    """Read one row.

    Args:
        connection: The transaction.
        kind: ``Search`` or ``Job``.
        id_: Its number.
        hold: Keep others from changing it until a write transaction ends, on databases with row
            locks (SQLite locks as a whole).

    Raises:
        NotFound: There is no such search or job.
    """
    where = KINDS[kind]
    query = select(where.table).where(where.table.c.id == id_)
    row = connection.execute(query.with_for_update() if hold else query).mappings().first()
    if row is None:
        raise NotFound(f"There is no {where.word} {id_}; {where.remedy}.")
    return row


def find_held(connection: Connection, kind: type[Work], id_: int, token: int) -> RowMapping:
    """Read one row on behalf of the holder of ``token``.

    Raises:
        NotFound: There is no such search or job.
        Conflict: The token is stale: somebody else claimed the work since.
    """
    row = find(connection, kind, id_, hold=True)
    if row["token"] != token:
        raise Conflict(
            f"{name(kind, id_)} is held by another controller now (token {token} is stale, the current one is "
            f"{row['token']}); nothing was stored, leave the work to the other one."
        )
    return row


def save(connection: Connection, kind: type[Work], id_: int, token: int, changes: Mapping[str, Any]) -> RowMapping:
    """Store what the holder of ``token`` found out; a new ``state`` is checked against the moves.

    Work becomes ``running`` only by being claimed, never from here.

    Raises:
        NotFound: There is no such search or job.
        Conflict: The token is stale, or the move is not allowed; nothing was stored.
    """
    row = find_held(connection, kind, id_, token)
    if changes.get("state") == WorkState.running != row["state"]:
        raise Conflict(f"{name(kind, id_)} is {row['state']}; it can only be set running by claiming it.")
    if changes.get("state") == WorkState.paused:
        # What was asked for while the holder was about to pause: the user's last word counts.
        if row.get("wants") == "cancel":
            changes = {**changes, "state": WorkState.cancelled, "reason": "Cancelled by its user."}
        elif row.get("wants") == "pause":
            changes = {**changes, "waiting": False}
    return change(connection, kind, row, changes)


def change(connection: Connection, kind: type[Work], row: RowMapping, changes: Mapping[str, Any]) -> RowMapping:
    """Change a row that was just found; leaving ``running`` ends its lease.

    Raises:
        Conflict: The table of moves does not allow the new ``state``.
    """
    table = KINDS[kind].table
    values = {**changes, **_moving(kind, row, changes["state"])} if "state" in changes else dict(changes)
    if values:
        connection.execute(update(table).where(table.c.id == row["id"]).values(values))
    return find(connection, kind, row["id"])


def name(kind: type[Work], id_: int) -> str:
    """The work as a sentence begins with it: ``Search 7``."""
    return f"{KINDS[kind].word.capitalize()} {id_}"


def _moving(kind: type[Work], row: RowMapping, state: WorkState) -> dict[str, Any]:
    check_move(name(kind, row["id"]), row["state"], state, WORK_MOVES)
    values: dict[str, Any] = {}
    if state != WorkState.paused:
        values["waiting"] = False
    if state != WorkState.running:
        values["owner"] = None
        if "wants" in row:
            values["wants"] = None
    if is_final(state) and row["finished_at"] is None:
        values["finished_at"] = tables.now()
    return values
