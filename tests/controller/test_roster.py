"""What the database says of a device decides whether it is given work, and what happens to it is written there."""

from datetime import UTC, datetime

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from nas.controller.roster import Roster
from nas.errors import Conflict, DeviceBusy, DeviceFault, DeviceUnreachable, HostKeyChanged
from nas.store import devices, health
from nas.store.states import DeviceState

FACTS = {"utc_offset_s": 3600}
REENROLLED = {"transport": "local"}


@pytest.fixture
def enrol(db):
    def enrol(name="pi", **reach):
        devices.create(db, name=name, transport="local", **reach)
        health.answered(db, name, FACTS)
        return name

    return enrol


@pytest.fixture
def roster(db):
    return Roster(db, 3, now=lambda: datetime(2026, 3, 1, 12, 30, tzinfo=UTC))


def test_faults_in_a_row_end_in_quarantine_and_one_success_ends_it(db, enrol, roster):
    pi = enrol()
    for _ in range(2):
        roster.broke(pi, DeviceFault("It choked."))
    assert (devices.get(db, pi).state, devices.get(db, pi).faults) == (DeviceState.online, 2)
    roster.worked(pi, {})
    assert devices.get(db, pi).faults == 0
    for _ in range(3):
        assert not roster.away([pi], pool=False)
        roster.broke(pi, DeviceFault("It choked."))
    reason = "It broke 3 times in a row and gets no work until it has answered again; It choked."
    assert (devices.get(db, pi).state, devices.get(db, pi).reason) == (DeviceState.quarantined, reason)
    assert roster.away([pi], pool=False) == {pi: f"it is quarantined: {reason[:-1]}"}
    roster.answered(pi, FACTS)  # to answer is not to work
    assert devices.get(db, pi).state == DeviceState.quarantined
    roster.worked(pi, {})
    assert (devices.get(db, pi).state, devices.get(db, pi).reason, devices.get(db, pi).faults) == ("online", None, 0)


def test_one_that_does_not_answer_is_offline_until_it_does(db, enrol, roster):
    pi = enrol()
    roster.broke(pi, DeviceUnreachable("No route."))
    assert (devices.get(db, pi).state, devices.get(db, pi).reason) == (DeviceState.offline, "No route.")
    assert roster.away([pi], pool=False) == {pi: "it is offline: No route"}
    roster.answered(pi, FACTS)
    assert (devices.get(db, pi).state, devices.get(db, pi).reason) == (DeviceState.online, None)


def test_another_agent_on_the_device_is_not_its_fault(db, enrol, roster):
    pi = enrol()
    for _ in range(9):
        roster.broke(pi, DeviceBusy("Another agent holds it."))
    assert (devices.get(db, pi).state, devices.get(db, pi).faults) == (DeviceState.offline, 0)


def test_another_host_key_bars_it_until_a_person_enrols_it_anew(db, enrol, roster):
    pi = enrol()
    roster.broke(pi, HostKeyChanged("Another key."))
    roster.worked(pi, {})
    roster.broke(pi, DeviceUnreachable("No route."))
    barred = devices.get(db, pi)
    assert (barred.state, barred.reason, barred.barred) == (DeviceState.quarantined, "Another key.", True)
    anew = devices.replace(db, name=pi, **REENROLLED)
    assert (anew.state, anew.barred, anew.faults) == (DeviceState.offline, False, 0)


def test_a_drained_device_gets_no_work_until_it_is_undrained(db, enrol, roster):
    pi = enrol()
    devices.drain(db, pi)
    for note in (lambda: roster.answered(pi, FACTS), lambda: roster.worked(pi, {"x": 1.0})):
        note()
        assert devices.get(db, pi).state == DeviceState.draining
    for _ in range(4):
        roster.broke(pi, DeviceUnreachable("No route."))
    assert roster.away([pi], pool=False) == {
        pi: "it is draining: Drained by its user; `nas devices undrain pi` gives it work again"
    }
    assert devices.undrain(db, pi).state == DeviceState.offline
    with pytest.raises(Conflict, match="Device pi is offline; only a draining device can be undrained"):
        devices.undrain(db, pi)


def test_a_device_outside_its_window_waits_for_it(enrol, roster):
    night, noon = enrol("night", measure_between="22:00-05:00"), enrol("noon", measure_between="13:00-14:00")
    assert roster.away([night, noon], pool=False) == {night: "waiting for its window 22:00-05:00, there it is 13:30"}


def test_a_board_that_deviates_is_left_out_of_its_pool_alone(enrol, roster):
    boards = [enrol(name, pool="twins") for name in ("a", "b", "c")]
    for name, level in zip(boards, (1.0, 1.0, 1.2), strict=True):
        roster.worked(name, {"onnxruntime/1": level})
    assert list(roster.away(boards, pool=True)) == ["c"]
    assert not roster.away(["c"], pool=False)
    roster.worked("c", {"onnxruntime/1": 1.01})
    assert not roster.away(boards, pool=True)


def test_a_device_that_was_removed_meanwhile_breaks_nothing(db, enrol, roster):
    pi = enrol()
    devices.remove(db, pi)
    roster.broke(pi, DeviceFault("It choked."))
    assert roster.away([pi], pool=False) == {}


class Health(RuleBasedStateMachine):
    """Whatever happens to a device in whatever order, its state follows the faults since its last success."""

    db = None

    @initialize()
    def begin(self):
        for row in devices.enrolled(self.db):
            devices.remove(self.db, row.name)
        devices.create(self.db, name="pi", transport="local")
        self.roster, self.faults, self.barred, self.drained = Roster(self.db, 3), 0, False, False

    @rule(fault=st.sampled_from([DeviceFault, DeviceUnreachable, DeviceBusy, HostKeyChanged]))
    def breaks(self, fault):
        self.roster.broke("pi", fault("It broke."))
        self.faults += fault is not DeviceBusy
        self.barred |= fault is HostKeyChanged
        self.drained &= fault is not HostKeyChanged

    @rule()
    def answers(self):
        self.roster.answered("pi", FACTS)

    @rule()
    def works(self):
        self.roster.worked("pi", {})
        self.faults = 0

    @rule()
    def drains(self):
        if self.row.state != DeviceState.quarantined:
            devices.drain(self.db, "pi")
            self.drained = True
        else:
            with pytest.raises(Conflict):
                devices.drain(self.db, "pi")

    @rule()
    def undrains(self):
        if self.drained:
            devices.undrain(self.db, "pi")
            self.faults, self.drained = 0, False

    @rule()
    def is_enrolled_anew(self):
        devices.replace(self.db, name="pi", **REENROLLED)
        self.faults, self.barred, self.drained = 0, False, False

    @property
    def row(self):
        return devices.get(self.db, "pi")

    @invariant()
    def the_state_follows(self):
        row = self.row
        assert (row.faults, row.barred) == (self.faults, self.barred)
        assert (row.state == DeviceState.draining) == self.drained
        if not self.drained and self.faults >= 3:
            assert row.state == DeviceState.quarantined
        if row.state == DeviceState.quarantined:
            assert self.barred or self.faults >= 3
        assert bool(self.roster.away(["pi"], pool=False)) == (row.state != DeviceState.online)
        if row.state == DeviceState.quarantined:
            assert row.reason


def test_whatever_happens_the_state_follows_the_faults(db):
    machine = type("Here", (Health,), {"db": db})
    run_state_machine_as_test(machine, settings=hypothesis_settings(max_examples=25, stateful_step_count=20))
