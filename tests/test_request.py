"""Requests: validated at the door, before anything is started."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from nas.errors import RequestError
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
        {"trials": 0},
        {"data": {"source": "table"}},
        {"data": {"source": "complete_journey", "path": "x.csv"}},
        {"data": {"source": "table", "path": "x.csv", "hist": ["a"], "futr": ["a"]}},
        {"data": {"source": "table", "path": "x.csv", "hist": ["y"]}},
        {"data": {"horizon": 36}},
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


@given(st.dictionaries(st.sampled_from(["wape", "latency_p95_ms", "size_kb"]), st.floats(0.001, 1e6)))
def test_a_request_survives_the_round_trip_through_json(constraints):
    found = SearchRequest.model_validate(request(constraints=constraints))
    assert SearchRequest.model_validate_json(found.model_dump_json()) == found
    assert found.constraints == constraints


def test_a_data_description_is_refused_in_one_sentence():
    with pytest.raises(RequestError, match=r"fill: .*'zero'"):
        DataSpec.checked({"source": "table", "path": "x.csv", "fill": "nought"})
