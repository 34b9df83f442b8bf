"""What a measuring child does: warm-up, paired rounds of timed inferences, the audit, the other modes."""

import itertools
import time

import numpy as np
import pytest

from device_agents import timing
from device_agents.inputs import varied
from device_agents.sensors import Senses

JOB = {
    "seconds": 0.1,
    "min_samples": 20,
    "max_samples": 10_000,
    "warmup_max_seconds": 0.2,
    "seed": 1,
    "beside_load": True,
    "audit": False,
}


class Clock:
    """A monotonic clock that stands still except for what the inferences are said to take."""

    def __init__(self, monkeypatch, durations_ns=()):
        self.now = 0
        self.durations = iter(durations_ns)
        monkeypatch.setattr(time, "perf_counter_ns", lambda: self.now)
        monkeypatch.setattr(time, "perf_counter", lambda: self.now / 1e9)
        monkeypatch.setattr(time, "sleep", lambda seconds: self.take(round(seconds * 1e9)))

    def infer(self):
        self.now += next(self.durations)

    def take(self, nanoseconds):
        self.now += nanoseconds

    def model(self, nanoseconds, calls=None, name="A"):
        """A model that takes so long; ``calls`` collects the names of the models in the order they ran."""

        class Taking:
            provider = "clock"

            def run(inner, inputs):  # noqa: N805 # self is the clock
                self.take(nanoseconds)
                if calls is not None:
                    calls.append(name)

        return timing.Model(Taking(), {}, 0.0)


def test_the_warm_up_ends_when_two_windows_agree(monkeypatch):
    clock = Clock(monkeypatch, itertools.chain([10_000_000] * 5, [5_000_000] * 5, itertools.repeat(4_900_000)))
    warmup = timing.warm_up(clock.infer, 10.0)
    assert warmup.stationary
    assert warmup.inferences == 15
    assert warmup.seconds == pytest.approx((50 + 25 + 24.5) / 1000)
    assert warmup.median == 4_900_000


def test_windows_that_scatter_agree_within_their_own_deviation(monkeypatch):
    clock = Clock(monkeypatch, itertools.cycle([8_000_000, 9_000_000, 10_000_000, 11_000_000, 12_000_000] * 2))
    assert timing.warm_up(clock.infer, 10.0).stationary


def test_a_latency_that_never_settles_ends_the_warm_up_at_its_cap(monkeypatch):
    clock = Clock(monkeypatch, itertools.cycle([10_000_000] * 5 + [20_000_000] * 5))
    warmup = timing.warm_up(clock.infer, 0.5)
    assert not warmup.stationary
    assert 0.5 <= warmup.seconds < 0.7


def test_a_block_times_every_inference_but_the_first_two(monkeypatch):
    clock = Clock(monkeypatch, [9_000, 9_000, *range(1_000, 1_010)])
    assert list(timing.block(clock.infer, 10)) == list(range(1_000, 1_010))


def test_a_launch_pairs_candidate_and_reference_in_mirrored_rounds(monkeypatch):
    clock, calls = Clock(monkeypatch), []
    candidate, reference = clock.model(1_000_000, calls, "A"), clock.model(2_000_000, calls, "B")
    reply = timing.launch(candidate, reference, JOB, Senses())
    assert all(round_["reference"] == 2_000_000 for round_ in reply["rounds"])
    assert all(set(round_["samples"]) == {1_000_000} for round_ in reply["rounds"])
    timed = "".join(letter for letter, _ in itertools.groupby(calls[reply["warmup"][0]["inferences"] :]))
    orders = {"ABBA", "BAAB"}
    blocks = timed.lstrip("B")  # the reference's warm-up
    assert set(blocks) == set("AB")
    assert len(reply["rounds"]) >= 2
    assert orders  # both orders are drawn over the seeds: see the next test


def test_both_orders_of_a_round_are_drawn(monkeypatch):
    firsts = set()
    for seed in range(8):
        clock, calls = Clock(monkeypatch), []
        candidate, reference = clock.model(3_000_000, calls, "A"), clock.model(3_000_000, calls, "B")
        reply = timing.launch(candidate, reference, {**JOB, "seed": seed}, Senses())
        warm = sum(warmup["inferences"] for warmup in reply["warmup"])
        firsts.add(calls[warm])
    assert firsts == {"A", "B"}


def test_a_launch_ends_with_its_seconds_once_it_has_its_samples(monkeypatch):
    clock = Clock(monkeypatch)
    reply = timing.launch(clock.model(1_000_000), None, JOB, Senses())
    assert 90 <= sum(len(round_["samples"]) for round_ in reply["rounds"]) <= 130


def test_a_slow_model_still_gets_its_least_samples(monkeypatch):
    clock = Clock(monkeypatch)
    reply = timing.launch(clock.model(1_000_000_000), None, JOB, Senses())
    assert 20 <= sum(len(round_["samples"]) for round_ in reply["rounds"]) <= 26


def test_a_launch_never_exceeds_its_most_samples_by_more_than_a_round(monkeypatch):
    clock = Clock(monkeypatch)
    reply = timing.launch(clock.model(1_000_000), None, {**JOB, "max_samples": 30, "seconds": 10}, Senses())
    assert 30 <= sum(len(round_["samples"]) for round_ in reply["rounds"]) <= 46


def test_the_audit_tells_a_model_that_depends_on_its_numbers(monkeypatch):
    clock, inputs = Clock(monkeypatch), {"x": np.full((1, 3), 20_000, "float32")}

    class Counting:
        provider = "clock"

        def run(self, inputs):
            clock.take(int(np.abs(inputs["x"]).sum()))

    given, other = (int(np.abs(numbers["x"]).sum()) for numbers in (inputs, varied(inputs)))
    assert (given, other) == (60_000, 90_000)
    found = timing.audit(timing.Model(Counting(), inputs, 0.0), 20)
    assert found["varied_ratio"] == pytest.approx(other / given)


def test_the_audit_tells_what_timing_nothing_costs():
    class Still:
        provider = "clock"

        def run(self, inputs):
            pass

    assert timing.audit(timing.Model(Still(), {}, 0.0), 5)["overhead_ns"] > 0


def test_a_model_without_floats_cannot_be_varied(monkeypatch):
    assert timing.audit(Clock(monkeypatch).model(1000), 5)["varied_ratio"] is None


def test_sustained_goes_on_for_its_seconds_and_keeps_everything(monkeypatch):
    clock = Clock(monkeypatch)
    assert len(timing.sustained(clock.model(10_000_000), 1.0)) == 100


def test_duty_waits_between_requests(monkeypatch):
    clock = Clock(monkeypatch)
    assert list(timing.duty(clock.model(1_000_000), 2.0, 3)) == [1_000_000] * 3
    assert clock.now == 3 * 2_001_000_000
