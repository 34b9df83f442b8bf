"""Looks after the devices while the controller works: asks for those that are away, and wakes what waits for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import structlog

from nas.controller.roster import Roster, device_of
from nas.devices.fleet import Fleet
from nas.devices.pool import deviating
from nas.devices.reference import reference_for
from nas.errors import DeviceFault, NasError
from nas.search.meter import Alone
from nas.settings import Settings
from nas.store import devices, waiting
from nas.store.database import Database
from nas.store.rows import Device, Job, Search
from nas.store.states import DeviceState

_log = structlog.get_logger()
LOOK_S = 1.0
AT_A_TIME = 16
"""Devices that are greeted at once."""
LONGEST_PAUSE_S = 1800.0


@dataclass(slots=True)
class _Pause:
    seconds: float
    end: float
    well_since: float | None = None


class Pauses:
    """When to look again at a device that is away: after 1 s, 2 s, 4 s, … half an hour.

    The pause begins anew only after the device has been well for longer than its last one, so that one
    that comes and goes is asked less and less.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pauses: dict[str, _Pause] = {}

    def well(self, name: str) -> None:
        """Note that a device is not away."""
        pause = self._pauses.get(name)
        if pause is not None and pause.well_since is None:
            pause.well_since = self._clock()

    def due(self, name: str, *, new: bool = False) -> bool:
        """Tell whether to look at a device that is away; one that is new is looked at without a pause."""
        pause, now = self._pauses.get(name), self._clock()
        if pause is None:
            first = 0.0 if new else 1.0
            self._pauses[name] = pause = _Pause(first, now + first)
        elif pause.well_since is not None:
            lasted = now - pause.well_since > pause.seconds
            self._begin(pause, 1.0 if lasted else 2 * pause.seconds)
        return now >= pause.end

    def failed(self, name: str) -> None:
        """Note that it was looked at in vain."""
        if pause := self._pauses.get(name):
            self._begin(pause, 2 * pause.seconds)

    def _begin(self, pause: _Pause, seconds: float) -> None:
        pause.seconds = min(max(seconds, 1.0), LONGEST_PAUSE_S)
        pause.end, pause.well_since = self._clock() + pause.seconds, None


class Watch:
    """Runs beside the work, from a thread of its own.

    Args:
        over: Set when the process is asked to end.
        alone: Keeps this computer from training while it is measured.
    """

    def __init__(
        self, settings: Settings, db: Database, fleet: Fleet, roster: Roster, over: threading.Event, alone: Alone
    ) -> None:
        self._settings, self._db, self._fleet, self._roster = settings, db, fleet, roster
        self._over, self._alone = over, alone
        self._pauses, self._looking = Pauses(), set[str]()

    def run(self) -> None:
        """Look again and again until the process ends."""
        pool = ThreadPoolExecutor(AT_A_TIME, thread_name_prefix="watch")
        while not self._over.is_set():
            try:
                self.look(pool)
            except Exception:  # noqa: BLE001 the watch must outlive, say, a database that is restarted
                _log.exception("the watch over the devices failed, and goes on")
            self._over.wait(LOOK_S)
        pool.shutdown(cancel_futures=True)

    def look(self, pool: ThreadPoolExecutor) -> None:
        """Take up new devices, ask for those that are away, flag those that deviate, wake what can go on."""
        rows = devices.enrolled(self._db)
        self._fleet.adopt(device_of(row, self._settings) for row in rows)
        strays = self._flagged(rows)
        for row in rows:
            is_away = row.state in (DeviceState.offline, DeviceState.quarantined) and not row.barred
            if not is_away and row.name not in strays:
                self._pauses.well(row.name)
            elif row.name not in self._looking and self._pauses.due(row.name, new=row.facts is None and not row.reason):
                self._looking.add(row.name)
                pool.submit(self._ask, row.name, strays.get(row.name))
        for work in waiting.waiting(self._db):
            if all(self.fit(name, rows) for name in wanted_by(work)):
                waiting.wake(self._db, work)
                _log.info("goes on", work=f"{type(work).__name__.lower()} {work.id}")

    def fit(self, name: str, rows: list[Device]) -> bool:
        """Whether a device, or a board of a pool, can be given work."""
        if any(row.name == name for row in rows):
            return not self._roster.away([name], pool=False)
        boards = [row.name for row in rows if row.pool == name]
        return len(self._roster.away(boards, pool=True)) < len(boards)

    def _flagged(self, rows: list[Device]) -> dict[str, str]:
        """The settings in which boards deviate from their pool; the reason is written down, and taken back."""
        found: dict[str, str] = {}
        for pool in {row.pool for row in rows} - {""}:
            boards = [row for row in rows if row.pool == pool]
            strays = deviating({row.name: row.levels for row in boards})
            for row in boards:
                reason = f"Of the pool {pool}, {strays[row.name].reason}." if row.name in strays else None
                if row.state == DeviceState.online and row.reason != reason:
                    devices.save(self._db, row.name, reason=reason)
            found |= {row.name: strays[row.name].setting for row in boards if row.name in strays}
        return found

    def _ask(self, name: str, setting: str | None) -> None:
        try:
            self._fleet.check(name)
            if setting:
                self._level_again(name, setting)
        except NasError as error:
            self._pauses.failed(name)
            _log.warning("device is away", device=name, reason=str(error))
        finally:
            self._looking.discard(name)

    def _level_again(self, name: str, setting: str) -> None:
        """Let a board that deviates measure the reference model, which notes its level anew."""
        runtime, _, threads = setting.rpartition("/")
        reference = reference_for(runtime)
        if reference is None:
            raise DeviceFault(f"There is no reference model for {runtime}, so {name} cannot be compared.")
        with self._fleet.turn(name, who="watch") as turn, self._alone(turn.facts()):
            turn.measure(reference.model, reference.inputs, runtime=runtime, threads=int(threads))
        self._pauses.failed(name)  # look again later, if it still deviates


def wanted_by(work: Search | Job) -> list[str]:
    """The devices and pools that a search or a job needs."""
    names: list[str] = work.request.get("devices") or [work.request.get("device")]
    return [name for name in names if name]
