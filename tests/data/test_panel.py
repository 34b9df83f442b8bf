from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.data.check import check
from nas.data.dense import to_panel
from nas.data.long_table import LongTable
from nas.data.panel import Panel
from nas.errors import DataError, RequestError


def to_long(panel):
    """A panel as a long table again: one row per observed day."""
    series, day = np.nonzero(panel.mask)
    columns = {"unique_id": np.array(panel.ids)[series], "ds": panel.date(0) + day, "y": panel.y[series, day]}
    for names, values in ((panel.hist_names, panel.hist), (panel.futr_names, panel.futr)):
        columns |= {name: values[series, day, column] for column, name in enumerate(names)}
    for column, (name, words) in enumerate(zip(panel.stat_names, panel.stat_vocab, strict=True)):
        columns[name] = np.array(words)[panel.stat[series, column] - 1]
    return LongTable(pd.DataFrame(columns), panel.hist_names, panel.futr_names, panel.stat_names)


@st.composite
def panels(draw):
    """Small ragged panels with 0 to 2 covariates of each kind."""
    size, days = draw(st.integers(1, 4)), draw(st.integers(1, 12))
    spans = [sorted(draw(st.tuples(st.integers(0, days - 1), st.integers(0, days - 1)))) for _ in range(size)]
    spans[0] = [0, days - 1]  # somebody was observed on the first and the last day
    mask = np.zeros((size, days), np.float32)
    for row, (first, last) in enumerate(spans):
        mask[row, first : last + 1] = 1
    random = np.random.default_rng(draw(st.integers(0, 99)))
    hist, futr, stat = (tuple(f"{kind}{i}" for i in range(draw(st.integers(0, 2)))) for kind in ("h", "f", "s"))
    values = [random.integers(0, 50, (size, days, len(names))).astype(np.float32) for names in (hist, futr)]
    codes = [np.unique(random.choice(list("xyz"), size), return_inverse=True) for _ in stat]
    return Panel(
        ids=tuple("abcd"[:size]),
        start=np.datetime64("2024-02-20", "D"),
        y=random.poisson(3, (size, days)).astype(np.float32) * mask,
        mask=mask,
        hist=values[0] * mask[..., None],
        hist_names=hist,
        futr=values[1] * mask[..., None],
        futr_names=futr,
        stat=np.stack([code + 1 for _, code in codes], -1) if codes else np.zeros((size, 0), np.int64),
        stat_names=stat,
        stat_vocab=tuple(tuple(map(str, words)) for words, _ in codes),
    )


@given(panels())
def test_a_panel_survives_the_long_table(panel):
    table = to_long(panel)
    shuffled = replace(table, frame=table.frame.sample(frac=1, random_state=0))
    again = to_panel(check(shuffled), table.hist, table.futr)
    assert again.digest == panel.digest


@given(panels())
def test_a_panel_survives_its_bytes(panel):
    data = panel.to_bytes()
    again = Panel.from_bytes(data)
    assert again.to_bytes() == data
    assert again.ids == panel.ids
    assert again.stat_vocab == panel.stat_vocab
    assert again.date(0) == panel.start
    np.testing.assert_array_equal(again.futr, panel.futr)


def test_the_digest_names_the_content(panel):
    changed = panel.y.copy()
    changed[0, 0] += 1
    assert replace(panel, y=changed).digest != panel.digest
    assert replace(panel, start=panel.start + 1).digest != panel.digest
    assert replace(panel, y=panel.y.copy()).digest == panel.digest


@pytest.mark.parametrize("keep", [0, 10, 1000, -1, -200])
def test_broken_bytes_are_a_data_error(panel, keep):
    with pytest.raises(DataError, match="not a panel"):
        Panel.from_bytes(panel.to_bytes()[:keep])


def test_arrays_that_do_not_fit_are_refused(panel):
    with pytest.raises(DataError, match=r"mask is float32 \[5, 159\], expected float32 \[5, 160\]"):
        replace(panel, mask=panel.mask[:, 1:])
    with pytest.raises(DataError, match="y is float64"):
        replace(panel, y=panel.y.astype(float))
    with pytest.raises(DataError, match="0 vocabularies for 1 static"):
        replace(panel, stat_vocab=())


def test_until_keeps_the_days_before(panel):
    cut = panel.until(100)
    assert cut.steps == 100
    np.testing.assert_array_equal(cut.hist, panel.hist[:, :100])
    assert cut.ids == panel.ids
    for day in (0, 161):
        with pytest.raises(RequestError, match="outside the panel"):
            panel.until(day)
