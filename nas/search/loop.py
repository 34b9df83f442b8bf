"""The search, on one page: propose, measure on the real device, train only what can be feasible.

The stages overlap: while some trials are trained, the next are measured, and those after them exported.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import ParamSpec, TypeVar

import structlog

from nas.architecture import Architecture
from nas.devices.measurement import Measurement
from nas.errors import CandidateFault, ControllerFault, NasError
from nas.export.artifact import Artifact
from nas.request import SearchRequest
from nas.search.lanes import Ended, Lane, Lanes
from nas.search.meter import Meter
from nas.search.objectives import accuracies, broken, costs, violations
from nas.search.records import Records, architecture_of
from nas.search.study import Study, trial_seed
from nas.search.trainer import Learned, Trained, Trainer
from nas.search.verdicts import explanation, text
from nas.store.database import Database
from nas.store.rows import Search, Trial
from nas.store.states import TrialStage

_log = structlog.get_logger()
P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Tools:
    """What a search works with.

    Attributes:
        parallel: Exports, and trainings, at a time.
        check: Called between steps; raises when the search was stopped or is no longer ours.
        working: Held while this computer exports or trains, so that it is not measured meanwhile.
        attempts: Tries per export or training when workers die.
        boards: Trials that are measured at a time.
        apart: Whether a device is this computer, so that measuring and working take turns.
    """

    db: Database
    meter: Meter
    trainer: Trainer
    parallel: int
    check: Callable[[], None]
    working: Callable[[], AbstractContextManager[None]]
    attempts: int
    boards: int
    apart: bool

    @property
    def ahead(self) -> int:
        """Trials in hand: in training, waiting for it, being exported, and one on every board."""
        return 3 * self.parallel + self.boards


class SearchRun:
    """One claimed search, from wherever it stands to its end."""

    def __init__(self, search: Search, request: SearchRequest, study: Study, tools: Tools) -> None:
        self._request, self._tools = request, tools
        self._records = Records(search, request, study, tools.db, tools.ahead)
        widths = {Lane.export: tools.parallel, Lane.measure: tools.boards, Lane.train: tools.parallel}
        self._lanes = Lanes(widths, apart=tools.apart)
        self._learning: dict[Architecture, list[Trial]] = {}  # network in training -> others that wait for its weights

    def run(self) -> str | None:
        """Work until the trials are used up, or until it is plain that nothing can be feasible.

        Returns:
            Why the front is empty, or None.
        """
        with self._lanes:
            try:
                for trial in self._records.adopt():
                    self._begin(trial)
                self._propose()
                while self._lanes.busy:
                    self._tools.check()
                    if ended := self._lanes.ended():
                        self._record(ended)
                        self._propose()
            except Exception:
                self._end()
                raise
        return explanation(self._records.told, self._request.constraints)

    def _propose(self) -> None:
        while True:
            while trial := self._records.ask():
                self._begin(trial)
            if not self._records.tell():
                return

    def _begin(self, trial: Trial) -> None:
        if trial.stage == TrialStage.proposed:
            self._lanes.put(Lane.export, trial, partial(self._export, trial))
        else:  # adopted with its measurement
            self._admit(trial)

    def _record(self, ended: Ended) -> None:
        """Write down what a step found out, and send the trial on its way."""
        try:
            found = ended.call.result()
        except CandidateFault as fault:
            self._records.finish(ended.trial, stage=TrialStage.failed, feasible=False, reason=str(fault))
        else:
            match ended.lane:
                case Lane.export:
                    self._exported(ended.trial, found)
                case Lane.measure:
                    self._measured(ended.trial, *found)
                case Lane.train:
                    self._trained(ended.trial, *found)
        if ended.lane == Lane.train:
            for waiting in self._learning.pop(architecture_of(ended.trial).network, ()):
                self._train(waiting)

    def _end(self) -> None:
        """Begin nothing more, and record what is in hand: it has cost its time already."""
        self._lanes.hold()
        while self._lanes.busy:
            with suppress(NasError):  # the first one says why it ends
                if ended := self._lanes.ended():
                    self._record(ended)

    def _export(self, trial: Trial) -> Artifact:
        with self._tools.working():
            return self._retried(self._tools.trainer.export, architecture_of(trial))

    def _exported(self, trial: Trial, artifact: Artifact) -> None:
        self._records.spend("export", artifact.seconds)
        trial = self._records.save(trial, timings={"export": artifact.seconds})
        self._lanes.put(Lane.measure, trial, partial(self._measure, trial, artifact))

    def _measure(self, trial: Trial, artifact: Artifact) -> tuple[dict[str, Measurement], float]:
        started = perf_counter()
        found = self._tools.meter.measure(trial, artifact, self._request.constraints)
        return found, perf_counter() - started

    def _measured(self, trial: Trial, measurements: dict[str, Measurement], seconds: float) -> None:
        self._records.spend("measure", seconds)
        values = costs(measurements)
        trial = self._records.save(
            trial,
            stage=TrialStage.measured,
            measurements={name: self._tools.meter.row(found) for name, found in measurements.items()},
            values=values,
            violations=violations(self._request.constraints, values),
            timings={**trial.timings, "measure": round(seconds, 3)},
        )
        self._admit(trial)

    def _admit(self, trial: Trial) -> None:
        """A measured trial is trained, or turned away before a second of training was spent on it."""
        if beyond := broken(trial.violations):
            limits = self._request.constraints
            named = ", ".join(f"{name} {text(trial.values[name])} > {limits[name]:g}" for name in beyond)
            where = ", ".join(trial.measurements)
            reason = f"Measured on {where}: {named}."
            self._records.finish(trial, stage=TrialStage.turned_away, feasible=False, reason=reason)
        else:
            self._train(trial)

    def _train(self, trial: Trial) -> None:
        """Each network is trained once: another precision, runtime or number of threads waits for its weights."""
        network, known = architecture_of(trial).network, self._records.learned(trial)
        if known is None and network in self._learning:
            self._learning[network].append(trial)
            return
        self._learning.setdefault(network, [])
        self._lanes.put(Lane.train, trial, partial(self._learn, trial, known))

    def _learn(self, trial: Trial, known: Learned | None) -> tuple[Trained, float]:
        seed = trial_seed(self._request.seed, 0)  # every network starts from the same seed, so that they compare
        with self._tools.working():
            started = perf_counter()
            train = self._tools.trainer.train
            trained = self._retried(train, architecture_of(trial), self._request.training, seed, known)
            return trained, perf_counter() - started

    def _trained(self, trial: Trial, trained: Trained, seconds: float) -> None:
        self._records.spend("train", seconds)
        trial = self._records.save(
            trial,
            stage=TrialStage.trained,
            training=trained.learned.training,
            weights=self._tools.db.blobs.put(trained.learned.weights),
            timings={**trial.timings, "train": round(seconds, 3)},
        )
        asked = (*self._request.objectives, *self._request.constraints)
        values = {**trial.values, **accuracies(trained.scorecard, asked)}
        violated = violations(self._request.constraints, values)
        missed = broken(violated)
        self._records.finish(
            trial,
            stage=TrialStage.scored,
            scorecard=trained.scorecard.to_dict(),
            values=values,
            violations=violated,
            feasible=not missed,
            reason=f"Scored, but {' and '.join(missed)} is beyond its limit." if missed else None,
        )

    def _retried(self, call: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
        """Workers may die: that is another attempt of the same trial, bounded; then it is the trial that fails."""
        for _ in range(self._tools.attempts - 1):
            try:
                return call(*arguments, **named)
            except ControllerFault as fault:
                _log.warning("again", reason=str(fault))
        try:
            return call(*arguments, **named)
        except ControllerFault as fault:
            raise CandidateFault(str(fault)) from fault
