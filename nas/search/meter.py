"""Measuring one trial on every device of a search: cache, tiers, attempts and blame."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import structlog

from nas.devices.fleet import Fleet
from nas.devices.measurement import Measurement, cache_key
from nas.errors import (
    CandidateFault,
    ControllerFault,
    DeviceFault,
    HostKeyChanged,
    HostKeyUnknown,
    LoginRefused,
    PythonMissing,
    RuntimeMissing,
)
from nas.export.artifact import Artifact
from nas.search.objectives import undecided
from nas.store import attempts, measurements
from nas.store.database import Database
from nas.store.rows import Trial
from nas.store.states import AttemptState

_log = structlog.get_logger()
FOR_A_PERSON = (HostKeyChanged, HostKeyUnknown, LoginRefused, PythonMissing, RuntimeMissing)
"""Faults that no further attempt can mend."""
PAUSE_S = 1.0

Alone = Callable[[Mapping[str, Any]], AbstractContextManager[None]]


class Meter:
    """Measures artifacts on the devices of one search.

    Args:
        fleet: The open devices.
        devices: Names of those to measure on.
        tries: Attempts per trial and device, when the device breaks.
        token: Fencing token of the search.
        alone: Given a device's facts, keeps this computer from training meanwhile if it is that device.
    """

    def __init__(
        self, db: Database, fleet: Fleet, devices: Sequence[str], *, tries: int, token: int, alone: Alone
    ) -> None:
        self._db, self._fleet, self._devices = db, fleet, tuple(devices)
        self._tries, self._token, self._alone = tries, token, alone

    def measure(self, trial: Trial, artifact: Artifact, limits: Mapping[str, float]) -> dict[str, Measurement]:
        """Measure on every device, quickly, and thoroughly where a limit lies inside the interval.

        Raises:
            CandidateFault: The model cannot run on one of the devices, or keeps breaking it.
            DeviceFault: A device cannot be used; nothing is lost, the search can go on later.
        """
        found = {}
        for device in self._devices:
            measured = self._cached(trial, artifact, device, "screening")
            if undecided(limits, measured):
                measured = self._cached(trial, artifact, device, "thorough")
            found[device] = measured
        return found

    def row(self, measurement: Measurement) -> dict[str, Any]:
        """A measurement as a trial's row keeps it: the raw samples lie in a blob beside it."""
        values = measurement.to_dict()
        samples = json.dumps(values.pop("samples_ns")).encode()
        return {**values, "samples": self._db.blobs.put(samples)}

    def _cached(self, trial: Trial, artifact: Artifact, device: str, tier: str) -> Measurement:
        """The same graph in the same state of the same kind of board is measured once."""
        facts = self._facts(device)
        key = cache_key(
            graph=artifact.graph,
            input_shapes={name: array.shape for name, array in artifact.inputs.items()},
            precision=artifact.architecture.precision,
            threads=artifact.architecture.threads,
            tier=tier,
            facts=facts,
        )
        known = measurements.get(self._db, key)
        # A remembered size would be that of another file: only what the graph decides is taken over.
        if known is not None:
            return Measurement.from_dict(
                {
                    **known,
                    "device": device,
                    "model_sha": hashlib.sha256(artifact.model).hexdigest(),
                    "file_size_kb": len(artifact.model) / 1000,
                }
            )
        measured = self._attempted(trial, artifact, device, tier, facts)
        if measured.cacheable:
            measurements.put(self._db, key, measured.to_dict())
        return measured

    def _attempted(
        self, trial: Trial, artifact: Artifact, device: str, tier: str, facts: Mapping[str, Any]
    ) -> Measurement:
        for last in [False] * (self._tries - 1) + [True]:
            try:
                with self._attempt(trial, device), self._alone(facts):
                    threads = artifact.architecture.threads
                    return self._fleet.measure(device, artifact.model, artifact.inputs, threads=threads, tier=tier)
            except (DeviceFault, ControllerFault) as fault:
                if isinstance(fault, FOR_A_PERSON):
                    raise
                _log.warning("attempt failed", trial=trial.number, device=device, blame=fault.blame, reason=str(fault))
                if last:
                    raise self._verdict(fault, device) from fault
            time.sleep(PAUSE_S)
        raise AssertionError("at least one try is made")

    def _verdict(self, fault: DeviceFault | ControllerFault, device: str) -> Exception:
        """After the last try: a device that is gone stops the search; one that answers blames the candidate."""
        if isinstance(fault, ControllerFault):
            return fault
        self._facts(device)
        return CandidateFault(f"It broke {device} {self._tries} times, which answers again without it: {fault}")

    def _facts(self, device: str) -> dict[str, Any]:
        for _ in range(self._tries - 1):
            try:
                return self._fleet.facts(device)
            except FOR_A_PERSON:
                raise
            except DeviceFault as fault:
                _log.warning("no answer", device=device, reason=str(fault))
                time.sleep(PAUSE_S)
        return self._fleet.facts(device)

    @contextmanager
    def _attempt(self, trial: Trial, device: str) -> Iterator[None]:
        """One row per attempt, closed with whom to blame."""
        held = attempts.lease(self._db, trial.search_id, trial.number, token=self._token, device=device)
        try:
            yield
        except CandidateFault as fault:
            attempts.close(self._db, held, AttemptState.candidate_fault, str(fault))
            raise
        except DeviceFault as fault:
            attempts.close(self._db, held, AttemptState.device_fault, str(fault))
            raise
        except ControllerFault as fault:
            attempts.close(self._db, held, AttemptState.controller_fault, str(fault))
            raise
        attempts.close(self._db, held, AttemptState.measured)
