"""What a measurement consists of: warm-up, samples within the budget, memory, verdict, checked inputs."""

import itertools
import mmap
import time

import numpy as np
import pytest

from device_agents import measure
from device_agents.protocol import Problem
from device_agents.runtimes import InputSpec, identity

BUDGET = {"min_samples": 11, "max_samples": 400, "min_seconds": 0.0, "max_seconds": 0.05, "warmup_max_seconds": 0.2}
STILL = measure.Warmup(True, 10, 0.1)


class Clock:
    """A monotonic clock that stands still except for what the inferences are said to take."""

    def __init__(self, monkeypatch, durations_ns):
        self.now = 0
        self.durations = iter(durations_ns)
        monkeypatch.setattr(time, "perf_counter_ns", lambda: self.now)

    def infer(self):
        self.now += next(self.durations)


def test_the_warm_up_ends_when_two_windows_agree(monkeypatch):
    clock = Clock(monkeypatch, itertools.chain([10_000_000] * 5, [5_000_000] * 5, itertools.repeat(4_900_000)))
    warmup = measure.warm_up(clock.infer, 10.0)
    assert warmup.stationary
    assert warmup.inferences == 15
    assert warmup.seconds == pytest.approx((50 + 25 + 24.5) / 1000)


def test_a_latency_that_never_settles_ends_the_warm_up_at_its_cap(monkeypatch):
    clock = Clock(monkeypatch, itertools.cycle([10_000_000] * 5 + [20_000_000] * 5))
    warmup = measure.warm_up(clock.infer, 0.5)
    assert not warmup.stationary
    assert 0.5 <= warmup.seconds < 0.7


def test_every_inference_is_kept_in_order(monkeypatch):
    durations = [1_000_000 + n for n in range(400)]
    clock = Clock(monkeypatch, durations)
    samples = measure.sample(clock.infer, {**BUDGET, "min_samples": 400})
    assert list(samples) == durations


def test_timing_stops_as_soon_as_p50_is_sure(monkeypatch):
    clock = Clock(monkeypatch, itertools.repeat(1000))
    assert len(measure.sample(clock.infer, BUDGET)) == 11


def test_timing_goes_on_for_its_least_seconds_even_when_sure(monkeypatch):
    clock = Clock(monkeypatch, itertools.repeat(1_000_000))
    samples = measure.sample(clock.infer, {**BUDGET, "min_seconds": 0.03})
    assert 30 <= len(samples) <= 40


def test_timing_ends_with_the_seconds_or_the_samples_when_it_is_never_sure(monkeypatch):
    unsure = [1_000_000, 3_000_000]
    clock = Clock(monkeypatch, itertools.cycle(unsure))
    assert len(measure.sample(clock.infer, BUDGET)) == 26
    clock = Clock(monkeypatch, itertools.cycle(unsure))
    assert len(measure.sample(clock.infer, {**BUDGET, "max_seconds": 100.0, "max_samples": 60})) == 60


def test_a_slow_model_still_gets_its_least_samples(monkeypatch):
    clock = Clock(monkeypatch, itertools.repeat(1_000_000_000))
    assert len(measure.sample(clock.infer, BUDGET)) == 11


def test_a_still_latency_is_valid():
    reply = measure.report(STILL, [1_000_000 + n for n in range(700)], 50.0)
    assert (reply["verdict"], reply["reasons"]) == ("valid", [])
    assert reply["latency"]["p50"]["ms"] == pytest.approx(1.0003495)
    assert reply["seconds"]["timed"] == pytest.approx(0.7, abs=0.001)


@pytest.mark.parametrize(
    ("warmup", "samples", "reason"),
    [
        (measure.Warmup(False, 10, 1.0), [1_000_000] * 100, "never stationary"),
        (STILL, [1_000_000] * 10, "10 samples, fewer than the 11"),
        (STILL, [1_000_000, 2_000_000] * 50, "wider than 5 %"),
    ],
)
def test_a_doubtful_measurement_is_degraded_and_says_why(warmup, samples, reason):
    reply = measure.report(warmup, samples, 50.0)
    assert reply["verdict"] == "degraded"
    assert reason in reply["reasons"][0]


def fresh_pages(mebibytes):
    """Touch memory that comes from the kernel and goes back to it: what the heap kept from earlier would not count."""
    size = mebibytes * 1024 * 1024
    with mmap.mmap(-1, size) as block:
        for page in range(0, size, 4096):
            block[page] = 1


def test_peak_memory_counts_from_the_reset_on():
    fresh_pages(64)
    measure.reset_peak()
    before = measure.peak_mb()
    fresh_pages(32)
    assert measure.peak_mb() - before == pytest.approx(33.5, abs=2)


class Fixed:
    """A model that takes x: float32 [1, 2, any]."""

    inputs = (InputSpec("x", "float32", (1, 2, None)),)


def test_fitting_inputs_are_read(tmp_path):
    x = np.ones((1, 2, 7), "float32")
    np.savez(tmp_path / "inputs.npz", x=x)
    read = measure.read_inputs(str(tmp_path / "inputs.npz"), Fixed())
    np.testing.assert_array_equal(read["x"], x)


@pytest.mark.parametrize(
    "arrays",
    [
        {"y": np.ones((1, 2, 7), "float32")},
        {"x": np.ones((1, 2, 7), "float64")},
        {"x": np.ones((1, 3, 7), "float32")},
        {"x": np.ones((1, 2), "float32")},
        {"x": np.array(["text", None], object)},
    ],
)
def test_inputs_that_the_model_does_not_take_are_refused(tmp_path, arrays):
    np.savez(tmp_path / "inputs.npz", **arrays)
    with pytest.raises(Problem) as refused:
        measure.read_inputs(str(tmp_path / "inputs.npz"), Fixed())
    assert refused.value.code == "bad_inputs"


def test_inputs_that_are_no_archive_are_refused(tmp_path):
    (tmp_path / "inputs.npz").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(Problem) as refused:
        measure.read_inputs(str(tmp_path / "inputs.npz"), identity.Model(b""))
    assert refused.value.code == "bad_inputs"
