"""The scorecard: how accurate a forecaster is on held-out steps, slice by slice, beside baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.data.baselines import baseline_forecasts
from nas.data.intervals import Interval, paired_sums, ratio_bounds
from nas.data.metrics import Floats, Scale, figures, terms
from nas.data.panel import Panel
from nas.data.slices import Slicing, slicings, unjudgeable_season
from nas.data.windows import Windows
from nas.errors import CandidateFault, RequestError

COLD_DAYS = (0, 7, 28)
"""A cold start is judged with so many days of history."""
Predict = Callable[[Windows], Floats]


@dataclass(frozen=True, slots=True)
class Scorecard:
    """Accuracy on one part of the split, in sales units; every number is finite or None.

    Attributes:
        part: ``validation`` or ``test``.
        overall: The ``METRICS`` over all forecasts: wape, mae, rmse, bias (relative), mase, rmsse, and with quantiles
            pinball, coverage (of the outermost pair) and coverage_error (its distance to what was asked for).
        interval: 95 % bounds of the overall WAPE, by a bootstrap over series; None with too few series.
        baselines: The metrics of ``seasonal_naive`` and ``day_of_week_mean`` (the mean of that step of the week) on the
            same forecasts. How far they look back does not depend on the model's window.
        against: By baseline: how the model's WAPE compares with its, as :class:`Interval` has it.
        slices: By slicing, then by value: the metrics, ``interval``, ``n`` judged steps, ``series`` and the
            baselines' WAPE. Slicings are the static covariates that group series, ``promotion``, ``holiday``,
            ``intermittency``, ``volume`` (tenths, 10 sold the most), ``cold_start`` (days of history), ``horizon``
            (steps ahead, from 1) and ``season`` (months). One that cannot be judged says why: ``not judgeable``.
        calibration: By quantile level: the share of targets at or below it; empty without quantiles. As for coverage,
            steps on which a store is closed do not count.
        steps: WAPE by step ahead, from the first: ``model`` and each baseline.
        windows: Number of forecasts.
        series: Number of series.
        origins: First forecast steps, ISO dates.
    """

    part: str
    overall: Mapping[str, float | None]
    interval: tuple[float | None, float | None] | None
    baselines: Mapping[str, Mapping[str, float | None]]
    against: Mapping[str, Mapping[str, Any]]
    slices: Mapping[str, Mapping[str, Any]]
    calibration: Mapping[str, float | None]
    steps: Mapping[str, tuple[float | None, ...]]
    windows: int
    series: int
    origins: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, without NaN; ``from_dict`` is its inverse."""
        lists = {name: list(values) for name, values in self.steps.items()}
        interval = None if self.interval is None else list(self.interval)
        return {**asdict(self), "origins": list(self.origins), "interval": interval, "steps": lists}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Scorecard:
        """Build from JSON values.

        Raises:
            RequestError: Keys are missing or unknown.
        """
        expected = sorted(field.name for field in fields(cls))
        if sorted(values) != expected:
            raise RequestError(f"A scorecard has the keys {sorted(values)}, expected {expected}; give a whole one.")
        interval = values["interval"]
        own = {
            "origins": tuple(values["origins"]),
            "interval": None if interval is None else tuple(interval),
            "steps": {name: tuple(each) for name, each in values["steps"].items()},
        }
        return cls(**{**values, **own})


def score(
    windows: Windows,
    forecast: Floats,
    panel: Panel,
    origins: Sequence[int],
    part: str,
    *,
    quantiles: tuple[float, ...] = (),
    predict: Predict | None = None,
) -> Scorecard:
    """Judge the forecasts of ``evaluation(panel, origins, window, horizon)``.

    Args:
        windows: What the model was given; any window length.
        forecast: float [B, horizon] in sales units, or [B, horizon, Q] with ``quantiles``.
        panel: Where the windows were cut from.
        origins: At which steps they were cut.
        part: ``validation`` or ``test``.
        quantiles: The Q levels, ascending, the median among them; that is the point forecast.
        predict: The model, for ``cold_start``: it is asked again with a shortened past. None: not judged.

    Raises:
        CandidateFault: The forecast is not finite.
        RequestError: Windows, forecast and origins do not belong together.
    """
    table = _Table(windows, forecast, panel, origins, quantiles)
    found = slicings(panel, origins, table.horizon)
    slices: dict[str, dict[str, Any]] = {name: table.rows(slicing) for name, slicing in found.items()}
    if reason := unjudgeable_season(panel, origins):
        slices["season"] = {"not judgeable": reason}
    if predict is not None:
        slices["cold_start"] = {str(days): table.cold(windows, days, predict) for days in COLD_DAYS}
    whole = table.whole
    return Scorecard(
        part=part,
        overall=table.figures(whole["model"]),
        interval=ratio_bounds(whole["model"]["absolute"][None], whole["model"]["size"][None])[0],
        baselines={name: figures(sums, table.scale) for name, sums in whole.items() if name != "model"},
        against={name: _against(whole["model"], sums).to_dict() for name, sums in whole.items() if name != "model"},
        slices=slices,
        calibration={
            str(level): table.share(windows.target <= forecast[..., position])
            for position, level in enumerate(quantiles)
        },
        steps={name: table.by_step(name) for name in whole},
        windows=len(windows),
        series=len(panel.ids),
        origins=tuple(str(panel.date(origin)) for origin in origins),
    )


class _Table:
    """The terms of the model and of each baseline, [O, S, H], and what was added up of them."""

    def __init__(
        self, windows: Windows, forecast: Floats, panel: Panel, origins: Sequence[int], quantiles: tuple[float, ...]
    ) -> None:
        _refuse_other(windows, forecast, panel, origins, quantiles)
        self.horizon = windows.target.shape[1]
        self.shape = len(origins), len(panel.ids), self.horizon
        self.quantiles, self._panel, self._origins = quantiles, panel, origins
        self._target, self._mask = windows.target, windows.target_mask
        self._open = None
        if panel.open is not None:
            self._open = windows.future[..., panel.futr_names.index(panel.open)]
        first = min(origins)
        self.scale = Scale.of(panel.y[:, :first], panel.mask[:, :first], panel.clock.season)
        rivals = baseline_forecasts(panel, origins, self.horizon)
        self.terms = {"model": self._terms(forecast, quantiles)} | {
            name: self._terms(rival) for name, rival in rivals.items()
        }
        self.whole = {name: _by_series(each) for name, each in self.terms.items()}

    def figures(self, sums: Mapping[str, NDArray[np.float64]]) -> dict[str, float | None]:
        """The metrics of the model's sums."""
        return figures(sums, self.scale, self.quantiles)

    def rows(self, slicing: Slicing) -> dict[str, Any]:
        """The slices of one slicing."""
        model = slicing.sums(self.terms["model"])
        rivals = {name: slicing.sums({"absolute": each["absolute"]}) for name, each in self._rivals()}
        bounds = ratio_bounds(model["absolute"], model["size"])
        return {
            value: self._row(
                {name: each[i] for name, each in model.items()},
                {name: float(each["absolute"][i].sum()) for name, each in rivals.items()},
                bounds[i],
            )
            for i, value in enumerate(slicing.values)
        }

    def cold(self, windows: Windows, days: int, predict: Predict) -> dict[str, Any]:
        """All forecasts again, as if each series had begun ``days`` before; the baselines know no more than that."""
        steps = days * 24 // self._panel.clock.hours
        forecast = predict(_begun(windows, steps, self._panel))
        _refuse_other(windows, forecast, self._panel, self._origins, self.quantiles)
        shorter = baseline_forecasts(
            self._panel, self._origins, self.horizon, lambda each: _begun(each, steps, self._panel)
        )
        model = _by_series(self._terms(forecast, self.quantiles))
        rivals = {name: float(self._terms(rival)["absolute"].sum()) for name, rival in shorter.items()}
        return self._row(model, rivals, ratio_bounds(model["absolute"][None], model["size"][None])[0])

    def share(self, held: NDArray[np.bool_]) -> float | None:
        """Over the judged steps on which a store is open."""
        asked = self.terms["model"]["uncertain"].reshape(held.shape) > 0
        return float(held[asked].mean()) if asked.any() else None

    def by_step(self, name: str) -> tuple[float | None, ...]:
        """WAPE at each step ahead."""
        above, below = (self.terms[name][term].sum(axis=(0, 1)) for term in ("absolute", "size"))
        return tuple(float(a / b) if b else None for a, b in zip(above, below, strict=True))

    def _row(
        self,
        sums: Mapping[str, NDArray[np.float64]],
        rivals: Mapping[str, float],
        bounds: tuple[float | None, float | None] | None,
    ) -> dict[str, Any]:
        size = float(sums["size"].sum())
        return {
            **self.figures(sums),
            "interval": None if bounds is None else list(bounds),
            "n": int(sums["n"].sum()),
            "series": int((sums["n"] > 0).sum()),
            "baselines": {name: error / size if size else None for name, error in rivals.items()},
        }

    def _terms(self, forecast: Floats, quantiles: tuple[float, ...] = ()) -> dict[str, NDArray[np.float64]]:
        found = terms(self._target, forecast, self._mask, quantiles, self._open)
        return {name: each.reshape(self.shape) for name, each in found.items()}

    def _rivals(self) -> list[tuple[str, dict[str, NDArray[np.float64]]]]:
        return [(name, each) for name, each in self.terms.items() if name != "model"]


def series_errors(windows: Windows, forecast: Floats, series: int) -> NDArray[np.float64]:
    """Summed absolute errors and sales of each series, float64 [2, S]: what a pair of models is compared by.

    Args:
        windows: Of ``evaluation``.
        forecast: float [B, horizon], the point forecast.
        series: S.
    """
    found = terms(windows.target, forecast, windows.target_mask)
    shape = -1, series, windows.target.shape[1]
    return np.stack([found[name].reshape(shape).sum(axis=(0, 2)) for name in ("absolute", "size")])


def _refuse_other(
    windows: Windows, forecast: Floats, panel: Panel, origins: Sequence[int], quantiles: tuple[float, ...]
) -> None:
    size = len(origins) * len(panel.ids), windows.target.shape[1]
    expected = (*size, len(quantiles)) if quantiles else size
    if forecast.shape != expected or windows.target.shape != size:
        raise RequestError(
            f"A forecast of {list(forecast.shape)} was given for targets of {list(windows.target.shape)}, expected "
            f"{list(expected)} for {list(size)}: all {len(panel.ids)} series at {len(origins)} origins; cut them with "
            "evaluation()."
        )
    if not np.isfinite(forecast).all():
        raise CandidateFault("The forecast is not finite, expected sales units; the training diverged: turn it away.")


def _begun(windows: Windows, steps: int, panel: Panel) -> Windows:
    """The same windows of series that began so many steps ago, under an id that no training has seen."""
    known = (np.arange(windows.past.shape[1]) >= windows.past.shape[1] - steps).astype(np.float32)
    own = np.array([len(words) >= len(panel.ids) for words in panel.stat_vocab], bool)
    return replace(
        windows,
        past=windows.past * known[:, None],
        past_mask=windows.past_mask * known,
        static=np.where(own, 0, windows.static),
    )


def _by_series(found: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    return {name: each.sum(axis=(0, 2)) for name, each in found.items()}


def _against(model: Mapping[str, NDArray[np.float64]], rival: Mapping[str, NDArray[np.float64]]) -> Interval:
    return paired_sums(model["absolute"], rival["absolute"], model["size"])
