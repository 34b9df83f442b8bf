"""The calendar inside the graph, against Python's own."""

import calendar as python_calendar
import datetime as dt

import torch
from hypothesis import given
from hypothesis import strategies as st

from nas.models.calendar import TimeOfYear, WorkingDays, day_of_month_and_year, weekday

DAYS = st.dates(dt.date(1971, 1, 1), dt.date(2199, 12, 31))
EPOCH = dt.date(1970, 1, 1)


def hours(day, hour=0):
    return torch.tensor([(day - EPOCH).days * 24 + hour])


@given(DAYS, st.integers(0, 23))
def test_weekday_and_day_of_the_month_are_those_of_the_calendar(day, hour):
    of_month, of_year = day_of_month_and_year(hours(day, hour))
    assert weekday(hours(day, hour)).item() == day.weekday()
    assert of_month.item() == day.day - 1
    march = dt.date(day.year if day.month >= 3 else day.year - 1, 3, 1)
    assert of_year.item() == (day - march).days


@given(DAYS)
def test_working_days_left_and_gone_are_counted_from_monday_to_friday(day):
    last = 28 if day.month == 2 else python_calendar.monthrange(day.year, day.month)[1]
    left, gone = WorkingDays()(hours(day))
    month = [dt.date(day.year, day.month, d) for d in range(1, last + 1)]
    assert left.item() == sum(d > day and d.weekday() < 5 for d in month)
    assert gone.item() == sum(d < day and d.weekday() < 5 for d in month)


def test_the_curve_over_the_year_is_straight_between_its_weekly_knots():
    curve = TimeOfYear(1)
    torch.nn.init.normal_(curve.knots.weight)
    first = dt.date(2024, 3, 1)
    values = [curve(hours(first + dt.timedelta(days=d))[None]).item() for d in range(15)]
    knots = curve.knots.weight[:3, 0].tolist()
    assert all(abs(values[7 * i] - knots[i]) < 1e-6 for i in range(3))
    assert abs(values[3] - (knots[0] * 4 / 7 + knots[1] * 3 / 7)) < 1e-6
