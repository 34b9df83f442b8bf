"""The names of metrics, and what of them is refused at the door."""

import re

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from nas.metric import ACCURACIES, Metric
from nas.request import SearchRequest

WORD = st.text(st.characters(exclude_characters='[]="\\@', exclude_categories=["Cs", "Cc"]), min_size=1).map(str.strip)
NAMED = WORD.filter(bool)


def request(**changes):
    return SearchRequest.model_validate({"devices": ["pi4"], **changes})


@pytest.mark.parametrize(
    ("text", "metric"),
    [
        ("wape", Metric("wape")),
        ("wape[promo]", Metric("wape", "promotion", "promoted")),
        ("wape[promotion=not promoted]", Metric("wape", "promotion", "not promoted")),
        ("wape[holiday]", Metric("wape", "holiday", "holiday")),
        ("mae[horizon=8-14]", Metric("mae", "horizon", "8-14")),
        ("wape[category=FROZEN [2] @ 50% = <1>]", Metric("wape", "category", "FROZEN [2] @ 50% = <1>")),
        ("size_kb@pi4", Metric("size_kb", device="pi4")),
    ],
)
def test_a_name_is_taken_apart(text, metric):
    assert Metric.parse(text) == metric
    assert Metric.parse(str(metric)) == metric


@given(st.sampled_from(ACCURACIES), NAMED, NAMED)
def test_whatever_a_column_and_its_values_are_called_they_can_be_named(name, slicing, value):
    assert Metric.parse(str(Metric(name, slicing, value))) == Metric(name, slicing, value)


def test_a_slice_may_be_objective_and_limit_and_has_one_spelling():
    found = request(objectives=["wape[promotion=promoted]", "size_kb"], constraints={"mae[horizon=8-14]": 3})
    assert found.objectives == ("wape[promo]", "size_kb")
    assert found.constraints == {"mae[horizon=8-14]": 3}
    assert SearchRequest.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("speed[promo]", "'speed' is no metric; expected one of wape"),
        ("wape[promo", r"'wape\[promo' is no metric; write it as wape, wape\[promo\]"),
        ("coverage", "take coverage_error"),
        ("coverage[promo]", "take coverage_error"),
        ("size_kb[promo]", r"size_kb is the same for every slice; leave out \[promotion\]"),
        ("wape[category]", r"write it as wape\[category=VALUE\]"),
        ("wape[season=13]", "season has no slice '13'"),
        ("wape[volume=0]", "volume has no slice '0'"),
        ("wape[horizon=late]", "horizon has no slice 'late'"),
        ("wape[intermittency=rare]", "intermittency has no slice 'rare'; expected smooth or erratic"),
        ("wape[cold_start=7]", "student's report only"),
        ("wape[promo]@pi4", "wape is the same on every device; leave out @pi4"),
        ("pinball", "pinball judges quantiles, and none are forecast; set training.quantiles"),
        ("coverage_error[promo]", "set training.quantiles"),
    ],
)
def test_what_cannot_be_judged_is_refused_at_the_door(name, says):
    for changes in ({"objectives": [name]}, {"constraints": {name: 1}}):
        with pytest.raises(ValidationError) as refused:
            request(**changes)
        (found,) = refused.value.errors()
        assert re.search(says, found["msg"])


def test_quantiles_may_be_judged_where_they_are_forecast():
    found = request(objectives=["pinball", "coverage_error[promo]"], training={"quantiles": [0.1, 0.9]})
    assert found.objectives == ("pinball", "coverage_error[promo]")


def test_the_schema_knows_slices():
    schema = SearchRequest.model_json_schema()
    for name in ("wape[promo]", "mae[category=DAIRY, FRESH]", "size_kb@pi4"):
        jsonschema.validate({"devices": ["pi4"], "objectives": [name], "constraints": {"wape": 1}}, schema)
    for name in ("size_kb[promo]", "wape[]", "wape@pi4"):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"devices": ["pi4"], "objectives": [name]}, schema)
