"""Who has a device: one at a time, in order, for as long as the counter moves."""

import threading
import time
from collections import Counter

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from nas.errors import Conflict, LeaseLost, NotFound
from nas.store import AttemptState, attempts, devices, leases, measurements, open_database, searches, trials
from nas.store.device_leases import DeviceLeases, beat, give_back, take

KEY = "ab" * 32


@pytest.fixture
def pi(db):
    return devices.create(db, name="pi", transport="local").name


def watcher(clock, ttl=10):
    return leases.Observer(ttl, clock)


def test_a_device_has_one_holder_and_the_others_come_in_order(db, pi, clock):
    mine, second, third = watcher(clock), watcher(clock), watcher(clock)
    assert take(db, mine, pi, "a") == 1
    assert take(db, second, pi, "b") is None
    assert take(db, third, pi, "c") is None
    assert devices.get(db, pi).queue == ["b", "c"]
    assert beat(db, "a") == {pi: (1, True)}
    give_back(db, pi, "a")
    assert take(db, third, pi, "c") is None  # it is not its turn
    assert take(db, mine, pi, "a") is None  # who had it stands at the end
    assert take(db, second, pi, "b") == 2
    assert devices.get(db, pi).queue == ["c", "a"]
    give_back(db, pi, "c")  # goes away without having had it
    give_back(db, pi, "b")
    assert take(db, mine, pi, "a") == 3
    assert devices.get(db, pi).owner == "a"
    assert devices.get(db, pi).queue == []


def test_a_silent_holder_is_replaced_only_after_the_ttl_on_the_observers_clock(db, pi, clock):
    take(db, watcher(clock), pi, "a")
    other = watcher(clock)
    assert take(db, other, pi, "b") is None
    clock.tick(9.9)
    assert take(db, other, pi, "b") is None
    beat(db, "a")
    clock.tick(9.9)
    assert take(db, other, pi, "b") is None
    clock.tick(10)
    assert take(db, other, pi, "b") == 2
    assert beat(db, "a") == {}


def test_one_that_waited_and_died_keeps_nobody_waiting(db, pi, clock):
    take(db, watcher(clock), pi, "a")
    dead, alive = watcher(clock), watcher(clock)
    take(db, dead, pi, "dead")
    take(db, alive, pi, "alive")
    clock.tick(10)  # holder and first in line are both gone
    found = []
    for _ in range(4):
        found.append(take(db, alive, pi, "alive"))
        clock.tick(10)
    assert [token for token in found if token] == [2]


def test_a_device_that_is_not_enrolled_cannot_be_taken(db, clock):
    with pytest.raises(NotFound):
        take(db, watcher(clock), "pi", "a")
    give_back(db, "pi", "a")


def measuring(db, propose, held, pi, token):
    propose(held)
    return attempts.lease(db, held.id, 0, token=held.token, device=pi, device_token=token)


def test_what_a_stale_holder_measured_is_refused_and_nothing_is_stored(db, pi, clock, held, propose):
    mine = measuring(db, propose, held, pi, take(db, watcher(clock), pi, "a"))
    other = watcher(clock)
    take(db, other, pi, "b")
    clock.tick(10)
    assert take(db, other, pi, "b") == 2
    ended = attempts.of_trial(db, held.id, 0)
    assert [a.state for a in ended] == [AttemptState.expired]
    with pytest.raises(LeaseLost, match=r"^Another controller took the device pi .* \(token 1 is stale\)"):
        attempts.close(db, mine, AttemptState.measured, remember={KEY: {"p50": 1.0}})
    assert measurements.get(db, KEY) is None
    assert attempts.of_trial(db, held.id, 0) == ended


def test_a_device_that_was_enrolled_anew_meanwhile_makes_the_attempt_stale(db, pi, clock, held, propose):
    mine = measuring(db, propose, held, pi, take(db, watcher(clock), pi, "a"))
    devices.remove(db, pi)
    with pytest.raises(LeaseLost):
        attempts.close(db, mine, AttemptState.measured)
    assert attempts.of_trial(db, held.id, 0)[0].state == AttemptState.expired


def test_the_same_end_again_is_fine_and_stores_once(db, pi, clock, held, propose):
    mine = measuring(db, propose, held, pi, take(db, watcher(clock), pi, "a"))
    ended = attempts.close(db, mine, AttemptState.measured, remember={KEY: {"p50": 1.0}})
    assert attempts.close(db, mine, AttemptState.measured, remember={KEY: {"p50": 2.0}}) == ended
    assert measurements.get(db, KEY) == {"p50": 1.0}
    with pytest.raises(Conflict, match="is measured and cannot become device_fault"):
        attempts.close(db, mine, AttemptState.device_fault)


def test_taking_one_device_leaves_the_attempts_on_others(db, pi, clock, held, propose):
    devices.create(db, name="pi5", transport="local")
    mine = measuring(db, propose, held, "pi5", take(db, watcher(clock), "pi5", "a"))
    take(db, watcher(clock), pi, "b")
    assert attempts.close(db, mine, AttemptState.measured).state == AttemptState.measured


def test_a_thread_beats_for_all_devices_and_sees_who_waits_and_what_is_lost(db, pi, clock, until):
    devices.create(db, name="pi5", transport="local")
    with DeviceLeases(db, ttl=0.02) as held:
        assert (held.take(pi), held.take("pi5"), held.take(pi)) == (1, 1, 1)
        assert not held.wanted(pi)
        assert take(db, watcher(clock), pi, "other") is None
        until(lambda: held.wanted(pi))
        assert not held.wanted("pi5")
        with db.write() as connection:
            connection.exec_driver_sql("UPDATE nas_devices SET owner = 'thief', token = token + 1 WHERE name = 'pi5'")
        until(lambda: held.take("pi5") is None)
        held.give_back("pi5")
    assert devices.get(db, pi).owner is None
    assert devices.get(db, "pi5").owner == "thief"
    assert devices.get(db, "pi5").queue == []


def test_a_database_that_does_not_answer_is_a_missed_beat_and_not_the_end(db, pi, until):
    with DeviceLeases(db, ttl=0.02) as held:
        held.take(pi)
        with db.write() as connection:
            connection.exec_driver_sql("ALTER TABLE nas_devices RENAME TO away")
        threading.Event().wait(0.05)
        with db.write() as connection:
            connection.exec_driver_sql("ALTER TABLE away RENAME TO nas_devices")

        def beats():
            with db.read() as connection:
                return connection.exec_driver_sql("SELECT beat FROM nas_devices").scalar_one()

        before = beats()
        until(lambda: beats() > before)
        assert held.take(pi) == 1


def test_a_thousand_racing_claims_are_never_two_at_a_time(settings, db, pi):
    """Eight controllers, each with a connection of its own, 125 claims each."""
    databases = [open_database(settings) for _ in range(8)]
    inside, seen, tokens = Counter(), [], []
    guard = threading.Lock()

    def claims(database):
        with DeviceLeases(database, ttl=60) as held:
            for _ in range(125):
                while (token := held.take(pi)) is None:
                    time.sleep(0.005)
                with guard:
                    inside["now"] += 1
                    seen.append(inside["now"])
                    tokens.append(token)
                with guard:
                    inside["now"] -= 1
                held.give_back(pi)

    threads = [threading.Thread(target=claims, args=(database,)) for database in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for database in databases:
        database.close()
    assert len(seen) == 1000
    assert set(seen) == {1}
    assert sorted(tokens) == tokens == list(range(1, 1001))


class Contest(RuleBasedStateMachine):
    """Three controllers do what they like, and die when they like; the device has one holder that may store."""

    NAMES = ("a", "b", "c")
    db = clock = None

    @initialize()
    def begin(self):
        for name in [device.name for device in devices.enrolled(self.db)]:
            devices.remove(self.db, name)
        devices.create(self.db, name="pi", transport="local")
        search = searches.create(self.db, name="t", request={}, space={})
        with self.db.write() as connection:
            connection.exec_driver_sql(f"UPDATE nas_searches SET state = 'running', token = 1 WHERE id = {search.id}")
        trials.create(self.db, search.id, 0, token=1, architecture={})
        self.search, self.highest, self.open = search.id, 0, {}
        self.observers = {name: leases.Observer(10, self.clock) for name in self.NAMES}

    @rule(name=st.sampled_from(NAMES))
    def takes(self, name):
        token = take(self.db, self.observers[name], "pi", name)
        if token is not None:
            assert token == self.highest + 1
            self.highest = token
            attempt = attempts.lease(self.db, self.search, 0, token=1, device="pi", device_token=token)
            self.open[name] = attempt

    @rule(name=st.sampled_from(NAMES))
    def beats(self, name):
        beat(self.db, name)

    @rule(seconds=st.sampled_from([1, 9, 11]))
    def time_passes(self, seconds):
        self.clock.tick(seconds)

    @rule(name=st.sampled_from(NAMES))
    def ends(self, name):
        if attempt := self.open.pop(name, None):
            if attempt.device_token == self.highest:
                attempts.close(self.db, attempt, AttemptState.measured)
            else:
                with pytest.raises(LeaseLost):
                    attempts.close(self.db, attempt, AttemptState.measured)
            give_back(self.db, "pi", name)

    @invariant()
    def at_most_one_attempt_is_open(self):
        if self.highest:
            found = attempts.of_trial(self.db, self.search, 0)
            assert sum(a.state == AttemptState.leased for a in found) <= 1
            assert [a.device_token for a in found] == list(range(1, self.highest + 1))
            assert len(set(devices.get(self.db, "pi").queue)) == len(devices.get(self.db, "pi").queue)


def test_whatever_controllers_do_only_the_last_holder_stores(db, clock):
    machine = type("Here", (Contest,), {"db": db, "clock": clock})
    run_state_machine_as_test(machine, settings=hypothesis_settings(max_examples=25, stateful_step_count=25))


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=12))
@hypothesis_settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nobody_overtakes_twice(db, clock, asking):
    """However often others ask, whoever stands first is next."""
    for name in [device.name for device in devices.enrolled(db)]:
        devices.remove(db, name)
    devices.create(db, name="pi", transport="local")
    observers = {name: leases.Observer(10, clock) for name in "abcd"}
    take(db, leases.Observer(10, clock), "pi", "holder")
    for name in asking:
        take(db, observers[name], "pi", name)
    order = list(dict.fromkeys(asking))
    give_back(db, "pi", "holder")
    for first in order:
        assert [n for n in "abcd" if take(db, observers[n], "pi", n)] == [first]
        give_back(db, "pi", first)
        for name in "abcd":
            if name not in order:
                give_back(db, "pi", name)
