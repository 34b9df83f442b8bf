"""Which days are for training, for validation and for the test: split by time, never by series."""

from __future__ import annotations

from dataclasses import dataclass

from nas.data.panel import Panel
from nas.errors import DataError, RequestError

MIN_PAST = 14
"""Observed days before a forecast that training asks for: two of each weekday."""


def days_needed(horizon: int, validation_days: int, test_days: int) -> int:
    """The shortest calendar that can be split: one training pair, validation and test."""
    return MIN_PAST + horizon + validation_days + test_days


@dataclass(frozen=True, slots=True)
class Split:
    """The last days are the test, those before them the validation, the rest is for training.

    An *origin* is the index of the first day that is forecast; only days before it are known.
    In each part the origin rolls on by ``stride`` days while the whole horizon fits in the part.

    Attributes:
        days: Days in the panel.
        horizon: Days that one forecast covers.
        validation_days: Days in the validation part.
        test_days: Days in the test part.
        stride: Days between two origins.
    """

    days: int
    horizon: int = 14
    validation_days: int = 35
    test_days: int = 35
    stride: int = 7

    def __post_init__(self) -> None:
        for name in ("horizon", "validation_days", "test_days", "stride"):
            if (value := getattr(self, name)) < 1:
                raise RequestError(f"The split's {name} is {value}, expected at least 1; set it higher.")
        for name in ("validation_days", "test_days"):
            if (value := getattr(self, name)) < self.horizon:
                raise RequestError(
                    f"A forecast of {self.horizon} days does not fit in {name} = {value}; "
                    f"expected at least {self.horizon}: lengthen the part or shorten the horizon."
                )
        needed = days_needed(self.horizon, self.validation_days, self.test_days)
        if self.days < needed:
            raise DataError(
                f"The data set has {self.days} days, expected at least {needed}: {MIN_PAST} of history, "
                f"{self.horizon} of horizon, {self.validation_days} of validation and {self.test_days} of test; "
                "give a longer history or shorten those."
            )

    @classmethod
    def of(
        cls, panel: Panel, horizon: int = 14, validation_days: int = 35, test_days: int = 35, stride: int = 7
    ) -> Split:
        """Split a panel's calendar.

        Raises:
            RequestError: The horizon does not fit in a part.
            DataError: The panel is too short for this split.
        """
        return cls(panel.days, horizon, validation_days, test_days, stride)

    @property
    def train_end(self) -> int:
        """The first day that training may not use, neither as input nor as target."""
        return self.days - self.test_days - self.validation_days

    @property
    def validation_origins(self) -> tuple[int, ...]:
        """Origins whose whole horizon lies in the validation part."""
        return self._origins(self.train_end, self.validation_days)

    @property
    def test_origins(self) -> tuple[int, ...]:
        """Origins whose whole horizon lies in the test part."""
        return self._origins(self.days - self.test_days, self.test_days)

    def _origins(self, first: int, length: int) -> tuple[int, ...]:
        return tuple(range(first, first + length - self.horizon + 1, self.stride))
