"""Stages of a search overlap where they may, and what it finds does not depend on which of them ended first."""

import random
import threading
import time
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from processes import PATIENCE_S

from nas.devices.fake import FakeTransport, latency_by_size
from nas.errors import Conflict, DeviceUnreachable
from nas.search.fake import ClosedFormTrainer
from nas.search.study import Study
from nas.store import attempts

TIGHT = {"size_kb": 60}
NAMES = iter(f"run{number}" for number in range(1000))


class Gate:
    """Counts what begins, and lets one wait until enough of it has begun; a test fails where that never happens."""

    def __init__(self):
        self._counts = Counter()
        self._changed = threading.Condition()

    def pass_by(self, what):
        with self._changed:
            self._counts[what] += 1
            self._changed.notify_all()

    def seen(self, what):
        return self._counts[what]

    def wait_for(self, what, count):
        with self._changed:
            assert self._changed.wait_for(lambda: self._counts[what] >= count, PATIENCE_S), f"never {count} {what}"


def found_by(run):
    run.run()
    return outline(run), run.front


def outline(run):
    return [(t.number, t.architecture, str(t.stage), t.values, t.feasible, t.weights, t.reason) for t in run.trials]


def trainer_that(meets):
    """A trainer that calls ``meets`` before each step."""

    def fault(verb, architecture):
        meets(verb, architecture)

    return ClosedFormTrainer(fault)


def transport_that(meets, latency_ms=latency_by_size):
    """A device that calls ``meets`` at each measurement."""

    def latency(model, threads):
        meets()
        return latency_ms(model, threads)

    return FakeTransport(latency_ms=latency)


def test_later_candidates_are_exported_and_measured_while_others_are_trained(bench):
    gate = Gate()

    def meets(verb, _architecture):
        gate.pass_by(verb)
        if verb == "train":
            gate.wait_for("measurements", 4)  # two trainings at a time: more were measured meanwhile

    run = bench(trainer=trainer_that(meets), transport=transport_that(lambda: gate.pass_by("measurements")))
    assert run.start(trials=6).run() is None
    assert all(t.stage == "scored" for t in run.trials)


def test_exports_run_ahead_so_that_a_device_never_waits_for_one(bench):
    gate = Gate()
    run = bench(
        trainer=trainer_that(lambda verb, _architecture: gate.pass_by(verb)),
        transport=transport_that(lambda: gate.wait_for("export", 4)),
    )
    run.start(trials=6).run()
    assert all(t.stage == "scored" for t in run.trials)


def test_several_devices_measure_a_trial_at_the_same_time(bench):
    together = threading.Barrier(2, timeout=PATIENCE_S)
    transports = {name: transport_that(together.wait) for name in ("pi4", "jetson")}
    run = bench(transports=transports).start(trials=1)
    run.run()
    assert set(run.trials[0].measurements) == {"pi4", "jetson"}


def test_where_a_device_is_this_computer_measuring_and_working_take_turns(bench):
    active, lock, overlaps = Counter(), threading.Lock(), []

    def doing(kind):
        with lock:
            active[kind] += 1
            overlaps.extend(other for other, count in active.items() if count and other != kind)
        time.sleep(0.03)
        with lock:
            active[kind] -= 1

    run = bench(
        trainer=trainer_that(lambda verb, _architecture: doing(verb)),
        transport=transport_that(lambda: doing("measure")),
        apart=True,
    )
    run.start(trials=16, constraints=TIGHT).run()
    assert not overlaps
    assert Counter(str(t.stage) for t in run.trials).keys() == {"scored", "turned_away"}


@pytest.fixture(scope="module")
def undisturbed():
    """Outlines of the searches that the property compares with, by sampler."""
    return {}


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), sampler=st.sampled_from(["random", "tpe", "nsga2"]), apart=st.booleans())
def test_what_a_search_finds_does_not_depend_on_what_ends_first(bench, undisturbed, seed, sampler, apart):
    def started(**parts):
        return bench(next(NAMES), lasting=False, **parts).start(trials=14, constraints=TIGHT, sampler=sampler)

    if sampler not in undisturbed:
        undisturbed[sampler] = found_by(started())
    chance, lock = random.Random(seed), threading.Lock()

    def dawdle(*_about):
        with lock:
            pause = chance.choice([0, 0, 0.001, 0.02])
        time.sleep(pause)

    run = started(trainer=trainer_that(dawdle), transport=transport_that(dawdle), apart=apart)
    assert found_by(run) == undisturbed[sampler]


def test_the_sampler_is_told_of_each_trial_once_in_the_order_of_the_numbers(bench, monkeypatch):
    gate, told, tell = Gate(), [], Study.tell

    def meets(verb, _architecture):
        gate.pass_by(verb)
        if verb == "train" and gate.seen("train") == 1:
            gate.wait_for("train", 3)  # the first is overtaken

    monkeypatch.setattr(
        Study, "tell", lambda study, number, *about, **how: told.append(number) or tell(study, number, *about, **how)
    )
    bench(trainer=trainer_that(meets), lasting=False).start(trials=8).run()
    assert told == list(range(8))


def test_a_search_that_is_stopped_begins_nothing_more_and_keeps_what_was_in_hand(bench):
    gate = Gate()

    def meets(verb, _architecture):
        gate.pass_by(verb)
        if verb == "train":
            gate.wait_for("stop", 1)

    def check():
        if gate.seen("train"):
            gate.pass_by("stop")
            raise Conflict("Stopped by its user.")

    run = bench(trainer=trainer_that(meets), check=check).start(trials=12)
    with pytest.raises(Conflict):
        run.run()
    scored = [t.number for t in run.trials if t.stage == "scored"]
    assert 1 <= len(scored) <= 2 and run.front["points"]
    run.check = lambda: None
    assert found_by(run) == found_by(bench("calm").start(trials=12))


def test_a_device_that_is_gone_lets_the_others_and_the_trainings_end(bench):
    gate = Gate()
    gone = FakeTransport()

    def dies():
        gone.open = lambda _device: (_ for _ in ()).throw(DeviceUnreachable("No answer from jetson."))
        gate.wait_for("train", 1)
        raise DeviceUnreachable("No answer from jetson.")

    def second(model, threads):
        if gone.calls.count({"verb": "probe"}) == 1 and sum(c["verb"] == "measure" for c in gone.calls) > 1:
            dies()
        return latency_by_size(model, threads)

    gone.latency_ms = second
    trainer = trainer_that(lambda verb, _architecture: gate.pass_by(verb))
    run = bench(trainer=trainer, transports={"pi4": FakeTransport(), "jetson": gone}).start(trials=5)
    with pytest.raises(DeviceUnreachable):
        run.run()
    assert sum(t.stage == "scored" for t in run.trials) == 1
    tried = [a for t in run.trials for a in attempts.of_trial(run.db, run.search.id, t.number)]
    assert {a.state for a in tried if a.device == "pi4"} == {"measured"}


def test_a_network_in_training_is_waited_for_and_not_trained_twice(bench):
    space = {"name": "tiny", "parameters": {"hidden": [8], "precision": ["fp32", "int8"], "threads": [1, 2, 3]}}
    gate = Gate()

    def meets(verb, architecture):
        gate.pass_by(verb)
        if verb == "train" and not run.trainer.trained:
            gate.wait_for("measurements", 3)  # others of the same network are ready by now

    run = bench(trainer=trainer_that(meets), transport=transport_that(lambda: gate.pass_by("measurements")))
    run.start(space=space, trials=12).run()
    assert sum(run.trainer.trained.values()) == 1
    (first,) = [t.number for t in run.trials if "reused_from" not in t.training]
    assert {t.training["reused_from"] for t in run.trials if t.number != first} == {first}
