"""Slices: which of the judged steps belong together, so that an average cannot hide them.

What a slice is made by is known from the panel and the origins alone, and never from the part that is judged:
volume and intermittency are those of the steps before the first origin. So a search can be refused for a slice that
its data do not have before anything is trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.data.demand import CLASSES, classes
from nas.data.metrics import Sums
from nas.data.panel import Panel
from nas.errors import RequestError
from nas.metric import SLICINGS, Metric

SEASON_DAYS = 365
"""Seasons are told apart only when the origins span so many days."""
LARGEST = 50
"""Values of a static covariate that are slices of their own; smaller ones are one slice together."""
OTHERS, UNSEEN = "others", "unseen"
HOLIDAYS = ("holiday", "state_holiday", "stateholiday")
"""A future-known covariate whose name starts so is 0 but on holidays."""


@dataclass(frozen=True, eq=False, slots=True)
class Slicing:
    """One way to divide the judged steps.

    Attributes:
        name: How a metric names it: ``category`` in ``wape[category=DAIRY]``.
        values: Its slices.
        codes: int64 [O, S, H], any axis but that of the series may be 1; position in ``values``, -1 for none of them.
    """

    name: str
    values: tuple[str, ...]
    codes: NDArray[np.int64]

    def sums(self, terms: Sums) -> dict[str, NDArray[np.float64]]:
        """Add up [O, S, H] terms, each [values, S]."""
        groups, series = len(self.values), self.codes.shape[1]
        whole = tuple(axis for axis in (0, 2) if self.codes.shape[axis] == 1)
        cell = np.where(self.codes < 0, groups, self.codes) * series + np.arange(series)[:, None]
        cell = cell.reshape(-1)
        return {
            name: np.bincount(cell, each.sum(axis=whole, keepdims=True).reshape(-1), (groups + 1) * series)
            .reshape(-1, series)[:groups]
            .astype(np.float64)
            for name, each in terms.items()
        }


def slicings(panel: Panel, origins: Sequence[int], horizon: int) -> dict[str, Slicing]:
    """Every slicing that these forecasts have, but ``season`` where it cannot be judged, and ``cold_start``."""
    known = panel.until(min(origins)) if min(origins) else None
    volume = (known.y * known.mask).sum(axis=1, dtype=np.float64) if known else np.zeros(len(panel.ids))
    found = [*_statics(panel, volume), *_covariates(panel, origins, horizon)]
    if known:
        found += [_per_series("intermittency", CLASSES, _classes(known)), _deciles(volume)]
    found.append(_horizon(panel, horizon))
    if unjudgeable_season(panel, origins) is None:
        found.append(_months(panel, origins, horizon))
    return {slicing.name: slicing for slicing in found}


def unjudgeable_season(panel: Panel, origins: Sequence[int]) -> str | None:
    """Why seasons cannot be told apart; None where they can."""
    days = (max(origins) - min(origins)) * panel.clock.hours // 24
    return None if days >= SEASON_DAYS else f"the origins span {days} days, seasons need at least {SEASON_DAYS}"


def require_slices(names: Sequence[str], panel: Panel, origins: Sequence[int], horizon: int) -> None:
    """Check that the data have every slice that these metrics name, and something to judge in it.

    Raises:
        RequestError: One does not exist; the sentence lists those that do.
    """
    wanted = [metric for metric in map(Metric.parse, names) if metric.slicing is not None]
    if not wanted:
        return
    found = slicings(panel, origins, horizon)
    steps = np.asarray(origins)[:, None] + np.arange(horizon)
    judged = {"n": (panel.mask[:, steps] > 0).transpose(1, 0, 2).astype(np.float64)}
    for metric in wanted:
        if metric.slicing == "season" and (reason := unjudgeable_season(panel, origins)):
            raise RequestError(f"{metric} cannot be judged: {reason}; lengthen validation_days or leave it out.")
        slicing = found.get(str(metric.slicing))
        if slicing is None:
            raise RequestError(
                f"{metric} names the slicing {metric.slicing}, which these data do not have; expected one of "
                f"{', '.join(found)}."
            )
        filled = slicing.sums(judged)["n"].sum(axis=1) > 0
        values = [value for value, some in zip(slicing.values, filled, strict=True) if some]
        if metric.value not in values:
            raise RequestError(
                f"{metric} names a slice that has nothing to judge in the validation part; expected "
                f"{metric.slicing}= one of {', '.join(values)}."
            )


def _statics(panel: Panel, volume: NDArray[np.float64]) -> list[Slicing]:
    """The static covariates that group series; one with a value per series would be the series themselves."""
    found = []
    for column, (name, words) in enumerate(zip(panel.stat_names, panel.stat_vocab, strict=True)):
        if len(words) >= len(panel.ids):
            continue
        sold = np.bincount(panel.stat[:, column], volume, len(words) + 1)[1:]
        large = np.sort(np.argsort(-sold, kind="stable")[:LARGEST])
        values, place = [words[i] for i in large], np.full(len(words) + 1, -1)
        place[large + 1] = np.arange(len(large))
        codes = place[panel.stat[:, column]]
        for rest, chosen in ((OTHERS, (codes < 0) & (panel.stat[:, column] > 0)), (UNSEEN, panel.stat[:, column] == 0)):
            if chosen.any():
                codes = np.where(chosen, len(values), codes)
                values.append(rest)
        found.append(_per_series(f"static {name}" if name in SLICINGS else name, tuple(values), codes))
    return found


def _covariates(panel: Panel, origins: Sequence[int], horizon: int) -> list[Slicing]:
    steps = np.asarray(origins)[:, None] + np.arange(horizon)
    found = []
    if panel.promotions:
        promoted = _promoted(panel, steps)
        found.append(Slicing("promotion", ("promoted", "not promoted"), _on_series(~promoted)))
    columns = [i for i, name in enumerate(panel.futr_names) if name.lower().startswith(HOLIDAYS)]
    if columns:
        holiday = panel.futr[:, steps][..., columns].max(axis=-1) > 0
        found.append(Slicing("holiday", ("holiday", "no holiday"), _on_series(~holiday)))
    return found


def _promoted(panel: Panel, steps: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Steps at which a series is promoted more than it usually is, bool [S, O, H].

    For a yes-or-no promotion this is simply yes. A share of promoted products is hardly ever 0,
    so it is held against the series' mean over the panel; several promotions are added up.
    """
    amount = panel.futr[..., list(panel.promotions)].sum(axis=-1, dtype=np.float64)
    usual = (amount * panel.mask).sum(axis=1) / np.maximum(panel.mask.sum(axis=1), 1)
    limit = usual * (1 + 1e-6)  # not promoted, if it is always promoted alike
    promoted: NDArray[np.bool_] = amount[:, steps] > limit[:, None, None]
    return promoted


def _classes(known: Panel) -> NDArray[np.int64]:
    """The intermittency class of each series; steps on which a store is closed are left out, they ask for nothing."""
    series, step = np.nonzero((known.mask > 0) & known.is_open)
    return classes(series, known.y[series, step], len(known.ids))


def _deciles(volume: NDArray[np.float64]) -> Slicing:
    """Tenths of the series by what they sold; 10 sold the most."""
    rank = np.argsort(np.argsort(volume, kind="stable"), kind="stable")
    return _per_series("volume", tuple(map(str, range(1, 11))), -(-(rank + 1) * 10 // len(volume)) - 1)


def _horizon(panel: Panel, horizon: int) -> Slicing:
    """Days of hours, weeks of days, four weeks at a time; steps are counted from 1."""
    size = panel.clock.pool
    values = tuple(f"{first + 1}-{min(first + size, horizon)}" for first in range(0, horizon, size))
    codes = np.arange(horizon)[None, None, :] // size
    return Slicing("horizon", values, np.broadcast_to(codes, (1, len(panel.ids), horizon)))


def _months(panel: Panel, origins: Sequence[int], horizon: int) -> Slicing:
    hours = panel.hour(0) + (np.asarray(origins)[:, None] + np.arange(horizon)) * panel.clock.hours
    months = hours.astype("datetime64[h]").astype("datetime64[M]").astype(np.int64) % 12
    codes = np.broadcast_to(months[:, None, :], (len(origins), len(panel.ids), horizon))
    return Slicing("season", tuple(map(str, range(1, 13))), codes)


def _per_series(name: str, values: tuple[str, ...], codes: NDArray[Any]) -> Slicing:
    """A slicing by something that a series is; values that no series has are left out."""
    used = np.unique(codes[codes >= 0])
    place = np.full(len(values) + 1, -1)
    place[used] = np.arange(len(used))
    return Slicing(name, tuple(values[i] for i in used), place[codes].astype(np.int64)[None, :, None])


def _on_series(flags: NDArray[np.bool_]) -> NDArray[np.int64]:
    """[S, O, H] flags as [O, S, H] codes 0 and 1."""
    return flags.transpose(1, 0, 2).astype(np.int64)


def named(slices: Mapping[str, Mapping[str, Any]], metric: Metric) -> float | None:
    """The value of a sliced metric in a scorecard's slices; None where nothing was judged."""
    row = slices.get(str(metric.slicing), {}).get(str(metric.value))
    return row[metric.name] if isinstance(row, Mapping) else None
