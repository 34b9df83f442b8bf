"""Measuring a trial on its devices: blame, attempts, tokens, pools, and several threads at once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import numpy as np
import pytest
from homes import db, migrated, settings

from nas.architecture import Architecture
from nas.controller.roster import Roster
from nas.devices.device import Device
from nas.devices.fake import FakeTransport
from nas.devices.fleet import Fleet
from nas.errors import (
    CandidateFault,
    Conflict,
    ControllerFault,
    DeviceAway,
    DeviceBusy,
    DeviceFault,
    DeviceUnreachable,
    LeaseLost,
)
from nas.export.artifact import Artifact
from nas.search import meter as meters
from nas.search.meter import Meter
from nas.search.night import Night
from nas.store import attempts, devices, leases, searches, trials
from nas.store.device_leases import DeviceLeases

__all__ = ["db", "migrated", "settings"]


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(meters, "PAUSE_S", 0.0)


def artifact(number=0):
    """A model of its own, so that nothing is found in the cache."""
    inputs = {"past": np.zeros((1, 7, 1), np.float32)}
    return Artifact(Architecture(), b"model %d" % number, inputs, f"{number:064}", 0.0, 0.0)


class Lab:
    """A held search and a fleet with books in the database, on scripted devices."""

    def __init__(self, db, *boards, pool=""):
        self.db, self.transports = db, {board: FakeTransport() for board in boards}
        for board in boards:
            devices.create(db, name=board, transport="local", pool=pool)
        searches.create(db, name="t", request={}, space={})
        self.search = leases.claim_next(db, leases.Observer(1000))
        self.leases = DeviceLeases(db, ttl=1000)
        self.fleet = Fleet(
            [Device(board, "local", pool=pool) for board in boards],
            {"local": self},
            leases=self.leases,
            register=Roster(db, 3),
        )
        for board in boards:
            self.fleet.facts(board)

    def open(self, device):
        return self.transports[device.name].open(device)

    def meter(self, *names, tries=3, alone=lambda _facts: nullcontext(), **how):
        return Meter(self.db, self.fleet, names, tries=tries, token=self.search.token, alone=alone, **how)

    def trial(self, number=0):
        return trials.create(self.db, self.search.id, number, token=self.search.token, architecture={"n": number})

    def states(self, number=0):
        return [str(a.state) for a in attempts.of_trial(self.db, self.search.id, number)]

    def script(self, board, *steps):
        self.transports[board].script.extend(steps)


@pytest.fixture
def lab(db):
    made = []

    def make(*boards, **how):
        made.append(Lab(db, *boards, **how))
        return made[-1]

    yield make
    for one in made:
        one.fleet.close()


def test_an_attempt_carries_the_token_of_the_device_and_the_cache_saves_the_next(lab):
    one = lab("pi")
    first = one.meter("pi").measure(one.trial(), artifact(), {})
    again = one.meter("pi").measure(one.trial(1), artifact(), {})
    assert first["pi"].p50 == again["pi"].p50
    held = attempts.of_trial(one.db, one.search.id, 0)
    assert [(a.state, a.device, a.token, a.device_token) for a in held] == [("measured", "pi", 1, 1)]
    assert one.states(1) == []


def test_the_stores_night_is_swept_only_where_it_is_wanted_and_remembered_with_its_table(lab):
    one = lab("pi")
    assert one.meter("pi").measure(one.trial(), artifact(), {})["pi"].sweep is None
    for number, table in enumerate((b"a store", b"a store", b"another store"), start=1):
        meter = one.meter("pi", nights=lambda _architecture, table=table: Night(table, {"window": 7}))
        found = meter.measure(one.trial(number), artifact(), {})["pi"]
        assert found.metric("sweep_seconds") > 0
        assert found.metric("sweep_peak_mb") > 0
    verbs = [call["verb"] for call in one.transports["pi"].calls]
    assert verbs.count("sweep") == 2


def test_a_candidate_that_breaks_a_device_which_works_without_it_is_blamed(lab):
    one = lab("pi")
    one.script("pi", *[DeviceFault("It rebooted.")] * 3)
    with pytest.raises(CandidateFault, match=r"^It broke pi 3 times, which answers again without it: It rebooted"):
        one.meter("pi").measure(one.trial(), artifact(), {})
    assert one.states() == ["device_fault"] * 3
    assert (devices.get(one.db, "pi").state, devices.get(one.db, "pi").faults) == ("online", 0)
    assert one.meter("pi").measure(one.trial(1), artifact(1), {})


def test_a_device_that_does_not_come_back_is_blamed_itself_and_quarantined(lab):
    one = lab("pi")
    one.script("pi", DeviceUnreachable("The link was cut."))
    one.transports["pi"].opening.extend([DeviceUnreachable("No route.")] * 9)
    with pytest.raises(DeviceUnreachable, match="The link was cut"):
        one.meter("pi").measure(one.trial(), artifact(), {})
    assert one.states() == ["device_fault"]
    assert devices.get(one.db, "pi").state == "quarantined"
    one.transports["pi"].opening.clear()
    with pytest.raises(DeviceAway, match="quarantined"):
        one.meter("pi").measure(one.trial(), artifact(), {})
    one.fleet.check("pi")
    assert one.meter("pi").measure(one.trial(), artifact(), {})
    assert one.states() == ["device_fault", "measured"]


def test_a_fault_of_this_side_blames_neither_device_nor_candidate(lab):
    one = lab("pi")
    one.script("pi", *[ControllerFault("Refused.")] * 3)
    with pytest.raises(ControllerFault, match="Refused"):
        one.meter("pi").measure(one.trial(), artifact(), {})
    assert one.states() == ["controller_fault"] * 3
    assert devices.get(one.db, "pi").faults == 0


def test_a_device_that_is_not_fit_turns_no_candidate_away(lab):
    one = lab("pi")
    refused = {"verdict": "rejected", "reasons": ["busy neighbours"]}
    one.script("pi", refused)
    assert one.meter("pi").measure(one.trial(), artifact(), {})["pi"].verdict == "valid"
    one.script("pi", *[refused] * 3)
    with pytest.raises(DeviceBusy, match=r"pi was not fit to be measured: busy neighbours"):
        one.meter("pi").measure(one.trial(1), artifact(1), {})
    assert devices.get(one.db, "pi").faults == 0


def test_a_lease_that_is_lost_meanwhile_expires_the_attempt_and_the_trial_is_measured_again(lab):
    one = lab("pi")
    stolen = []

    def alone(_facts):
        if not stolen:  # another controller takes the device, as after our SIGSTOP
            with one.db.write() as connection:
                connection.exec_driver_sql("UPDATE nas_devices SET token = token + 1, owner = NULL")
            stolen.append(True)
            one.leases.beat()
        return nullcontext()

    meter = one.meter("pi", alone=alone)
    assert meter.measure(one.trial(), artifact(), {})["pi"].verdict == "valid"
    found = attempts.of_trial(one.db, one.search.id, 0)
    assert [(str(a.state), a.device_token) for a in found] == [("expired", 1), ("measured", 3)]


def test_a_search_that_was_taken_over_stores_nothing_more(lab):
    one = lab("pi")
    trial = one.trial()
    leases.release(one.db, one.search)
    leases.claim_next(one.db, leases.Observer(1000))
    with pytest.raises(Conflict, match="held by another controller"):
        one.meter("pi").measure(trial, artifact(), {})
    assert not issubclass(Conflict, LeaseLost)


def test_a_reply_that_was_lost_is_not_measured_again_by_the_next_attempt(lab):
    one = lab("pi")
    transport = one.transports["pi"]
    one.fleet.close()
    opened = transport.open

    def open_(device):
        session = opened(device)
        call = session.call

        def losing(message, deadline_s):
            reply = call(message, deadline_s)
            if message["verb"] == "measure":
                session.close()
                transport.opening.append(DeviceUnreachable("Not yet."))
                raise DeviceUnreachable("The link was cut.")
            return reply

        session.call = losing
        return session

    transport.open = open_
    assert one.meter("pi").measure(one.trial(), artifact(), {})["pi"].verdict == "valid"
    assert one.states() == ["device_fault", "measured"]
    assert [call["verb"] for call in transport.calls].count("measure") == 1


def test_a_pool_goes_on_with_another_board_when_one_breaks(lab):
    one = lab("a", "b", pool="twins")
    one.script("a", DeviceUnreachable("The link was cut."))
    one.transports["a"].opening.extend([DeviceUnreachable("No route.")] * 9)
    found = one.meter("twins").measure(one.trial(), artifact(), {})
    assert set(found) == {"twins"}
    assert found["twins"].device == "b"
    assert [(a.device, str(a.state)) for a in attempts.of_trial(one.db, one.search.id, 0)] == [
        ("a", "device_fault"),
        ("b", "measured"),
    ]
    assert devices.get(one.db, "a").state == "offline"


def test_the_other_devices_go_on_when_one_is_away_and_a_candidates_fault_decides(lab):
    one = lab("pi", "jetson")
    devices.drain(one.db, "pi")
    with pytest.raises(DeviceAway, match="draining"):
        one.meter("pi", "jetson").measure(one.trial(), artifact(), {})
    assert [(a.device, str(a.state)) for a in attempts.of_trial(one.db, one.search.id, 0)] == [("jetson", "measured")]
    one.script("jetson", CandidateFault("It wants 80 GB."))
    with pytest.raises(CandidateFault):
        one.meter("pi", "jetson").measure(one.trial(1), artifact(1), {})


def test_many_threads_measure_many_trials_and_no_device_does_two_at_once(lab):
    one = lab("a", "b", "c", pool="twins")
    inside, most = dict.fromkeys(one.transports, 0), []
    guard = threading.Lock()
    for board, transport in one.transports.items():

        def latency(_model, _threads, board=board):
            with guard:
                inside[board] += 1
                most.append(inside[board])
            threading.Event().wait(0.002)
            with guard:
                inside[board] -= 1
            return 1.0

        transport.latency_ms = latency
    meter = one.meter("twins")
    made = [one.trial(number) for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda trial: meter.measure(trial, artifact(trial.number), {}), made))
    assert max(most) == 1
    assert len({measured["twins"].device for measured in found}) == 3
    assert [one.states(number) for number in range(24)] == [["measured"]] * 24
