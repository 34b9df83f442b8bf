"""Energy is integrated over the readings' own timestamps, less the idle power; what is unknown is null, with a note."""

import itertools
import threading

import boards
import pytest
from hypothesis import given
from hypothesis import strategies as st
from processes import wait_until

from device_agents import energy, energy_meters
from device_agents.energy import Reading, Sampler, integrate, mean_watts

SECOND = 1_000_000_000


class Meter:
    """A meter of the tests' own."""

    name, rails, relative = "scripted", ("all",), False

    def __init__(self, *watts):
        self.watts = itertools.cycle(watts)

    def sample(self):
        watts = next(self.watts)
        if watts is None:
            raise OSError("gone")
        return Reading(energy.time.monotonic_ns(), watts)


METER = Meter(1.0)


def steady(watts, seconds=1.0, hz=50):
    return [Reading(int(index * SECOND / hz), watts) for index in range(int(seconds * hz) + 1)]


def counted(watts, seconds=1.0, hz=50):
    return [Reading(int(index * SECOND / hz), None, watts * index / hz) for index in range(int(seconds * hz) + 1)]


def steps(kind, idle, work):
    """Readings of one second of idling, two of work and one of idling, with a sharp edge."""
    joules, at, readings = 0.0, 0, []
    edges = {SECOND: work, 3 * SECOND: idle}
    watts = idle
    for index in range(401):
        at = index * SECOND // 100
        readings.append(Reading(at, watts) if kind == "power" else Reading(at, None, joules))
        if at in edges:
            watts = edges[at]
            if kind == "power":
                readings.append(Reading(at, watts))
        joules += watts / 100
    return readings


@pytest.mark.parametrize("kind", ["power", "counter"])
def test_the_idle_power_is_subtracted_and_the_rest_shared_among_the_inferences(kind):
    readings = steps(kind, idle=2.0, work=5.0)
    idles = mean_watts(readings, 0, SECOND), mean_watts(readings, 3 * SECOND, 4 * SECOND)
    found = integrate(readings, SECOND, 3 * SECOND, *idles, 1000, METER)
    assert found.energy_mj == pytest.approx(6.0)  # 3 W x 2 s / 1000
    assert found.mean_power_w == pytest.approx(5.0)
    assert found.idle_power_w == pytest.approx(2.0)
    assert (found.inferences, found.seconds, found.sensor, found.rails) == (1000, 2.0, "scripted", ("all",))
    assert found.notes == ()


@given(
    watts=st.floats(0.1, 100),
    start=st.integers(0, SECOND // 2),
    length=st.integers(1_000_000, SECOND // 2),
    counter=st.booleans(),
)
def test_a_steady_power_is_found_between_any_two_moments(watts, start, length, counter):
    readings = counted(watts) if counter else steady(watts)
    assert mean_watts(readings, start, start + length) == pytest.approx(watts)


@given(slope=st.floats(-5, 5), times=st.lists(st.integers(1, SECOND - 1), unique=True, max_size=30))
def test_a_ramp_is_integrated_exactly_however_unevenly_it_was_read(slope, times):
    readings = [Reading(at, 10 + slope * at / SECOND) for at in sorted({0, SECOND, *times})]
    assert mean_watts(readings, 0, SECOND) == pytest.approx(10 + slope / 2)


def test_readings_that_do_not_reach_over_the_work_give_no_power():
    assert mean_watts(steady(3.0), 0, SECOND + 1) is None
    assert mean_watts([], 0, SECOND) is None


@pytest.mark.parametrize(
    ("readings", "idles", "inferences", "note"),
    [
        (steady(3.0, hz=5), (1.0, 1.0), 10, "6 power readings during the work, fewer than 10"),
        (steady(3.0), (1.0, None), 10, "the idle power could not be read before and after the work"),
        (steady(3.0), (3.5, 3.5), 10, "the work's 3 W do not stand out of the idle 3.5 W"),
        (steady(3.0), (1.0, 1.0), 0, "no inference was run"),
    ],
)
def test_what_cannot_be_said_is_null_with_a_note(readings, idles, inferences, note):
    found = integrate(readings, 0, SECOND, *idles, inferences, METER)
    assert found.energy_mj is None
    assert found.notes == (note,)


def test_an_idle_power_that_drifts_is_noted():
    found = integrate(steady(3.0), 0, SECOND, 0.8, 1.2, 10, METER)
    assert found.energy_mj == pytest.approx(200)
    assert found.notes == ("the idle power drifted by 20 % of the work's net power",)


class Still:
    """A clock that only sleeping moves, and a sampler that reads as often as the real one meanwhile."""

    def __init__(self, monkeypatch):
        self.now, self.sampler = 0, None
        for module in (energy, energy_meters):
            monkeypatch.setattr(module, "time", self)
        monkeypatch.setattr(energy, "Sampler", self.sampled)

    def monotonic_ns(self):
        return self.now

    def sleep(self, seconds):
        for _ in range(round(seconds * energy.HZ)):
            self.now += round(SECOND / energy.HZ)
            self.sampler._read()

    def sampled(self, meter):
        self.sampler = Sampler(meter)
        self.sampler._run = lambda: None
        return self.sampler


@pytest.mark.parametrize(("kind", "jetpack"), [("jetson", 4), ("jetson", 5), ("jetson", 6), ("pi5", None)])
def test_a_board_that_draws_more_while_it_works(tmp_path, monkeypatch, kind, jetpack):
    clock = Still(monkeypatch)
    board = getattr(boards, kind)(tmp_path, *([jetpack] if jetpack else []))
    board.watts(2.0)

    def work():
        board.watts(7.0)
        clock.sleep(0.5)
        board.watts(2.0)
        return 100

    found = energy.measure(energy.find(board.root), work, idle_s=0.2)
    edge = 0.5 * 5.0 / energy.HZ  # joules: at either end, half a period lies on the way between 2 and 7 W
    mean, idle = 7.0 - edge / 0.5, 2.0 + edge / 0.2 / 2
    assert found.mean_power_w == pytest.approx(mean, rel=0.01)
    assert found.idle_power_w == pytest.approx(idle, rel=0.01)
    assert found.energy_mj == pytest.approx(1000 * (mean - idle) * 0.5 / 100, rel=0.01)
    assert found.relative is (kind == "pi5")
    assert (found.seconds, found.samples) == (0.5, 26)


def test_a_sampler_reads_on_beside_the_work_until_it_is_stopped():
    sampler = Sampler(METER, hz=1000).start()
    wait_until(lambda: len(sampler._readings) > 20)
    readings = sampler.stop()
    assert [one.at_ns for one in readings] == sorted(one.at_ns for one in readings)
    count = len(readings)
    sampler._thread.join()
    assert len(sampler._readings) == count


def test_rapl_goes_on_when_a_counter_wraps(tmp_path):
    board = boards.x86(tmp_path)
    board.joules(262_143.0)
    meter = energy.find(board.root)
    before = meter.sample().joules
    board.joules(1.671150)
    assert meter.sample().joules - before == pytest.approx(2.0)
    board.joules(2.671150)
    assert meter.sample().joules - before == pytest.approx(3.0)


def test_rapl_that_only_root_may_read_is_said_to_be_so(tmp_path):
    board = boards.x86(tmp_path)
    assert energy.missing(boards.pi4(tmp_path / "pi").root) is None
    for path in tmp_path.glob("sys/class/powercap/*/energy_uj"):
        path.unlink()
    assert energy.find(board.root) is None
    assert energy.missing(board.root).startswith("RAPL is there, but only root may read it")


def test_rapls_memory_is_added_where_it_is_counted_apart(tmp_path):
    board = boards.x86(tmp_path)
    for path, text in {"name": "dram\n", "energy_uj": "5\n", "max_energy_range_uj": "99\n"}.items():
        board.write("sys/class/powercap/intel-rapl:0:1/" + path, text)
    assert energy.find(board.root).rails == ("package-0", "dram")


def test_without_a_total_the_rails_are_added_and_none_twice(tmp_path):
    board = boards.jetson(tmp_path)
    for channel, rail in enumerate(("VDD_GPU_SOC", "VIN_SYS_5V0", "VDDQ_VDD2_1V8AO"), 1):
        board.write(f"sys/class/hwmon/hwmon0/in{channel}_label", rail + "\n")
        board.write(f"sys/class/hwmon/hwmon0/curr{channel}_input", "200\n")
    meter = energy.find(board.root)
    assert meter.rails == ("VDD_GPU_SOC", "VIN_SYS_5V0")
    assert meter.sample().watts == pytest.approx(2.0)


def test_a_rail_that_is_switched_off_does_not_count(tmp_path):
    board = boards.jetson(tmp_path)
    board.write("sys/class/hwmon/hwmon0/in1_label", "VDD_GPU_SOC\n")
    board.remove("sys/class/hwmon/hwmon0/curr3_input")
    meter = energy.find(board.root)
    assert meter.rails == ("VDD_GPU_SOC", "VDD_CPU_GPU_CV")
    assert meter.sample().watts > 0


def test_without_a_sensor_there_is_no_energy(tmp_path):
    assert energy.find(boards.pi4(tmp_path).root) is None
    assert energy.measure(None, lambda: 1) is None


def test_readings_that_fail_are_left_out_and_too_few_are_said():
    found = energy.measure(
        Meter(1.0, None, None, None, None, None, None, None), lambda: threading.Event().wait(0.2) or 9, idle_s=0.1
    )
    assert found.energy_mj is None
    assert len(found.notes) == 1


def test_work_that_fails_ends_the_sampler():
    def work():
        raise ZeroDivisionError

    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        energy.measure(Meter(1.0), work, idle_s=0.01)
    assert threading.active_count() == before
