import json
from dataclasses import replace

import numpy as np
import pytest

from nas.data.baselines import BASELINES
from nas.data.check import check
from nas.data.dense import to_panel
from nas.data.metrics import METRICS, accuracy, wape
from nas.data.scorecard import Scorecard, score
from nas.data.sources import synthetic
from nas.data.split import Split
from nas.data.windows import evaluation
from nas.errors import CandidateFault, RequestError
from nas.frequency import DAILY

HORIZON = 14


def agree(row, plain):
    """The metrics that need no sample are those of the plain function."""
    return set(row) == set(METRICS) and all(row[name] == pytest.approx(plain[name]) for name in plain if plain[name])


@pytest.fixture(scope="module")
def judged(panel):
    """A forecast that is always two units too high, on the test part."""
    origins = Split.of(panel).test_origins
    windows = evaluation(panel, origins, 28, HORIZON)
    return windows, windows.target + 2, origins


@pytest.fixture(scope="module")
def card(panel, judged):
    windows, forecast, origins = judged
    return score(windows, forecast, panel, origins, "test")


def test_overall_and_baselines_are_on_the_same_days(panel, judged, card):
    windows, forecast, origins = judged
    assert agree(card.overall, accuracy(windows.target, forecast, windows.target_mask))
    eight_weeks = evaluation(panel, origins, 56, HORIZON)
    for name, baseline in BASELINES.items():
        found = accuracy(eight_weeks.target, baseline(eight_weeks, DAILY), eight_weeks.target_mask)
        assert agree(card.baselines[name], found)
    assert (card.part, card.windows, card.series) == ("test", 20, 5)
    assert card.origins == tuple(str(panel.date(origin)) for origin in origins)


def test_the_baselines_do_not_depend_on_the_models_window(panel, judged, card):
    _, forecast, origins = judged
    short = score(evaluation(panel, origins, 7, HORIZON), forecast, panel, origins, "test")
    assert short.baselines == card.baselines
    assert short.slices == card.slices


def test_every_slicing_covers_every_judged_day_once(judged, card):
    windows, _, _ = judged
    assert set(card.slices) == {"region", "promotion", "intermittency", "volume", "horizon", "season"}
    assert set(card.slices["region"]) == {"north", "south"}
    assert set(card.slices["horizon"]) == {"1-7", "8-14"}
    for slicing in card.slices.keys() - {"season"}:
        slices = card.slices[slicing].values()
        assert sum(each["n"] for each in slices) == windows.target_mask.sum()
        assert all(each["mae"] == pytest.approx(2) for each in slices if each["n"])


def test_a_slice_holds_its_own_days(panel, judged, card):
    windows, _, _ = judged
    promoted = (windows.future[..., 0] > 0) & (windows.target_mask > 0)
    assert card.slices["promotion"]["promoted"]["n"] == promoted.sum()
    naive = BASELINES["seasonal_naive"](windows, DAILY)
    first_week = np.where(np.arange(HORIZON) < 7, windows.target_mask, 0)
    assert card.slices["horizon"]["1-7"]["baselines"]["seasonal_naive"] == pytest.approx(
        wape(windows.target, naive, first_week)
    )


def test_a_share_counts_as_promotion_where_it_is_above_the_usual(panel, judged):
    windows, forecast, origins = judged
    always = replace(panel, futr=panel.futr * 0.5 + 0.25, futr_names=("display",))
    card = score(windows, forecast, always, origins, "test")
    assert card.slices["promotion"] == score(windows, forecast, panel, origins, "test").slices["promotion"]


def test_without_promotions_there_is_no_such_slicing(panel, judged):
    windows, forecast, origins = judged
    assert "promotion" not in score(windows, forecast, replace(panel, futr_names=("price",)), origins, "test").slices


def test_a_value_per_series_is_not_a_slicing(panel, judged):
    windows, forecast, origins = judged
    own = replace(panel, stat=np.arange(1, 6)[:, None], stat_names=("category",), stat_vocab=(tuple("abcde"),))
    assert "category" not in score(windows, forecast, own, origins, "test").slices


def test_a_part_of_the_last_week_is_named_so(panel):
    windows = evaluation(panel, (100,), 28, 10)
    assert set(score(windows, windows.target, panel, (100,), "test").slices["horizon"]) == {"1-7", "8-10"}


def test_seasons_need_origins_over_a_year(card):
    assert card.slices["season"] == {"not judgeable": "the origins span 21 days, seasons need at least 365"}
    table = synthetic.generate(n_series=2, days=480)
    panel = to_panel(check(table), table.hist, table.futr)
    origins = tuple(range(60, 460, 10))
    windows = evaluation(panel, origins, 28, HORIZON)
    seasons = score(windows, windows.target, panel, origins, "test").slices["season"]
    assert list(seasons) == [str(month) for month in range(1, 13)]
    days = (panel.date(origin) + np.arange(HORIZON) for origin in origins)
    may = sum((each.astype("datetime64[M]").astype(int) % 12 == 4).sum() for each in days)
    assert seasons["5"]["n"] == 2 * may


def test_it_survives_json_without_nan(panel, judged, card):
    windows, forecast, origins = judged
    nothing = replace(windows, target_mask=np.zeros_like(windows.target_mask))
    for each in (card, score(nothing, forecast, panel, origins, "validation")):
        text = json.dumps(each.to_dict(), allow_nan=False)
        assert Scorecard.from_dict(json.loads(text)) == each


def test_a_scorecard_with_other_keys_is_refused(card):
    with pytest.raises(RequestError, match="give a whole one"):
        Scorecard.from_dict({**card.to_dict(), "grade": "A"})


def test_a_forecast_that_is_not_finite_blames_the_candidate(panel, judged):
    windows, forecast, origins = judged
    with pytest.raises(CandidateFault, match="not finite"):
        score(windows, np.where(forecast > 10, np.nan, forecast), panel, origins, "test")


def test_windows_of_other_origins_are_refused(panel, judged):
    windows, forecast, origins = judged
    with pytest.raises(RequestError, match=r"expected \[15, 14\] for \[15, 14\]"):
        score(windows, forecast, panel, origins[:3], "test")
    with pytest.raises(RequestError, match=r"A forecast of \[20, 7\] was given"):
        score(windows, forecast[:, :7], panel, origins, "test")
    with pytest.raises(RequestError, match=r"expected \[20, 14, 3\] for \[20, 14\]"):
        score(windows, forecast, panel, origins, "test", quantiles=(0.1, 0.5, 0.9))


def test_quantiles_are_judged_in_every_slice(panel, judged):
    windows, forecast, origins = judged
    quantiles = np.stack([forecast - 3, forecast, forecast + 1], -1)
    card = score(windows, quantiles, panel, origins, "test", quantiles=(0.1, 0.5, 0.9))
    assert card.overall["coverage"] == card.slices["promotion"]["promoted"]["coverage"] == 1  # target is forecast - 2
    assert card.calibration == {"0.1": 0.0, "0.5": 1.0, "0.9": 1.0}
    assert card.overall["mae"] == pytest.approx(2)


def test_closed_days_are_right_for_nothing_and_say_nothing_of_quantiles(panel, judged):
    windows, forecast, origins = judged
    known = replace(panel, futr=np.ones_like(panel.futr), futr_names=("open",), open="open")
    known.futr[:, ::2] = 0
    windows = evaluation(replace(known, y=panel.y * known.futr[..., 0]), origins, 28, HORIZON)
    open_ = windows.future[..., 0] > 0
    forecast = np.where(open_, windows.target + 2, 0)
    quantiles = np.stack([forecast, forecast, forecast], -1)
    card = score(windows, quantiles, known, origins, "test", quantiles=(0.1, 0.5, 0.9))
    share = (open_ * windows.target_mask).sum() / windows.target_mask.sum()
    assert card.overall["mae"] == pytest.approx(2 * share)
    assert card.overall["coverage"] == 0 and set(card.calibration.values()) == {1.0}


def test_an_interval_holds_its_value_and_needs_five_series(card):
    assert card.interval is None  # one of the five series has ended
    table = synthetic.generate(n_series=9, days=160)
    panel = to_panel(check(table), table.hist, table.futr)
    origins = Split.of(panel).test_origins
    windows = evaluation(panel, origins, 28, HORIZON)
    card = score(windows, windows.target + 2, panel, origins, "test")
    low, high = card.interval
    assert low < card.overall["wape"] < high
    assert card.slices["region"]["north"]["interval"] and card.slices["region"]["south"]["interval"] is None
    assert card.slices["horizon"]["1-7"]["interval"][0] <= card.slices["horizon"]["1-7"]["wape"]
    naive = card.against["seasonal_naive"]
    assert naive["ratio"] == pytest.approx(card.overall["wape"] / card.baselines["seasonal_naive"]["wape"])
    assert naive["ratio_low"] <= naive["ratio"] <= naive["ratio_high"]


def test_a_cold_start_hides_the_past_and_the_series_own_name(panel, judged):
    windows, forecast, origins = judged
    own = replace(panel, stat=np.arange(1, 6)[:, None], stat_names=("sku",), stat_vocab=(tuple("abcde"),))
    given = []

    def predict(shortened):
        given.append(shortened)
        return forecast

    named = replace(windows, static=np.tile(own.stat, (len(origins), 1)))
    card = score(named, forecast, own, origins, "test", predict=predict)
    assert [int(each.past_mask.sum(axis=1).max()) for each in given] == [0, 7, 28]
    assert not any(each.static.any() or each.past[each.past_mask == 0].any() for each in given)
    rows = card.slices["cold_start"]
    assert list(rows) == ["0", "7", "28"]
    assert rows["0"]["baselines"]["seasonal_naive"] == 1  # nothing known is forecast as 0
    assert rows["28"]["wape"] == pytest.approx(card.overall["wape"])


def test_each_step_ahead_has_an_error(judged, card):
    windows, forecast, _ = judged
    assert set(card.steps) == {"model", *BASELINES}
    ninth = wape(windows.target[:, 8], forecast[:, 8], windows.target_mask[:, 8])
    assert len(card.steps["model"]) == HORIZON and card.steps["model"][8] == pytest.approx(ninth)
