import json
from dataclasses import replace

import numpy as np
import pytest

from nas.data.baselines import BASELINES
from nas.data.check import check
from nas.data.dense import to_panel
from nas.data.metrics import accuracy, wape
from nas.data.scorecard import Scorecard, score
from nas.data.sources import synthetic
from nas.data.split import Split
from nas.data.windows import evaluation
from nas.errors import CandidateFault, RequestError

HORIZON = 14


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
    assert card.overall == accuracy(windows.target, forecast, windows.target_mask)
    eight_weeks = evaluation(panel, origins, 56, HORIZON)
    for name, baseline in BASELINES.items():
        assert card.baselines[name] == accuracy(eight_weeks.target, baseline(eight_weeks), eight_weeks.target_mask)
    assert (card.part, card.windows, card.series) == ("test", 20, 5)
    assert card.origins == tuple(str(panel.date(origin)) for origin in origins)


def test_the_baselines_do_not_depend_on_the_models_window(panel, judged, card):
    _, forecast, origins = judged
    short = score(evaluation(panel, origins, 7, HORIZON), forecast, panel, origins, "test")
    assert short.baselines == card.baselines
    assert short.slices == card.slices


def test_every_slicing_covers_every_judged_day_once(judged, card):
    windows, _, _ = judged
    assert set(card.slices) == {"region", "promotion", "horizon", "season"}
    assert set(card.slices["region"]) == {"north", "south"}
    assert set(card.slices["horizon"]) == {"1-7", "8-14"}
    for slicing in ("region", "promotion", "horizon"):
        slices = card.slices[slicing].values()
        assert sum(each["n"] for each in slices) == windows.target_mask.sum()
        assert all(each["mae"] == pytest.approx(2) for each in slices)


def test_a_slice_holds_its_own_days(panel, judged, card):
    windows, _, _ = judged
    promoted = (windows.future[..., 0] > 0) & (windows.target_mask > 0)
    assert card.slices["promotion"]["promoted"]["n"] == promoted.sum()
    naive = BASELINES["seasonal_naive"](windows)
    first_week = np.where(np.arange(HORIZON) < 7, windows.target_mask, 0)
    assert card.slices["horizon"]["1-7"]["baselines"]["seasonal_naive"] == wape(windows.target, naive, first_week)


def test_a_share_counts_as_promotion_where_it_is_above_the_usual(panel, judged):
    windows, forecast, origins = judged
    always = replace(panel, futr=panel.futr * 0.5 + 0.25, futr_names=("display",))
    shares = replace(windows, future=windows.future * 0.5 + 0.25)
    card = score(shares, forecast, always, origins, "test")
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
    assert list(seasons) == [f"{month:02d}" for month in range(1, 13)]
    days = (panel.date(origin) + np.arange(HORIZON) for origin in origins)
    may = sum((each.astype("datetime64[M]").astype(int) % 12 == 4).sum() for each in days)
    assert seasons["05"]["n"] == 2 * may


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
    with pytest.raises(RequestError, match=r"expected \[15, 14\] for both"):
        score(windows, forecast, panel, origins[:3], "test")
    with pytest.raises(RequestError, match=r"A forecast of \[20, 7\] was given"):
        score(windows, forecast[:, :7], panel, origins, "test")
