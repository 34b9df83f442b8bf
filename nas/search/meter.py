"""Measuring one trial on every device of a search: cache, tiers, attempts and blame."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import structlog

from nas.devices.fleet import Fleet
from nas.devices.measurement import Measurement, cache_key
from nas.devices.sweep import Sweep
from nas.devices.turn import Turn
from nas.errors import (
    CandidateFault,
    ControllerFault,
    DeviceAway,
    DeviceBusy,
    DeviceFault,
    DeviceFull,
    Fault,
    HostKeyChanged,
    HostKeyUnknown,
    LeaseLost,
    LoginRefused,
    PythonMissing,
    RuntimeMissing,
)
from nas.export.artifact import Artifact
from nas.search.night import Nights
from nas.search.objectives import undecided
from nas.store import attempts, measurements
from nas.store.database import Database
from nas.store.rows import Attempt, Trial
from nas.store.states import AttemptState

_log = structlog.get_logger()
FOR_A_PERSON = (HostKeyChanged, HostKeyUnknown, LoginRefused, PythonMissing, RuntimeMissing)
"""Faults that no further attempt can mend."""
AT_ONCE = (DeviceAway, DeviceFull, *FOR_A_PERSON)
"""Faults after which trying again at once is of no use."""
ENDS = {
    "candidate": AttemptState.candidate_fault,
    "device": AttemptState.device_fault,
    "controller": AttemptState.controller_fault,
}
"""How an attempt ends, by whom its fault is blamed on."""
PAUSE_S = 1.0

T = TypeVar("T")
Alone = Callable[[Mapping[str, Any]], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Task:
    """One measurement to be made, whatever number of attempts it takes.

    Attributes:
        device: The device or pool, as the request names it.
        job: The name under which a board keeps the result: the same for every attempt.
    """

    trial: Trial
    artifact: Artifact
    device: str
    tier: str
    job: str = field(default_factory=lambda: secrets.token_hex(16))


class Meter:
    """Measures artifacts on the devices of one search. Safe to use from several threads, one trial in each.

    Args:
        fleet: The devices.
        devices: Names of the devices and pools to measure on.
        tries: Attempts per trial and device, when the device breaks.
        token: Fencing token of the search.
        alone: Given a device's facts, keeps this computer from training meanwhile if it is that device.
        beside_load: Measure beside what the devices carry anyway.
        nights: The store sweep that goes with an architecture, where a cost of it is wanted.
    """

    def __init__(  # noqa: PLR0913 # all that one search measures by
        self,
        db: Database,
        fleet: Fleet,
        devices: Sequence[str],
        *,
        tries: int,
        token: int,
        alone: Alone,
        beside_load: bool = False,
        nights: Nights = lambda _architecture: None,
    ) -> None:
        self._db, self._fleet, self._devices = db, fleet, tuple(devices)
        self._tries, self._token, self._alone = tries, token, alone
        self._beside_load, self._nights = beside_load, nights

    def measure(self, trial: Trial, artifact: Artifact, limits: Mapping[str, float]) -> dict[str, Measurement]:
        """Measure on every device at once, quickly, and thoroughly where a limit lies inside the interval.

        Returns:
            The device or pool, as the request names it -> what it, or one board of it, measured.

        Raises:
            CandidateFault: The model cannot run on one of the devices, or keeps breaking it.
            DeviceFault: A device cannot be used; nothing is lost, the search can go on later.
        """
        if len(self._devices) == 1:
            return {name: self._measured(trial, artifact, limits, name) for name in self._devices}
        with ThreadPoolExecutor(len(self._devices)) as pool:
            calls = {name: pool.submit(self._measured, trial, artifact, limits, name) for name in self._devices}
        _raise_worst(calls.values())
        return {name: call.result() for name, call in calls.items()}

    def row(self, measurement: Measurement) -> dict[str, Any]:
        """A measurement as a trial's row keeps it: the raw samples lie in a blob beside it."""
        values = measurement.to_dict()
        samples = json.dumps(values.pop("samples_ns")).encode()
        return {**values, "samples": self._db.blobs.put(samples)}

    def _measured(self, trial: Trial, artifact: Artifact, limits: Mapping[str, float], device: str) -> Measurement:
        found = self._cached(Task(trial, artifact, device, "screening"))
        if undecided(limits, device, found):
            return self._cached(Task(trial, artifact, device, "thorough"))
        return found

    def _cached(self, task: Task) -> Measurement:
        """The same graph in the same state of the same kind of board is measured once."""
        facts = self._patiently(lambda: self._fleet.facts(task.device))
        known = measurements.get(self._db, self._key(task, facts))
        if known is None:
            return self._attempted(task)
        # A remembered size would be that of another file: only what the graph decides is taken over.
        model = task.artifact.model
        own = {"model_sha": hashlib.sha256(model).hexdigest(), "file_size_kb": len(model) / 1000}
        return Measurement.from_dict({**known, "device": task.device, **own})

    def _attempted(self, task: Task) -> Measurement:
        """Try until it is measured, or until it is clear whom to blame."""
        innocent = False
        for tried in range(1, self._tries + 1):
            try:
                with self._fleet.turn(task.device, who=f"search-{task.trial.search_id}") as turn:
                    return self._attempt(task, turn)
            except AT_ONCE:
                raise
            except (DeviceFault, ControllerFault) as fault:
                last, number = fault, task.trial.number
                _log.warning("attempt failed", trial=number, device=task.device, blame=fault.blame, reason=str(fault))
            innocent |= isinstance(last, (ControllerFault, DeviceBusy)) or not self._answers(task, last)
            if tried < self._tries:
                time.sleep(PAUSE_S)
        if innocent:
            raise last
        raise CandidateFault(f"It broke {task.device} {self._tries} times, which answers again without it: {last}")

    def _answers(self, task: Task, fault: DeviceFault) -> bool:
        """Whether a board that just broke works without the candidate; of a pool, another one may be tried then.

        Raises:
            DeviceFault: The device does not come back, and there is no other.
        """
        board = fault.device or task.device
        try:
            self._patiently(lambda: self._fleet.check(board), tries=1 if board != task.device else self._tries)
        except DeviceFault:
            if board == task.device:
                raise fault from None
            return False
        return True

    def _attempt(self, task: Task, turn: Turn) -> Measurement:
        """One row per attempt, closed with whom to blame; what was measured is stored with it, or not at all."""
        architecture = task.artifact.architecture
        with self._closed_when_it_fails(task.trial, turn) as held:
            facts = turn.facts()
            with self._alone(facts):
                found = turn.measure(
                    task.artifact.model,
                    task.artifact.inputs,
                    threads=architecture.threads,
                    runtime=architecture.runtime,
                    tier=task.tier,
                    job=task.job,
                    beside_load=self._beside_load,
                )
                _refuse_unfit(turn, found)
                found = self._swept(task, turn, found)
            remember = {self._key(task, facts): found.to_dict()} if found.cacheable else {}
            attempts.close(self._db, held, AttemptState.measured, remember=remember)
        return found

    @contextmanager
    def _closed_when_it_fails(self, trial: Trial, turn: Turn) -> Iterator[Attempt]:
        held = attempts.lease(
            self._db,
            trial.search_id,
            trial.number,
            token=self._token,
            device=turn.device,
            device_token=turn.token,
        )
        try:
            yield held
        except LeaseLost:
            raise  # it is closed already
        except Fault as fault:
            attempts.close(self._db, held, ENDS[fault.blame], str(fault))
            raise

    def _patiently(self, call: Callable[[], T], *, tries: int | None = None) -> T:
        """Ask a device that may not answer at once, such as one that reboots."""
        for _ in range((tries or self._tries) - 1):
            try:
                return call()
            except AT_ONCE:
                raise
            except DeviceFault as fault:
                _log.warning("no answer", device=fault.device, reason=str(fault))
                time.sleep(PAUSE_S)
        return call()

    def _swept(self, task: Task, turn: Turn, found: Measurement) -> Measurement:
        """Add the store's nightly job, where a cost of it is wanted."""
        architecture = task.artifact.architecture
        night = self._nights(architecture)
        if night is None:
            return found
        sweep = turn.sweep(
            task.artifact.model,
            night.table,
            night.recipe,
            threads=architecture.threads,
            runtime=architecture.runtime,
            beside_load=self._beside_load,
        )
        _refuse_unfit(turn, sweep)
        return replace(found, sweep=sweep)

    def _key(self, task: Task, facts: Mapping[str, Any]) -> str:
        architecture = task.artifact.architecture
        return cache_key(
            graph=task.artifact.graph,
            input_shapes={name: array.shape for name, array in task.artifact.inputs.items()},
            precision=architecture.precision,
            threads=architecture.threads,
            runtime=architecture.runtime,
            tier=task.tier,
            facts=facts,
            beside_load=self._beside_load,
            sweep=night.digest if (night := self._nights(architecture)) else None,
        )


def _refuse_unfit(turn: Turn, found: Measurement | Sweep) -> None:
    if found.verdict == "rejected":
        why = "; ".join(found.reasons)
        raise DeviceBusy(f"The device {turn.device} was not fit to be measured: {why}")


def _raise_worst(calls: Iterable[Future[Measurement]]) -> None:
    """Raise the failure that decides: what is no fault ends the search, a candidate's fault its trial."""
    failures = [error for call in calls if (error := call.exception())]
    for error in sorted(failures, key=lambda error: (isinstance(error, Fault), not isinstance(error, CandidateFault))):
        raise error
