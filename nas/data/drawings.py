"""A few series to look at: what was sold, what was forecast, and how sure that was."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.data.metrics import Floats, point
from nas.data.panel import Panel

SEASONS_BEFORE = 4
"""Pools of history (days of hours, weeks of days) that are drawn before a forecast."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """One series around the newest origin; None where nothing was observed.

    Attributes:
        why: What it is an example of.
        series: Its name.
        first: The first step of ``past``, ISO.
        past: Sales before the origin.
        target: Sales of the horizon.
        forecast: The point forecast of the horizon.
        low: The lowest quantile; empty without quantiles.
        high: The highest.
    """

    why: str
    series: str
    first: str
    past: tuple[float | None, ...]
    target: tuple[float | None, ...]
    forecast: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


def drawings(panel: Panel, origin: int, forecast: Floats, quantiles: tuple[float, ...] = ()) -> tuple[Drawing, ...]:
    """Up to six different series: the largest, the median one, an intermittent and a promoted one, and so on.

    Args:
        panel: The data.
        origin: First step that is forecast.
        forecast: float [S, horizon], or [S, horizon, Q] with ``quantiles``.
        quantiles: The Q levels.
    """
    horizon = forecast.shape[1]
    steps = slice(max(0, origin - SEASONS_BEFORE * panel.clock.pool), origin + horizon)
    sales = np.where(panel.mask[:, steps] > 0, panel.y[:, steps], np.nan).astype(np.float64)
    before = origin - steps.start
    best = point(forecast, quantiles)
    seen: dict[int, str] = {}
    for why, series in _examples(panel, origin, best):
        seen.setdefault(series, why)
    return tuple(
        Drawing(
            why=why,
            series=panel.ids[s],
            first=str(panel.date(steps.start)),
            past=_known(sales[s, :before]),
            target=_known(sales[s, before:]),
            forecast=tuple(map(float, best[s])),
            low=tuple(map(float, forecast[s, :, 0])) if quantiles else (),
            high=tuple(map(float, forecast[s, :, -1])) if quantiles else (),
        )
        for s, why in seen.items()
    )


def _examples(panel: Panel, origin: int, forecast: Floats) -> Iterator[tuple[str, int]]:
    horizon = forecast.shape[1]
    ahead = slice(origin, origin + horizon)
    mask, sold = panel.mask[:, :origin], panel.y[:, :origin] * panel.mask[:, :origin]
    order = np.argsort(-sold.sum(axis=1), kind="stable")
    yield "largest", int(order[0])
    yield "median", int(order[len(order) // 2])
    zeros = ((sold == 0) & (mask > 0) & panel.is_open[:, :origin]).sum(axis=1) / np.maximum(mask.sum(axis=1), 1)
    yield "most intermittent", int(np.argmax(np.where(sold.sum(axis=1) > 0, zeros, -1.0)))
    if panel.promotions:
        promoted = panel.futr[:, ahead][..., list(panel.promotions)].sum(axis=(1, 2))
        yield "most promoted", int(np.argmax(promoted))
    yield "smallest", int(order[-1])
    yield "furthest off", int(np.argmax(_off(panel, ahead, forecast)))


def _off(panel: Panel, ahead: slice, forecast: Floats) -> NDArray[np.float64]:
    judged = panel.mask[:, ahead] > 0
    error = np.where(judged, np.abs(panel.y[:, ahead].astype(np.float64) - forecast), 0.0).sum(axis=1)
    sold = (panel.y[:, ahead] * judged).sum(axis=1, dtype=np.float64)
    relative: NDArray[np.float64] = error / np.maximum(sold, 1.0)
    return relative


def _known(values: NDArray[np.float64]) -> tuple[float | None, ...]:
    return tuple(None if np.isnan(value) else float(value) for value in values)
