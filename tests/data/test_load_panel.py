import subprocess
import sys

import numpy as np
import pytest

from nas.data import Panel, load_panel
from nas.errors import DataError
from nas.request import DataSpec

NAMED = {"hist": ("discount",), "futr": ("promotion",), "stat": ("region",)}


def test_a_spec_becomes_a_panel(tmp_path):
    panel = load_panel(DataSpec(source="synthetic"), tmp_path)
    assert isinstance(panel, Panel)
    assert panel.y.shape == (12, 400)
    assert (panel.hist_names, panel.futr_names, panel.stat_names) == (("discount",), ("promotion",), ("region",))
    assert panel.digest == load_panel(DataSpec(source="synthetic"), tmp_path).digest


def test_only_the_largest_series_are_kept(tmp_path):
    everything = load_panel(DataSpec(source="synthetic"), tmp_path)
    few = load_panel(DataSpec(source="synthetic", series=3), tmp_path)
    assert few.ids == ("store-10", "store-11", "store-12")
    np.testing.assert_array_equal(few.y, everything.y[-3:])
    np.testing.assert_array_equal(few.futr, everything.futr[-3:])
    words = [few.stat_vocab[0][code - 1] for code in few.stat[:, 0]]
    assert words == ["south", "north", "south"]
    assert load_panel(DataSpec(source="synthetic", series=99), tmp_path).digest == everything.digest


def test_a_table_that_is_too_short_for_the_split_says_what_it_needs(table, tmp_path):
    path = tmp_path / "sales.csv"
    table.frame[table.frame["ds"] < "2022-03-14"].to_csv(path, index=False)
    with pytest.raises(DataError, match="the table spans 70 days, the split needs at least 98"):
        load_panel(DataSpec(source="table", path=str(path), **NAMED), tmp_path)


def test_missing_days_are_filled_only_when_the_spec_says_so(table, tmp_path):
    path = tmp_path / "sales.parquet"
    table.frame.drop(index=[5, 6]).to_parquet(path)
    with pytest.raises(DataError, match="lacks 2 days, the first is 2022-01-08"):
        load_panel(DataSpec(source="table", path=str(path), **NAMED), tmp_path)
    panel = load_panel(DataSpec(source="table", path=str(path), fill="zero", **NAMED), tmp_path)
    assert panel.y[0, 5:7].tolist() == [0, 0]
    assert panel.mask[0].all()


def test_importing_the_room_loads_nothing_heavy():
    code = "import sys, nas.data, nas.data.scorecard; print(sorted({'pandas', 'pyarrow', 'torch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
