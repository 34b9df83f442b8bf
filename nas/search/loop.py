"""The search, on one page: propose, measure on the real device, train only what can be feasible."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from time import perf_counter
from typing import ParamSpec, TypeVar, Unpack

import structlog

from nas.architecture import Architecture
from nas.errors import CandidateFault, ControllerFault
from nas.export.artifact import Artifact
from nas.request import SearchRequest
from nas.search.front import front_of
from nas.search.meter import Meter
from nas.search.objectives import accuracies, broken, costs, violations
from nas.search.study import Proposal, Study, trial_seed
from nas.search.trainer import Learned, Trained, Trainer
from nas.search.verdicts import explanation, hopeless, text
from nas.store import searches, trials
from nas.store.database import Database
from nas.store.rows import Search, Trial
from nas.store.states import TrialStage
from nas.store.trials import TrialChanges

_log = structlog.get_logger()
P = ParamSpec("P")
R = TypeVar("R")
FINAL = (TrialStage.turned_away, TrialStage.scored, TrialStage.failed)


@dataclass(frozen=True, slots=True)
class Tools:
    """What a search works with.

    Attributes:
        parallel: Exports and trainings at a time.
        check: Called between steps; raises when the search was stopped or is no longer ours.
        working: Held while this computer exports or trains, so that it is not measured meanwhile.
        attempts: Tries per training when workers die.
    """

    db: Database
    meter: Meter
    trainer: Trainer
    parallel: int
    check: Callable[[], None]
    working: Callable[[], AbstractContextManager[None]]
    attempts: int


class SearchRun:
    """One claimed search, from wherever it stands to its end."""

    def __init__(self, search: Search, request: SearchRequest, study: Study, tools: Tools) -> None:
        self._search, self._request, self._study, self._tools = search, request, study, tools
        self._trials = {t.number: t for t in trials.page(tools.db, search.id)}
        self._timings = {name: float(seconds) for name, seconds in search.timings.items()}
        self._pool = ThreadPoolExecutor(tools.parallel)

    def run(self) -> str | None:
        """Work until the trials are used up, or until it is plain that nothing can be feasible.

        Returns:
            Why the front is empty, or None.
        """
        adopted, ready = self._reconcile(), list[Trial]()
        with self._pool:
            while batch := adopted or self._ask():
                adopted = []
                ready += [trial for trial in self._measured(batch) if self._admitted(trial)]
                if len(ready) >= self._tools.parallel or self._exhausted():
                    self._train(ready)
                    ready = []
            self._train(ready)
        return explanation(self._finished(), self._request.limits)

    def _reconcile(self) -> list[Trial]:
        """Make the study agree with our rows, which are written first; adopt what was running."""
        adopted = []
        for proposal in self._study.unfinished():
            trial = self._record(proposal)
            if trial.stage in FINAL:
                self._tell(trial)
            else:
                adopted.append(trial)
        return adopted

    def _ask(self) -> list[Trial]:
        """The next proposals, at most as many as are exported at a time; none when the search is over."""
        if hopeless(self._finished()):
            return []
        count = min(self._tools.parallel, self._request.trials - len(self._trials))
        return [self._record(self._study.ask()) for _ in range(count)]

    def _exhausted(self) -> bool:
        return len(self._trials) >= self._request.trials

    def _record(self, proposal: Proposal) -> Trial:
        return self._keep(
            trials.create(
                self._tools.db,
                self._search.id,
                proposal.number,
                token=self._search.token,
                architecture=proposal.architecture.to_dict(),
            )
        )

    def _measured(self, batch: list[Trial]) -> Iterator[Trial]:
        """Export in parallel, then measure one after the other; yields the trials that could be measured."""
        yield from (trial for trial in batch if trial.stage != TrialStage.proposed)  # adopted with its measurement
        for trial, artifact in self._exported([trial for trial in batch if trial.stage == TrialStage.proposed]):
            self._tools.check()
            started = perf_counter()
            try:
                measurements = self._tools.meter.measure(trial, artifact, self._request.limits)
            except CandidateFault as fault:
                self._fail(trial, str(fault))
                continue
            seconds = perf_counter() - started
            self._spend("measure", seconds)
            values = costs(measurements.values())
            yield self._save(
                trial,
                stage=TrialStage.measured,
                measurements={name: self._tools.meter.row(found) for name, found in measurements.items()},
                values=values,
                violations=violations(self._request.limits, values),
                timings={"export": artifact.seconds, "measure": round(seconds, 3)},
            )

    def _exported(self, batch: list[Trial]) -> list[tuple[Trial, Artifact]]:
        """The trials that could be exported; one that cannot be fails with its reason."""
        self._tools.check()
        exported = []
        with self._tools.working():
            export = self._tools.trainer.export
            calls = [(trial, self._pool.submit(self._retried, export, _architecture(trial))) for trial in batch]
            for trial, call in calls:
                try:
                    exported.append((trial, call.result()))
                    self._spend("export", call.result().seconds)
                except (CandidateFault, ControllerFault) as fault:
                    self._fail(trial, str(fault))
        return exported

    def _admitted(self, trial: Trial) -> bool:
        """Whether a measured trial may be trained; turned away before a second of training was spent on it."""
        beyond = broken(trial.violations)
        if beyond:
            limits = self._request.limits
            named = ", ".join(f"{name} {text(trial.values[name])} > {limits[name]:g}" for name in beyond)
            where = ", ".join(trial.measurements)
            self._finish(trial, stage=TrialStage.turned_away, feasible=False, reason=f"Measured on {where}: {named}.")
        return not beyond

    def _train(self, ready: list[Trial]) -> None:
        """Train in parallel, then record in the order of the numbers."""
        if not ready:
            return
        self._tools.check()
        with self._tools.working():
            calls = [(trial, self._pool.submit(self._learn, trial)) for trial in ready]
            for trial, call in calls:
                try:
                    self._score(trial, *call.result())
                except (CandidateFault, ControllerFault) as fault:
                    self._fail(trial, str(fault))

    def _learn(self, trial: Trial) -> tuple[Trained, float]:
        architecture, started = _architecture(trial), perf_counter()
        seed = trial_seed(self._request.seed, 0)  # every network starts from the same seed, so that they compare
        known = self._known(architecture)
        trained = self._retried(self._tools.trainer.train, architecture, self._request.training, seed, known)
        return trained, perf_counter() - started

    def _known(self, architecture: Architecture) -> Learned | None:
        """What an earlier trial of the same network learned, whatever its precision and threads."""
        for other in self._trials.values():
            if other.weights and other.training and _architecture(other).network == architecture.network:
                training = {**other.training, "reused_from": other.number}
                return Learned(self._tools.db.blobs.get(other.weights), training)
        return None

    def _score(self, trial: Trial, trained: Trained, seconds: float) -> None:
        self._spend("train", seconds)
        trial = self._save(
            trial,
            stage=TrialStage.trained,
            training=trained.learned.training,
            weights=self._tools.db.blobs.put(trained.learned.weights),
            timings={**trial.timings, "train": round(seconds, 3)},
        )
        values = {**trial.values, **accuracies(trained.scorecard.overall)}
        violated = violations(self._request.limits, values)
        missed = broken(violated)
        self._finish(
            trial,
            stage=TrialStage.scored,
            scorecard=trained.scorecard.to_dict(),
            values=values,
            violations=violated,
            feasible=not missed,
            reason=f"Scored, but {' and '.join(missed)} is beyond its limit." if missed else None,
        )

    def _fail(self, trial: Trial, reason: str) -> None:
        self._finish(trial, stage=TrialStage.failed, feasible=False, reason=reason)

    def _finish(self, trial: Trial, **changes: Unpack[TrialChanges]) -> None:
        """Our row first, then the sampler, then the front that users look at."""
        trial = self._save(trial, **changes)
        self._tell(trial)
        front = front_of(self._trials.values(), self._request.objectives)
        timings = {name: round(seconds, 3) for name, seconds in self._timings.items()}
        searches.save(self._tools.db, self._search.id, token=self._search.token, front=front.to_dict(), timings=timings)
        _log.info("trial", search=self._search.id, trial=trial.number, stage=str(trial.stage), reason=trial.reason)

    def _tell(self, trial: Trial) -> None:
        runs = trial.stage != TrialStage.failed
        self._study.tell(trial.number, trial.values if runs else {}, trial.violations, runs=runs)

    def _save(self, trial: Trial, **changes: Unpack[TrialChanges]) -> Trial:
        search = self._search
        return self._keep(trials.save(self._tools.db, search.id, trial.number, token=search.token, **changes))

    def _keep(self, trial: Trial) -> Trial:
        self._trials[trial.number] = trial
        return trial

    def _finished(self) -> list[Trial]:
        return [t for t in self._trials.values() if t.stage in FINAL]

    def _retried(self, call: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
        """Workers may die: that is another attempt of the same trial, bounded."""
        for _ in range(self._tools.attempts - 1):
            try:
                return call(*arguments, **named)
            except ControllerFault as fault:
                _log.warning("again", reason=str(fault))
        return call(*arguments, **named)

    def _spend(self, name: str, seconds: float) -> None:
        self._timings[name] = self._timings.get(name, 0.0) + seconds


def _architecture(trial: Trial) -> Architecture:
    return Architecture.from_dict(trial.architecture)
