from dataclasses import replace

import numpy as np
import pytest

from nas.data.panel import Panel
from nas.data.slices import LARGEST, require_slices, slicings
from nas.errors import RequestError

ORIGINS, HORIZON = (60, 67), 14


def panel(sales, stat=None, vocab=(), names=(), **changes):
    """Daily series from Monday 2024-01-01 on, every step observed."""
    y = np.asarray(sales, np.float32)
    series, steps = y.shape
    base = Panel(
        ids=tuple(f"s{i:03d}" for i in range(series)), start=np.datetime64("2024-01-01", "h"), y=y,
        mask=np.ones_like(y), hist=np.zeros((series, steps, 0), np.float32), hist_names=(),
        futr=np.zeros((series, steps, 0), np.float32), futr_names=(),
        stat=np.zeros((series, 0), np.int64) if stat is None else stat, stat_names=names, stat_vocab=vocab,
    )  # fmt: skip
    return replace(base, **changes)


def members(slicing):
    """Series by slice, where that is all that it goes by."""
    codes = slicing.codes[0, :, 0]
    return {value: np.flatnonzero(codes == i).tolist() for i, value in enumerate(slicing.values)}


def rhythm(every, sizes, steps=90):
    """A series that sells at every n-th step, in these sizes."""
    made = np.zeros(steps)
    made[::every] = np.resize(sizes, len(made[::every]))
    return made


def test_intermittency_is_that_of_syntetos_and_boylan_on_the_steps_before_the_first_origin():
    sales = [rhythm(1, [5]), rhythm(1, [1, 1, 1, 20]), rhythm(3, [5]), rhythm(3, [1, 1, 1, 20]), np.zeros(90)]
    for series in sales:
        series[ORIGINS[0] :] = 99  # what is judged has no say
    found = members(slicings(panel(sales), ORIGINS, HORIZON)["intermittency"])
    assert found == {"smooth": [0], "erratic": [1], "intermittent": [2], "lumpy": [3], "no sales": [4]}


def test_a_store_that_is_closed_half_the_week_is_not_intermittent():
    open_ = (np.arange(90) % 2 == 0).astype(np.float32)
    known = panel([5 * open_], futr=open_[None, :, None], futr_names=("open",), open="open")
    assert members(slicings(known, ORIGINS, HORIZON)["intermittency"]) == {"smooth": [0]}
    assert members(slicings(panel([5 * open_]), ORIGINS, HORIZON)["intermittency"]) == {"intermittent": [0]}


def test_the_tenth_tenth_sold_the_most():
    sales = np.tile(np.arange(20)[::-1, None], (1, 90))
    found = members(slicings(panel(sales), ORIGINS, HORIZON)["volume"])
    assert found["10"] == [0, 1] and found["1"] == [18, 19] and len(found) == 10


def test_the_largest_values_are_slices_and_the_rest_is_one():
    series, values = 130, 60
    sales = np.ones((series, 90)) * (np.arange(series)[:, None] % values + 1)
    stat = (np.arange(series)[:, None] % values) + 1
    stat[-1] = 0
    words = tuple(f"c{i}" for i in range(values))
    slicing = slicings(panel(sales, stat, (words,), ("category",)), ORIGINS, HORIZON)["category"]
    assert len(slicing.values) == LARGEST + 2 and slicing.values[-2:] == ("others", "unseen")
    assert "c59" in slicing.values and "c0" not in slicing.values
    assert members(slicing)["unseen"] == [129]
    assert (slicing.codes >= 0).all()


def test_a_static_that_is_called_like_a_slicing_has_a_name_of_its_own():
    stat = np.array([[1], [1], [2]])
    found = slicings(panel(np.ones((3, 90)), stat, (("x", "y"),), ("volume",)), ORIGINS, HORIZON)
    assert set(found["static volume"].values) == {"x", "y"} and "10" in found["volume"].values


def test_holidays_come_from_the_columns_that_are_named_so():
    futr = np.zeros((2, 90, 2), np.float32)
    futr[:, 65, 0], futr[:, 70, 1] = 1, 1
    known = panel(np.ones((2, 90)), futr=futr, futr_names=("holiday_DE", "school"))
    slicing = slicings(known, ORIGINS, HORIZON)["holiday"]
    assert slicing.values == ("holiday", "no holiday")
    assert np.argwhere(slicing.codes == 0).tolist() == [[0, 0, 5], [0, 1, 5]]  # day 65 is in the first origin only


def test_hours_are_sliced_by_day_and_weeks_by_four():
    for frequency, horizon, expected in (("hourly", 30, ("1-24", "25-30")), ("weekly", 6, ("1-4", "5-6"))):
        known = panel(np.ones((2, 90)), frequency=frequency)
        assert slicings(known, (40,), horizon)["horizon"].values == expected


def test_sums_add_up_each_slice_by_series():
    known = panel(np.ones((3, 90)), np.array([[1], [1], [2]]), (("x", "y"),), ("kind",))
    terms = {"n": np.arange(2 * 3 * 14, dtype=float).reshape(2, 3, 14)}
    found = slicings(known, ORIGINS, HORIZON)
    whole = terms["n"].sum(axis=(0, 2))
    assert found["kind"].sums(terms)["n"].tolist() == [[*whole[:2], 0], [0, 0, whole[2]]]
    weeks = found["horizon"].sums(terms)["n"]
    assert weeks[0].tolist() == terms["n"][:, :, :7].sum(axis=(0, 2)).tolist()
    assert weeks.sum(axis=0).tolist() == whole.tolist()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("wape[category=MILK]", "expected one of kind, intermittency, volume, horizon"),
        (
            "wape[kind=z]",
            r"wape\[kind=z\] names a slice that has nothing to judge in the validation part; .* one of x, y",
        ),
        ("wape[promo]", r"wape\[promo\] names the slicing promotion, which these data do not have"),
        ("mae[horizon=8-15]", "expected horizon= one of 1-7, 8-14"),
        ("wape[season=12]", "cannot be judged: the origins span 7 days"),
    ],
)
def test_a_slice_that_does_not_exist_is_refused_naming_those_that_do(name, says):
    known = panel(np.ones((3, 90)), np.array([[1], [1], [2]]), (("x", "y"),), ("kind",))
    require_slices(["wape", "size_kb@pi4", "wape[kind=x]", "mae[horizon=8-14]"], known, ORIGINS, HORIZON)
    with pytest.raises(RequestError, match=says):
        require_slices([name], known, ORIGINS, HORIZON)
