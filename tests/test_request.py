"""Requests: validated at the door, before anything is started."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from nas.errors import RequestError
from nas.metric import COSTS, split
from nas.request import DataSpec, SearchRequest


def request(**changes):
    return {"devices": ["pi4"], **changes}


@pytest.mark.parametrize(
    "changes",
    [
        {"devices": []},
        {"devices": ["pi4", "pi4"]},
        {"devices": ["../etc"]},
        {"objectives": []},
        {"objectives": ["wape", "wape"]},
        {"objectives": ["speed"]},
        {"constraints": {"latency_p50_ms": 0}},
        {"constraints": {"latency_p50_ms": float("nan")}},
        {"constraints": {"speed": 1}},
        {"constraints": {"latency_p50_ms": {}}},
        {"constraints": {"latency_p50_ms": {"pi5": 1}}},
        {"constraints": {"latency_p50_ms": {"pi4": 0}}},
        {"constraints": {"latency_p50_ms": {"pi4": {"p95": 1}}}},
        {"constraints": {"latency_p50_ms": {"pi4": 1}, "latency_p50_ms@pi4": 2}},
        {"constraints": {"latency_p50_ms": 1, "latency_p50_ms@pi4": 2}},
        {"constraints": {"latency_p50_ms@": 1}},
        {"constraints": {"latency_p50_ms@pi4@pi4": 1}},
        {"constraints": {"wape": {"pi4": 1}}},
        {"constraints": [1]},
        {"objectives": ["wape@pi4"]},
        {"objectives": ["size_kb@"]},
        {"objectives": ["size_kb@pi5"]},
        {"objectives": ["size_kb", "size_kb@pi4"]},
        {"trials": 0},
        {"data": {"source": "table"}},
        {"data": {"source": "complete_journey", "path": "x.csv"}},
        {"data": {"source": "table", "path": "x.csv", "hist": ["a"], "futr": ["a"]}},
        {"data": {"source": "table", "path": "x.csv", "hist": ["y"]}},
        {"data": {"horizon": 36, "test_days": 35}},
        {"data": {"horizn": 14}},
        {"seed": -1},
        {"sampler": "grid"},
        {"colour": "red"},
    ],
)
def test_a_request_that_makes_no_sense_is_refused(changes):
    SearchRequest.model_validate(request())
    with pytest.raises(ValidationError):
        SearchRequest.model_validate(request(**changes))


DEVICES = ["pi4", "jetson", "till"]
LIMITS = st.floats(0.001, 1e6)
PER_DEVICE = st.dictionaries(st.sampled_from(DEVICES), LIMITS, min_size=1)


@given(st.dictionaries(st.sampled_from(["wape", "latency_p95_ms", "size_kb"]), LIMITS))
def test_a_request_survives_the_round_trip_through_json(constraints):
    found = SearchRequest.model_validate(request(constraints=constraints))
    assert SearchRequest.model_validate_json(found.model_dump_json()) == found
    assert found.constraints == constraints


@given(st.dictionaries(st.sampled_from(COSTS), LIMITS | PER_DEVICE))
def test_limits_by_device_become_names_and_none_is_lost(constraints):
    found = SearchRequest.model_validate(request(devices=DEVICES, constraints=constraints))
    nested = {}
    for name, limit in found.constraints.items():
        metric, device = split(name)
        if device is None:
            nested[metric] = limit
        else:
            nested.setdefault(metric, {})[device] = limit
    assert nested == constraints
    assert SearchRequest.model_validate_json(found.model_dump_json()) == found


@given(st.sampled_from(COSTS), LIMITS)
def test_a_search_on_one_device_needs_no_name_for_it(metric, limit):
    plain = SearchRequest.model_validate(request(objectives=["wape", metric], constraints={metric: limit}))
    named = SearchRequest.model_validate(
        request(objectives=["wape", f"{metric}@pi4"], constraints={metric: {"pi4": limit}})
    )
    assert named == plain


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"objectives": ["speed"]}, "'speed' is no metric; expected one of wape, mae"),
        ({"objectives": ["wape@pi4"]}, "wape is the same on every device; leave out @pi4"),
        ({"objectives": ["size_kb@pi5"]}, "size_kb@pi5 is of pi5, which is not among the devices of this search: pi4"),
        ({"constraints": {"size_kb": {"pi5": 1}}}, "size_kb@pi5 is of pi5, which is not among the devices"),
        ({"constraints": {"size_kb": {}}}, "size_kb has an empty table"),
        ({"constraints": {"size_kb": {"pi4": 1}, "size_kb@pi4": 2}}, "size_kb@pi4 is limited twice"),
        ({"constraints": {"size_kb": 1, "size_kb@pi4": 2}}, "limit the same thing twice"),
        ({"constraints": {"size_kb@": 1}}, "'size_kb@' names no device; write it as size_kb@pi4"),
    ],
)
def test_what_is_wrong_with_a_name_is_said(changes, says):
    with pytest.raises(ValidationError) as refused:
        SearchRequest.model_validate(request(**changes))
    (found,) = refused.value.errors()
    assert says in found["msg"]


def test_a_data_description_is_refused_in_one_sentence():
    with pytest.raises(RequestError, match=r"fill: .*'zero'"):
        DataSpec.checked({"source": "table", "path": "x.csv", "fill": "nought"})
