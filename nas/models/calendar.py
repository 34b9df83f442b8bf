"""The calendar inside the graph: what a day is known to be, worked out of its hour since 1970 with whole numbers.

A store's computer needs no calendar then, and what was measured is what runs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

HOURS_PER_DAY = 24
THURSDAY = 3
"""1970-01-01 was a Thursday; Monday is 0."""
_KNOT_DAYS = 7
_KNOTS = 366 // _KNOT_DAYS + 2
_LONGEST = 24
"""A month has at most 23 working days."""


def weekday(time: Tensor) -> Tensor:
    """Monday is 0; of hours since 1970, any shape, int64."""
    return (_over(time, HOURS_PER_DAY) + THURSDAY) % 7


def day_of_month_and_year(time: Tensor) -> tuple[Tensor, Tensor]:
    """Day of the month (from 0) and day of a year that begins on 1 March (from 0).

    Source: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms" (2013), ``civil_from_days``.
    """
    of_era = (_over(time, HOURS_PER_DAY) + 719_468) % 146_097
    year = _over(of_era - _over(of_era, 1_460) + _over(of_era, 36_524) - _over(of_era, 146_096), 365)
    of_year = of_era - (365 * year + _over(year, 4) - _over(year, 100))
    return of_year - _month_begin(_over(5 * of_year + 2, 153)), of_year


class WorkingDays(nn.Module):
    """Working days (Monday to Friday) left in the month after a day, and gone before it: wages come with them."""

    table: Tensor

    def __init__(self) -> None:
        super().__init__()
        rows = [
            [sum((day + way * i) % 7 < 5 for i in range(1, rest + 1)) for rest in range(7)]
            for way in (1, -1)
            for day in range(7)
        ]
        self.register_buffer("table", torch.tensor(rows, dtype=torch.int64).reshape(-1), persistent=False)

    def forward(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """Left and gone, each at most 23, of hours since 1970."""
        of_month, of_year = day_of_month_and_year(time)
        month = _over(5 * of_year + 2, 153)
        february = month == 11
        length = torch.where(february, 28, _month_begin(month + 1) - _month_begin(month))
        left = (length - 1 - of_month).clamp(min=0)
        row = weekday(time) * 7
        return (
            _over(left, 7) * 5 + self.table[row + left % 7],
            _over(of_month, 7) * 5 + self.table[49 + row + of_month % 7],
        )


class PayDays(nn.Module):
    """Learned effects of the working days left and gone, ``[batch, steps, width]``; all zero before training."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.days = WorkingDays()
        self.left, self.gone = nn.Embedding(_LONGEST, width), nn.Embedding(_LONGEST, width)
        for table in (self.left, self.gone):
            nn.init.zeros_(table.weight)

    def forward(self, time: Tensor) -> Tensor:
        left, gone = self.days(time)
        effect: Tensor = self.left(left) + self.gone(gone)
        return effect


class TimeOfYear(nn.Module):
    """A learned curve over the year, ``[batch, steps, width]``, straight between weekly knots; zero before training."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.knots = nn.Embedding(_KNOTS, width)
        nn.init.zeros_(self.knots.weight)

    def forward(self, time: Tensor) -> Tensor:
        _, of_year = day_of_month_and_year(time)
        knot = _over(of_year, _KNOT_DAYS)
        along = (of_year - knot * _KNOT_DAYS).to(self.knots.weight.dtype).unsqueeze(-1) / _KNOT_DAYS
        curve: Tensor = self.knots(knot) * (1 - along) + self.knots(knot + 1) * along
        return curve


def _month_begin(month: Tensor) -> Tensor:
    """Days from 1 March to the first of the n-th month after it."""
    return _over(153 * month + 2, 5)


def _over(value: Tensor, by: int) -> Tensor:
    return torch.div(value, by, rounding_mode="floor")
