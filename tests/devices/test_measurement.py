"""A measurement survives JSON, answers by metric, and its cache key changes with whatever the latency depends on."""

import json

import pytest

from nas.devices.fake import FACTS
from nas.devices.measurement import Measurement, Percentile, cache_key
from nas.errors import ControllerFault
from nas.request import COSTS

REPLY = {
    "model": "ab" * 32,
    "runtime": "onnxruntime",
    "threads": 1,
    "latency": {
        "p50": {"ms": 1.0, "interval": [0.9, 1.1]},
        "p95": {"ms": 2.0, "interval": [1.9, 2.2]},
        "p99": None,
    },
    "samples_ns": [1_000_000, 2_000_000],
    "counts": {"warmup": 10, "timed": 2},
    "seconds": {"load": 0.01, "warmup": 0.1, "timed": 0.3},
    "memory": {"peak_mb": 60.0, "baseline_mb": 50.0, "model_mb": 10.0},
    "file_size_kb": 12.5,
    "verdict": "valid",
    "reasons": [],
    "fingerprint": {"kernel": "6.0"},
}
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
    found = {name: (measured().metric(name), measured().interval(name)) for name in COSTS}
    assert found == {
        "latency_p50_ms": (1.0, (0.9, 1.1)),
        "latency_p95_ms": (2.0, (1.9, 2.2)),
        "peak_memory_mb": (60.0, (60.0, 60.0)),
        "size_kb": (12.5, (12.5, 12.5)),
    }


def test_what_was_not_measurable_is_none_and_no_guess():
    nothing = measured(latency={"p50": None, "p95": None, "p99": None})
    assert nothing.metric("latency_p50_ms") is None
    assert nothing.interval("latency_p95_ms") is None


def test_an_unknown_metric_is_an_error():
    with pytest.raises(KeyError):
        measured().metric("latency_p50")


def test_it_survives_json():
    whole = measured()
    assert Measurement.from_dict(json.loads(json.dumps(whole.to_dict()))) == whole
    assert whole.p50 == Percentile(1.0, 0.9, 1.1)


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
        {"provider": "CUDAExecutionProvider"},
        *({"facts": {**FACTS, name: "other"}} for name in ("board", "cpu_model", "kernel", "governor", "power_mode")),
        {"facts": {**FACTS, "runtimes": {"onnxruntime": "2.0"}}},
    ],
)
def test_the_cache_key_changes_with_what_the_latency_depends_on(change):
    assert cache_key(**{**KEY, **change}) != cache_key(**KEY)


@pytest.mark.parametrize("change", [{"temperature_c": 80.0}, {"boot_id": "other"}])
def test_the_cache_key_does_not_change_with_the_hour(change):
    assert cache_key(**{**KEY, "facts": {**FACTS, **change}}) == cache_key(**KEY)
