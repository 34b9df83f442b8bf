"""The rows of one search: its trials and front as users see them, and what the sampler is told of them.

Our row is written first, then the sampler is told. It is told strictly in the order of the
numbers, and asked for one more trial each time: so what it proposes depends on its seed and
on what was found, never on which work happened to end first, nor on interruptions.
"""

from __future__ import annotations

from time import perf_counter
from typing import Unpack

import structlog

from nas.architecture import Architecture
from nas.request import SearchRequest
from nas.search.front import front_of
from nas.search.study import Proposal, Study
from nas.search.trainer import Learned
from nas.search.verdicts import hopeless
from nas.store import searches, trials
from nas.store.database import Database
from nas.store.rows import Search, Trial
from nas.store.states import TrialStage
from nas.store.trials import TrialChanges

_log = structlog.get_logger()
FINAL = (TrialStage.turned_away, TrialStage.scored, TrialStage.failed)


class Records:
    """What is known of one claimed search.

    Args:
        ahead: Trials that may be proposed beyond the last one that the sampler was told of.
    """

    def __init__(self, search: Search, request: SearchRequest, study: Study, db: Database, ahead: int) -> None:
        self._search, self._request, self._study, self._db, self._ahead = search, request, study, db, ahead
        self._trials = {trial.number: trial for trial in trials.page(db, search.id)}
        self._told = len(self._trials)
        self._timings = {name: float(seconds) for name, seconds in search.timings.items()}
        self._since = perf_counter()

    def adopt(self) -> list[Trial]:
        """After a restart: the trials that were being worked on; the study knows them by its own rows."""
        running = [self._row(proposal) for proposal in self._study.unfinished()]
        self._told = len(self._trials) - len(running)
        self._show()
        return [trial for trial in running if trial.stage not in FINAL]

    def ask(self) -> Trial | None:
        """The next proposal; None while enough is proposed, and when the search is over."""
        asked = len(self._trials)
        if asked >= min(self._request.trials, self._told + self._ahead) or hopeless(self.told):
            return None
        return self._row(self._study.ask())

    def tell(self) -> bool:
        """Tell the sampler of the next trial in line; False when that one is still being worked on."""
        trial = self._trials.get(self._told)
        if trial is None or trial.stage not in FINAL:
            return False
        runs = trial.stage != TrialStage.failed
        self._study.tell(trial.number, trial.values if runs else {}, trial.violations, runs=runs)
        self._told += 1
        return True

    @property
    def told(self) -> list[Trial]:
        """The trials that the sampler was told of."""
        return [self._trials[number] for number in range(self._told)]

    def learned(self, trial: Trial) -> Learned | None:
        """What a trial of the same network learned before, whatever its precision, threads and runtime."""
        network = architecture_of(trial).network
        for other in self._trials.values():
            if other.weights and other.training and architecture_of(other).network == network:
                origin = {} if other.number == trial.number else {"reused_from": other.number}
                return Learned(self._db.blobs.get(other.weights), {**origin, **other.training})
        return None

    def save(self, trial: Trial, **changes: Unpack[TrialChanges]) -> Trial:
        """Write what became known of a trial."""
        search = self._search
        return self._keep(trials.save(self._db, search.id, trial.number, token=search.token, **changes))

    def finish(self, trial: Trial, **changes: Unpack[TrialChanges]) -> None:
        """Write how a trial ended, and the front that users look at."""
        trial = self.save(trial, **changes)
        self._show()
        _log.info("trial", search=self._search.id, trial=trial.number, stage=str(trial.stage), reason=trial.reason)

    def spend(self, name: str, seconds: float) -> None:
        """Count the seconds of one step."""
        self._timings[name] = self._timings.get(name, 0.0) + seconds

    def _show(self) -> None:
        now = perf_counter()
        self.spend("wall", now - self._since)
        self._since = now
        front = front_of(self._trials.values(), self._request.objectives).to_dict()
        timings = {name: round(seconds, 3) for name, seconds in self._timings.items()}
        searches.save(self._db, self._search.id, token=self._search.token, front=front, timings=timings)

    def _row(self, proposal: Proposal) -> Trial:
        search, architecture = self._search, proposal.architecture.to_dict()
        return self._keep(
            trials.create(self._db, search.id, proposal.number, token=search.token, architecture=architecture)
        )

    def _keep(self, trial: Trial) -> Trial:
        self._trials[trial.number] = trial
        return trial


def architecture_of(trial: Trial) -> Architecture:
    """The architecture of a trial."""
    return Architecture.from_dict(trial.architecture)
