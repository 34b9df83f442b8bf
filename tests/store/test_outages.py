"""A database server that goes away: nothing is lost, nothing is done twice, and whoever was alive stays alive."""

import inspect
import signal
import threading
import time
from collections import Counter
from types import SimpleNamespace

import psycopg
import pytest
from beds.postgres import TEMPLATE, served

from nas.errors import ControllerFault
from nas.settings import Settings
from nas.store import attempts, devices, jobs, leases, measurements, open_database, outages, searches, trials

WRITERS, ROUNDS = 8, 10


@pytest.fixture(scope="module")
def server():
    with served() as server:
        yield server


@pytest.fixture
def settings(server, tmp_path):
    with server.fresh(TEMPLATE) as url:
        yield Settings(home=tmp_path / "home", database_url=url)


@pytest.mark.parametrize("module", [attempts, devices, jobs, leases, measurements, searches, trials])
def test_every_verb_outlives_a_restart_but_the_beat_that_may_be_missed(module):
    verbs = {
        name: verb
        for name, verb in inspect.getmembers(module, inspect.isfunction)
        if verb.__module__ == module.__name__ and next(iter(inspect.signature(verb).parameters), "") == "db"
    }
    public = {name for name in verbs if not name.startswith("_")}
    assert {name for name, verb in verbs.items() if hasattr(verb, "__wrapped__")} == public - {"beat"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT], ids=["stopped", "crashed"])
def test_writers_lose_nothing_and_double_nothing_over_a_restart(server, settings, db, held, propose, until, number):
    for writer in range(WRITERS):
        propose(held, writer)
    failures, done, back = [], [], threading.Event()

    def write(writer):
        """Until the server has been away, however long a busy computer takes for that."""
        mine, after = open_database(settings), 0
        try:
            while after < ROUNDS:
                after += back.is_set()
                attempts.lease(mine, held.id, writer, token=held.token, device="pi4")
                done.append(writer)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test is to see it
            failures.append(error)
        finally:
            mine.close()

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(WRITERS)]
    for thread in threads:
        thread.start()
    until(lambda: len(done) >= WRITERS * ROUNDS or failures)
    server.stop(number)
    server.start()
    back.set()
    for thread in threads:
        thread.join()
    assert failures == []
    for writer, rounds in Counter(done).items():
        assert [attempt.attempt for attempt in attempts.of_trial(db, held.id, writer)] == list(range(1, rounds + 1))


@pytest.mark.parametrize("arrived", [True, False], ids=["answer lost", "commit lost"])
def test_a_commit_without_an_answer_counts_once(db, held, propose, monkeypatch, arrived):
    propose(held)
    real, cuts = db.engine.dialect.do_commit, iter([True])

    def commit(connection):
        cut = next(cuts, False)
        if arrived or not cut:
            real(connection)
        if cut:
            connection.dbapi_connection.close()
            raise psycopg.OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(db.engine.dialect, "do_commit", commit)
    assert attempts.lease(db, held.id, 0, token=held.token, device="pi4").attempt == 1
    assert [attempt.attempt for attempt in attempts.of_trial(db, held.id, 0)] == [1]
    assert trials.get(db, held.id, 0).attempts == 1


def test_a_heartbeat_outlives_an_outage_and_nobody_takes_the_work_meanwhile(server, settings, db, held, clock, until):
    other, observer, taken = open_database(settings), leases.Observer(10, clock), []

    def look():
        taken.append(leases.claim_next(other, observer))

    def beats():
        with other.read() as connection:
            return connection.exec_driver_sql("SELECT beat FROM nas_searches").scalar_one()

    with leases.Heartbeat(db, held, ttl=0.04) as heartbeat:
        look()
        server.stop()
        looking = threading.Thread(target=look)
        looking.start()
        until(lambda: not observer._seen)  # it met the outage, and watches anew
        clock.tick(15)  # longer than a lease may stand still
        server.start()
        looking.join()
        for _ in range(3):
            clock.tick(9)
            before = beats()
            until(lambda before=before: beats() > before)
            look()
        assert not heartbeat.lost
    other.close()
    assert taken == [None] * 5
    assert searches.get(db, held.id).token == held.token


def test_an_outage_is_no_silence_of_the_holder(server, db, held, clock, monkeypatch):
    monkeypatch.setattr(outages, "PATIENCE_S", 0.0)
    observer = leases.Observer(ttl=10, clock=clock)
    assert leases.claim_next(db, observer) is None
    server.stop()
    with pytest.raises(ControllerFault):
        leases.claim_next(db, observer)
    server.start()
    monkeypatch.undo()
    clock.tick(20)
    assert leases.claim_next(db, observer) is None
    clock.tick(10)  # now it had its time to beat
    assert leases.claim_next(db, observer).token == held.token + 1


def test_a_server_that_stays_away_is_one_clear_sentence(server, db, held, monkeypatch):
    monkeypatch.setattr(outages, "PATIENCE_S", 0.3)
    server.stop()
    try:
        with pytest.raises(ControllerFault, match=r"^The database did not answer for 0\.3 s: .*; check that it is"):
            searches.get(db, held.id)
    finally:
        server.start()
    assert searches.get(db, held.id) == held


def test_a_refused_statement_is_not_repeated(db, held, propose, monkeypatch):
    propose(held)
    with db.write() as connection:
        connection.exec_driver_sql("ALTER TABLE nas_attempts RENAME TO gone")
    again = SimpleNamespace(monotonic=time.monotonic, sleep=lambda _: pytest.fail("it was carried out again"))
    monkeypatch.setattr(outages, "time", again)
    with pytest.raises(Exception, match="nas_attempts"):
        attempts.of_trial(db, held.id, 0)
