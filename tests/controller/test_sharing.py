"""Two controllers on one database share their boards: one at a time, in turn, and nobody's result counts twice."""

import threading
import time
from collections import Counter

import numpy as np
import pytest

from nas.controller.roster import Roster
from nas.devices import fleet as fleets
from nas.devices.device import Device
from nas.devices.fake import FakeTransport
from nas.devices.fleet import Fleet
from nas.errors import DeviceAway
from nas.store import devices, health, open_database
from nas.store.device_leases import DeviceLeases

X = {"x": np.ones((1, 3), "float32")}


@pytest.fixture
def transport():
    return FakeTransport()


@pytest.fixture
def controllers(settings, db, transport, monkeypatch):
    """Two fleets as two controllers have them, each with a database handle of its own."""
    monkeypatch.setattr(fleets, "ASK_AGAIN_S", 0.005)
    monkeypatch.setattr(fleets, "KEEP_S", 0.0)
    monkeypatch.setattr(fleets, "LOOK_S", 0.02)
    devices.create(db, name="pi", transport="local")
    health.answered(db, "pi", {})
    databases = [open_database(settings) for _ in range(2)]
    owned = [DeviceLeases(database, ttl=0.2, clock=lambda: 0.0) for database in databases]  # nobody is ever too late
    made = [
        Fleet([Device("pi", "local")], {"local": transport}, leases=held, register=Roster(database, 3), idle_s=60.0)
        for database, held in zip(databases, owned, strict=True)
    ]
    for held in owned:
        held.__enter__()
    yield made
    for fleet, held, database in zip(made, owned, databases, strict=True):
        fleet.close()
        held.__exit__(None, None, None)
        database.close()


def test_both_get_their_turn_and_the_device_has_one_session_at_a_time(controllers, transport):
    tokens, most = [], []
    transport.latency_ms = lambda _model, _threads: most.append(len(transport.held)) or time.sleep(0.01) or 1.0

    def works(fleet, who):
        for _ in range(1000):
            if len({token for token, _ in tokens}) > 2 and Counter(who for _, who in tokens)[who] >= 20:
                return  # they took turns: neither kept it to the end
            with fleet.turn("pi") as turn:
                assert turn.measure(b"model", X).verdict == "valid"
                tokens.append((turn.token, who))

    threads = [threading.Thread(target=works, args=(fleet, who)) for who, fleet in enumerate(controllers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(20 <= count < 1000 for count in Counter(who for _, who in tokens).values())
    assert set(most) == {1}
    assert tokens == sorted(tokens)  # whoever measures has the highest token
    assert len({token for token, _ in tokens}) > 2


def test_an_idle_holder_lets_go_at_once_when_another_waits(controllers, transport):
    first, second = controllers
    assert first.facts("pi")
    assert second.measure("pi", b"model", X).verdict == "valid"
    assert transport.held == {"pi"}


def test_one_that_does_not_let_go_is_waited_for_only_so_long(controllers, monkeypatch):
    first, second = controllers
    with monkeypatch.context() as patience, first.turn("pi") as turn:
        patience.setattr(fleets, "LEASE_WAIT_S", 0.05)
        turn.facts()
        with pytest.raises(DeviceAway, match="Another controller holds the device pi"):
            second.facts("pi")
    assert second.facts("pi")
