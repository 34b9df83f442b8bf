import pytest

from nas.data.check import check
from nas.data.dense import to_panel
from nas.data.long_table import LongTable
from nas.data.sources import synthetic


@pytest.fixture(scope="session")
def table():
    """Five series over 160 days; one starts 20 days later, one ends 75 days earlier."""
    made = synthetic.generate(n_series=5, days=160, seed=3)
    frame, days = made.frame, made.frame["ds"].drop_duplicates().sort_values()
    late = (frame["unique_id"] == "store-02") & (frame["ds"] < days.iloc[20])
    early = (frame["unique_id"] == "store-03") & (frame["ds"] >= days.iloc[-75])
    return LongTable(frame[~late & ~early].reset_index(drop=True), made.hist, made.futr, made.stat)


@pytest.fixture(scope="session")
def panel(table):
    return to_panel(check(table), table.hist, table.futr)
