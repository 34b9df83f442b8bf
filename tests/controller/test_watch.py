"""Devices that are away are asked ever less often, and what waits for them goes on by itself."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import pytest

from nas.controller.roster import Roster
from nas.controller.watch import Pauses, Watch
from nas.devices.fake import FakeTransport
from nas.devices.fleet import Fleet
from nas.errors import DeviceUnreachable
from nas.store import WorkState, devices, health, leases, searches, waiting
from nas.store.device_leases import DeviceLeases


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def asked_at(pauses, clock, until, *, new=False):
    """When a device that never answers is looked at."""
    found = []
    while clock.now < until:
        if pauses.due("pi", new=new):
            found.append(clock.now)
            pauses.failed("pi")
        clock.now += 1
    return found


def test_the_pause_doubles_up_to_half_an_hour():
    clock = Clock()
    found = asked_at(Pauses(clock), clock, 10_000)
    assert found[:6] == [1, 3, 7, 15, 31, 63]
    assert found[-1] - found[-2] == 1800


def test_a_new_device_is_looked_at_without_a_pause():
    clock = Clock()
    assert asked_at(Pauses(clock), clock, 10, new=True) == [0, 1, 3, 7]


def test_one_that_comes_and_goes_is_asked_less_and_less_until_it_stays():
    clock = Clock()
    pauses = Pauses(clock)
    asked_at(pauses, clock, 64)  # the last pause was 64 s
    pauses.well("pi")
    clock.now += 10
    assert not pauses.due("pi")
    clock.now += 127
    assert not pauses.due("pi")
    clock.now += 1
    assert pauses.due("pi")
    pauses.well("pi")
    clock.now += 200  # it stayed for longer than that
    pauses.due("pi")
    clock.now += 1
    assert pauses.due("pi")


@pytest.fixture
def bench(db, settings):
    transport, held = FakeTransport(), DeviceLeases(db, ttl=1000)
    roster = Roster(db, 3)
    with Fleet(transports={"local": transport}, leases=held, register=roster) as fleet:
        watch = Watch(settings, db, fleet, roster, threading.Event(), lambda _facts: nullcontext())

        def look(times=1):
            for _ in range(times):
                with ThreadPoolExecutor(4) as pool:
                    watch.look(pool)

        watch._pauses = Pauses(lambda: 1e9 * len(transport.calls))  # as if all pauses were over
        yield transport, look


def waits_for(db, *names):
    searches.create(db, name="t", request={"devices": list(names)}, space={})
    held = leases.claim_next(db, leases.Observer(1000))
    return searches.save(db, held.id, token=held.token, state=WorkState.paused, waiting=True, reason="It waits.")


def state(db, search):
    found = searches.get(db, search.id)
    return str(found.state), found.waiting, found.reason


def test_a_new_device_is_greeted_and_the_search_that_waits_for_it_goes_on(db, bench):
    transport, look = bench
    devices.create(db, name="pi", transport="local")
    transport.opening.append(DeviceUnreachable("No route."))
    search = waits_for(db, "pi")
    look()
    assert (devices.get(db, "pi").state, devices.get(db, "pi").reason) == ("offline", "No route.")
    assert state(db, search) == ("paused", True, "It waits.")
    assert [found.id for found in waiting.waiting(db)] == [search.id]


def test_a_search_goes_on_when_all_its_devices_are_back_and_not_before(db, bench):
    transport, look = bench
    for name, pool in (("a", "twins"), ("b", "twins"), ("jetson", "")):
        devices.create(db, name=name, transport="local", pool=pool)
        health.answered(db, name, {})
    search = waits_for(db, "twins", "jetson")
    devices.drain(db, "jetson")
    devices.drain(db, "a")
    look(2)
    assert state(db, search) == ("paused", True, "It waits.")
    devices.undrain(db, "jetson")
    look()
    transport.calls.append({})  # time passes
    look(2)  # it is asked, it answers, and the next look wakes the search; one board of the pool is enough
    assert devices.get(db, "jetson").state == "online"
    assert state(db, search) == ("queued", False, None)


@pytest.mark.parametrize("when", ["before", "while it paused"])
def test_what_its_user_stopped_never_goes_on_by_itself(db, bench, when):
    _, look = bench
    devices.create(db, name="pi", transport="local")
    health.answered(db, "pi", {})
    if when == "before":
        search = waits_for(db, "pi")
        searches.stop(db, search.id)
    else:
        searches.create(db, name="t", request={"devices": ["pi"]}, space={})
        search = leases.claim_next(db, leases.Observer(1000))
        searches.stop(db, search.id)
        searches.save(db, search.id, token=search.token, state=WorkState.paused, waiting=True, reason="It waits.")
    look(2)
    assert state(db, search)[:2] == ("paused", False)
    assert searches.resume(db, search.id).state == WorkState.queued


def test_a_quarantined_device_comes_back_when_it_works_and_a_barred_one_never_by_itself(db, bench):
    transport, look = bench
    for name in ("pi", "thief"):
        devices.create(db, name=name, transport="local")
        for _ in range(3):
            health.broke(db, name, health.Fault("It choked.", bars=name == "thief"), limit=3)
    transport.script.clear()
    look()
    transport.calls.append({})  # time passes
    look()
    assert [str(devices.get(db, name).state) for name in ("pi", "thief")] == ["online", "quarantined"]


def test_a_board_that_deviates_is_flagged_measured_again_and_used_again(db, bench):
    transport, look = bench
    for name, level in (("a", 0.08), ("b", 0.08), ("c", 0.12)):
        devices.create(db, name=name, transport="local", pool="twins")
        health.answered(db, name, {})
        health.worked(db, name, {"onnxruntime/1": level})
    look()
    assert devices.get(db, "c").reason.startswith("Of the pool twins, it takes 0.12 ms for the reference model")
    transport.calls.append({})  # time passes
    look(2)
    assert devices.get(db, "c").levels == {"onnxruntime/1": 0.08}
    assert devices.get(db, "c").reason is None
