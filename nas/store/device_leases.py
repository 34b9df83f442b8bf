"""Which controller has which device: leases like those of work, and a line of those who wait.

Taking a device raises its fencing token in the same transaction, and ends the attempts that a
former holder left open. Who finds it held stands in its ``queue``; the holder sees that at its
next heartbeat, finishes what it measures, and lets go. Whoever is first in line and does not come
for a free device within the time to live loses the place, again by the observer's own clock.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Hashable
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, RowMapping, select, update
from sqlalchemy.exc import DBAPIError

from nas.store import attempts, tables
from nas.store.database import Database
from nas.store.devices import find
from nas.store.leases import Observer
from nas.store.outages import retried

_table = tables.devices


@retried
def take(db: Database, observer: Observer, name: str, owner: str) -> int | None:
    """Take a device that is free, in the order of its queue; otherwise stand in the queue.

    Args:
        db: The database.
        observer: Watches this one device for this owner.
        name: The device.
        owner: Who asks.

    Returns:
        The new fencing token; None: it is another's turn, so ask again soon.

    Raises:
        NotFound: No device has this name.
    """
    try:
        with db.read() as connection:
            seen = find(connection, name)
    except DBAPIError:
        observer.forget()  # while nobody can look, nobody can beat either
        raise
    silent = bool(observer.dead({name: _pulse(seen)}))
    if not silent and owner in seen["queue"] and (seen["owner"] is not None or seen["queue"][0] != owner):
        return None
    with db.write() as connection:
        row = find(connection, name, hold=True)
        silent = silent and _pulse(row) == _pulse(seen)  # or somebody moved meanwhile
        queue = row["queue"][1:] if silent and row["owner"] is None else row["queue"]
        queue = queue if owner in queue else [*queue, owner]
        holder = None if silent else row["owner"]
        if queue[0] != owner or holder is not None:
            _change(connection, name, owner=holder, queue=queue)
            return None
        attempts.expire(connection, device=name)
        token: int = row["token"] + 1
        _change(connection, name, owner=owner, beat=0, token=token, queue=queue[1:])
        return token


@retried
def give_back(db: Database, name: str, owner: str) -> None:
    """Let go of a device, or of a place in its queue; nothing happens where there is neither."""
    with db.write() as connection:
        query = select(_table).where(_table.c.name == name).with_for_update()
        row = connection.execute(query).mappings().first()
        if row and row["owner"] == owner:
            _change(connection, name, owner=None)
        if row and owner in row["queue"]:
            _change(connection, name, queue=[waiting for waiting in row["queue"] if waiting != owner])


def beat(db: Database, owner: str) -> dict[str, tuple[int, bool]]:
    """Raise the counters of all devices of one owner.

    Returns:
        Name -> (fencing token, whether somebody waits) of those that are still its own.
    """
    ours = _table.c.owner == owner
    with db.write() as connection:
        connection.execute(update(_table).where(ours).values(beat=_table.c.beat + 1))
        rows = connection.execute(select(_table.c.name, _table.c.token, _table.c.queue).where(ours))
        return {name: (token, bool(queue)) for name, token, queue in rows}


class DeviceLeases:
    """The devices that one controller holds; beats for all of them from a thread of its own.

    Safe to use from several threads, each for another device.
    """

    def __init__(self, db: Database, ttl: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.owner = f"{socket.gethostname()[:60]}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._db, self._pause = db, ttl / 4
        self._observers = defaultdict[str, Observer](lambda: Observer(ttl, clock))
        self._held: dict[str, tuple[int, bool]] = {}
        self._changing = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="device-heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        for name in list(self._held):
            self.give_back(name)

    def take(self, name: str) -> int | None:
        """Return the token of a device that is ours, taking it first if it is our turn; None: not yet.

        Raises:
            NotFound: No device has this name.
        """
        with self._changing:
            if name in self._held:
                return self._held[name][0]
        token = take(self._db, self._observers[name], name, self.owner)
        if token is not None:
            with self._changing:
                self._held[name] = token, False
        return token

    def give_back(self, name: str) -> None:
        """Let go of a device, or of the place in its queue."""
        with self._changing:
            self._held.pop(name, None)
        give_back(self._db, name, self.owner)

    def wanted(self, name: str) -> bool:
        """Whether another controller waits for a device of ours, as of the last heartbeat."""
        return self._held.get(name, (0, False))[1]

    def beat(self) -> None:
        """Beat once for all; a device that was taken from us is ours no longer."""
        with self._changing:
            before = dict(self._held)
        ours = beat(self._db, self.owner)
        with self._changing:
            for name, (token, _) in before.items():
                if self._held.get(name, (None, False))[0] != token:
                    continue  # given back meanwhile, perhaps taken again
                if ours.get(name, (None, False))[0] == token:
                    self._held[name] = ours[name]
                else:
                    del self._held[name]

    def _run(self) -> None:
        while not self._over.wait(self._pause):
            try:
                self.beat()
            except DBAPIError:
                continue  # a missed beat, not the end


def _pulse(row: RowMapping) -> Hashable:
    """What changes as long as the holder lives; of a free device, who is first in line."""
    if row["owner"] is not None:
        return row["token"], row["beat"]
    return row["token"], tuple(row["queue"][:1])


def _change(connection: Connection, name: str, **values: Any) -> None:
    connection.execute(update(_table).where(_table.c.name == name).values(values))
