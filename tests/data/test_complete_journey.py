"""Complete Journey's grains, built from a few baskets that are written out here."""

import pandas as pd
import pytest

from nas.data.sources import complete_journey
from nas.data.sources.complete_journey import Grain

PRODUCTS = pd.DataFrame(
    {
        "product_id": [1, 2, 3, 4],
        "department": ["GROCERY", "GROCERY", "DRUG", "GROCERY"],
        "product_category": ["TEA", "TEA", "TEA", "FUEL"],
    }
)
NOON = "2017-03-01 17:00"  # in New York
BASKETS = [
    (1, 10, 3, NOON),
    (2, 10, 1, NOON),
    (3, 20, 2, NOON),
    (1, 20, 1, "2017-03-03 03:00"),  # 2 March there
    (4, 10, 999, NOON),  # litres, not pieces
]
PROMOTIONS = [
    (1, 10, 10, "5", "0"),
    (1, 10, 10, "9", "A"),  # a second place in the same store
    (1, 20, 10, "7", "0"),
    (3, 20, 10, "0", "D"),
]
SMALL = {name: Grain(grain.keys, 0, grain.stat) for name, grain in complete_journey.GRAINS.items()}


@pytest.fixture
def data(tmp_path):
    lines = pd.DataFrame(BASKETS, columns=["product_id", "store_id", "quantity", "transaction_timestamp"])
    lines["transaction_timestamp"] = pd.to_datetime(lines["transaction_timestamp"])
    lines = lines.assign(sales_value=3.0, retail_disc=1.0, coupon_disc=0.0, coupon_match_disc=0.0)
    lines.to_parquet(tmp_path / "transactions.parquet")
    PRODUCTS.to_parquet(tmp_path / "products.parquet")
    columns = ["product_id", "store_id", "week", "display_location", "mailer_location"]
    pd.DataFrame(PROMOTIONS, columns=columns).to_parquet(tmp_path / "promotions.parquet")
    return tmp_path


def build(data, grain):
    frame = complete_journey._build(data, SMALL[grain])
    assert (frame.groupby("unique_id").size() == 365).all()
    return frame.set_index(["unique_id", "ds"])


def on(frame, series, day="2017-03-01"):
    return frame.loc[(series, pd.Timestamp(day))]


def test_a_category_sums_its_products_of_all_stores(data):
    frame = build(data, "category")
    assert set(frame.index.get_level_values(0)) == {"TEA"}
    assert (on(frame, "TEA")["y"], on(frame, "TEA", "2017-03-02")["y"], frame["y"].sum()) == (6, 1, 7)
    assert on(frame, "TEA")[["display", "mailer"]].tolist() == pytest.approx([1 / 3, 2 / 3])
    assert on(frame, "TEA")["discount"] == 0.25
    assert on(frame, "TEA", "2017-03-06")["display"] == 0  # the week after


def test_a_store_and_department_is_promoted_by_its_own_store(data):
    frame = build(data, "store_department")
    assert set(frame.index.get_level_values(0)) == {"10/GROCERY", "20/DRUG", "20/GROCERY"}
    assert on(frame, "10/GROCERY")[["y", "display", "mailer"]].tolist() == [4, 0.5, 0.5]
    assert on(frame, "20/DRUG")[["y", "display", "mailer"]].tolist() == [2, 0, 1]
    assert on(frame, "20/GROCERY")[["store", "department"]].tolist() == ["20", "GROCERY"]


def test_a_product_is_promoted_by_a_share_of_the_stores(data):
    frame = build(data, "product")
    assert set(frame.index.get_level_values(0)) == {"1", "2", "3"}
    share = 1 / complete_journey.STORES_WITH_PROMOTIONS
    assert on(frame, "1")[["y", "display", "mailer"]].tolist() == pytest.approx([3, 2 * share, share])
    assert on(frame, "3")[["product", "category", "department"]].tolist() == ["3", "TEA", "DRUG"]


@pytest.mark.parametrize("grain", complete_journey.GRAINS)
def test_what_sells_on_too_few_days_is_left_out(data, grain):
    few = Grain(SMALL[grain].keys, 1, SMALL[grain].stat)
    frame = complete_journey._build(data, few)
    assert set(frame["unique_id"]) == {"category": {"TEA"}, "store_department": set(), "product": {"1"}}[grain]
