import numpy as np
import pandas as pd
import pytest

from nas.data.sources import synthetic
from nas.request import DataSpec


def drawn(**ways):
    table, demand = synthetic.generate_with_truth(6, 1400, seed=2, **ways)
    return table, table.frame, demand


def test_without_stock_outs_what_is_sold_is_what_was_asked_for():
    table, frame, demand = drawn()
    assert frame["y"].tolist() == demand.ravel().tolist()
    assert (table.open, table.available) == (None, None)


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_a_stock_out_sells_what_there_is_and_says_so(share):
    table, frame, demand = drawn(stockouts=share)
    sold, available = frame["y"].to_numpy(), frame["available"].to_numpy()
    assert table.available == "available"
    assert (sold[available == 1] == demand.ravel()[available == 1]).all()
    assert (sold[available == 0] < demand.ravel()[available == 0]).all()
    assert (available == 0).mean() == pytest.approx(share, rel=0.15)
    assert sold.sum() < (1 - 0.5 * share) * demand.sum()  # half of what was expected is missing, or more


def test_stock_outs_are_no_matter_of_the_demand():
    """Else leaving them out would leave out the busy days, and no mask could mend the bias."""
    _, frame, demand = drawn(stockouts=0.2)
    available = frame["available"].to_numpy().reshape(demand.shape) == 1
    level = demand.mean(axis=1, keepdims=True)
    assert (demand / level)[available].mean() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(("frequency", "share"), [("daily", 6 / 7), ("hourly", 6 / 7 / 2), ("weekly", 51 / 52)])
def test_nothing_is_asked_for_where_it_is_closed(frequency, share):
    table, frame, demand = drawn(frequency=frequency, closed=True)
    is_open = frame["open"].to_numpy()
    assert table.open == "open" in table.futr
    assert is_open.mean() == pytest.approx(share, abs=0.01)
    assert (demand.ravel()[is_open == 0] == 0).all()


def test_slow_sellers_are_without_a_sale_in_most_steps():
    _, frame, _ = drawn(levels=synthetic.INTERMITTENT)
    assert (frame["y"] == 0).mean() > 0.6


@pytest.mark.parametrize(("frequency", "step"), [("hourly", "1h"), ("daily", "1D"), ("weekly", "7D")])
def test_a_request_may_ask_for_any_frequency(frequency, step, tmp_path):
    frame = synthetic.load(DataSpec(source="synthetic", freq=frequency), tmp_path).frame
    days = frame.loc[frame["unique_id"] == "store-01", "ds"]
    assert (days.diff().dropna() == pd.Timedelta(step)).all()


def test_hours_have_a_profile():
    _, frame, _ = drawn(frequency="hourly")
    by_hour = frame.groupby(frame["ds"].dt.hour)["y"].mean()
    assert by_hour.to_numpy() / by_hour.mean() == pytest.approx(np.array(synthetic.HOURS), rel=0.1)
