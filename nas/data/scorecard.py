"""The scorecard: how accurate a forecaster is on held-out weeks, slice by slice, beside baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.data.baselines import BASELINES, WEEKS
from nas.data.metrics import accuracy, wape
from nas.data.panel import Panel
from nas.data.windows import Windows, evaluation
from nas.errors import CandidateFault, RequestError

SEASON_DAYS = 365
"""Seasons are told apart only when the origins span so many days."""


@dataclass(frozen=True, slots=True)
class Scorecard:
    """Accuracy on one part of the split, in sales units; every number is finite or None.

    Attributes:
        part: ``validation`` or ``test``.
        overall: wape, mae, rmse and bias (relative) over all forecasts.
        baselines: The same for ``seasonal_naive`` and ``day_of_week_mean`` on the same forecasts.
            They always see eight weeks of past, whatever the model's window.
        slices: By slicing, then by value: wape, mae, rmse, bias, ``n`` judged days and the
            baselines' WAPE. Slicings are the static covariates that group series, ``promotion``,
            ``horizon`` (weeks ahead, days counted from 1) and ``season`` (months).
        windows: Number of forecasts.
        series: Number of series.
        origins: First forecast days, ISO dates.
    """

    part: str
    overall: Mapping[str, float | None]
    baselines: Mapping[str, Mapping[str, float | None]]
    slices: Mapping[str, Mapping[str, Any]]
    windows: int
    series: int
    origins: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, without NaN; ``from_dict`` is its inverse."""
        return {**asdict(self), "origins": list(self.origins)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Scorecard:
        """Build from JSON values.

        Raises:
            RequestError: Keys are missing or unknown.
        """
        expected = sorted(field.name for field in fields(cls))
        if sorted(values) != expected:
            raise RequestError(f"A scorecard has the keys {sorted(values)}, expected {expected}; give a whole one.")
        return cls(**{**values, "origins": tuple(values["origins"])})


def score(
    windows: Windows, forecast: NDArray[np.floating[Any]], panel: Panel, origins: Sequence[int], part: str
) -> Scorecard:
    """Judge the forecasts of ``evaluation(panel, origins, window, horizon)``.

    Args:
        windows: What the model was given; any window length.
        forecast: float [B, horizon] in sales units.
        panel: Where the windows were cut from.
        origins: At which days they were cut.
        part: ``validation`` or ``test``.

    Raises:
        CandidateFault: The forecast is not finite.
        RequestError: Windows, forecast and origins do not belong together.
    """
    size = len(origins) * len(panel.ids), windows.target.shape[1]
    if forecast.shape != size or windows.target.shape != size:
        raise RequestError(
            f"A forecast of {list(forecast.shape)} was given for targets of {list(windows.target.shape)}, expected "
            f"{list(size)} for both, all {len(panel.ids)} series at {len(origins)} origins; cut them with evaluation()."
        )
    if not np.isfinite(forecast).all():
        raise CandidateFault("The forecast is not finite, expected sales units; the training diverged: turn it away.")
    reference = evaluation(panel, origins, 7 * WEEKS, size[1])
    rivals = {name: baseline(reference) for name, baseline in BASELINES.items()}

    def judge(chosen: NDArray[np.bool_]) -> dict[str, Any]:
        mask = windows.target_mask * chosen
        beside = {name: wape(windows.target, rival, mask) for name, rival in rivals.items()}
        return {**accuracy(windows.target, forecast, mask), "n": int((mask > 0).sum()), "baselines": beside}

    return Scorecard(
        part=part,
        overall=accuracy(windows.target, forecast, windows.target_mask),
        baselines={name: accuracy(windows.target, rival, windows.target_mask) for name, rival in rivals.items()},
        slices={
            slicing: {value: judge(chosen) for value, chosen in groups.items()}
            for slicing, groups in _slicings(windows, panel, len(origins)).items()
        }
        | {"season": _seasons(windows, origins, judge)},
        windows=len(windows),
        series=len(panel.ids),
        origins=tuple(str(panel.date(origin)) for origin in origins),
    )


def _slicings(windows: Windows, panel: Panel, origins: int) -> dict[str, dict[str, NDArray[np.bool_]]]:
    """Which forecast days belong to which slice, bool [B, horizon] or [B, 1] or [1, horizon]."""
    found = {}
    for column, (name, vocabulary) in enumerate(zip(panel.stat_names, panel.stat_vocab, strict=True)):
        if len(vocabulary) < len(panel.ids):  # else its values are the series themselves
            codes = windows.static[:, column, None]
            found[name] = {value: codes == code for code, value in enumerate(vocabulary, start=1)}
    if panel.promotions:
        promoted = _promoted(windows, panel, origins)
        found["promotion"] = {"promoted": promoted, "not promoted": ~promoted}
    day = np.arange(windows.target.shape[1])[None, :]
    firsts = range(0, day.size, 7)
    found["horizon"] = {f"{first + 1}-{min(first + 7, day.size)}": day // 7 == first // 7 for first in firsts}
    return found


def _promoted(windows: Windows, panel: Panel, origins: int) -> NDArray[np.bool_]:
    """Days on which a series is promoted more than it usually is, bool [B, horizon].

    For a yes-or-no promotion this is simply yes. A share of promoted products is hardly ever 0,
    so it is held against the series' mean over the panel; several promotions are added up.
    """
    columns = list(panel.promotions)
    amount = panel.futr[..., columns].sum(axis=-1, dtype=np.float64)
    usual = (amount * panel.mask).sum(axis=1) / np.maximum(panel.mask.sum(axis=1), 1)
    limit = np.tile(usual * (1 + 1e-6), origins)[:, None]  # not promoted, if it is always promoted alike
    promoted: NDArray[np.bool_] = windows.future[..., columns].sum(axis=-1, dtype=np.float64) > limit
    return promoted


def _seasons(
    windows: Windows, origins: Sequence[int], judge: Callable[[NDArray[np.bool_]], dict[str, Any]]
) -> dict[str, Any]:
    span = max(origins) - min(origins)
    if span < SEASON_DAYS:
        reason = f"the origins span {span} days, seasons need at least {SEASON_DAYS}"
        return {"not judgeable": reason}
    months = windows.future_time.astype("datetime64[h]").astype("datetime64[M]").astype(np.int64) % 12 + 1
    return {f"{month:02d}": judge(months == month) for month in range(1, 13)}
