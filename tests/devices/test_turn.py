"""One device to oneself: a lost reply is read again, a reboot is noticed, and what happened is noted."""

import dataclasses

import numpy as np
import pytest
from processes import wait_until

from nas.devices.device import Device
from nas.devices.fake import FakeTransport
from nas.devices.fleet import Fleet
from nas.devices.ledger import Sole
from nas.errors import (
    CandidateFault,
    DeviceAway,
    DeviceBusy,
    DeviceFault,
    DeviceUnreachable,
    NotFound,
    RuntimeMissing,
)

X = {"x": np.ones((1, 3), "float32")}
MODEL = b"m" * 1000
JOB = "0123456789abcdef" * 2


class Lossy(FakeTransport):
    """Does what it is asked, and then the link breaks before the reply arrives."""

    losses = 1
    boots = 0

    def open(self, device):
        session = super().open(device)
        call = session.call

        def losing(message, deadline_s):
            reply = call(message, deadline_s)
            if message["verb"] == "measure" and self.losses:
                self.losses -= 1
                self.boots and self.facts.update(boot_id=f"boot {self.boots}")
                session.close()
                raise DeviceUnreachable("The link was cut.")
            return reply

        session.call = losing
        return session


class Noting(Sole):
    def __init__(self, away=None):
        self.notes, self.aways = [], away or {}

    def away(self, names, *, pool):
        return {name: reason for name, reason in self.aways.items() if name in names}

    def answered(self, name, facts):
        self.notes.append((name, "answered"))

    def worked(self, name, levels):
        self.notes.append((name, "worked", *levels.items()))

    def broke(self, name, fault):
        self.notes.append((name, type(fault).__name__))


def fleet_of(transport, *names, register=None, pool="", **how):
    devices = [Device(name, "local", pool=pool) for name in names or ("pi",)]
    return Fleet(devices, {"local": transport}, register=register, **how)


def verbs(transport):
    return [call["verb"] for call in transport.calls]


def test_a_reply_that_was_lost_is_read_again_and_the_model_is_measured_once():
    transport = Lossy()
    with fleet_of(transport) as fleet:
        measured = fleet.measure("pi", MODEL, X, job=JOB)
    assert measured.verdict == "valid"
    assert verbs(transport) == ["probe", "measure", "probe", "result"]
    assert transport.calls[-1]["job"] == JOB


def test_a_device_that_stays_away_for_a_while_still_has_the_reply_for_the_next_attempt():
    transport = Lossy()
    with fleet_of(transport) as fleet:
        fleet.facts("pi")
        transport.opening.extend([DeviceUnreachable("Still off.")])
        with pytest.raises(DeviceUnreachable, match=r"^The link was cut\.$"):
            fleet.measure("pi", MODEL, X, job=JOB)
        assert fleet.measure("pi", MODEL, X, job=JOB).verdict == "valid"
        assert verbs(transport).count("measure") == 1
        fleet.measure("pi", MODEL, X, job="f" * 32)  # another one is measured
    assert verbs(transport).count("measure") == 2


def test_a_job_that_was_never_finished_is_measured_again():
    transport = FakeTransport([DeviceUnreachable("Cut in the middle.")])
    with fleet_of(transport) as fleet:
        with pytest.raises(DeviceUnreachable, match="middle"):
            fleet.measure("pi", MODEL, X, job=JOB)
        fleet.measure("pi", MODEL, X, job=JOB)
    assert verbs(transport) == ["probe", "measure", "probe", "result", "probe", "result", "measure"]


def test_a_result_from_before_a_reboot_is_refused():
    transport = Lossy()
    transport.boots = 1
    with fleet_of(transport) as fleet:
        with pytest.raises(DeviceUnreachable):
            fleet.measure("pi", MODEL, X, job=JOB)
        with pytest.raises(DeviceFault, match="rebooted while it measured"):
            fleet.measure("pi", MODEL, X, job=JOB)
        assert fleet.measure("pi", MODEL, X, job=JOB).fingerprint["boot_id"] == "boot 1"


def test_a_boot_id_that_changed_since_the_probe_refuses_the_reply():
    transport = FakeTransport([{"fingerprint": {"boot_id": "another"}}])
    with fleet_of(transport) as fleet, pytest.raises(DeviceFault, match="rebooted while it measured") as refused:
        fleet.measure("pi", MODEL, X)
    assert refused.value.device == "pi"


@pytest.mark.parametrize("fault", [DeviceFault, DeviceUnreachable, DeviceBusy])
def test_what_happens_to_a_device_is_noted(fault):
    register = Noting()
    with fleet_of(FakeTransport([None, fault("no"), CandidateFault("no")]), register=register) as fleet:
        fleet.measure("pi", MODEL, X, threads=2)
        with pytest.raises(fault):
            fleet.run("pi", MODEL, X)
        with pytest.raises(CandidateFault):
            fleet.run("pi", MODEL, X)
        fleet.check("pi")
    answered, level = ("pi", "answered"), ("onnxruntime/2", 0.08)
    assert register.notes == [
        answered,
        ("pi", "worked", level),
        ("pi", fault.__name__),
        answered,
        ("pi", "worked"),
    ]


def test_a_runtime_that_is_missing_is_no_fault_of_the_device():
    register = Noting()
    with fleet_of(FakeTransport([RuntimeMissing("Install it.")]), register=register) as fleet:
        with pytest.raises(RuntimeMissing):
            fleet.run("pi", MODEL, X)
        fleet.facts("pi")
    assert register.notes == [("pi", "answered")]


def test_a_device_that_cannot_compute_fails_its_check():
    transport = FakeTransport()
    transport.open = lambda device, real=transport.open: _wrong(real(device))
    with fleet_of(transport) as fleet, pytest.raises(DeviceFault, match="check its memory"):
        fleet.check("pi")


def _wrong(session):
    call = session.call
    session.call = lambda message, s: {"outputs": {}} if message["verb"] == "run" else call(message, s)
    return session


def test_a_device_that_is_away_gets_no_work_and_may_be_checked():
    transport = FakeTransport()
    with fleet_of(transport, register=Noting({"pi": "it is draining"})) as fleet:
        with pytest.raises(DeviceAway, match=r"^The device pi is given no work now: it is draining\.$") as away:
            fleet.measure("pi", MODEL, X)
        assert away.value.device == "pi"
        assert fleet.facts("pi")
        fleet.check("pi")
    assert "measure" not in verbs(transport)


def test_a_pool_is_measured_by_its_least_busy_board_that_is_fit():
    register = Noting({"b": "it is offline"})
    with fleet_of(FakeTransport(), "a", "b", "c", pool="twins", register=register) as fleet:
        with fleet.turn("twins") as first, fleet.turn("twins") as second:
            assert {first.device, second.device} == {"a", "c"}
        register.aways |= {"a": "it is quarantined"}
        assert fleet.measure("twins", MODEL, X).device == "c"
        register.aways |= {"c": "it is draining"}
        with pytest.raises(DeviceAway, match=r"^No board of the pool twins .*: b: it is offline; a: .*; c: it is dra"):
            fleet.measure("twins", MODEL, X)
        with pytest.raises(NotFound, match=r"'twin'.*a, b, c, twins"):
            fleet.measure("twin", MODEL, X)


def test_a_board_that_goes_away_while_one_waits_for_it_is_replaced_by_another():
    register = Noting()
    with fleet_of(FakeTransport(), "a", "b", pool="twins", register=register) as fleet:
        asked = iter([{}, {"a": "it is offline"}, {"a": "it is offline"}])
        register.away = lambda names, *, pool: {n: r for n, r in next(asked, {}).items() if n in names}
        with fleet.turn("twins") as turn:
            assert turn.device == "b"


def test_an_idle_session_is_closed_and_what_is_used_stays_open():
    transport, now = FakeTransport(), [0.0]
    with fleet_of(transport, "a", "b", idle_s=0.02, clock=lambda: now[0]) as fleet:
        fleet.facts("a")
        with fleet.turn("b") as turn:
            turn.facts()
            now[0] = 1.0
            wait_until(lambda: transport.held == {"b"})
        now[0] = 2.0
        wait_until(lambda: not transport.held)
        assert fleet.facts("a")


def test_devices_come_go_and_change_while_the_fleet_works():
    transport = FakeTransport()
    with fleet_of(transport, "a", "b") as fleet:
        fleet.facts("a")
        with fleet.turn("b") as turn:
            turn.facts()
            fleet.adopt([dataclasses.replace(Device("b", "local"), root="elsewhere"), Device("c", "local")])
            assert transport.held == {"b"}  # a was let go of; b is in use
            turn.facts()
        assert fleet.facts("c")
        with pytest.raises(NotFound):
            fleet.facts("a")
        fleet.adopt([Device("c", "local")])
        assert transport.held == {"c"}
