"""The loop: measured before trained, nothing lost or done twice, and an honest end."""

import json
import math

import optuna
import pytest

from nas.architecture import Architecture
from nas.devices.fake import FakeTransport
from nas.errors import CandidateFault, ControllerFault, DeviceFault, DeviceUnreachable, HostKeyChanged
from nas.search import records, study
from nas.search.fake import ClosedFormTrainer
from nas.store import attempts

TIGHT = {"size_kb": 60}


class Killed(BaseException):
    """As sudden as kill -9: nothing may catch it."""


def outline(bench):
    """What must not depend on interruptions."""
    return [(t.number, t.architecture, str(t.stage), t.values, t.feasible, t.weights) for t in bench.trials]


@pytest.fixture(scope="module")
def known():
    return {}


@pytest.fixture
def calm(bench, known):
    """Outline, front and number of trainings of a search that nothing disturbs."""

    def calm(**wanted):
        key = json.dumps(wanted, sort_keys=True)
        if key not in known:
            run = bench("calm", lasting=False).start(**wanted)
            run.run()
            known[key] = outline(run), run.front, sum(run.trainer.trained.values())
        return known[key]

    return calm


def states(bench, number):
    return [a.state for a in attempts.of_trial(bench.db, bench.search.id, number)]


def test_a_candidate_over_its_limit_is_measured_and_never_trained(bench):
    run = bench(lasting=False).start(constraints=TIGHT)
    assert run.run() is None
    away = [t for t in run.trials if t.stage == "turned_away"]
    scored = [t for t in run.trials if t.stage == "scored"]
    assert away and scored and len(away) + len(scored) == 12
    for trial in away:
        assert trial.values["size_kb"] > 60 and "wape" not in trial.values and trial.weights is None
        assert "size_kb" in trial.reason
    trained = {Architecture.from_dict(t.architecture).network for t in scored}
    assert set(run.trainer.trained) == trained
    assert sum(call["verb"] == "measure" for call in run.transport.calls) >= 12


def test_the_front_holds_only_feasible_trials_that_nothing_beats(bench):
    run = bench(lasting=False).start(constraints=TIGHT, trials=20)
    run.run()
    scored = {t.number: t.values for t in run.trials if t.feasible}
    on_front, named = {point["number"] for point in run.front["points"]}, run.front["objectives"]
    assert on_front and on_front <= set(scored)
    for number, own in scored.items():
        beaten = any(
            all(other[m] <= own[m] for m in named) and any(other[m] < own[m] for m in named)
            for other in scored.values()
        )
        assert beaten == (number not in on_front)
    assert run.front["recommended"] in on_front
    assert run.front["hypervolume"] > 0


def test_no_network_is_trained_twice(bench):
    space = {"name": "tiny", "parameters": {"hidden": [8], "precision": ["fp32", "int8"], "threads": [1, 2]}}
    run = bench(lasting=False).start(space=space, trials=16)
    run.run()
    assert sum(run.trainer.trained.values()) == 1
    assert any("reused_from" in t.training for t in run.trials)


@pytest.mark.parametrize("sampler", ["random", "tpe", "nsga2"])
def test_a_search_is_repeated_by_its_seed(bench, sampler):
    one, two, other = (bench(name, lasting=False) for name in ("one", "two", "other"))
    for run, seed in ((one, 5), (two, 5), (other, 6)):
        run.start(sampler=sampler, seed=seed, constraints=TIGHT).run()
    assert outline(one) == outline(two)
    assert outline(one) != outline(other)


@pytest.mark.parametrize(("stage", "sampler"), [*((stage, "random") for stage in range(1, 36, 2)), (20, "tpe")])
def test_a_search_killed_between_any_two_steps_ends_as_if_it_was_not(bench, calm, stage, sampler, monkeypatch):
    wanted = {"constraints": TIGHT, "trials": 6 if sampler == "random" else 12, "sampler": sampler}
    undisturbed = calm(**wanted)
    killed = bench("killed").start(**wanted)
    steps = iter(range(stage))

    def dying(real):
        def step(*given, **named):
            if next(steps, None) is None:
                monkeypatch.undo()
                raise Killed
            return real(*given, **named)

        return step

    told = (records.trials, "save"), (records.trials, "create"), (records.searches, "save"), (study.Study, "tell")
    for module, name in told:
        monkeypatch.setattr(module, name, dying(getattr(module, name)))
    with pytest.raises(Killed):
        killed.run()
    killed.run()
    assert (outline(killed), killed.front) == undisturbed[:2]
    assert sum(killed.trainer.trained.values()) <= undisturbed[2] + 2


def test_constraints_that_nothing_can_meet_end_the_search_with_the_reason(bench):
    run = bench(lasting=False).start(constraints={"latency_p50_ms": 0.001, "size_kb": 1e6}, trials=200)
    reason = run.run()
    assert len(run.trials) < 40
    assert not run.trainer.trained
    assert "latency_p50_ms <= 0.001 was broken by" in reason
    nearest = min(run.trials, key=lambda t: t.values["latency_p50_ms"])
    assert f"nearest miss is trial {nearest.number}" in reason
    assert run.front["points"] == []


def test_an_accuracy_that_nothing_reaches_ends_the_search_too(bench):
    run = bench(lasting=False).start(constraints={"wape": 0.0001}, trials=200)
    assert "wape <= 0.0001" in run.run()
    assert all(t.stage == "scored" and t.feasible is False for t in run.trials)


def test_a_candidate_that_cannot_run_is_not_tried_again(bench):
    run = bench(transport=FakeTransport([CandidateFault("It wanted 80 GB.")])).start(trials=4)
    run.run()
    assert [t.reason for t in run.trials if t.stage == "failed"] == ["It wanted 80 GB."]
    assert states(run, 0) == ["candidate_fault"]
    assert len(run.trials) == 4


def test_a_device_that_breaks_once_is_another_attempt_of_the_same_trial(bench):
    run = bench(transport=FakeTransport([DeviceUnreachable("The link was cut.")])).start(trials=3)
    assert run.run() is None
    assert run.trials[0].stage == "scored"
    assert states(run, 0) == ["device_fault", "measured"]


def test_a_candidate_that_keeps_breaking_a_device_that_answers_is_blamed(bench):
    run = bench(transport=FakeTransport([DeviceFault("It rebooted.")] * 3)).start(trials=3)
    run.run()
    assert run.trials[0].stage == "failed" and "It rebooted" in run.trials[0].reason
    assert [str(t.stage) for t in run.trials[1:]] == ["scored", "scored"]


def test_a_device_that_is_gone_stops_the_search_and_loses_nothing(bench):
    run = bench().start(trials=6)
    opened, gone = run.transport.open, DeviceUnreachable("No answer from fake.")

    def dead(_device):
        raise gone

    def dies_after_two(model, threads):
        if len(run.trials) > 2:
            run.transport.open = dead
            raise gone
        return 0.1

    run.transport.latency_ms = dies_after_two
    with pytest.raises(DeviceUnreachable):
        run.run()
    before = {t.number: t for t in run.trials}
    run.transport.open, run.transport.latency_ms = opened, lambda _model, _threads: 0.1
    assert run.run() is None
    after = {t.number: t for t in run.trials}
    assert sorted(after) == list(range(6)) and all(t.stage == "scored" for t in after.values())
    assert all(after[n].architecture == t.architecture for n, t in before.items())
    assert all(after[n] == t for n, t in before.items() if t.finished_at)


def test_a_changed_host_key_is_not_tried_again(bench):
    run = bench(transport=FakeTransport([HostKeyChanged("Another key.")] * 3)).start(trials=3)
    with pytest.raises(HostKeyChanged):
        run.run()
    assert {len(states(run, t.number)) for t in run.trials} <= {0, 1}


def test_a_loss_that_is_not_finite_fails_its_trial_and_the_search_goes_on(bench):
    def fault(verb, architecture):
        return CandidateFault("The loss is nan.") if verb == "train" and architecture.hidden > 64 else None

    run = bench(trainer=ClosedFormTrainer(fault)).start(trials=12)
    run.run()
    failed = [t for t in run.trials if t.stage == "failed"]
    assert failed and all(t.reason == "The loss is nan." for t in failed)
    assert all(p["architecture"]["hidden"] <= 64 for p in run.front["points"])


def test_workers_that_die_are_retried_and_then_fail_only_their_trial(bench):
    deaths = iter([ControllerFault("killed")] * 4)

    def fault(verb, _architecture):
        return next(deaths, None) if verb == "train" else None

    run = bench(trainer=ClosedFormTrainer(fault)).start(trials=6)
    run.run()
    assert sum(t.stage == "failed" for t in run.trials) <= 1
    assert sum(t.stage == "scored" for t in run.trials) >= 5


def test_what_the_sampler_was_told_is_what_users_see(bench):
    run = bench().start(constraints=TIGHT, sampler="tpe")
    run.run()
    told = optuna.load_study(study_name=f"search-{run.search.id}", storage=run.settings.database).get_trials()
    for trial in run.trials:
        wape, p50 = told[trial.number].values
        assert p50 == pytest.approx(trial.values["latency_p50_ms"])
        assert math.isinf(wape) if trial.stage == "turned_away" else wape == pytest.approx(trial.values["wape"])
        assert (told[trial.number].constraints["size_kb"] <= 0) == (trial.values["size_kb"] <= 60)
