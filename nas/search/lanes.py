"""Work of several kinds, side by side: each kind has a lane, and one trial after the other passes through them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from enum import StrEnum, auto
from types import TracebackType
from typing import Any, Self

from nas.store.rows import Trial

POLL_S = 1.0
"""How long ``ended`` waits, so that a user who stops a search is heard while all steps take long."""


class Lane(StrEnum):
    """What is done to a trial, in this order."""

    export = auto()
    measure = auto()
    train = auto()


@dataclass(frozen=True, slots=True)
class Ended:
    """One step of one trial that has come to its end, with its result or its fault."""

    lane: Lane
    trial: Trial
    call: Future[Any]


class Lanes:
    """Runs calls in threads; used from one thread, which puts steps in and takes ended ones out.

    A lane takes its next call by itself, so that a device never waits for what is done about the last result.

    Args:
        widths: How many calls a lane carries at a time.
        apart: Only one lane runs at a time, the earliest with work, until nothing is left in it.
    """

    def __init__(self, widths: Mapping[Lane, int], *, apart: bool) -> None:
        self._pools = {lane: ThreadPoolExecutor(width, f"nas-{lane}") for lane, width in widths.items()}
        self._apart, self._held = apart, False
        self._waiting: dict[Lane, deque[tuple[Trial, Callable[[], Any]]]] = {lane: deque() for lane in Lane}
        self._running: dict[Future[Any], tuple[Lane, Trial]] = {}

    def put(self, lane: Lane, trial: Trial, call: Callable[[], Any]) -> None:
        """Queue a step; it begins when ``ended`` is asked for."""
        self._waiting[lane].append((trial, call))

    @property
    def busy(self) -> bool:
        """Whether there is anything to wait for."""
        return bool(self._running) or (not self._held and any(self._waiting.values()))

    def ended(self) -> Ended | None:
        """Wait a moment for a step to end; of several, the trial with the lowest number comes first."""
        for lane in self._open():
            while self._waiting[lane]:
                trial, call = self._waiting[lane].popleft()
                self._running[self._pools[lane].submit(call)] = lane, trial
        done = wait(self._running, POLL_S, FIRST_COMPLETED).done
        if not done:
            return None
        first = min(done, key=lambda call: self._running[call][1].number)
        return Ended(*self._running.pop(first), first)

    def hold(self) -> None:
        """Begin nothing any more; what runs goes on to its end."""
        self._held = True
        for call in [call for call in self._running if call.cancel()]:
            del self._running[call]

    def _open(self) -> list[Lane]:
        """The lanes that may begin something."""
        if self._held:
            return []
        if not self._apart:
            return list(Lane)
        turn = {lane for lane, _ in self._running.values()}
        return [lane for lane in Lane if (lane in turn if turn else self._waiting[lane])][:1]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hold()
        for pool in self._pools.values():
            pool.shutdown()
