"""What a trial is judged by: each device by its own limits, and by the worst of all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.architecture import Architecture
from nas.devices.device import Device
from nas.devices.fake import FakeTransport, latency_by_size
from nas.devices.fleet import Fleet
from nas.metric import COSTS
from nas.request import SearchRequest, Training
from nas.search.objectives import accuracies, costs, undecided, violations
from nas.store import trials


def measured(p50_ms, **changes):
    """What a device says whose p50 and p95 are this long, give or take 1 %; ``changes`` stand over its reply."""
    transport = FakeTransport([changes], latency_ms=lambda _model, _threads: p50_ms)
    with Fleet([Device("board", "local")], {"local": transport}) as fleet:
        return fleet.measure("board", b"model", {"past": np.zeros((1, 1), np.float32)})


FAST, SLOW = measured(1.0), measured(3.0)
KNOWN = {"ms": 3.0, "interval": [2.9, 3.1]}
UNSURE = measured(3.0, latency={"p50": KNOWN, "p90": KNOWN, "p95": None, "p99": None})


def test_several_devices_count_by_the_worst_and_each_by_itself():
    found = costs({"pi4": UNSURE, "jetson": FAST})
    assert (found["latency_p50_ms@pi4"], found["latency_p50_ms@jetson"]) == pytest.approx((3.0, 1.0))
    assert found["latency_p50_ms"] == found["latency_p50_ms@pi4"]
    assert found["latency_p95_ms"] is None  # one of them could not tell
    assert found["latency_p95_ms@jetson"] == pytest.approx(1.0)


def test_one_device_needs_no_names():
    assert set(costs({"pi4": FAST})) == set(COSTS)


@given(st.dictionaries(st.sampled_from(["pi4", "pi5", "jetson", "till"]), st.sampled_from([FAST, SLOW]), min_size=2))
def test_a_limit_on_the_worst_is_the_same_limit_on_each(found):
    values = costs(found)
    worst = violations({"latency_p50_ms": 2.0}, values)["latency_p50_ms"]
    each = violations({f"latency_p50_ms@{device}": 2.0 for device in found}, values)
    assert worst == max(each.values())


@given(st.dictionaries(st.sampled_from(["pi4", "jetson"]), st.floats(0.01, 100), min_size=2))
def test_whatever_a_request_may_name_has_a_value(limits):
    request = SearchRequest.model_validate({"devices": ["pi4", "jetson"], "constraints": {"latency_p50_ms": limits}})
    values = costs({"pi4": FAST, "jetson": SLOW})
    assert set(violations(request.constraints, values)) == set(request.constraints)


@pytest.mark.parametrize(
    ("limits", "unsure"),
    [
        ({"latency_p95_ms": 1.0}, ["latency_p95_ms"]),
        ({"latency_p95_ms": 1.5}, []),
        ({"latency_p95_ms": 0.5}, []),
        ({"latency_p95_ms@pi4": 1.0}, ["latency_p95_ms@pi4"]),
        ({"latency_p95_ms@jetson": 1.0}, []),
        ({"latency_p95_ms": 9.0, "latency_p95_ms@pi4": 1.0}, ["latency_p95_ms@pi4"]),
        ({"wape": 1.0}, []),
    ],
)
def test_a_limit_inside_the_interval_of_its_device_is_undecided(limits, unsure):
    assert undecided(limits, "pi4", FAST) == unsure


def test_null_never_satisfies_a_constraint_of_a_device():
    values = costs({"pi4": UNSURE, "jetson": FAST})
    found = violations({"latency_p95_ms@pi4": 1e9, "energy_mj": 1e9}, values)
    assert found == {"latency_p95_ms@pi4": 1.0, "energy_mj": 1.0}


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


def test_a_search_may_take_a_slice_as_objective_and_as_limit(bench):
    run = bench(lasting=False)
    limits = {"wape[promo]": 0.385}
    run.start(trials=16, constraints=limits, objectives=["wape[promo]", "latency_p50_ms"]).run()
    scored = [t for t in run.trials if t.stage == "scored"]
    for trial in scored:
        assert trial.values["wape[promo]"] == pytest.approx(1.5 * trial.values["wape"])
        assert trial.feasible == (trial.values["wape[promo]"] <= 0.385)
    assert {trial.feasible for trial in scored} == {True, False}
    assert next(t for t in scored if not t.feasible).reason == "Scored, but wape[promo] is beyond its limit."
    assert run.front["objectives"][0] == "wape[promo]"
    numbers = {point["number"] for point in run.front["points"]}
    assert numbers and numbers <= {t.number for t in scored if t.feasible}
    assert trials.best(run.db, run.search.id, ["wape[promo]"])["wape[promo]"][0] in numbers


def test_a_slice_in_which_nothing_was_judged_never_keeps_a_limit(bench):
    card = bench().trainer.train(Architecture(cell="lstm", hidden=8, window=28), Training(), 0, None).scorecard
    values = accuracies(card, ["wape[season=12]", "wape[promo]", "size_kb@pi4"])
    assert values["wape[season=12]"] is None and values["wape[promo]"] > values["wape"]
    assert "size_kb@pi4" not in values
    assert violations({"wape[season=12]": 1.0}, values) == {"wape[season=12]": 1.0}


def test_a_limit_inside_the_interval_of_one_device_is_measured_thoroughly_there_alone(bench):
    transports = {"pi4": FakeTransport(latency_ms=lambda _m, _t: 1.0, facts={"board": "pi"}), "jetson": FakeTransport()}
    run = bench(transports=transports, lasting=False)
    run.start(trials=1, constraints={"latency_p50_ms@pi4": 1.0, "latency_p50_ms@jetson": 5}).run()
    tiers = {device: found["tier"] for device, found in run.trials[0].measurements.items()}
    assert tiers == {"pi4": "thorough", "jetson": "screening"}
