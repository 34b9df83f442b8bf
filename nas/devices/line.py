"""One device of a fleet: the line of those who wait for it, and the session that is open to it."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from nas.devices.device import Device
from nas.devices.transport import Session, Transport

PROBE_S = 30.0
"""What a probe may take: the agent answers from /proc and /sys, on a slow board."""


class Line:
    """One at a time; searches take turns, and each gets its own requests in order.

    Only who has the turn may touch the session.

    Attributes:
        token: The fencing token of our lease; None while the device is not ours.
        since: When the lease was taken, monotonic.
        used: When it was last used, monotonic.
        unanswered: Jobs whose replies got lost on the way: they may lie on the device.
    """

    def __init__(self, device: Device) -> None:
        self.device = device
        self.token: int | None = None
        self.since = self.used = 0.0
        self.unanswered: set[str] = set()
        self._waiting: dict[str, deque[object]] = {}
        self._changed = threading.Condition()
        self._busy = False
        self._session: Session | None = None
        self._facts: dict[str, Any] | None = None

    @property
    def load(self) -> int:
        """How many use the device or wait for it."""
        with self._changed:
            return self._busy + sum(map(len, self._waiting.values()))

    @property
    def facts(self) -> dict[str, Any] | None:
        """What the device said when its session was opened; None while there is none."""
        return self._facts

    @contextlib.contextmanager
    def turn(self, who: str) -> Iterator[None]:
        """Wait for one's turn, and have it for as long as the context is open."""
        ticket = object()
        with self._changed:
            self._waiting.setdefault(who, deque()).append(ticket)
            try:
                self._changed.wait_for(lambda: not self._busy and self._first() is ticket)
                self._busy = True
            except BaseException:
                self._changed.notify_all()
                raise
            finally:
                self._leave(who, ticket)
        try:
            yield
        finally:
            with self._changed:
                self._busy = False
                self._changed.notify_all()

    @contextlib.contextmanager
    def idle(self) -> Iterator[bool]:
        """Have the turn if nobody uses the device or waits for it; yields whether it is so."""
        with self._changed:
            free = not self._busy and not self._waiting
            self._busy = self._busy or free
        try:
            yield free
        finally:
            if free:
                with self._changed:
                    self._busy = False
                    self._changed.notify_all()

    def open(self, transport: Transport) -> tuple[Session, Mapping[str, Any]]:
        """Return the open session and the facts it began with, opening one where there is none.

        Raises:
            DeviceFault: It cannot be opened.
        """
        if self._session is None or self._facts is None:
            self.drop()
            session = transport.open(self.device)
            try:
                self._facts = session.call({"verb": "probe"}, PROBE_S)["facts"]
            except BaseException:
                session.close()
                raise
            self._session = session
        return self._session, self._facts

    def drop(self) -> None:
        """Close the session; the next use opens another one."""
        session, self._session, self._facts = self._session, None, None
        if session is not None:
            session.close()

    def _first(self) -> object:
        return next(iter(self._waiting.values()))[0]

    def _leave(self, who: str, ticket: object) -> None:
        """Take the ticket out; whose request was served stands behind the others."""
        line = self._waiting.pop(who)
        line.remove(ticket)
        if line:
            self._waiting[who] = line
