"""The calendar inside the graph, against Python's own."""

import calendar as python_calendar
import datetime as dt

import torch
from hypothesis import given
from hypothesis import strategies as st

from nas.models.calendar import PayDays, TimeOfYear, day_of_year, weekday

DAYS = st.dates(dt.date(1971, 1, 1), dt.date(2099, 12, 31))
EPOCH = dt.date(1970, 1, 1)


def hours(day, hour=0):
    return torch.tensor([(day - EPOCH).days * 24 + hour])


@given(DAYS, st.integers(0, 23))
def test_weekday_and_day_of_the_year_are_those_of_the_calendar(day, hour):
    assert weekday(hours(day, hour)).item() == day.weekday()
    march = dt.date(day.year if day.month >= 3 else day.year - 1, 3, 1)
    assert day_of_year(hours(day, hour)).item() == (day - march).days


@given(DAYS)
def test_working_days_left_and_gone_are_counted_from_monday_to_friday(day):
    last = 28 if day.month == 2 else python_calendar.monthrange(day.year, day.month)[1]
    pay = PayDays(1)
    torch.nn.init.zeros_(pay.left.weight)
    torch.nn.init.zeros_(pay.gone.weight)
    pay.left.weight.data += torch.arange(24.0)[:, None]
    pay.gone.weight.data += 100 * torch.arange(24.0)[:, None]
    found = pay(day_of_year(hours(day)), weekday(hours(day))).item()
    month = [dt.date(day.year, day.month, d) for d in range(1, last + 1)]
    left = sum(d > day and d.weekday() < 5 for d in month)
    gone = sum(d < day and d.weekday() < 5 for d in month)
    assert found == left + 100 * gone


def test_the_curve_over_the_year_is_straight_between_its_weekly_knots():
    curve = TimeOfYear(1, daily=False)
    torch.nn.init.normal_(curve.knots.weight)
    values = [curve(torch.tensor([[d]])).item() for d in range(15)]
    knots = curve.knots.weight[:3, 0].tolist()
    assert all(abs(values[7 * i] - knots[i]) < 1e-6 for i in range(3))
    assert abs(values[3] - (knots[0] * 4 / 7 + knots[1] * 3 / 7)) < 1e-6


def test_the_days_around_the_turn_of_the_year_stand_for_themselves():
    curve = TimeOfYear(1, daily=True)
    torch.nn.init.ones_(curve.turn.weight)
    days = [dt.date(2023, 12, 19) + dt.timedelta(days=d) for d in range(22)]
    values = [curve(day_of_year(hours(day)[None])).item() for day in days]
    assert values == [0.0, *[1.0] * 20, 0.0]
