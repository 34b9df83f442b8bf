"""The sampler's side of a search: one Optuna study, asked and told once per trial.

Optuna owns what samplers need; our own row is written first, then the study is told. So after a
kill the study may know less than we do, never more, and is told the rest (``nas.search.records``).
"""

from __future__ import annotations

import hashlib
import math
import warnings
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, NSGAIISampler, PartialFixedSampler, RandomSampler, TPESampler
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from nas.architecture import Architecture
from nas.request import SearchRequest
from nas.space import SearchSpace
from nas.store.database import listen
from nas.store.outages import patiently

STARTUP_TRIALS = 10
RUNS = "runs"
"""A constraint of our own: the candidate ran and could be scored."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """One architecture that the sampler proposes, under its trial number."""

    number: int
    architecture: Architecture


class Study:
    """Proposals for one search, and what became of them.

    Args:
        search: The search's id; the study carries it in its name.
        request: Objectives, sampler and seed.
        space: Where proposals come from.
        url: Database that holds Optuna's tables beside ours; None keeps the study in memory.
    """

    def __init__(self, search: int, request: SearchRequest, space: SearchSpace, url: str | None) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._request, self._space = request, space
        storage = _storage(url) if url else None
        if storage is not None:
            weakref.finalize(self, storage.engine.dispose)  # a server's connections do not end by themselves
        self._study = patiently(
            lambda: optuna.create_study(
                storage=storage,
                study_name=f"search-{search}",
                directions=["minimize"] * len(request.objectives),
                sampler=RandomSampler(seed=0),
                load_if_exists=True,
            )
        )

    def unfinished(self) -> Iterator[Proposal]:
        """Trials that were proposed but never told: a restart goes on with them."""
        running = patiently(lambda: self._study.get_trials(deepcopy=False, states=[TrialState.RUNNING]))
        for frozen in running:
            yield patiently(partial(self._adopt, frozen))

    def ask(self) -> Proposal:
        """Propose the next architecture; its seed is the search's and the trial's number.

        One that was begun when the database went away is proposed to its end, and none beside it.
        """
        number = patiently(lambda: len(self._study.get_trials(deepcopy=False)))
        return patiently(partial(self._ask, number))

    def tell(
        self, number: int, values: Mapping[str, float | None], violations: Mapping[str, float], *, runs: bool = True
    ) -> None:
        """Close a trial; telling a closed one again changes nothing.

        What was never found out (a candidate turned away is not trained) is told as infinitely
        bad, beside constraints that say why, so that the sampler learns from it.
        """
        patiently(partial(self._tell, number, values, violations, runs=runs))

    def _tell(
        self, number: int, values: Mapping[str, float | None], violations: Mapping[str, float], *, runs: bool
    ) -> None:
        frozen = self._study.get_trials(deepcopy=False)[number]
        if frozen.state.is_finished():
            return
        trial = optuna.Trial(self._study, frozen._trial_id)  # noqa: SLF001 as below
        trial.set_constraint(RUNS, 0.0 if runs else 1.0)
        for name in self._request.constraints:
            trial.set_constraint(name, violations.get(name, 0.0))
        self._study.tell(trial, [_told(values.get(name)) for name in self._request.objectives])

    def _ask(self, number: int) -> Proposal:
        begun = self._study.get_trials(deepcopy=False)[number:]
        if begun:
            return self._adopt(begun[0])
        self._study.sampler = self._sampler(number)
        return self._propose(self._study.ask(), number)

    def _adopt(self, frozen: FrozenTrial) -> Proposal:
        return self._propose(optuna.Trial(self._study, frozen._trial_id), frozen.number)  # noqa: SLF001 Optuna has no public way back to a running trial

    def _propose(self, trial: optuna.Trial, number: int) -> Proposal:
        self._study.sampler = self._sampler(number)
        return Proposal(number, self._space.suggest(trial))

    def _sampler(self, number: int) -> BaseSampler:
        sampler, first = _sampler(self._request, number), self._space.first
        if number >= len(first):
            return sampler
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # has been one since 2.4
            return PartialFixedSampler(first[number].given, sampler)


def trial_seed(seed: int, number: int) -> int:
    """The seed of one trial: a resumed search proposes what it would have proposed."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{number}".encode()).digest()[:4], "big") & 0x7FFFFFFF


def _sampler(request: SearchRequest, number: int) -> BaseSampler:
    seed = trial_seed(request.seed, number)
    if request.sampler == "random":
        return RandomSampler(seed=seed)
    if request.sampler == "nsga2":
        return NSGAIISampler(seed=seed, population_size=max(8, min(50, request.trials // 4)))
    # Other trials are running when the next is asked for: the liar keeps them apart.
    return TPESampler(seed=seed, n_startup_trials=STARTUP_TRIALS, constant_liar=True)


def _storage(url: str) -> RDBStorage:
    storage = RDBStorage(url)
    listen(storage.engine)
    return storage


def _told(value: float | None) -> float:
    return math.inf if value is None else value
