"""Which steps are for training, for validation and for the test: split by time, never by series."""

from __future__ import annotations

from dataclasses import dataclass

from nas.data.panel import Panel
from nas.errors import DataError, RequestError

MIN_PAST = 14
"""Observed steps before a forecast that training asks for: of daily sales, two of each weekday."""


def steps_needed(horizon: int, validation: int, test: int) -> int:
    """The shortest calendar that can be split: one training pair, validation and test."""
    return MIN_PAST + horizon + validation + test


@dataclass(frozen=True, slots=True)
class Split:
    """The last steps are the test, those before them the validation, the rest is for training.

    An *origin* is the index of the first step that is forecast; only steps before it are known.
    In each part the origin rolls on by ``stride`` while the whole horizon fits in the part.

    Attributes:
        steps: Length of the panel's calendar.
        horizon: Steps that one forecast covers.
        validation: Steps in the validation part.
        test: Steps in the test part.
        stride: Steps from one origin to the next.
    """

    steps: int
    horizon: int = 14
    validation: int = 35
    test: int = 35
    stride: int = 7

    def __post_init__(self) -> None:
        for name in ("horizon", "validation", "test", "stride"):
            if (value := getattr(self, name)) < 1:
                raise RequestError(f"The split's {name} is {value}, expected at least 1; set it higher.")
        for name in ("validation", "test"):
            if (value := getattr(self, name)) < self.horizon:
                raise RequestError(
                    f"A forecast of {self.horizon} steps does not fit in a {name} part of {value}; "
                    f"expected at least {self.horizon}: lengthen the part or shorten the horizon."
                )
        needed = steps_needed(self.horizon, self.validation, self.test)
        if self.steps < needed:
            raise DataError(
                f"The data set has {self.steps} steps, expected at least {needed}: {MIN_PAST} of history, "
                f"{self.horizon} of horizon, {self.validation} of validation and {self.test} of test; "
                "give a longer history or shorten those."
            )

    @classmethod
    def of(
        cls,
        panel: Panel,
        horizon: int | None = None,
        validation: int | None = None,
        test: int | None = None,
        stride: int | None = None,
    ) -> Split:
        """Split a panel's calendar; what is not given is as usual for its frequency.

        Raises:
            RequestError: The horizon does not fit in a part.
            DataError: The panel is too short for this split.
        """
        clock = panel.clock
        return cls(
            panel.steps,
            horizon or clock.horizon,
            validation or clock.held_out,
            test or clock.held_out,
            stride or clock.stride,
        )

    @property
    def train_end(self) -> int:
        """The first step that training may not use, neither as input nor as target."""
        return self.steps - self.test - self.validation

    @property
    def validation_origins(self) -> tuple[int, ...]:
        """Origins whose whole horizon lies in the validation part."""
        return self._origins(self.train_end, self.validation)

    @property
    def test_origins(self) -> tuple[int, ...]:
        """Origins whose whole horizon lies in the test part."""
        return self._origins(self.steps - self.test, self.test)

    def _origins(self, first: int, length: int) -> tuple[int, ...]:
        return tuple(range(first, first + length - self.horizon + 1, self.stride))
