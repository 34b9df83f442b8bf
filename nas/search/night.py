"""A store's nightly job as a cost: what the meter sweeps when a search asks for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from nas.architecture import Architecture
from nas.data.panel import Panel
from nas.data.split import Split
from nas.export.sweep import store_table
from nas.models.shape import Shape
from nas.request import SearchRequest
from nas.request import split as parted

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


def nights_of(request: SearchRequest, panel: Panel, split: Split) -> Nights:
    """Return what each architecture's night is; None for all of them where a search wants no cost of it."""
    if not any(parted(name)[0] in SWEPT for name in (*request.objectives, *request.constraints)):
        return lambda _architecture: None
    levels = Shape.of(panel, split.horizon, request.training.quantiles).quantiles
    return lru_cache(maxsize=16)(
        lambda architecture: Night(*store_table(panel, split, architecture, request.data, levels))
    )
