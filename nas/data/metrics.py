"""How wrong a forecast is. Sums run in float64 over the steps that were judged.

A metric is a figure of *sums per series*: whoever wants it for many slices, or for a thousand
resamples of the series, adds up once (:func:`terms`) and asks for figures as often as needed.

MASE is that of Hyndman & Koehler (2006) as the M4 competition used it (Makridakis et al., 2020): the mean absolute
error of a series over that of the seasonal naive forecast in its sample. RMSSE is that of M5 (Makridakis et al., 2022),
with squares, here over the same seasonal differences and not over those of one step. Both are means over the series.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Sums = Mapping[str, NDArray[np.float64]]
Accuracy = Mapping[str, float | None]
MEDIAN = 0.5
METRICS = ("wape", "mae", "rmse", "bias", "mase", "rmsse", "pinball", "coverage", "coverage_error")


@dataclass(frozen=True, eq=False, slots=True)
class Scale:
    """What the errors of each series are held against.

    Attributes:
        absolute: Mean absolute seasonal difference in the sample, float64 [S]; NaN where there is none, or it is 0.
        squared: Mean squared one, likewise.
    """

    absolute: NDArray[np.float64]
    squared: NDArray[np.float64]

    @classmethod
    def of(cls, sales: Floats, mask: Floats, season: int) -> Scale:
        """The scale of each series in its sample, which begins with its first sale (as in M5).

        Args:
            sales: float [S, T], up to where the forecasts begin.
            mask: float [S, T]; pairs of observed steps count.
            season: Steps from one to the next of a pair.
        """
        begun = np.logical_or.accumulate(sales * mask > 0, axis=1) & (mask > 0)
        both = begun[:, season:] & begun[:, :-season]
        apart = np.where(both, sales[:, season:].astype(np.float64) - sales[:, :-season], 0.0)
        count = both.sum(axis=1)
        return cls(
            *(_divided(_positive(total), count) for total in (np.abs(apart).sum(axis=1), np.square(apart).sum(axis=1)))
        )


def terms(
    target: Floats,
    forecast: Floats,
    mask: Floats | None = None,
    quantiles: tuple[float, ...] = (),
    is_open: Floats | None = None,
) -> dict[str, NDArray[np.float64]]:
    """What is added up, one array of the target's shape each and 0 where nothing is judged.

    Args:
        target: float [...], sales units.
        forecast: float [...], or [..., Q] with ``quantiles``.
        mask: float [...], 1 where a step is judged; None: everywhere.
        quantiles: The Q levels, ascending, the median among them.
        is_open: float [...], 0 where a store is closed; None: nowhere. A forecast of 0 on a closed day counts as an
            error of none, but it says nothing of the quantiles: there is no coverage to be had for nothing.
    """
    judged = np.ones(target.shape) if mask is None else (mask > 0).astype(np.float64)
    sales = target.astype(np.float64) * judged
    error = point(forecast, quantiles).astype(np.float64) * judged - sales
    absolute = np.abs(error)
    found = {
        "n": judged,
        "sales": sales,
        "size": np.abs(sales),
        "error": error,
        "absolute": absolute,
        "squared": error * error,
    }
    if quantiles:
        inside = (target >= forecast[..., 0]) & (target <= forecast[..., -1])
        uncertain = judged if is_open is None else judged * (is_open > 0)
        found |= {
            "pinball": _pinball(target, forecast, quantiles) * judged,
            "uncertain": uncertain,
            "inside": inside * uncertain,
        }
    return found


def point(forecast: Floats, quantiles: tuple[float, ...]) -> Floats:
    """The point forecast: the median where quantiles are forecast."""
    return forecast[..., quantiles.index(MEDIAN)] if quantiles else forecast


def figures(sums: Sums, scale: Scale | None = None, quantiles: tuple[float, ...] = ()) -> dict[str, float | None]:
    """Every metric by name from the sums per series; None where there is nothing to judge.

    Args:
        sums: What :func:`terms` gave, added up to [S].
        scale: Of the same S series; None: neither MASE nor RMSSE.
        quantiles: Levels; without them neither pinball loss nor coverage.
    """
    total = {name: float(each.sum()) for name, each in sums.items()}
    count = total["n"]
    mean_square, coverage = _ratio(total["squared"], count), None
    if quantiles:
        coverage = _ratio(total["inside"], total["uncertain"])
    return {
        "wape": _ratio(total["absolute"], total["size"]),
        "mae": _ratio(total["absolute"], count),
        "rmse": None if mean_square is None else mean_square**0.5,
        "bias": _ratio(total["error"], total["sales"]),
        "mase": None if scale is None else _mean(_divided(sums["absolute"], sums["n"]) / scale.absolute),
        "rmsse": None if scale is None else _mean(np.sqrt(_divided(sums["squared"], sums["n"]) / scale.squared)),
        "pinball": _ratio(total["pinball"], count) if quantiles else None,
        "coverage": coverage,
        "coverage_error": None if coverage is None else abs(coverage - (quantiles[-1] - quantiles[0])),
    }


def accuracy(target: Floats, forecast: Floats, mask: Floats | None = None) -> dict[str, float | None]:
    """Every metric that needs neither a sample nor quantiles: wape, mae, rmse, bias; the others are None."""
    return figures({name: each.reshape(-1) for name, each in terms(target, forecast, mask).items()})


def wape(target: Floats, forecast: Floats, mask: Floats | None = None) -> float | None:
    """Weighted absolute percentage error, Σ|ŷ − y| / Σ|y|; None when nothing was sold."""
    return accuracy(target, forecast, mask)["wape"]


def _pinball(target: Floats, forecast: Floats, quantiles: tuple[float, ...]) -> NDArray[np.float64]:
    """The mean over the levels of max(q·(y − ŷ), (q − 1)·(y − ŷ)) (Koenker & Bassett, 1978)."""
    total = np.zeros(target.shape)
    for position, level in enumerate(quantiles):
        above = target.astype(np.float64) - forecast[..., position]
        total += np.maximum(level * above, (level - 1) * above)
    return total / len(quantiles)


def _positive(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(values > 0, values, np.nan)


def _divided(above: NDArray[np.float64], below: NDArray[Any]) -> NDArray[np.float64]:
    """NaN where nothing is below."""
    found: NDArray[np.float64] = np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)
    return found


def _mean(values: NDArray[np.float64]) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None


def _ratio(above: float, below: float) -> float | None:
    return above / below if below else None
