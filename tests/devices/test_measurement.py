"""A measurement survives JSON, answers by metric, and its cache key changes with whatever the latency depends on."""

import json

import pytest

from nas.devices.fake import FACTS
from nas.devices.measurement import Measurement, Percentile, cache_key
from nas.errors import ControllerFault

REPLY = {
    "model": "ab" * 32,
    "runtime": "onnxruntime",
    "provider": "CPUExecutionProvider",
    "threads": 1,
    "mode": {"kind": "single"},
    "latency": {
        "p50": {"ms": 1.2, "interval": [1.1, 1.3]},
        "p90": None,
        "p95": {"ms": 2.2, "interval": [2.0, 2.4]},
        "p99": None,
    },
    "paired": {"ratio": 10.0, "interval": [9.0, 11.0], "reference_ms": 0.11, "level_ms": 0.1},
    "sure": {"p50": True, "p95": False},
    "samples_ns": [1_000_000, 2_000_000],
    "counts": {"launches": 3, "lost_launches": 0, "rounds": 9, "lost_rounds": 1, "timed": 2, "warmup": 10},
    "discarded": {"drift": 1},
    "seconds": {"gate": 0.05, "load": 0.01, "warmup": 0.1, "timed": 0.2, "reference": 0.05, "calibration": 0.05},
    "memory": {"peak_mb": 60.0, "source": "VmHWM", "cgroup_mb": 12.0, "cgroup_source": "cgroup2 memory.peak"}
    | {"pss_mb": 40.0, "baseline_mb": 50.0, "model_mb": 10.0},
    "energy": {
        "energy_mj": 2.5,
        "mean_power_w": 4.0,
        "idle_power_w": 2.0,
        "sensor": "INA3221",
        "rails": ["VDD_IN"],
        "relative": False,
        "inferences": 800,
        "seconds": 1.0,
        "samples": 50,
        "notes": [],
    },
    "audit": {"overhead_ns": 60.0, "varied_ratio": 1.01},
    "file_size_kb": 12.5,
    "verdict": "valid",
    "reasons": [],
    "notes": ["the governor is ondemand"],
    "emulated": False,
    "fingerprint": {"kernel": "6.0"},
}
METRICS = ("latency_p50_ms", "latency_p95_ms", "peak_memory_mb", "size_kb", "energy_mj", "mean_power_w")
METRICS += ("sweep_seconds", "sweep_peak_mb")
KEY = {
    "graph": "digest",
    "input_shapes": {"past": (1, 56, 16)},
    "precision": "fp32",
    "threads": 1,
    "tier": "screening",
    "facts": FACTS,
}


def measured(**changes):
    return Measurement.from_reply({**REPLY, **changes}, device="pi", tier="screening", reply_s=0.5)


def test_every_metric_has_a_value_and_an_interval():
    found = {name: (measured().metric(name), measured().interval(name)) for name in METRICS}
    assert found == {
        "latency_p50_ms": (1.0, (0.9, 1.1)),
        "latency_p95_ms": (pytest.approx(2.0), pytest.approx((2.0 / 1.1, 2.4 / 1.1))),
        "peak_memory_mb": (60.0, (60.0, 60.0)),
        "size_kb": (12.5, (12.5, 12.5)),
        "energy_mj": (2.5, (2.5, 2.5)),
        "mean_power_w": (4.0, (4.0, 4.0)),
        "sweep_seconds": (None, None),
        "sweep_peak_mb": (None, None),
    }


def test_latency_is_told_at_the_usual_speed_of_the_device():
    hot = measured(paired={**REPLY["paired"], "reference_ms": 0.22}, latency={**REPLY["latency"], "p50": None})
    assert hot.metric("latency_p50_ms") == 1.0
    assert hot.metric("latency_p95_ms") == pytest.approx(1.0)


def test_without_a_reference_latency_is_told_as_measured():
    assert measured(paired=None).metric("latency_p50_ms") == 1.2
    assert measured(paired=None).interval("latency_p95_ms") == (2.0, 2.4)


def test_what_was_not_measurable_is_none_and_no_guess():
    nothing = measured(latency=dict.fromkeys(REPLY["latency"]), paired=None, energy=None)
    assert nothing.metric("energy_mj") is None
    assert nothing.metric("latency_p50_ms") is None
    assert nothing.interval("latency_p95_ms") is None


def test_an_unknown_metric_is_an_error():
    with pytest.raises(KeyError):
        measured().metric("latency_p50")


def test_it_survives_json():
    whole = measured()
    assert Measurement.from_dict(json.loads(json.dumps(whole.to_dict()))) == whole
    assert whole.p50 == Percentile(1.2, 1.1, 1.3)


@pytest.mark.parametrize("name", [name for name in REPLY if name != "counts"])
def test_a_reply_without_a_field_is_refused(name):
    lacking = {key: value for key, value in REPLY.items() if key != name}
    with pytest.raises(ControllerFault, match=r"PROTOCOL\.md"):
        Measurement.from_reply(lacking, device="pi", tier="screening", reply_s=1)


def test_only_a_valid_measurement_may_be_cached():
    assert measured().cacheable
    assert not measured(verdict="degraded", reasons=["never stationary"]).cacheable


def test_the_overhead_is_what_was_neither_warm_up_nor_timing():
    assert measured().overhead_s == pytest.approx(0.1)


@pytest.mark.parametrize(
    "change",
    [
        {"graph": "other"},
        {"input_shapes": {"past": (1, 28, 16)}},
        {"precision": "int8"},
        {"threads": 2},
        {"tier": "thorough"},
        {"runtime": "identity"},
        {"mode": "duty"},
        {"beside_load": True},
        *({"facts": {**FACTS, name: "other"}} for name in ("board", "cpu_model", "kernel", "governor", "power_mode")),
        {"facts": {**FACTS, "runtimes": {"onnxruntime": "2.0"}}},
    ],
)
def test_the_cache_key_changes_with_what_the_latency_depends_on(change):
    assert cache_key(**{**KEY, **change}) != cache_key(**KEY)


@pytest.mark.parametrize("change", [{"temperature_c": 80.0}, {"boot_id": "other"}])
def test_the_cache_key_does_not_change_with_the_hour(change):
    assert cache_key(**{**KEY, "facts": {**FACTS, **change}}) == cache_key(**KEY)
