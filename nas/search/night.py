"""A store's nightly job as a cost: what the meter sweeps when a search asks for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from nas.architecture import Architecture
from nas.data.panel import Panel
from nas.data.split import Split
from nas.export.sweep import store_table
from nas.metric import split as parted
from nas.models.shape import Shape
from nas.request import DataSpec

SWEPT = ("sweep_seconds", "sweep_peak_mb")


@dataclass(frozen=True, slots=True)
class Night:
    """A store's table and the recipe that makes inputs of it.

    Attributes:
        digest: SHA-256 of both, a part of what a remembered measurement stands for.
    """

    table: bytes
    recipe: Mapping[str, Any]

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.table + json.dumps(self.recipe, sort_keys=True).encode()).hexdigest()


Nights = Callable[[Architecture], Night | None]


def nights_of(
    wanted: Iterable[str], panel: Panel, split: Split, data: DataSpec, quantiles: tuple[float, ...] = ()
) -> Nights:
    """Return what each architecture's night is; None for all of them where no cost of it is wanted.

    Args:
        wanted: The search's objectives and constraints.
        data: What the panel was made of.
        quantiles: What is forecast beside the median.
    """
    if not any(parted(name)[0] in SWEPT for name in wanted):
        return lambda _architecture: None
    levels = Shape.of(panel, split.horizon, quantiles).quantiles
    return lru_cache(maxsize=16)(lambda architecture: Night(*store_table(panel, split, architecture, data, levels)))
