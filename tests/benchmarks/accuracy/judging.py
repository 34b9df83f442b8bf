"""One judge for all: the project's own scorecard, on the same windows, whoever forecast."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.settings import Setting, chosen
from nas.data.scorecard import score
from nas.data.windows import evaluation

DRAWS = 4000
WINDOW = 56


def judged(setting: Setting, forecasts: dict[str, NDArray[np.float32]], series: list[int] | None) -> dict[str, Any]:
    """Scorecards of validation and test, and the sums that paired intervals are made of.

    Returns:
        ``validation`` (None where nothing was tuned), ``test``, ``forms`` (overall accuracy alone), ``sums``.
    """
    panel = setting.panel if series is None else chosen(setting.panel, np.asarray(series))
    parts = {"validation": setting.split.validation_origins, "test": setting.split.test_origins}
    cards: dict[str, Any] = {"validation": None}
    for part, origins in parts.items():
        if part in forecasts:
            windows = evaluation(panel, origins, WINDOW, setting.split.horizon)
            card = score(windows, forecasts[part], panel, origins, part)
            cards[part] = {"overall": dict(card.overall), "slices": card.to_dict()["slices"]}
    windows = evaluation(panel, parts["test"], WINDOW, setting.split.horizon)
    cards["forms"] = {
        name.removeprefix("form_"): dict(score(windows, values, panel, parts["test"], "test").overall)
        for name, values in forecasts.items()
        if name.startswith("form_")
    }
    return cards


def sums(setting: Setting, forecast: NDArray[np.float32], series: list[int] | None) -> tuple[Any, Any]:
    """Per series: absolute error and sales over the test, float64 [S]."""
    panel = setting.panel if series is None else chosen(setting.panel, np.asarray(series))
    windows = evaluation(panel, setting.split.test_origins, WINDOW, setting.split.horizon)
    shape = len(setting.split.test_origins), len(panel.ids), -1
    error = (np.abs(forecast.astype(np.float64) - windows.target) * windows.target_mask).reshape(shape)
    return error.sum((0, 2)), (windows.target * windows.target_mask).astype(np.float64).reshape(shape).sum((0, 2))


def paired(first: Any, second: Any, sales: Any) -> tuple[float, float, float]:
    """WAPE of the first minus that of the second, with a paired bootstrap 95 % interval over series.

    Args:
        first, second: Absolute errors of each series, [S]; means over seeds where there are several.
        sales: Of each series, [S].
    """
    draw = np.random.default_rng(0)
    counts = draw.multinomial(len(sales), np.full(len(sales), 1 / len(sales)), size=DRAWS)
    differences = counts @ (first - second) / (counts @ sales)
    low, high = np.quantile(differences, [0.025, 0.975])
    return float((first - second).sum() / sales.sum()), float(low), float(high)
