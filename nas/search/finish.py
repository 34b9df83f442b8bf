"""A student that is trained to its end: for longer than a search can wait, and once more with the validation weeks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nas.architecture import Architecture
from nas.data.panel import Panel
from nas.data.split import Split
from nas.models.training import refit, train
from nas.request import Training
from nas.search.workshop import Workshop, threads_of_torch


@dataclass(frozen=True, slots=True)
class Finish:
    """How a student's network is trained.

    Attributes:
        budget: Of the training that validation stops.
        refit: Train once more on all that lies before the test weeks, for as many epochs as were best then.
    """

    budget: Training
    refit: bool = False

    @classmethod
    def of(cls, usual: Training, max_epochs: int | None, *, refit: bool) -> Finish:
        """The search's own training, or a longer one: patience grows with it."""
        if max_epochs is None:
            return cls(usual, refit)
        patience = max(usual.patience, max_epochs // 3)
        return cls(usual.model_copy(update={"max_epochs": max_epochs, "patience": patience}), refit)


@dataclass(frozen=True, slots=True)
class Finished:
    """A trained network.

    Attributes:
        plan: How it was trained.
        weights: What is shipped, safetensors.
        validated: The same network before it saw the validation weeks, which are judged by it; None: ``weights``.
        epochs: How many were best by validation; 0: not of one training alone.
        parameters: How many weights there are.
    """

    plan: Finish
    weights: bytes
    validated: bytes | None
    epochs: int
    parameters: int

    @property
    def recipe(self) -> dict[str, Any]:
        """How it was trained, for ``recipe.json``."""
        best = {"best_epoch": self.epochs} if self.epochs else {}
        return self.plan.budget.model_dump() | best | {"refit": self.validated is not None}


def finish(
    architecture: Architecture, plan: Finish, seed: int, shop: Workshop, known: Finished | None = None
) -> Finished:
    """Train on a worker that has the cores of all others.

    Args:
        known: The training that the plan's budget would repeat; then only the refit is left.
    """
    with shop.working():
        arguments = architecture, shop.shared(), shop.split, plan, seed, known
        return shop.cluster.call(_finished, *arguments, shop.cluster.workers)


def _finished(
    architecture: Architecture,
    panel: Panel,
    split: Split,
    plan: Finish,
    seed: int,
    known: Finished | None,
    threads: int,
) -> Finished:
    with threads_of_torch(threads):
        if known is None:
            trained = train(architecture, panel, split, plan.budget, seed)
            known = Finished(plan, trained.weights, None, trained.best, trained.parameters)
        if not plan.refit:
            return known
        again = refit(architecture, panel, split, plan.budget, seed, known.epochs)
    return Finished(plan, again.weights, known.weights, known.epochs, known.parameters)
