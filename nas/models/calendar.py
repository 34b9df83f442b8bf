"""The calendar inside the graph: what a day is known to be, worked out of its hour since 1970 with whole numbers.

A store's computer needs no calendar then, and what was measured is what runs. What depends on weights alone (a value
for each day of the year) is laid down as a table first: a runtime computes it once, when it loads the model.
"""

from __future__ import annotations

from itertools import accumulate

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

HOURS_PER_DAY = 24
THURSDAY = 3
"""1970-01-01 was a Thursday; Monday is 0."""
_LENGTHS = (31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 31, 28)
"""Of the months from March on; a 29 February is taken for a last day after the last."""
_FOUR_YEARS, _MARCH_1972 = 1461, 790
_YEAR = 366
_WEEK = 7
_KNOTS = _YEAR // _WEEK + 2
_20_DECEMBER = 294
_TURN = 20
"""Days from 20 December to 8 January."""
_MOST = 24
"""A month has at most 23 working days."""


def weekday(time: Tensor) -> Tensor:
    """Monday is 0; of hours since 1970, any shape, int64."""
    return (_days(time) + THURSDAY) % _WEEK


def day_of_year(time: Tensor) -> Tensor:
    """Days since the latest 1 March, 0 to 365, of hours since 1970; right from 1970 to 2099."""
    place = (_days(time) + _FOUR_YEARS - _MARCH_1972) % _FOUR_YEARS
    return place - 365 * _over(place, 365).clamp(max=3)


class PayDays(nn.Module):
    """Learned effects of the working days left in the month and gone in it: wages come with them.

    Working days are Monday to Friday. All effects are zero before training.
    """

    gone_row: Tensor
    left_row: Tensor
    gone_count: Tensor
    left_count: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.left, self.gone = nn.Embedding(_MOST, width), nn.Embedding(_MOST, width)
        for table in (self.left, self.gone):
            nn.init.zeros_(table.weight)
        begins = [0, *accumulate(_LENGTHS)]
        days = [(day - begins[month], _LENGTHS[month]) for day in range(_YEAR) for month in [_month(begins, day)]]
        tables = {
            "gone_row": [_WEEK * of_month for of_month, _ in days],
            "left_row": [_WEEK * max(0, length - 1 - of_month) for of_month, length in days],
            "gone_count": [_working(day, range(-days_gone, 0)) for days_gone in range(31) for day in range(_WEEK)],
            "left_count": [_working(day, range(1, left + 1)) for left in range(31) for day in range(_WEEK)],
        }
        for name, values in tables.items():
            self.register_buffer(name, torch.tensor(values), persistent=False)

    def forward(self, of_year: Tensor, day: Tensor) -> Tensor:
        """``[batch, steps, width]`` of the days of the year and their weekdays."""
        gone, left = self.gone(self.gone_count), self.left(self.left_count)
        gone_row, left_row = (rows[of_year] + day for rows in (self.gone_row, self.left_row))
        return embedding(gone_row, gone) + embedding(left_row, left)


class TimeOfYear(nn.Module):
    """A learned curve over the year, straight between weekly knots; zero before training.

    Where steps are days or shorter, the days around the turn of the year, many of them half days, each move its first
    column: no curve bends that fast. A column for every date of the year learns the dates instead of the days
    (on Rossmann's validation weeks WAPE rose from 0.067 to 0.071).
    """

    def __init__(self, width: int, *, daily: bool) -> None:
        super().__init__()
        self.knots = nn.Embedding(_KNOTS, width)
        self.turn = nn.Embedding(_TURN, 1) if daily else None
        for table in (self.knots, self.turn):
            if table is not None:
                nn.init.zeros_(table.weight)

    def forward(self, of_year: Tensor) -> Tensor:
        """``[batch, steps, width]`` of the days of the year."""
        return embedding(of_year, self.curve())

    def curve(self) -> Tensor:
        """The value of each day of the year, ``[366, width]``."""
        knots = self.knots.weight
        along = (torch.arange(_WEEK, dtype=knots.dtype, device=knots.device) / _WEEK).reshape(1, _WEEK, 1)
        weeks = knots[:-1].unsqueeze(1) * (1 - along) + knots[1:].unsqueeze(1) * along
        curve = weeks.reshape(-1, knots.shape[1])[:_YEAR]
        if self.turn is None:
            return curve
        after = _YEAR - _20_DECEMBER - _TURN
        return curve + nn.functional.pad(self.turn.weight, (0, knots.shape[1] - 1, _20_DECEMBER, after))


def _month(begins: list[int], day: int) -> int:
    return min(11, sum(begin <= day for begin in begins) - 1)


def _working(day: int, ways: range) -> int:
    return sum((day + way) % _WEEK < 5 for way in ways)


def _days(time: Tensor) -> Tensor:
    return _over(time, HOURS_PER_DAY)


def _over(value: Tensor, by: int) -> Tensor:
    """Whole quotients of numbers that are not negative."""
    return torch.div(value, by, rounding_mode="floor")  # LiteRT has no whole-number division
