"""A corpus of files as they really arrive: each message names row, column and remedy."""

import gzip

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data.tables import DAYS, good

from nas.data import sources
from nas.data.check import check
from nas.data.profile import profile
from nas.errors import DataError
from nas.request import DataSpec

HEADER = "unique_id,ds,y,price,region"
NAMED = {"source": "table", "futr": ("price",), "stat": ("region",)}


def text(change=lambda lines: lines):
    """The good table as CSV, its lines changed (0 is the header)."""
    return "\n".join(change(good().to_csv(index=False).splitlines())) + "\n"


def line(row, says):
    """Replace one row, counted as a spreadsheet does."""

    def change(lines):
        return [*lines[: row - 1], says, *lines[row:]]

    return text(change)


def hours(first="2024-10-26", days=3, zone=None):
    return pd.date_range(first, periods=24 * days, freq="h", tz=zone)


def table(**columns):
    return good().assign(**columns)


def spoilt(column, row, value, frame=None):
    frame = (good() if frame is None else frame).astype({column: object})
    frame.loc[row - 2, column] = value
    return frame


def parquet(frame):
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), buffer)
    return buffer.getvalue().to_pybytes()


def csv(frame):
    return frame.to_csv(index=False)


DST = good(hours().strftime("%Y-%m-%d %H:%M"))
WEEKS = good(pd.date_range("2024-01-01", periods=10, freq="7D"))
OPEN = table(open=[1] * 19 + [0])
STOCK = table(stock=5.0)
ROWS = {
    "semicolons": (text().replace(",", ";"), "is separated by semicolons, expected commas", {}),
    "semicolons and decimal commas": (text().replace(",", ";").replace(".", ","), "separated by semicolons", {}),
    "tabs": (text().replace(",", "\t"), "is separated by tabs, expected commas", {}),
    "latin-1": (line(5, "Café,2024-03-04,1,1,north").encode("latin-1"), "is not UTF-8 in row 5", {}),
    "latin-1 in the header": ("série,ds,y\na,2024-03-01,1\n".encode("latin-1"), "is not UTF-8 in row 1", {}),
    "UTF-16": (text().encode("utf-16"), "is UTF-16 text; save it with UTF-8", {}),
    "NUL bytes": (text().replace("north", "no\0rth"), "holds NUL bytes", {}),
    "gzip named csv": (gzip.compress(text().encode()), "is compressed with gzip; unpack it", {}),
    "a spreadsheet named csv": (b"PK\x03\x04" + bytes(100), "a zip archive or a spreadsheet; save", {}),
    "Parquet named csv": (parquet(good()), "cannot be read as CSV (it is Parquet)", {}),
    "empty": ("", "is empty; expected a header", {}),
    "blank": ("\n\n\n", "has no header in row 1", {}),
    "header only": (HEADER + "\n", "the table has no rows", {}),
    "no header": (text(lambda lines: lines[1:]), "has no header in row 1, expected the names", {}),
    "duplicate header": (text().replace("price", "y", 1), "column y is there more than once; keep one", {}),
    "a header amid the rows": (line(8, HEADER), "row 8, column ds: 'ds' is not a date", {}),
    "missing column": (csv(good().drop(columns="y")), "column y is missing; the table has unique_id, ds, price", {}),
    "none of the columns": (csv(good()).upper(), "column y is missing; the table has UNIQUE_ID, DS, Y, PRICE", {}),
    "a column nobody named": (csv(table(extra=1)), "column extra is not named under hist, futr or stat; name", {}),
    "a short row": (line(4, "a,2024-03-03"), "row 4, column –: there are 2 cells, the header has 5; mend it", {}),
    "an unquoted comma": (line(4, "a,b,2024-03-03,1,1,north"), "row 4, column –: there are 6 cells", {}),
    "a quote never closed": (line(4, '"a,2024-03-03,1,1,north'), "quote is never closed", {}),
    "dd.mm.yyyy": (
        csv(table(ds=[f"{day:02d}.03.2024" for day in range(1, 11)] * 2)),
        "row 2, column ds: '01.03.2024'",
        {},
    ),
    "mixed formats of dates": (line(4, "a,03/03/2024,1,1,north"), "row 4, column ds: '03/03/2024' is not a date", {}),
    "a date that is none": (line(4, "a,2024-02-30,1,1,north"), "row 4, column ds: '2024-02-30' is not a date", {}),
    "1900": (line(2, "a,1900-01-01,1,1,north"), "row 3, column ds: 2024-03-02 comes long after 1900-01-01", {}),
    "the far future": (line(11, "a,2124-03-10,1,1,north"), "row 11, column ds: 2124-03-10 comes long after", {}),
    "the far future, filled": (line(11, "a,2124-03-10,1,1,north"), "row 11, column ds: 2124-03-10", {"fill": "zero"}),
    "duplicate rows": (
        line(4, "a,2024-03-02,1,1,north"),
        "row 4, column ds: series 'a' has this day already in row 3",
        {},
    ),
    "gaps": (
        csv(good().drop(index=[3, 4])),
        "row 5, column ds: series 'a' lacks 2 days, the first is 2024-03-04; add",
        {},
    ),
    "text in y": (line(4, "a,2024-03-03,n/a,1,north"), "row 4, column y: 'n/a' is not a number, expected digits", {}),
    "NaN in y": (line(4, "a,2024-03-03,NaN,1,north"), "row 4, column y: 'NaN' is not a number", {}),
    "nothing in y": (line(4, "a,2024-03-03,,1,north"), "row 4, column y: there is no number; give one, or 0", {}),
    "infinite y": (line(4, "a,2024-03-03,inf,1,north"), "row 4, column y: 'inf' is not finite in 32 bits", {}),
    "y beyond 32 bits": (line(4, "a,2024-03-03,1e39,1,north"), "row 4, column y: '1e39' is not finite in 32 bits", {}),
    "thousands": (line(4, 'a,2024-03-03,"1,234",1,north'), "row 4, column y: '1,234' is not a number, expected", {}),
    "negative y": (
        line(4, "a,2024-03-03,-2,1,north"),
        "row 4, column y: '-2' is negative, expected 0 or more; take",
        {},
    ),
    "all of y empty": (csv(table(y=np.nan)), "column y has no number in any row; give the units sold", {}),
    "a future column without a value": (
        line(4, "a,2024-03-03,1,,north"),
        "row 4, column price: there is no number",
        {},
    ),
    "static that varies": (
        line(4, "a,2024-03-03,1,1,east"),
        "row 4, column region: 'east' differs from 'north' in row 2",
        {},
    ),
    "no static": (line(4, "a,2024-03-03,1,1,"), "row 4, column region: there is no value; give one", {}),
    "no id": (line(4, ",2024-03-03,1,1,north"), "row 4, column unique_id: the series has no name; give it one", {}),
    "zones among naive times": (
        line(4, "a,2024-03-03T00:00Z,1,1,north"),
        "row 4, column ds: '2024-03-03T00:00Z' says its offset from UTC; name the stores' own zone as timezone",
        {},
    ),
    "naive among zones": (
        csv(good([f"{d} 00:00+01:00" for d in DAYS[:9]] + DAYS[9:])),
        "row 11, column ds: '2024-03-10' says no offset from UTC, others do; write all of them alike",
        {"timezone": "Europe/Berlin"},
    ),
    "an hour twice without a time zone": (
        csv(pd.concat([DST, DST.iloc[[26]]])),
        "row 146, column ds: series 'a' has this hour already in row 28; keep one row, or name the stores' timezone",
        {},
    ),
    "an hour thrice": (
        csv(pd.concat([DST, DST.iloc[[26, 26]]])),
        "row 147, column ds: series 'a' has this hour already",
        {"timezone": "Europe/Berlin"},
    ),
    "an hour that the clocks skip": (
        csv(good(hours("2024-03-30").strftime("%Y-%m-%d %H:%M"))),
        "row 28, column ds: 2024-03-31 02:00 is an hour that the clocks of Europe/Berlin skip; correct it",
        {"timezone": "Europe/Berlin"},
    ),
    "the hour that the clocks skip, without a time zone": (
        csv(good(hours("2024-03-30").delete(26).strftime("%Y-%m-%d %H:%M"))),
        "lacks 1 hours, the first is 2024-03-31 02:00; add them, or choose fill: zero or previous, or name the st",
        {},
    ),
    "a name with line breaks": (
        csv(table(unique_id=["a"] * 10 + ["b\nb"] * 10)),
        "is no name: it holds line breaks",
        {},
    ),
    "minutes among hours": (
        csv(spoilt("ds", 4, "2024-10-26 02:10", DST)),
        "row 4, column ds: 2024-10-26 02:10 has minutes, expected whole hours: sum the rows up by hour",
        {},
    ),
    "quarters of an hour": (csv(good(pd.date_range("2024-03-01", periods=10, freq="15min"))), "15 minutes apart", {}),
    "months": (csv(good(pd.date_range("2024-01-01", periods=10, freq="MS"))), "31 days apart, expected an hour", {}),
    "mixed weekdays": (
        csv(spoilt("ds", 4, "2024-01-16", WEEKS)),
        "row 4, column ds: 2024-01-16 is a Tuesday, the other weeks are dated by a Monday; date all weeks by one",
        {},
    ),
    "sales while closed": (
        csv(OPEN),
        "row 21, column open: the store is closed, and yet y is above 0; correct one of the two",
        {"open": "open"},
    ),
    "negative stock": (
        csv(spoilt("stock", 4, -1, STOCK)),
        "row 4, column stock: '-1' is negative",
        {"available": "stock"},
    ),
    "stock unknown": (csv(spoilt("stock", 4, None, STOCK)), "row 4, column stock: there is no", {"available": "stock"}),
}
PARQUET = {
    "cut short": (parquet(good())[:-100], "cannot be read as Parquet", {}),
    "cut in half": (parquet(good())[:900], "cannot be read as Parquet", {}),
    "CSV named Parquet": (text().encode(), "cannot be read as Parquet (it is not Parquet)", {}),
    "NaN": (parquet(table(y=[np.nan, *range(19)])), "row 2, column y: there is no number", {}),
    "negative": (parquet(table(y=[-1, *range(19)])), "row 2, column y: '-1' is negative", {}),
    "lists": (parquet(table(y=[[1]] * 20)), "row 2, column y: '[1]' is not a number", {}),
    "bytes for names": (
        parquet(table(region=[b"\xff"] * 9 + [b"a"] * 11)),
        "row 11, column region: \"b'a'\" differs",
        {},
    ),
    "hours in UTC": (
        parquet(good(hours(zone="UTC"))),
        "row 3, column ds: '2024-10-26 01:00:00+00:00' says its offset from UTC; name the stores' own zone as timezone",
        {},
    ),
    "times of day": (
        parquet(table(ds=[*pd.to_datetime(DAYS * 2)[:-1], pd.Timestamp("2024-03-10 07:30:01")])),
        "row 21",
        {},
    ),
}


def problems(path, content, options):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    spec = DataSpec(path=str(path), **NAMED, **options)
    with pytest.raises(DataError) as caught:
        check(sources.load(spec, path.parent), fill=spec.fill)
    assert "\n" not in str(caught.value)
    return caught.value.problems or (str(caught.value),)


@pytest.mark.parametrize("name", ROWS)
def test_a_broken_csv_is_told_by_row_column_and_remedy(tmp_path, name):
    content, expected, options = ROWS[name]
    found = problems(tmp_path / "sales.csv", content, options)
    assert any(expected in problem for problem in found), found
    assert all("; " in problem or ": " in problem for problem in found), found


@pytest.mark.parametrize("name", PARQUET)
def test_a_broken_parquet_is_told_by_row_column_and_remedy(tmp_path, name):
    content, expected, options = PARQUET[name]
    found = problems(tmp_path / "sales.parquet", content, options)
    assert any(expected in problem for problem in found), found


def test_a_byte_order_mark_crlf_and_blank_lines_at_the_end_are_no_problem(tmp_path):
    days = pd.date_range("2024-01-01", periods=40).strftime("%Y-%m-%d")
    content = b"\xef\xbb\xbf" + (csv(good(days)).replace("\n", "\r\n") + "\r\n\r\n").encode()
    (tmp_path / "sales.csv").write_bytes(content)
    columns = check(sources.load(DataSpec(path=str(tmp_path / "sales.csv"), **NAMED), tmp_path))
    assert (len(columns.y), columns.total) == (80, 80)


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (("a", "A"), "row 2, column unique_id: 'a' differs from 'A' only in"),
        (("my a", "my  a"), "row 2, column unique_id: 'my a'"),
    ],
)
def test_names_that_are_nearly_the_same_are_shown_but_allowed(tmp_path, names, says):
    (tmp_path / "sales.csv").write_text(csv(table(unique_id=[names[0]] * 10 + [names[1]] * 10)))
    found = profile(sources.load(DataSpec(path=str(tmp_path / "sales.csv"), **NAMED), tmp_path))
    assert not found.problems
    assert any(warning.startswith(says) for warning in found.warnings), found.warnings
