"""What a trial is judged by: each device by its own limits, and by the worst of all."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.devices.fake import FakeTransport, latency_by_size
from nas.devices.measurement import Measurement, Percentile
from nas.request import COSTS, SearchRequest
from nas.search.objectives import costs, undecided, violations

MEASURED = Measurement(
    device="board",
    tier="screening",
    model_sha="0" * 64,
    runtime="onnxruntime",
    threads=1,
    file_size_kb=20.0,
    p50=Percentile(1.0, 0.9, 1.1),
    p95=Percentile(2.0, 1.8, 2.4),
    p99=None,
    samples_ns=(),
    peak_memory_mb=60.0,
    model_memory_mb=1.0,
    verdict="valid",
    reasons=(),
    fingerprint={},
    load_s=0.0,
    warmup_s=0.0,
    timed_s=0.0,
    reply_s=0.0,
)
SLOWER = replace(MEASURED, p50=Percentile(3.0, 2.9, 3.1), p95=None, peak_memory_mb=65.0)


def scaled(factor):
    return replace(MEASURED, p50=Percentile(factor, factor, factor), peak_memory_mb=60 * factor)


def test_several_devices_count_by_the_worst_and_each_by_itself():
    found = costs({"pi4": SLOWER, "jetson": MEASURED})
    assert (found["latency_p50_ms"], found["latency_p50_ms@pi4"], found["latency_p50_ms@jetson"]) == (3.0, 3.0, 1.0)
    assert found["peak_memory_mb"] == 65.0
    assert found["latency_p95_ms"] is None and found["latency_p95_ms@jetson"] == 2.0  # the other could not tell


def test_one_device_needs_no_names():
    assert set(costs({"pi4": MEASURED})) == set(COSTS)


@given(st.dictionaries(st.sampled_from(["pi4", "pi5", "jetson", "till"]), st.floats(0.01, 100), min_size=2))
def test_a_limit_on_the_worst_is_the_same_limit_on_each(factors):
    values = costs({device: scaled(factor) for device, factor in factors.items()})
    worst = violations({"latency_p50_ms": 5.0}, values)["latency_p50_ms"]
    each = violations({f"latency_p50_ms@{device}": 5.0 for device in factors}, values)
    assert worst == max(each.values())


@given(st.dictionaries(st.sampled_from(["pi4", "jetson"]), st.floats(0.01, 100), min_size=2))
def test_whatever_a_request_may_name_has_a_value(limits):
    request = SearchRequest.model_validate({"devices": ["pi4", "jetson"], "constraints": {"latency_p50_ms": limits}})
    values = costs({"pi4": MEASURED, "jetson": SLOWER})
    assert set(violations(request.constraints, values)) == set(request.constraints)


@pytest.mark.parametrize(
    ("limits", "unsure"),
    [
        ({"latency_p95_ms": 2.0}, ["latency_p95_ms"]),
        ({"latency_p95_ms": 2.5}, []),
        ({"latency_p95_ms@pi4": 2.0}, ["latency_p95_ms@pi4"]),
        ({"latency_p95_ms@jetson": 2.0}, []),
        ({"latency_p95_ms": 9.0, "latency_p95_ms@pi4": 2.0, "latency_p50_ms@pi4": 1.0}, None),
        ({"wape": 2.0}, []),
    ],
)
def test_a_limit_inside_the_interval_of_its_device_is_undecided(limits, unsure):
    expected = ["latency_p95_ms@pi4", "latency_p50_ms@pi4"] if unsure is None else unsure
    assert undecided(limits, "pi4", MEASURED) == expected


def test_null_never_satisfies_a_constraint_of_a_device():
    values = costs({"pi4": SLOWER, "jetson": MEASURED})
    assert violations({"latency_p95_ms@pi4": 1e9, "energy_mj": 1e9}, values) == {
        "latency_p95_ms@pi4": 1.0,
        "energy_mj": 1.0,
    }


def test_a_search_keeps_each_device_within_its_own_limit(bench):
    slow = FakeTransport(latency_ms=lambda model, threads: 10 * latency_by_size(model, threads), facts={"board": "pi"})
    run = bench(transports={"pi4": slow, "jetson": FakeTransport()}, lasting=False)
    limits = {"latency_p50_ms": {"pi4": 0.13, "jetson": 0.02}}
    run.start(trials=16, constraints=limits, objectives=["wape", "latency_p50_ms@jetson"]).run()
    away = [t for t in run.trials if t.stage == "turned_away"]
    assert away and run.front["points"]
    for trial in run.trials:
        own = trial.values
        assert own["latency_p50_ms"] == own["latency_p50_ms@pi4"] == pytest.approx(10 * own["latency_p50_ms@jetson"])
        within = own["latency_p50_ms@pi4"] <= 0.13 and own["latency_p50_ms@jetson"] <= 0.02
        assert within == (trial.stage == "scored")
    assert all("latency_p50_ms@pi4" in t.reason and t.reason.startswith("Measured on pi4, jetson: ") for t in away)
    assert run.front["objectives"] == ["wape", "latency_p50_ms@jetson"]


def test_a_limit_inside_the_interval_of_one_device_is_measured_thoroughly_there_alone(bench):
    transports = {"pi4": FakeTransport(latency_ms=lambda _m, _t: 1.0, facts={"board": "pi"}), "jetson": FakeTransport()}
    run = bench(transports=transports, lasting=False)
    run.start(trials=1, constraints={"latency_p50_ms@pi4": 1.0, "latency_p50_ms@jetson": 5}).run()
    tiers = {device: found["tier"] for device, found in run.trials[0].measurements.items()}
    assert tiers == {"pi4": "thorough", "jetson": "screening"}
