"""What the data ask of a forecaster, whatever its architecture."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from nas.data.panel import Panel
from nas.frequency import FREQUENCIES, Frequency, FrequencyName

MEDIAN = 0.5
_YEARLY_HOURS = 18 * 30 * 24
"""Eighteen months: shorter sales do not tell a season from a trend."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What the data ask of a forecaster.

    Attributes:
        horizon: Steps ahead.
        hist: Historic covariates.
        futr: Future-known covariates.
        vocabulary: Known values of each static id; 0 stands for an unseen one beside them.
        frequency: What one step is.
        quantiles: Levels that are forecast, ascending, 0.5 among them; none: the point forecast alone.
        open: Which future-known covariate is 0 where a store is closed; None: never closed.
        promotions: Which future-known covariates are promotions.
        yearly: Whether the sales are long enough to tell the seasons of the year.
    """

    horizon: int
    hist: int
    futr: int
    vocabulary: tuple[int, ...]
    frequency: FrequencyName = "daily"
    quantiles: tuple[float, ...] = ()
    open: int | None = None
    promotions: tuple[int, ...] = ()
    yearly: bool = False

    @classmethod
    def of(cls, panel: Panel, horizon: int, quantiles: tuple[float, ...] = ()) -> Shape:
        """The shape that a panel asks for; the median belongs to every set of quantiles."""
        return cls(
            horizon=horizon,
            hist=len(panel.hist_names),
            futr=len(panel.futr_names),
            vocabulary=tuple(map(len, panel.stat_vocab)),
            frequency=panel.frequency,
            quantiles=tuple(sorted({*quantiles, MEDIAN})) if quantiles else (),
            open=None if panel.open is None else panel.futr_names.index(panel.open),
            promotions=panel.promotions,
            yearly=panel.steps * panel.clock.hours >= _YEARLY_HOURS,
        )

    @property
    def clock(self) -> Frequency:
        """What one step is."""
        return FREQUENCIES[self.frequency]

    @property
    def outputs(self) -> int:
        """Numbers that are forecast for each step."""
        return len(self.quantiles) or 1

    @property
    def point(self) -> int:
        """Which of them is the point forecast."""
        return self.quantiles.index(MEDIAN) if self.quantiles else 0

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        lists = {name: list(getattr(self, name)) for name in ("vocabulary", "quantiles", "promotions")}
        return {**asdict(self), **lists}
