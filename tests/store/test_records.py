import math

import pytest

from nas.errors import Conflict, NotFound
from nas.store import (
    AttemptState,
    DeviceState,
    TrialStage,
    WorkState,
    attempts,
    devices,
    jobs,
    leases,
    measurements,
    searches,
    trials,
)

OBJECTIVES = ("wape", "latency_p50_ms")


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda db: searches.get(db, 7), "There is no search 7; `nas search list` shows those that exist."),
        (lambda db: searches.stop(db, 7), "There is no search 7;"),
        (lambda db: searches.resume(db, 7), "There is no search 7;"),
        (lambda db: searches.cancel(db, 7), "There is no search 7;"),
        (lambda db: searches.save(db, 7, token=1), "There is no search 7;"),
        (lambda db: trials.get(db, 7, 0), "There is no search 7;"),
        (lambda db: trials.page(db, 7), "There is no search 7;"),
        (lambda db: trials.create(db, 7, 0, token=1, architecture={}), "There is no search 7;"),
        (lambda db: trials.get(db, 1, 9), "There is no trial 9 in search 1; `nas search show 1` lists its trials."),
        (lambda db: attempts.lease(db, 1, 9, token=1, device="pi4"), "There is no trial 9 in search 1;"),
        (lambda db: jobs.create(db, "student", search_id=1, trial=9, request={}), "There is no trial 9 in search 1;"),
        (lambda db: jobs.get(db, 3, "student"), "There is no student 3; GET /api/v1/students lists those that exist."),
        (lambda db: devices.get(db, "pi5"), "There is no device pi5; `nas devices list` shows those"),
        (lambda db: devices.save(db, "pi5", reason=None), "There is no device pi5;"),
        (lambda db: devices.remove(db, "pi5"), "There is no device pi5;"),
    ],
)
def test_what_does_not_exist_is_named_with_the_way_to_find_what_does(db, held, ask, sentence):
    with pytest.raises(NotFound) as refused:
        ask(db)
    assert str(refused.value).startswith(sentence)


def test_an_attempt_that_does_not_exist_is_named(db, held, propose):
    propose(held)
    attempt = attempts.lease(db, held.id, 0, token=held.token, device="pi4")
    with db.write() as connection:
        connection.exec_driver_sql("DELETE FROM nas_attempts")
    with pytest.raises(NotFound, match=r"^There is no attempt 1 of trial 0 in search 1"):
        attempts.close(db, attempt, AttemptState.measured)


def test_searches_are_listed_newest_first(db):
    made = [searches.create(db, name=name, request={"trials": 3}, space={"name": "tiny"}) for name in "abc"]
    assert searches.page(db) == made[::-1]
    assert [search.name for search in searches.page(db, limit=1, offset=1)] == ["b"]
    assert (made[0].state, made[0].request, made[0].space) == (WorkState.queued, {"trials": 3}, {"name": "tiny"})
    assert made[0].created_at.tzinfo is not None


def test_json_comes_back_as_it_was_with_null_for_what_is_not_finite(db, held):
    front = {"points": [{"values": {"wape": math.inf, "size_kb": 3}}, (math.nan, -math.inf)], "name": "été ≤ 1"}
    saved = searches.save(db, held.id, token=held.token, front=front, timings={"training": 1.5})
    assert saved.front == {"points": [{"values": {"wape": None, "size_kb": 3}}, [None, None]], "name": "été ≤ 1"}
    assert searches.get(db, held.id) == saved
    assert searches.save(db, held.id, token=held.token, front=None).front is None


def test_a_cancel_outlives_a_pause_that_was_under_way(db, held):
    searches.stop(db, held.id)
    searches.cancel(db, held.id)
    ended = searches.save(db, held.id, token=held.token, state=WorkState.paused, reason="Stopped by its user.")
    assert (ended.state, ended.reason, ended.wants) == (WorkState.cancelled, "Cancelled by its user.", None)
    assert ended.finished_at is not None


def test_a_pause_that_was_asked_for_outlives_its_controller(db, held):
    searches.stop(db, held.id)
    leases.release(db, held)
    assert leases.claim_next(db, leases.Observer(ttl=10)).wants == "pause"


def test_resuming_forgets_why_the_search_was_paused(db, held):
    searches.save(db, held.id, token=held.token, state=WorkState.paused, reason="The device is offline.")
    resumed = searches.resume(db, held.id)
    assert (resumed.state, resumed.reason) == (WorkState.queued, None)


def test_a_trial_collects_what_becomes_known_of_it(db, held, propose):
    trial = propose(held, 3)
    assert (trial.stage, trial.attempts, trial.values, trial.feasible) == (TrialStage.proposed, 0, {}, None)
    known = {
        "measurements": {"pi4": {"latency_p50_ms": 1.5}},
        "values": {"wape": None, "latency_p50_ms": 1.5},
        "violations": {"latency_p95_ms": -0.5},
        "feasible": True,
        "timings": {"measuring": 2.5},
    }
    trials.save(db, held.id, 3, token=held.token, stage=TrialStage.measured, **known)
    trained = trials.save(
        db, held.id, 3, token=held.token, stage=TrialStage.trained, weights="ab" * 32, training={"epochs": 4}
    )
    assert trained.finished_at is None
    scored = trials.save(
        db, held.id, 3, token=held.token, stage=TrialStage.scored, scorecard={"wape": 0.3}, reason="It is good."
    )
    assert scored == trials.get(db, held.id, 3)
    assert {name: getattr(scored, name) for name in known} == known
    assert (scored.weights, scored.training, scored.scorecard) == ("ab" * 32, {"epochs": 4}, {"wape": 0.3})
    assert scored.finished_at is not None
    again = trials.save(db, held.id, 3, token=held.token, stage=TrialStage.scored)
    assert again == scored


def test_a_trial_that_was_turned_away_cannot_be_trained(db, held, propose):
    propose(held, 0, TrialStage.measured, TrialStage.turned_away)
    with pytest.raises(Conflict, match=r"^Trial 0 of search 1 is turned_away and cannot become trained; that is final"):
        trials.save(db, held.id, 0, token=held.token, stage=TrialStage.trained, weights="ab" * 32)
    assert trials.get(db, held.id, 0).weights is None


def test_proposing_the_same_again_is_fine_and_another_architecture_is_not(db, held, propose):
    measured = propose(held, 0, TrialStage.measured)
    assert trials.create(db, held.id, 0, token=held.token, architecture={"hidden": 0}) == measured
    with pytest.raises(Conflict, match=r"^Trial 0 of search 1 already stands for another architecture"):
        trials.create(db, held.id, 0, token=held.token, architecture={"hidden": 64})


def test_trials_are_counted_and_paged(db, held, claim, propose):
    for number in (2, 0, 1):
        propose(held, number)
    propose(held, 3, TrialStage.measured)
    propose(claim(), 0)
    assert [trial.number for trial in trials.page(db, held.id)] == [0, 1, 2, 3]
    assert [trial.number for trial in trials.page(db, held.id, limit=2, offset=1)] == [1, 2]
    assert [trial.number for trial in trials.page(db, held.id, stage=TrialStage.measured)] == [3]
    counts = trials.counts(db, held.id)
    assert set(counts) == set(TrialStage)
    assert {stage: count for stage, count in counts.items() if count} == {"proposed": 3, "measured": 1}


def test_the_best_are_the_smallest_values_among_feasible_trials(db, held, claim, propose):
    assert trials.best(db, held.id, OBJECTIVES) == {}
    propose(held, 0, feasible=False, values={"wape": 0.1, "latency_p50_ms": 0.1})
    propose(held, 1, feasible=None, values={"wape": 0.1})
    propose(held, 2, feasible=True, values={"wape": 0.5, "latency_p50_ms": 10, "size_kb": 1.0})
    propose(held, 3, feasible=True, values={"wape": 0.4, "latency_p50_ms": 9.5})
    propose(held, 4, feasible=True, values={"wape": 0.4, "latency_p50_ms": None})
    propose(claim(), 0, feasible=True, values={"wape": 0.01})
    assert trials.best(db, held.id, OBJECTIVES) == {"wape": (3, 0.4), "latency_p50_ms": (3, 9.5)}
    assert trials.best(db, held.id, ["size_kb", "mae"]) == {"size_kb": (2, 1.0)}


def test_an_attempt_ends_once_and_the_same_end_again_is_fine(db, held, propose):
    propose(held)
    attempt = attempts.lease(db, held.id, 0, token=held.token, device="pi4")
    assert (attempt.attempt, attempt.state, attempt.device, attempt.token) == (1, "leased", "pi4", held.token)
    ended = attempts.close(db, attempt, AttemptState.device_fault, "The cable is out.")
    assert (ended.state, ended.reason) == (AttemptState.device_fault, "The cable is out.")
    assert ended.ended_at >= ended.started_at
    assert attempts.close(db, attempt, AttemptState.device_fault, "Another reason.") == ended
    with pytest.raises(Conflict, match=r"^Attempt 1 of trial 0 of search 1 is device_fault and cannot become measured"):
        attempts.close(db, attempt, AttemptState.measured)
    assert attempts.lease(db, held.id, 0, token=held.token, device="pi4").attempt == 2
    assert trials.get(db, held.id, 0).attempts == 2
    assert attempts.of_trial(db, held.id, 0)[0] == ended


def test_a_new_device_is_offline_and_its_name_is_its_own(db):
    made = devices.create(db, name="pi4", transport="ssh", host="10.0.0.4", user="pi")
    assert (made.state, made.host, made.port, made.facts) == (DeviceState.offline, "10.0.0.4", 22, None)
    devices.create(db, name="here", transport="local")
    assert [device.name for device in devices.enrolled(db)] == ["here", "pi4"]
    with pytest.raises(Conflict, match=r"^There is already a device pi4; choose another name"):
        devices.create(db, name="pi4", transport="local")
    probed = devices.save(db, "pi4", state=DeviceState.online, facts={"board": "Pi 4"}, seen_at=made.created_at)
    assert probed == devices.get(db, "pi4")
    assert (probed.state, probed.facts, probed.seen_at) == (DeviceState.online, {"board": "Pi 4"}, made.created_at)
    devices.save(db, "pi4", state=DeviceState.quarantined)
    with pytest.raises(Conflict, match=r"^Device pi4 is quarantined and cannot become draining"):
        devices.save(db, "pi4", state=DeviceState.draining)
    devices.remove(db, "pi4")
    assert [device.name for device in devices.enrolled(db)] == ["here"]


def test_a_device_cannot_be_removed_under_unfinished_work(db, claim, propose):
    devices.create(db, name="pi4", transport="local")
    devices.create(db, name="pi5", transport="local")
    running = claim(devices=["pi5", "pi4"])
    propose(running)
    job = jobs.create(db, "student", search_id=running.id, trial=0, request={"device": "pi4"})
    with pytest.raises(Conflict, match=r"^Device pi4 is used by search 1 and student 1; wait for the end or cancel"):
        devices.remove(db, "pi4")
    searches.save(db, running.id, token=running.token, state=WorkState.paused)
    with pytest.raises(Conflict, match=r"search 1 and student 1"):
        devices.remove(db, "pi4")
    searches.cancel(db, running.id)
    with pytest.raises(Conflict, match=r"^Device pi4 is used by student 1;"):
        devices.remove(db, "pi4")
    held = leases.claim_next(db, leases.Observer(ttl=10))
    with pytest.raises(Conflict, match=r"^Device pi4 is used by student 1;"):
        devices.remove(db, "pi4")
    jobs.save(db, job.id, token=held.token, state=WorkState.completed)
    devices.remove(db, "pi5")
    devices.remove(db, "pi4")
    assert devices.enrolled(db) == []


def test_jobs_are_listed_by_kind_newest_first(db, held, propose):
    propose(held)
    made = [
        jobs.create(db, kind, search_id=held.id, trial=0, request={"device": "pi4"})
        for kind in ("student", "other", "student")
    ]
    assert jobs.page(db, "student") == [made[2], made[0]]
    assert jobs.page(db, "student", limit=1, offset=1) == [made[0]]
    assert (made[0].state, made[0].trial, made[0].request) == (WorkState.queued, 0, {"device": "pi4"})


def test_a_job_keeps_what_came_out(db, held, propose):
    propose(held)
    jobs.create(db, "student", search_id=held.id, trial=0, request={})
    work = leases.claim_next(db, leases.Observer(ttl=10))
    done = jobs.save(
        db, work.id, token=work.token, state=WorkState.completed, result={"equal": True}, package="ab" * 32
    )
    assert (done.result, done.package) == ({"equal": True}, "ab" * 32)
    assert done.finished_at >= done.started_at >= done.created_at


def test_a_cached_measurement_is_never_overwritten(db):
    assert measurements.get(db, "ab" * 32) is None
    measurements.put(db, "ab" * 32, {"latency_p50_ms": 1.5})
    measurements.put(db, "ab" * 32, {"latency_p50_ms": 9.9})
    assert measurements.get(db, "ab" * 32) == {"latency_p50_ms": 1.5}
