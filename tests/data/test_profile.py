"""What a profile says of a table."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from data.tables import good

from nas.data.demand import CLASSES, classes
from nas.data.long_table import LongTable
from nas.data.profile import profile
from nas.data.sources import synthetic


def of(frame, fill=None, **options):
    return profile(LongTable(frame, **{"futr": ("price",), "stat": ("region",), **options}), fill=fill)


def sales(days=140, series=3, seed=0):
    """Poisson sales with a price that has nothing to do with them."""
    random = np.random.default_rng(seed)
    frame = good(pd.date_range("2024-01-01", periods=days))
    frame = pd.concat([frame[frame["unique_id"] == "a"].assign(unique_id=f"s{n}") for n in range(series)])
    count = days * series
    return frame.assign(y=random.poisson(20, count), price=random.random(count)).reset_index(drop=True)


def test_the_profile_of_a_good_table(table):
    found = profile(table).to_dict()
    outliers, demand = found.pop("outliers"), found.pop("demand")
    assert found == {
        "series": 5,
        "rows": 5 * 160 - 95,
        "frequency": "daily",
        "space": "lstm_compact",
        "steps": 160,
        "first": "2022-01-03",
        "last": "2022-06-11",
        "missing_steps": 0,
        "zeros_share": pytest.approx((table.frame["y"] == 0).mean()),
        "new_series": 0,
        "empty_series": 0,
        "promotions": {"promotion": {"share": pytest.approx(0.2, abs=0.05), "lift": pytest.approx(1.6, abs=0.1)}},
        "known_ahead": {"promotion": 0},
        "planned_rows": 0,
        "censored_share": None,
        "closed_share": None,
        "covariates": {"hist": ["discount"], "futr": ["promotion"], "stat": ["region"]},
        "warnings": [],
        "problems": [],
    }
    assert (outliers, sum(demand.values())) == (0, 5)


def test_the_profile_of_a_bad_table(table):
    gaps = replace(table, frame=table.frame.drop(index=[10, 11, 400]).reset_index(drop=True))
    assert profile(gaps).missing_steps == 3
    assert len(profile(gaps).problems) == 2
    empty = profile(LongTable(pd.DataFrame()))
    assert (empty.series, empty.rows, empty.first, empty.frequency, empty.zeros_share) == (0, 0, None, None, None)


def test_demand_is_classed_by_its_interval_and_its_variation():
    days = 120
    rare = np.arange(days) % 3 == 0
    calm, wild = np.tile([9, 10, 11], 40), np.tile([1, 1, 60], 40)
    lumps = np.where(np.arange(days) % 9 == 0, 60, 1)
    y = np.concatenate([calm, wild, rare * 10, rare * lumps, 0 * calm])
    found = classes(np.repeat(np.arange(5), days), y, 5)
    assert [CLASSES[code] for code in found] == ["smooth", "erratic", "intermittent", "lumpy", "no sales"]


def test_a_day_far_from_the_usual_is_named_and_kept():
    frame = sales()
    frame.loc[57, "y"] = 900
    found = of(frame)
    assert found.outliers == 1
    assert found.warnings[0].startswith("row 59, column y: 900 is far from the ")
    assert "series 's0' usually sells then" in found.warnings[0]
    assert not found.problems


def test_outliers_are_the_same_whatever_is_looked_at_together(monkeypatch):
    frame = sales(series=9)
    frame.loc[[57, 700, 1200], "y"] = [900, 0, 300]
    whole = of(frame)
    monkeypatch.setattr("nas.data.outliers._ROWS", 100)
    assert (of(frame).outliers, of(frame).warnings) == (whole.outliers, whole.warnings)
    assert whole.outliers == 2


@pytest.mark.parametrize(
    ("make", "kind", "expected"),
    [
        (lambda y: y, "futr", "column leak is y itself; leave it out"),
        (
            lambda y: 2.5 * y + 1,
            "futr",
            "column leak has a correlation of 1.000 with y of the same day; is it really known",
        ),
        (lambda y: y.shift(1, fill_value=0), "futr", "with y of 1 days before; is it really known ahead"),
        (lambda y: y.shift(-3, fill_value=0), "hist", "with y of 3 days later"),
        (lambda y: y, "hist", "column leak is y itself"),
    ],
)
def test_a_covariate_that_knows_too_much_is_a_suspect(make, kind, expected):
    frame = sales(series=1)
    named = {"futr": ("price",), "hist": ()}
    named[kind] = (*named[kind], "leak")
    found = of(frame.assign(leak=make(frame["y"]).astype(float)), **named)
    assert len(found.warnings) == 1
    assert expected in found.warnings[0]
    assert not found.problems


def test_two_rows_alike_are_no_suspects():
    frame = sales(days=2, series=1)
    assert of(frame.assign(leak=frame["y"].astype(float)), futr=("price", "leak")).warnings == ()


def test_a_static_column_made_from_sales_is_a_suspect():
    frame = sales(series=12)
    frame["y"] += frame["unique_id"].str[1:].astype(int) * 20
    total = frame.groupby("unique_id")["y"].transform("sum").astype(str)
    found = of(frame.assign(total=total), stat=("region", "total"))
    assert "column total has a correlation of 1.000 with the mean y of its series" in found.warnings[0]


def test_a_series_that_lacks_most_of_its_steps_is_told():
    frame = sales(series=2)
    weekly = frame[(frame["unique_id"] == "s0") | (frame.index % 7 == 0)]
    found = of(weekly, fill="zero")
    assert len(found.warnings) == 1
    assert found.warnings[0].startswith("series 's1' has 20 of its 134 days (1 series have less than half)")


def test_a_plan_with_holes_is_told():
    frame = sales(series=1)
    frame.loc[frame.index >= 130, "y"] = np.nan
    frame.loc[frame.index.isin([132, 135]), "price"] = np.nan
    assert of(frame).warnings == ("column price is blank on 2 of 10 planned rows; it is taken as usual there",)


def test_an_honest_table_has_no_suspects():
    made = synthetic.generate(n_series=8, days=300, seed=2)
    assert profile(made).warnings == ()


def test_plans_are_told_by_how_far_they_reach():
    frame = sales(days=30, series=2).assign(promo=1.0)
    frame.loc[frame["ds"] >= "2024-01-21", "y"] = np.nan
    frame.loc[frame["ds"] >= "2024-01-25", "promo"] = np.nan
    found = of(frame, futr=("price", "promo"), holidays="DE")
    assert found.known_ahead == {"price": 10, "promo": 4, "holiday": None}
    assert (found.planned_rows, found.steps, found.last) == (20, 20, "2024-01-20")


def test_closed_and_sold_out_steps_are_counted():
    frame = sales(days=20, series=1).assign(open=[0, *[1] * 19], stock=[*[1] * 15, *[0] * 5])
    frame.loc[0, "y"] = 0
    found = of(frame, open="open", available="stock")
    assert (found.closed_share, found.censored_share) == (0.05, 0.25)


def test_series_without_a_history_are_counted():
    frame = sales(days=30, series=3)
    frame.loc[(frame["unique_id"] == "s1") & (frame["ds"] >= "2024-01-06"), "y"] = np.nan
    frame.loc[frame["unique_id"] == "s2", "y"] = np.nan
    found = of(frame)
    assert (found.new_series, found.empty_series, found.problems) == (2, 1, ())


def test_a_plan_of_a_single_step_counts():
    frame = sales(days=30, series=2)
    frame.loc[frame["ds"] == "2024-01-30", "y"] = np.nan
    assert of(frame).known_ahead == {"price": 1}
