import os
import threading
import time

import pytest

from nas.errors import Conflict
from nas.store import AttemptState, TrialStage, WorkState, attempts, jobs, leases, open_database, searches, trials


def queue(db, name="spring"):
    return searches.create(db, name=name, request={}, space={})


def until(condition):
    """Wait for another thread; a minute only bounds a broken run."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def test_the_oldest_queued_work_is_claimed_first_and_only_once(db):
    first, second = queue(db), queue(db)
    observer = leases.Observer(ttl=10)
    claimed = leases.claim_next(db, observer)
    assert (claimed.id, claimed.state, claimed.token) == (first.id, WorkState.running, 1)
    assert claimed.started_at >= first.created_at
    assert leases.claim_next(db, observer).id == second.id
    assert leases.claim_next(db, observer) is None


def test_searches_and_jobs_stand_in_one_queue(db, held, propose):
    propose(held)
    job = jobs.create(db, "student", search_id=held.id, trial=0, request={"device": "pi4"})
    later = queue(db)
    observer = leases.Observer(ttl=10)
    claimed = [leases.claim_next(db, observer), leases.claim_next(db, observer)]
    assert [type(work).__name__ for work in claimed] == ["Job", "Search"]
    assert [work.id for work in claimed] == [job.id, later.id]


def test_a_silent_holder_is_replaced_only_after_the_ttl_on_the_observers_clock(db, held, clock):
    observer = leases.Observer(ttl=10, clock=clock)
    assert leases.claim_next(db, observer) is None
    clock.tick(9.9)
    assert leases.claim_next(db, observer) is None
    assert leases.beat(db, held)
    clock.tick(9.9)  # later than the time to live, but the counter moved
    assert leases.claim_next(db, observer) is None
    clock.tick(10)
    taken = leases.claim_next(db, observer)
    assert (taken.id, taken.token, taken.started_at) == (held.id, held.token + 1, held.started_at)


def test_an_observer_that_just_started_waits_a_whole_ttl(db, held, clock):
    early = leases.Observer(ttl=10, clock=clock)
    assert leases.claim_next(db, early) is None
    clock.tick(10)
    late = leases.Observer(ttl=10, clock=clock)
    assert leases.claim_next(db, late) is None
    assert leases.claim_next(db, early).token == held.token + 1
    clock.tick(5)
    assert leases.claim_next(db, late) is None  # now it watches the new holder, from the start
    clock.tick(5)
    assert leases.claim_next(db, late) is None
    clock.tick(5)
    assert leases.claim_next(db, late).token == held.token + 2


def test_a_beat_between_looking_and_claiming_saves_the_lease(db, held, clock):
    class Slow(leases.Observer):
        def dead(self, pulses):
            found = super().dead(pulses)
            leases.beat(db, held)
            return found

    silent = Slow(ttl=0, clock=clock)  # everything that it looks at is dead
    assert leases.claim_next(db, silent) is None
    assert searches.get(db, held.id).token == held.token


def test_what_the_former_holder_still_stores_is_refused(db, held, clock, propose):
    propose(held)
    attempt = attempts.lease(db, held.id, 0, token=held.token, device="pi4")
    leases.release(db, held)
    taken = leases.claim_next(db, leases.Observer(ttl=10))
    stale = f"Search {held.id} is held by another controller now \\(token 1 is stale, the current one is 2\\)"
    for late in (
        lambda: searches.save(db, held.id, token=held.token, state=WorkState.completed),
        lambda: trials.create(db, held.id, 1, token=held.token, architecture={}),
        lambda: trials.save(db, held.id, 0, token=held.token, stage=TrialStage.measured),
        lambda: attempts.lease(db, held.id, 0, token=held.token, device="pi4"),
        lambda: attempts.close(db, attempt, AttemptState.measured),
    ):
        with pytest.raises(Conflict, match=stale):
            late()
    assert not leases.beat(db, held)
    leases.release(db, held)
    assert leases.claim_next(db, leases.Observer(ttl=10)) is None  # the release of a former holder frees nothing
    assert searches.get(db, held.id) == taken
    assert [trial.stage for trial in trials.page(db, held.id)] == [TrialStage.proposed]


def test_a_stale_job_is_refused_too(db, held, propose):
    propose(held)
    jobs.create(db, "student", search_id=held.id, trial=0, request={})
    former = leases.claim_next(db, leases.Observer(ttl=10))
    leases.release(db, former)
    current = leases.claim_next(db, leases.Observer(ttl=10))
    with pytest.raises(Conflict, match=r"^Job 1 is held by another controller now"):
        jobs.save(db, former.id, token=former.token, progress={"step": "late"})
    assert jobs.save(db, current.id, token=current.token, progress={"step": "on"}).progress == {"step": "on"}


def test_claiming_ends_the_attempts_that_the_former_holder_left_open(db, held, propose):
    propose(held)
    done = attempts.lease(db, held.id, 0, token=held.token, device="pi4")
    attempts.close(db, done, AttemptState.device_fault, "The cable is out.")
    attempts.lease(db, held.id, 0, token=held.token, device="pi4")
    leases.release(db, held)
    taken = leases.claim_next(db, leases.Observer(ttl=10))
    mine = attempts.lease(db, held.id, 0, token=taken.token, device="pi4")
    found = attempts.of_trial(db, held.id, 0)
    assert [attempt.state for attempt in found] == ["device_fault", "expired", "leased"]
    assert found[1].reason == "The controller that began it no longer answers."
    assert found[1].ended_at is not None
    assert (mine.attempt, mine.token) == (3, taken.token)


def test_claiming_one_search_leaves_the_attempts_of_others(db, held, propose):
    propose(held)
    attempts.lease(db, held.id, 0, token=held.token, device="pi4")
    queue(db)
    assert leases.claim_next(db, leases.Observer(ttl=10)).id != held.id
    assert attempts.of_trial(db, held.id, 0)[0].state == AttemptState.leased


def test_released_work_is_free_at_once(db, held):
    assert leases.claim_next(db, leases.Observer(ttl=10)) is None
    leases.release(db, held)
    assert leases.claim_next(db, leases.Observer(ttl=10)).token == held.token + 1


def test_ended_work_is_never_claimed_again(db, claim, clock):
    for state in (WorkState.completed, WorkState.failed, WorkState.cancelled, WorkState.paused):
        work = claim()
        searches.save(db, work.id, token=work.token, state=state)
        leases.release(db, work)
        assert not leases.beat(db, work)
    observer = leases.Observer(ttl=10, clock=clock)
    assert leases.claim_next(db, observer) is None
    clock.tick(1000)
    assert leases.claim_next(db, observer) is None


def test_a_lease_has_an_owner_only_while_somebody_works(db, held):
    def owner():
        with db.read() as connection:
            return connection.exec_driver_sql("SELECT owner FROM nas_searches").scalar_one()

    assert owner().endswith(f":{os.getpid()}")
    searches.save(db, held.id, token=held.token, state=WorkState.paused)
    assert owner() is None


def test_work_becomes_running_only_by_being_claimed(db, held):
    searches.save(db, held.id, token=held.token, state=WorkState.paused)
    searches.resume(db, held.id)
    with pytest.raises(Conflict, match="is queued; it can only be set running by claiming it"):
        searches.save(db, held.id, token=held.token, state=WorkState.running)


@pytest.mark.parametrize("how", ["queued", "dead"])
def test_one_of_many_racing_threads_wins(settings, db, clock, how):
    search = queue(db)
    databases = [open_database(settings) for _ in range(8)]
    observers = [leases.Observer(ttl=10, clock=clock) for _ in databases]
    if how == "dead":
        for observer in (leases.Observer(ttl=10), *observers):  # the first one claims it, and never beats
            leases.claim_next(db, observer)
        clock.tick(10)
    line, won = threading.Barrier(len(databases)), []

    def race(database, observer):
        line.wait()
        won.append(leases.claim_next(database, observer))

    threads = [threading.Thread(target=race, args=pair) for pair in zip(databases, observers, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for database in databases:
        database.close()
    winners = [work for work in won if work is not None]
    assert len(won) == 8
    assert [(work.id, work.token) for work in winners] == [(search.id, 2 if how == "dead" else 1)]


def test_the_heartbeat_keeps_a_lease_alive_while_its_holder_is_busy(db, held, clock):
    class Watching(leases.Observer):
        def dead(self, pulses):
            self.seen = dict(pulses)
            return super().dead(pulses)

    observer = Watching(ttl=10, clock=clock)

    def moved(before):
        assert leases.claim_next(db, observer) is None
        return observer.seen != before

    with leases.Heartbeat(db, held, ttl=0.04) as heartbeat:
        for _ in range(3):
            leases.claim_next(db, observer)
            before = observer.seen
            until(lambda before=before: moved(before))
            clock.tick(9)
        assert not heartbeat.lost
    leases.claim_next(db, observer)
    clock.tick(10)
    assert leases.claim_next(db, observer).token == held.token + 1  # it beats no more


def test_the_heartbeat_notices_that_the_work_was_taken(db, held):
    with leases.Heartbeat(db, held, ttl=0.04) as heartbeat:
        leases.release(db, held)
        until(lambda: leases.claim_next(db, leases.Observer(ttl=10)))  # a beat may come in between
        until(lambda: heartbeat.lost)


def test_a_database_that_does_not_answer_is_a_missed_beat_and_not_the_end(db, held):
    with db.write() as connection:
        connection.exec_driver_sql("ALTER TABLE nas_searches RENAME TO gone")
    with leases.Heartbeat(db, held, ttl=0.04) as heartbeat:
        time.sleep(0.05)
        with db.write() as connection:
            connection.exec_driver_sql("ALTER TABLE gone RENAME TO nas_searches")
        assert not heartbeat.lost
        leases.release(db, held)
        until(lambda: leases.claim_next(db, leases.Observer(ttl=10)))
        until(lambda: heartbeat.lost)  # so it went on beating
