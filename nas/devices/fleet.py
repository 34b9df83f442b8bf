"""The devices of one controller: many at once, each of them used by one at a time."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from types import TracebackType
from typing import Any, Self, Unpack

from nas.devices.device import Device
from nas.devices.ledger import Leases, Register, Sole
from nas.devices.line import Line
from nas.devices.local import LocalTransport
from nas.devices.measurement import Measurement
from nas.devices.sweep import Sweep
from nas.devices.tensors import Arrays
from nas.devices.transport import Transport
from nas.devices.turn import By, How, Turn
from nas.errors import DeviceAway, DeviceFault, NotFound

LEASE_WAIT_S = 120.0
"""Longest wait for a device that another controller holds; it lets go between two measurements."""
ASK_AGAIN_S = 0.2
KEEP_S = 5.0
"""How long a device that others want is kept for further requests: opening a session costs about a second."""
LOOK_S = 1.0


class Fleet:
    """Measures and runs models on devices. It does not try again by itself: the search owns attempts.

    Safe to use from any number of threads. It makes no thread per device: whoever asks does the work, and one
    thread closes what is idle. A name means a device, or any board of a pool.

    Args:
        devices: The devices, each with a name of its own.
        transports: A transport for each kind that a device uses; by default the real ones.
        leases: Whose the devices are; without it they are ours alone.
        register: How they do; without it nothing is noted.
        idle_s: Seconds without a request after which a session is closed and the lease given back.
        over: Set when nobody should wait for other controllers any more.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        devices: Iterable[Device] = (),
        transports: Mapping[str, Transport] | None = None,
        *,
        leases: Leases | None = None,
        register: Register | None = None,
        idle_s: float = 10.0,
        over: threading.Event | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        sole = Sole()
        self._transports, self._leases, self._register = transports, leases or sole, register or sole
        self._idle_s, self._over, self._clock = idle_s, over or threading.Event(), clock
        self._changing = threading.Lock()
        self._lines: dict[str, Line] = {}
        self._closing = threading.Event()
        self._keeper: threading.Thread | None = None
        self.adopt(devices)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def adopt(self, devices: Iterable[Device]) -> None:
        """Take these as the devices from now on; one that is in use changes when it is idle and adopted again."""
        wanted = {device.name: device for device in devices}
        with self._changing:
            for name in list(self._lines):
                if self._lines[name].device != wanted.get(name):
                    with self._lines[name].idle() as idle:
                        if idle:
                            self._let_go(self._lines.pop(name))
            for name, device in wanted.items():
                self._lines.setdefault(name, Line(device))

    def close(self) -> None:
        """Close every session and give every lease back; a later request opens a new one."""
        self._closing.set()
        with self._changing:
            lines, keeper, self._keeper = list(self._lines.values()), self._keeper, None
        if keeper is not None:
            keeper.join()
        for line in lines:
            with line.turn(""):
                self._let_go(line)
        self._closing.clear()

    @contextlib.contextmanager
    def turn(self, name: str, *, who: str = "") -> Iterator[Turn]:
        """Wait for a device, and have it to oneself for as long as the context is open.

        Args:
            name: A device, or a pool: then the least busy board that is fit.
            who: Whose request it is; the searches that wait for a device take turns.

        Raises:
            NotFound: There is no such device or pool.
            DeviceAway: It is given no work now, or another controller does not let go of it.
        """
        while True:
            line = self._chosen(name)
            board = line.device.name
            with line.turn(who):
                reason = self._register.away([board], pool=False).get(board)
                if reason is None:
                    with self._held(line) as turn:
                        yield turn
                    return
                if board == name:
                    raise _away(f"The device {name} is given no work now: {reason}.", board)

    def facts(self, name: str) -> dict[str, Any]:
        """Return what a device said about itself when its session was opened (PROTOCOL.md, ``probe``).

        Raises:
            NotFound: There is no such device or pool.
            DeviceFault: It cannot be used; the subclass says why.
        """
        line = self._chosen(name)
        known = line.facts
        if known is not None:
            return dict(known)
        with line.turn(""), self._held(line) as turn:
            return turn.facts()

    def check(self, name: str) -> None:
        """Let a device show that it works, also one that is given no other work.

        Raises:
            NotFound: There is no such device.
            DeviceFault: It does not.
        """
        line = self._chosen(name)
        with line.turn(""), self._held(line) as turn:
            turn.check()

    def measure(self, name: str, model: bytes, inputs: Arrays, **how: Unpack[How]) -> Measurement:
        """Wait for a device and measure a model there; ``Turn.measure`` says the rest."""
        with self.turn(name) as turn:
            return turn.measure(model, inputs, **how)

    def sweep(self, name: str, model: bytes, table: bytes, recipe: Mapping[str, Any], **by: Unpack[By]) -> Sweep:
        """Wait for a device and do a store's nightly job there; ``Turn.sweep`` says the rest."""
        with self.turn(name) as turn:
            return turn.sweep(model, table, recipe, **by)

    def run(
        self, name: str, model: bytes, inputs: Arrays, *, threads: int = 1, runtime: str = "onnxruntime"
    ) -> dict[str, Any]:
        """Wait for a device and run a model once there; ``Turn.run`` says the rest."""
        with self.turn(name) as turn:
            return turn.run(model, inputs, threads=threads, runtime=runtime)

    def _chosen(self, name: str) -> Line:
        """The device of that name, or the least busy board of that pool that is fit."""
        with self._changing:
            lines = dict(self._lines)
        if name in lines:
            return lines[name]
        boards = {board: line for board, line in lines.items() if line.device.pool == name}
        if not boards:
            known = ", ".join(sorted({*lines, *(line.device.pool for line in lines.values())} - {""})) or "none"
            raise NotFound(f"There is no device {name!r} here; expected one of: {known}.")
        away = self._register.away(list(boards), pool=True)
        fit = [line for board, line in boards.items() if board not in away]
        if not fit:
            reasons = "; ".join(f"{board}: {reason}" for board, reason in away.items())
            raise _away(f"No board of the pool {name} is given work now: {reasons}.", name)
        return min(fit, key=lambda line: line.load)

    @contextlib.contextmanager
    def _held(self, line: Line) -> Iterator[Turn]:
        """With the turn comes the lease; both end when others want the device and had to wait long enough."""
        token = self._leased(line)
        try:
            yield Turn(line, self._transport(line.device.transport), self._register, token)
        finally:
            line.used = self._clock()
            kept_long = line.used - line.since >= KEEP_S
            if self._lines.get(line.device.name) is not line or (kept_long and self._leases.wanted(line.device.name)):
                self._let_go(line)

    def _leased(self, line: Line) -> int:
        name, end = line.device.name, self._clock() + LEASE_WAIT_S
        while (token := self._leases.take(name)) is None:
            if self._clock() >= end or self._over.wait(ASK_AGAIN_S):
                self._leases.give_back(name)
                raise _away(f"Another controller holds the device {name} and does not let go of it.", name)
        if token != line.token:
            line.drop()  # whoever had it meanwhile has ended our agent, or will
            line.token, line.since = token, self._clock()
        self._keep()
        return token

    def _let_go(self, line: Line) -> None:
        line.drop()
        if line.token is not None:
            line.token = None
            self._leases.give_back(line.device.name)

    def _keep(self) -> None:
        with self._changing:
            if self._keeper is None and not self._closing.is_set():
                self._keeper = threading.Thread(target=self._close_idle, name="fleet", daemon=True)
                self._keeper.start()

    def _close_idle(self) -> None:
        while not self._closing.wait(min(LOOK_S, self._idle_s / 2)):
            with self._changing:
                lines = [line for line in self._lines.values() if line.token is not None]
            for line in lines:
                wanted = self._leases.wanted(line.device.name)
                if wanted or self._clock() - line.used >= self._idle_s:
                    with line.idle() as idle:
                        if idle:
                            self._let_go(line)

    def _transport(self, kind: str) -> Transport:
        return _real(kind) if self._transports is None else self._transports[kind]


@cache
def _real(kind: str) -> Transport:
    if kind == "local":
        return LocalTransport()
    from nas.devices.ssh import SshTransport  # noqa: PLC0415 # paramiko is slow to import and often not needed

    return SshTransport()


def _away(reason: str, device: str) -> DeviceFault:
    fault = DeviceAway(reason)
    fault.device = device
    return fault
