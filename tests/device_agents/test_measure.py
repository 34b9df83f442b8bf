"""The course of a measurement, with scripted children: gate, launches until sure, discarding, level, modes, verdict."""

from types import SimpleNamespace

import pytest

from device_agents import measure
from device_agents.gate import Opened
from device_agents.levels import Levels

BUDGET = {
    "min_launches": 3,
    "max_launches": 6,
    "min_samples": 130,
    "max_samples": 20_000,
    "launch_seconds": 0.1,
    "warmup_max_seconds": 0.1,
    "gate_max_seconds": 5.0,
    "energy_seconds": 1.0,
    "tail": True,
    "audit": False,
}
REQUEST = {
    "budget": BUDGET,
    "mode": {"kind": "single"},
    "beside_load": False,
    "reference": {"model": "r", "inputs": "r"},
    "model": "m",
    "inputs": "i",
    "threads": 1,
}
WARM = {"stationary": True, "inferences": 10, "seconds": 0.01, "median": 100.0}


def round_(candidate=100_000, reference=50_000.0, disturbed=(), count=40):
    samples = [candidate + n for n in range(count)]
    return {"samples": samples, "reference": reference, "reference_ns": 1000, "disturbed": list(disturbed)}


def launch(*rounds, disturbed=(), **changes):
    found = {
        "rounds": list(rounds) or [round_() for _ in range(6)],
        "disturbed": list(disturbed),
        "warmup": [WARM, WARM],
    }
    return {**found, "audit": None, "load_s": 0.01, "provider": "P", **changes}


class Board:
    """A device whose gate and children follow a script; the last launch is repeated."""

    def __init__(self, tmp_path, *launches, gate=(), level=50_000.0):
        self.launches, self.gates, self.asked = list(launches) or [launch()], list(gate), []
        self.levels = Levels(str(tmp_path / "levels.json"), "state")
        if level is not None:
            self.levels.put("key", level)
        gate = SimpleNamespace(wait=self._wait)
        self.device = measure.Device(None, gate, None, self.levels, False)

    def _wait(self, max_seconds, beside_load):
        return self.gates.pop(0) if self.gates else Opened(True, 0.05, [], [])

    def child(self, job):
        self.asked.append(job["kind"])
        if job["kind"] == "memory":
            return {"peak_mb": 60.0, "pss_mb": 30.0, "load_s": 0.01, "provider": "P"}
        if job["kind"] == "launch":
            return self.launches.pop(0) if len(self.launches) > 1 else self.launches[0]
        return {"samples": [10**8] * 600, "warmup": [WARM], "load_s": 0.01, "provider": "P"}

    def measure(self, **changes):
        return measure.measure({**REQUEST, **changes}, self.child, self.device, "key")


def test_a_quiet_device_is_valid_after_the_fewest_launches(tmp_path):
    board = Board(tmp_path)
    reply = board.measure()
    assert (reply["verdict"], reply["reasons"]) == ("valid", [])
    assert board.asked == ["memory", "launch", "launch", "launch"]
    assert reply["latency"]["p50"]["ms"] == pytest.approx(0.10002, rel=1e-3)
    assert reply["paired"]["ratio"] == pytest.approx(2.0, rel=1e-3)
    assert (reply["paired"]["reference_ms"], reply["paired"]["level_ms"]) == (0.05, 0.05)
    assert reply["sure"] == {"p50": True, "p95": True}
    assert reply["counts"]["timed"] == len(reply["samples_ns"]) == 3 * 6 * 40


def test_a_device_that_is_not_fit_is_refused_with_the_reason_and_nothing_is_timed(tmp_path):
    board = Board(tmp_path, gate=[Opened(False, 5.0, ["throttled: under-voltage"], [])])
    reply = board.measure()
    assert reply["verdict"] == "rejected"
    assert "throttled: under-voltage" in reply["reasons"][0]
    assert (board.asked, reply["latency"]["p50"], reply["samples_ns"]) == (["memory"], None, [])
    assert reply["memory"]["peak_mb"] == 60.0


def test_launches_go_on_until_the_ratio_is_sure(tmp_path):
    scattered = [launch(*[round_(100_000 + 10_000 * n)] * 6) for n in (0, 1, 0)]
    board = Board(tmp_path, *scattered, launch(*[round_(105_000)] * 6))
    reply = board.measure()
    assert reply["counts"]["launches"] == 6
    assert reply["sure"]["p50"] is False


def test_a_spread_that_stays_is_degraded(tmp_path):
    board = Board(tmp_path, *[launch(*[round_(100_000 + 40_000 * (n % 2))] * 6) for n in range(6)])
    reply = board.measure()
    assert reply["verdict"] == "degraded"
    assert "p50 is known to" in reply["reasons"][0]


def test_disturbed_rounds_are_discarded_whole_and_counted(tmp_path):
    board = Board(tmp_path, launch(*[round_() for _ in range(5)], round_(900_000, disturbed=["throttled: capped"])))
    reply = board.measure()
    assert reply["verdict"] == "valid"
    assert max(reply["samples_ns"]) < 200_000
    assert reply["discarded"] == {"throttled": 3}
    assert reply["counts"]["lost_rounds"] == 3


def test_a_drifting_reference_is_the_alarm_that_needs_no_sensor(tmp_path):
    board = Board(tmp_path, launch(*[round_() for _ in range(5)], round_(105_000, 52_500.0)))
    reply = board.measure()
    assert reply["discarded"] == {"drift": 3}
    assert max(reply["samples_ns"]) < 105_000


def test_a_launch_with_a_busy_neighbour_is_made_again(tmp_path):
    board = Board(tmp_path, launch(*[round_(150_000)] * 6, disturbed=["CPU pressure: 1.0 CPUs"]), launch())
    reply = board.measure()
    assert reply["counts"]["launches"] == 3
    assert reply["counts"]["lost_launches"] == 1
    assert reply["verdict"] == "valid"
    assert max(reply["samples_ns"]) < 150_000


def test_when_every_launch_is_disturbed_the_measurement_is_rejected(tmp_path):
    board = Board(tmp_path, launch(disturbed=["CPU pressure: 1.0 CPUs"]))
    reply = board.measure()
    assert reply["verdict"] == "rejected"
    assert "all of 6 launches were disturbed (CPU pressure: 6)" in reply["reasons"][0]
    assert reply["latency"]["p50"] is None


def test_after_only_disturbed_launches_the_gate_is_asked_again(tmp_path):
    shut = Opened(False, 5.0, ["temperature over limit: 90.0 °C"], [])
    board = Board(tmp_path, launch(disturbed=["temperature over limit: 90 °C"]), gate=[Opened(True, 0.0, [], []), shut])
    reply = board.measure()
    assert board.asked.count("launch") == 3
    assert reply["verdict"] == "rejected"


def test_beside_a_load_neither_drift_nor_level_discards(tmp_path):
    board = Board(tmp_path, launch(*[round_() for _ in range(5)], round_(120_000, 60_000.0)), level=20_000.0)
    reply = board.measure(beside_load=True)
    assert reply["discarded"] == {}
    assert reply["counts"]["rounds"] == 18


def test_a_device_slower_than_its_usual_self_is_not_trusted(tmp_path):
    board = Board(tmp_path, launch(*[round_(130_000, 65_000.0)] * 6))
    assert board.measure()["verdict"] == "rejected"
    assert board.levels.get("key") == 50_000


def test_a_level_that_stays_wrong_is_forgotten_and_calibrated_anew(tmp_path):
    board = Board(tmp_path, launch(*[round_(65_000, 65_000.0)] * 6))
    for _ in range(3):
        assert board.measure()["verdict"] == "rejected"
    reply = board.measure()  # seven launches of the reference alone, then three paired ones
    assert reply["verdict"] == "valid"
    assert reply["paired"]["level_ms"] == pytest.approx(0.065, rel=0.01)


def test_a_device_faster_than_its_level_was_calibrated_wrong(tmp_path):
    board = Board(tmp_path, launch(*[round_(80_000, 40_000.0)] * 6))
    assert board.measure()["verdict"] == "rejected"
    assert board.levels.get("key") is None


def test_the_level_is_calibrated_once(tmp_path):
    board = Board(tmp_path, launch(*[round_(50_000, 50_000.0)] * 6), level=None)
    board.measure()
    assert board.asked.count("launch") == measure.CALIBRATION_LAUNCHES + 3
    board.measure()
    assert board.asked.count("launch") == measure.CALIBRATION_LAUNCHES + 6


def test_without_a_reference_p50_itself_must_be_sure(tmp_path):
    board = Board(tmp_path, launch(*[round_(reference=None)] * 6))
    reply = board.measure(reference=None)
    assert reply["paired"] is None
    assert reply["verdict"] == "valid"


def test_sustained_tells_the_first_minute_from_the_last(tmp_path):
    board = Board(tmp_path)
    board.child_samples = None
    reply = board.measure(mode={"kind": "sustained", "seconds": 60.0})
    assert (reply["mode"]["first_ms"], reply["mode"]["last_ms"]) == (100, 100)
    assert board.asked == ["memory", "sustained"]


def test_a_duty_cycle_has_no_reference(tmp_path):
    reply = Board(tmp_path).measure(mode={"kind": "duty", "gap_s": 0.1, "requests": 600})
    assert reply["paired"] is None
    assert reply["latency"]["p95"]["ms"] == 100


def test_an_emulated_processor_is_never_valid(tmp_path):
    board = Board(tmp_path)
    board.device = board.device._replace(emulated=True)
    reply = board.measure()
    assert reply["verdict"] == "degraded"
    assert "emulated" in reply["reasons"][0]


def test_a_latency_that_depends_on_its_numbers_is_degraded(tmp_path):
    board = Board(tmp_path, launch(audit={"overhead_ns": 60.0, "varied_ratio": 1.5}), launch())
    reply = board.measure(budget={**BUDGET, "audit": True})
    assert "depends on the input" in reply["reasons"][0]


@pytest.mark.parametrize(("tail", "launches"), [(True, 6), (False, 3)])
def test_screening_does_not_wait_for_a_sure_tail(tmp_path, tail, launches):
    heavy = [round_() for _ in range(6)]
    for number, one in enumerate(heavy):
        one["samples"] = sorted(one["samples"])[:30] + [400_000 * (number + 1)] * 10
    board = Board(tmp_path, launch(*heavy))
    assert board.measure(budget={**BUDGET, "tail": tail})["counts"]["launches"] == launches
