"""What must hold in the database after any fault: read back from the rows alone, whatever a run believes of itself."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import pairwise

import optuna
from optuna.trial import TrialState

from nas.settings import Settings
from nas.store import Attempt, Database, attempts, searches, trials
from nas.store.states import AttemptState, TrialStage, WorkState

ENDS = {TrialStage.turned_away, TrialStage.scored, TrialStage.failed}


@dataclass(frozen=True)
class History:
    """The figures of one finished run."""

    searches: int
    trials: int
    attempts: Counter[AttemptState]

    def __str__(self) -> str:
        ends = ", ".join(f"{count} {state}" for state, count in sorted(self.attempts.items()))
        return f"{self.searches} searches, {self.trials} trials, attempts: {ends}"


def check(db: Database, settings: Settings) -> History:
    """Assert that nothing was lost, doubled, stolen or left behind; every controller has ended before.

    Returns:
        What there was to check.
    """
    tried: list[Attempt] = []
    rows = 0
    for search in searches.page(db, limit=1000):
        assert search.state != WorkState.running, f"search {search.id} still runs, and nobody has it"
        found = trials.page(db, search.id)
        rows += len(found)
        assert [trial.number for trial in found] == list(range(len(found)))
        for trial in found:
            tried += attempts.of_trial(db, search.id, trial.number)
        if search.state == WorkState.completed:
            _expect_every_trial_to_have_ended_once(found, search, settings)
    assert is_nobodys(db), "a device is still held"
    for one in tried:
        assert one.state != AttemptState.leased, f"{_name(one)} is still open"
    _expect_turns(tried)
    return History(len(searches.page(db, limit=1000)), rows, Counter(one.state for one in tried))


def is_nobodys(db: Database) -> bool:
    """Whether no controller holds a device."""
    with db.read() as connection:
        held = "SELECT count(*) FROM nas_devices WHERE owner IS NOT NULL"
        return connection.exec_driver_sql(held).scalar_one() == 0


def _expect_every_trial_to_have_ended_once(found, search, settings) -> None:
    """In our rows, and in the sampler's, which are told last."""
    asked = search.request["trials"]
    assert len(found) == asked, f"search {search.id} has {len(found)} of {asked} trials"
    for trial in found:
        assert trial.stage in ENDS and trial.finished_at, f"trial {trial.number} is {trial.stage}"
    storage = optuna.storages.RDBStorage(settings.database)
    told = optuna.load_study(study_name=f"search-{search.id}", storage=storage).get_trials(deepcopy=False)
    storage.engine.dispose()
    assert [(trial.number, trial.state) for trial in told] == [
        (trial.number, TrialState.COMPLETE) for trial in found
    ], "the sampler knows other trials than we do"


def _expect_turns(tried: list[Attempt]) -> None:
    """On each device one after the other, with tokens that only rise; what was accepted had the highest of its time."""
    by_device = defaultdict(list)
    for one in tried:
        by_device[one.device].append(one)
    for device, found in by_device.items():
        found.sort(key=lambda one: one.started_at)
        for before, after in pairwise(found):
            assert before.ended_at <= after.started_at, f"{device}: {_name(before)} and {_name(after)} at the same time"
            assert before.device_token <= after.device_token, f"{device}: {_name(after)} has a stale token"
    for one in tried:
        if one.state == AttemptState.measured:
            newest = max(other.token for other in tried if _may_know_better(other, one))
            assert one.token == newest, f"{_name(one)} was accepted with a stale token of its search"


def _may_know_better(other: Attempt, one: Attempt) -> bool:
    """Whether another attempt for the same search had begun when this one ended."""
    return other.search_id == one.search_id and other.started_at <= one.ended_at


def _name(one: Attempt) -> str:
    return f"attempt {one.attempt} of trial {one.number} of search {one.search_id}"
