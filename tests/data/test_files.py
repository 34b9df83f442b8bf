"""Files as they are: how they are found, what is kept of them, and how their rows are counted."""

import re

import numpy as np
import pandas as pd
import pytest
from data.tables import good

from nas.data import sources
from nas.data.check import check
from nas.data.dense import to_panel
from nas.data.files import open_rows
from nas.data.long_table import LongTable
from nas.errors import DataError
from nas.request import DataSpec


def write(path, content):
    path.write_bytes(content)
    return path


def read(path):
    """Every cell of a file as text."""
    rows = open_rows(path)
    parts = [pd.DataFrame({n: c.to_pylist() for n, c in part.cells.items()}) for part in rows.batches(rows.names, [])]
    return pd.concat(parts)


@pytest.mark.parametrize("name", ["absent.csv", "absent.parquet", "folder.csv"])
def test_an_absent_file_is_named(tmp_path, name):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DataError, match=f"There is no file .*{name}"):
        open_rows(tmp_path / name)


def test_other_formats_are_refused_by_name(tmp_path):
    with pytest.raises(DataError, match=r"neither \.csv nor \.parquet"):
        open_rows(write(tmp_path / "sales.xlsx", b"PK"))


def test_a_file_without_a_suffix_is_read_by_what_is_in_it(tmp_path):
    good().to_csv(tmp_path / "text", index=False)
    good().to_parquet(tmp_path / "arrow", index=False)
    panels = [
        to_panel(check(LongTable(open_rows(tmp_path / name), futr=("price",), stat=("region",))), futr=("price",))
        for name in ("text", "arrow")
    ]
    assert panels[0].digest == panels[1].digest


def test_a_csv_keeps_names_as_they_are_written(tmp_path):
    for names in (["007", "010"], ["NA", "nan"]):
        text = f"\ufeffunique_id,ds,y\n{names[0]},2024-01-01,1\n{names[1]},2024-01-01,2\n\n".encode()
        frame = read(write(tmp_path / "sales.CSV", text))
        assert frame["unique_id"].tolist() == names
        assert frame["y"].tolist() == ["1", "2"]


def test_rows_are_counted_as_in_the_file_in_spite_of_blank_and_broken_lines(tmp_path):
    lines = "unique_id,ds,y\na,2024-01-01,1\n\na,2024-01-02\na,2024-01-02,-1\na,2024-01-03,1,1\na,2024-01-03,-1\n"
    path = write(tmp_path / "sales.csv", lines.encode())
    with pytest.raises(DataError) as caught:
        check(sources.load(DataSpec(source="table", path=str(path)), tmp_path))
    rows = [int(re.match(r"row (\d+)", problem)[1]) for problem in caught.value.problems]
    assert rows == [3, 3, 4, 5, 6, 7]


def test_a_parquet_written_with_an_index_of_pandas_has_no_column_more(tmp_path):
    good().drop(index=[0, 10]).to_parquet(tmp_path / "sales.parquet")
    assert "__index_level_0__" not in open_rows(tmp_path / "sales.parquet").names


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_file_of_many_batches_is_one_table(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr("nas.data.parquet_rows.BATCH", 7)
    monkeypatch.setattr("nas.data.csv_rows._BLOCK", 300)
    frame = good(pd.date_range("2024-01-01", periods=50).strftime("%Y-%m-%d")).sample(frac=1, random_state=1)
    frame = frame.reset_index(drop=True)
    path = tmp_path / f"sales.{suffix}"
    frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path, index=False)
    columns = check(LongTable(open_rows(path), futr=("price",), stat=("region",)))
    np.testing.assert_array_equal(columns.y, np.arange(100))
    assert columns.words == {"region": ("north", "south")}
    np.testing.assert_array_equal(frame["y"].to_numpy()[columns.row - 2], np.arange(100))


def test_a_series_whose_static_value_varies_is_told_once_over_many_batches(tmp_path, monkeypatch):
    monkeypatch.setattr("nas.data.parquet_rows.BATCH", 3)
    frame = good()
    frame.loc[4:9, "region"] = "east"
    frame.to_parquet(tmp_path / "sales.parquet", index=False)
    with pytest.raises(DataError) as caught:
        check(LongTable(open_rows(tmp_path / "sales.parquet"), futr=("price",), stat=("region",)))
    says = "row 6, column region: 'east' differs from 'north' in row 2 of the same series; keep one of the two"
    assert caught.value.problems == (says,)
