"""Several controllers and one database: each device has one holder, and who was away too long is refused."""

import signal

import pytest
from beds.postgres import TEMPLATE, served

from nas.store import devices, searches, trials
from nas.store.states import WorkState

pytestmark = pytest.mark.faults


def test_two_controllers_share_one_board(site, beds):
    board, rig = beds.board("a"), site()
    name = rig.enrol(board)
    queued = [rig.search(name, trials=4, seed=seed) for seed in (1, 2)]
    for _ in range(2):
        rig.controller()
    rig.until(lambda: all(rig.state(search) == WorkState.running for search in queued))
    for search in queued:
        rig.completed(search)
    assert all(states == ["measured"] for search in queued for states in rig.ends(search).values())
    assert len({one.device_token for one in rig.attempts()}) > 1  # it changed hands


def test_a_controller_that_slept_past_its_lease_is_refused(site, beds):
    board, rig = beds.board("a"), site(lease_ttl=2.0)
    search = rig.search(rig.enrol(board), trials=4)
    sleeper = rig.process()
    late = rig.caught(board)
    sleeper.send_signal(signal.SIGSTOP)
    board.resume()
    rig.controller()
    rig.until(lambda: searches.get(rig.db, search).token > late.token)
    rig.until(lambda: devices.get(rig.db, "a").token > late.device_token)
    sleeper.send_signal(signal.SIGCONT)
    rig.completed(search)
    states = [str(one.state) for one in rig.attempts(search) if one.number == late.number]
    assert states[0] == "expired"
    assert states.count("measured") == 1
    assert all(trial.stage == "scored" for trial in trials.page(rig.db, search))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT], ids=["stopped", "crashed"])
def test_a_database_that_restarts_in_the_middle_of_a_search_costs_nothing(site, beds, number):
    with served() as server, server.fresh(TEMPLATE) as url:
        board, rig = beds.board("a"), site(url)
        search = rig.search(rig.enrol(board), trials=6)
        rig.controller()
        rig.measuring(board)
        server.stop(number)
        server.start()
        rig.completed(search)
        assert all(trial.stage == "scored" for trial in trials.page(rig.db, search))
        rig.close()
