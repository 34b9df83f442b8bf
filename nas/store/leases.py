"""Who works on what: a lease is a counter that its holder raises.

The holder beats from a thread of its own. Anybody else may take the work over once the counter
has stood still for the time to live *on the observer's own monotonic clock*: no two machines
need to agree on the time, and a clock that jumps decides nothing. Claiming raises the fencing
token in the same transaction, so whatever the former holder still tries to store is refused.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Hashable, Mapping
from types import TracebackType
from typing import Self

from sqlalchemy import ColumnElement, Connection, RowMapping, func, select, update
from sqlalchemy.exc import DBAPIError

from nas.store import attempts, tables, work
from nas.store.database import Database
from nas.store.rows import Search, as_row
from nas.store.states import WorkState
from nas.store.work import KINDS, Work


class Observer:
    """One process's view of the heartbeats of all others.

    Args:
        ttl: Seconds that a counter may stand still before its lease counts as dead.
        clock: Monotonic seconds.
    """

    def __init__(self, ttl: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.ttl = ttl
        self._clock = clock
        self._seen: dict[Hashable, tuple[Hashable, float]] = {}

    def dead(self, pulses: Mapping[Hashable, Hashable]) -> set[Hashable]:
        """Look at all leases that are held, and tell whose pulse has not changed for the time to live."""
        now, before = self._clock(), self._seen
        self._seen = {
            key: before[key] if key in before and before[key][0] == pulse else (pulse, now)
            for key, pulse in pulses.items()
        }
        return {key for key, (_, since) in self._seen.items() if now - since >= self.ttl}


def claim_next(db: Database, observer: Observer) -> Work | None:
    """Claim the oldest work that is queued, was given back, or whose holder is dead.

    Returns:
        The search or job, now running and with a new fencing token; None if there is nothing.
    """
    with db.read() as connection:
        waiting = sorted(_unfinished(connection), key=lambda found: (found[1]["created_at"], found[1]["id"]))
    running: dict[Hashable, Hashable] = {
        _key(kind, row): (row["token"], row["beat"]) for kind, row in waiting if row["state"] == "running"
    }
    dead = observer.dead(running)
    for kind, row in waiting:
        free = row["state"] == WorkState.queued or row["owner"] is None or _key(kind, row) in dead
        if free and (claimed := _claim(db, kind, row)):
            return claimed
    return None


def release(db: Database, held: Work) -> None:
    """Give running work back unfinished, so that the next controller need not wait for its lease to die.

    Work that was lost meanwhile, or has ended, is left as it is.
    """
    table = KINDS[type(held)].table
    with db.write() as connection:
        connection.execute(update(table).where(*_held(held)).values(owner=None))


def beat(db: Database, held: Work) -> bool:
    """Raise the counter; False means that the work is no longer ours, or has ended."""
    table = KINDS[type(held)].table
    with db.write() as connection:
        raised = connection.execute(update(table).where(*_held(held)).values(beat=table.c.beat + 1))
        return raised.rowcount == 1


class Heartbeat:
    """Beats for ``held`` from a thread of its own for as long as the context is open.

    The thread beats four times per time to live, so that three misses in a row kill nothing.
    A database that does not answer is a missed beat, not the end.

    Attributes:
        lost: Set once a beat was refused: somebody else has the work now, so stop.
    """

    def __init__(self, db: Database, held: Work, *, ttl: float) -> None:
        self._db, self._held, self._pause = db, held, ttl / 4
        self._refused, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"heartbeat-{held.id}", daemon=True)

    @property
    def lost(self) -> bool:
        return self._refused.is_set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(self._pause):
            try:
                alive = beat(self._db, self._held)
            except DBAPIError:
                continue
            if not alive:
                self._refused.set()
                return


def _unfinished(connection: Connection) -> list[tuple[type[Work], RowMapping]]:
    return [
        (kind, row)
        for kind, where in KINDS.items()
        for row in connection.execute(
            select(where.table).where(where.table.c.state.in_([WorkState.queued, WorkState.running]))
        ).mappings()
    ]


def _key(kind: type[Work], row: RowMapping) -> Hashable:
    return kind.__name__, row["id"]


def _claim(db: Database, kind: type[Work], seen: RowMapping) -> Work | None:
    """Compare-and-set: claim what was seen, unless somebody else was quicker."""
    table = KINDS[kind].table
    unchanged = [table.c[name] == seen[name] for name in ("id", "state", "token", "beat")]
    with db.write() as connection:
        won = connection.execute(
            update(table)
            .where(*unchanged)
            .values(
                state=WorkState.running,
                owner=f"{socket.gethostname()}:{os.getpid()}",
                beat=0,
                token=table.c.token + 1,
                started_at=func.coalesce(table.c.started_at, tables.now()),
            )
        )
        if won.rowcount != 1:
            return None
        claimed = as_row(kind, work.find(connection, kind, seen["id"]))
        if isinstance(claimed, Search):
            attempts.expire(connection, search_id=claimed.id)
        return claimed


def _held(held: Work) -> tuple[ColumnElement[bool], ...]:
    table = KINDS[type(held)].table
    return table.c.id == held.id, table.c.token == held.token, table.c.state == WorkState.running
