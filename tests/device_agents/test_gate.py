"""The gate opens on an undisturbed device and says why it stays closed; blocks are judged by the same looks."""

import math
import multiprocessing

import boards
import pytest
from hypothesis import given
from hypothesis import strategies as st
from processes import PATIENCE_S

from device_agents.gate import Gate, disturbed
from device_agents.sensors import Look, Senses
from device_agents.sensors.senses import TICKS

QUIET = Look(
    at_ns=0,
    throttled=None,
    events=3,
    clock_khz=1_500_000,
    clock_is_hardware=True,
    temperature_c=50.0,
    psi_us=1000,
    switches=10,
    own_ns=0,
    busy_ticks=500,
    steal_ticks=40,
    swap_out=5,
)
BLOCK_NS = 100_000_000


def after(milliseconds=100, **changes):
    """A look at the end of a block in which this process alone kept one core busy, but for the changes."""
    ticks = milliseconds * TICKS // 1000
    quiet = {"at_ns": milliseconds * 1_000_000, "own_ns": milliseconds * 1_000_000, "busy_ticks": 500 + ticks}
    return QUIET._replace(**{**quiet, **changes})


def judged(look, **options):
    return disturbed(QUIET, look, inferences_ns=look.at_ns, **options)


class Clock:
    """A clock that only sleeping moves; ``turns`` are called in order, one before each sleep ends."""

    def __init__(self, *turns):
        self.now = 0.0
        self.turns = list(turns)

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        if self.turns:
            self.turns.pop(0)()


def nothing():
    pass


@pytest.mark.parametrize("kind", ["pi4", "pi5", "jetson", "x86"])
def test_an_idle_board_is_let_through_after_one_short_look(tmp_path, kind):
    opened = Gate(Senses(getattr(boards, kind)(tmp_path).root)).wait(10, clock=Clock())
    assert opened.open
    assert opened.waited_s <= 0.06
    assert opened.reasons == opened.notes == []


@pytest.mark.parametrize(
    ("kind", "turn", "reason"),
    [
        ("pi4", lambda board: board.throttle(0x4), "throttled: throttled"),
        ("jetson", lambda board: board.throttle(1), "throttled: cooled by thermal-cpufreq-0"),
        ("pi5", lambda board: board.heat(85.2), "temperature over limit: 85.2 °C, limit 80 °C"),
        ("x86", lambda board: board.pressure(10_000_000), "CPU pressure 100 %, limit 10 %"),
        ("x86", lambda board: board.swapped(9), "swapping: 9 pages written"),
    ],
)
def test_a_closed_gate_says_why(tmp_path, kind, turn, reason):
    board = getattr(boards, kind)(tmp_path)
    opened = Gate(Senses(board.root)).wait(0, clock=Clock(lambda: turn(board)))
    assert (opened.open, opened.reasons) == (False, [reason])


def test_the_wait_is_bounded(tmp_path):
    board = boards.pi4(tmp_path)
    board.heat(90)
    opened = Gate(Senses(board.root)).wait(30, clock=Clock())
    assert not opened.open
    assert 30 <= opened.waited_s <= 30.1


def test_the_gate_opens_once_the_board_has_cooled(tmp_path):
    board = boards.pi4(tmp_path)
    board.heat(90)
    opened = Gate(Senses(board.root)).wait(30, clock=Clock(nothing, nothing, nothing, lambda: board.heat(60)))
    assert opened.open
    assert opened.reasons == []
    assert 0.05 < opened.waited_s < 30


def test_a_limit_of_ones_own(tmp_path):
    board = boards.pi4(tmp_path)
    board.heat(65)
    assert Gate(Senses(board.root)).wait(0, clock=Clock()).open
    assert not Gate(Senses(board.root), temperature_limit_c=60).wait(0, clock=Clock()).open


@pytest.mark.parametrize("governor", ["powersave", "ondemand", "schedutil"])
def test_an_unsteady_governor_is_noted_and_not_refused(tmp_path, governor):
    board = boards.pi4(tmp_path)
    board.governor(governor)
    opened = Gate(Senses(board.root)).wait(0, clock=Clock())
    assert opened.open
    assert opened.notes == [f"the governor is {governor}: the clock may change between runs; performance is steady"]


def test_beside_a_load_only_pressure_is_allowed(tmp_path):
    board = boards.x86(tmp_path)
    gate = Gate(Senses(board.root))
    assert gate.wait(0, beside_load=True, clock=Clock(lambda: board.pressure(10_000_000))).open
    board.heat(99)
    assert not gate.wait(0, beside_load=True, clock=Clock()).open


def burn(burning, stop):
    burning.set()
    while not stop.is_set():
        sum(range(10_000))


@pytest.mark.parametrize("psi", [True, False])
def test_a_real_busy_neighbour_keeps_the_gate_closed(monkeypatch, psi):
    if not psi:
        monkeypatch.setattr(Senses, "_psi", lambda self: None)
    context = multiprocessing.get_context("spawn")
    burning, stop = context.Event(), context.Event()
    neighbour = context.Process(target=burn, args=(burning, stop))
    neighbour.start()
    try:
        assert burning.wait(PATIENCE_S)
        opened = [Gate(Senses()).wait(0) for _ in range(20)]
        assert any("CPU pressure" in reason for gate in opened for reason in gate.reasons)
    finally:
        stop.set()
        neighbour.join()


@given(
    milliseconds=st.integers(20, 10_000),
    drift=st.floats(-0.09, 0.5),
    switches=st.integers(0, 4),
    ticks=st.integers(-1, 2),
)
def test_an_undisturbed_block_counts(milliseconds, drift, switches, ticks):
    look = after(milliseconds)
    look = look._replace(
        clock_khz=int(QUIET.clock_khz * (1 + drift)),
        switches=QUIET.switches + switches,
        busy_ticks=look.busy_ticks + ticks,
        psi_us=QUIET.psi_us + 990 + milliseconds * 99,
        steal_ticks=QUIET.steal_ticks + 1,
        temperature_c=79.0,
    )
    assert judged(look) == []


@given(milliseconds=st.integers(200, 10_000))
def test_a_rival_for_the_core_is_found_in_any_block(milliseconds):
    """Two rivals that swap every 10 ms, the slowest that a kernel does it."""
    rivalled = disturbed(
        QUIET,
        after(milliseconds, switches=QUIET.switches + milliseconds // 20, psi_us=QUIET.psi_us + 1000 * milliseconds),
        inferences_ns=milliseconds * 500_000,
    )
    assert any("CPU pressure" in reason for reason in rivalled)
    assert any("involuntary" in reason for reason in rivalled)


@given(milliseconds=st.integers(50, 10_000))
def test_a_neighbour_with_a_core_of_its_own_is_found_without_psi(milliseconds):
    crowded = after(milliseconds, psi_us=None)
    crowded = crowded._replace(busy_ticks=500 + 2 * (milliseconds * TICKS // 1000))
    assert ["CPU pressure: other processes keep" in reason for reason in judged(crowded)] == [True]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"throttled": "under-voltage"}, "throttled: under-voltage"),
        ({"events": 5}, "throttled: 2 events"),
        ({"clock_khz": 600_000}, "clock fell from 1500 to 600 MHz"),
        ({"temperature_c": 81.0}, "temperature over limit: 81.0 °C, limit 80 °C"),
        ({"psi_us": 21_000}, "CPU pressure 20 %, limit 10 %"),
        ({"switches": 30}, "20 involuntary context switches in 100 ms"),
        ({"steal_ticks": 45}, "steal: the hypervisor took 50 % of a CPU"),
        ({"swap_out": 6}, "swapping: 1 pages written"),
    ],
)
def test_a_disturbed_block_is_discarded_for_its_reason(changes, reason):
    assert judged(after(**changes)) == [reason]


@given(milliseconds=st.integers(5, 20_000))
def test_ten_switches_a_second_at_random_cost_fewer_than_one_block_in_a_hundred(milliseconds):
    expected = milliseconds / 100
    allowed = 0
    while (
        disturbed(QUIET, after(milliseconds, switches=QUIET.switches + allowed + 1), inferences_ns=milliseconds * 10**6)
        == []
    ):
        allowed += 1
    kept = sum(math.exp(n * math.log(expected) - expected - math.lgamma(n + 1)) for n in range(allowed + 1))
    assert kept > 0.99


def test_a_block_that_began_throttled_is_discarded():
    assert disturbed(QUIET._replace(throttled="throttled"), after(), inferences_ns=BLOCK_NS) == ["throttled: throttled"]


def test_a_requested_clock_is_not_judged():
    assert judged(after(clock_khz=600_000, clock_is_hardware=False)) == []


def test_beside_a_load_its_effects_do_not_count_but_heat_and_steal_do():
    loaded = after(psi_us=90_000, switches=500, busy_ticks=900)
    assert judged(loaded, beside_load=True) == []
    assert len(judged(loaded._replace(throttled="throttled", steal_ticks=90), beside_load=True)) == 2


def test_a_device_that_tells_nothing_is_not_refused_for_it():
    silent = {"clock_khz": None, "temperature_c": None, "psi_us": None}
    assert disturbed(QUIET._replace(**silent), after(**silent), inferences_ns=BLOCK_NS) == []


def test_a_gate_judges_blocks_by_its_own_limits(tmp_path):
    gate = Gate(Senses(boards.pi4(tmp_path).root), temperature_limit_c=45)
    assert gate.disturbed(QUIET, after(), inferences_ns=BLOCK_NS) == ["temperature over limit: 50.0 °C, limit 45 °C"]
