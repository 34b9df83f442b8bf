"""Links and boards that break in the middle of a measurement: another attempt of the same trial, and nothing lost."""

import time

import pytest

from nas.store import devices, trials
from nas.store.states import AttemptState, DeviceState, WorkState

slow = pytest.mark.faults


def test_a_killed_sshd_costs_no_trial(site, beds, capsys):
    """One row, the right token: the figures of issue and README come from here."""
    board, rig = beds.board("a"), site()
    search = rig.search(rig.enrol(board), trials=4)
    rig.controller()
    broken = rig.caught(board)
    board.kill_sshd()
    board.resume()
    killed = time.monotonic()
    board.start()
    rig.until(lambda: any(one.state == AttemptState.measured for one in rig.attempts() if one.number == broken.number))
    mended = time.monotonic() - killed
    rig.completed(search)
    told = rig.ends(search)
    assert told[broken.number][-1] == "measured"
    assert [len(states) for number, states in told.items() if number != broken.number] == [1] * 3
    assert all(trial.stage == "scored" for trial in trials.page(rig.db, search))
    measured = [one for one in rig.attempts(search) if one.state == AttemptState.measured]
    token = devices.get(rig.db, "a").token
    with capsys.disabled():
        print(
            f"\nsshd killed while trial {broken.number} was measured: its attempts ended {told[broken.number]}, "
            f"measured again after {mended:.1f} s; 4 of 4 trials scored, {len(measured)} rows accepted under device "
            f"token {sorted({one.device_token for one in measured})} (now {token})"
        )
    assert len(measured) == 4 and measured[-1].device_token == token


def test_a_board_that_reboots_is_measured_again(site, beds):
    board, rig = beds.board("a"), site()
    search = rig.search(rig.enrol(board), trials=3)
    rig.controller()
    number = rig.caught(board).number
    board.reboot()
    rig.completed(search)
    assert rig.ends(search)[number] == ["device_fault", "measured"]
    assert all(trial.stage == "scored" for trial in trials.page(rig.db, search))


@slow
def test_a_bad_link_makes_it_slower_and_loses_nothing(site, beds, link):
    board, rig = beds.board("a"), site()
    proxy = link(board.namespace.address, 22)
    search = rig.search(rig.enrol(board, host="127.0.0.1", port=proxy.port), trials=6)
    proxy.spoil.delay_s, proxy.spoil.bytes_per_s = 0.02, 500_000
    rig.controller()
    rig.measuring(board)
    proxy.cut()
    rig.until(lambda: any(one.state == AttemptState.measured for one in rig.attempts()))
    proxy.stall()
    time.sleep(3)
    proxy.flow()
    rig.completed(search)
    states = rig.ends(search)
    assert all(found[-1] == "measured" for found in states.values())
    assert all(set(found[:-1]) <= {"device_fault"} for found in states.values())
    assert len(states) == 6


@slow
@pytest.mark.parametrize("how", ["cut_after", "flip_after"])
@pytest.mark.parametrize("place", [6_000, 40_000], ids=["in the agent", "in a model"])
def test_an_upload_that_breaks_is_sent_again_and_never_used(site, beds, link, how, place):
    board, rig = beds.board("a"), site()
    proxy = link(board.namespace.address, 22)
    search = rig.search(rig.enrol(board, host="127.0.0.1", port=proxy.port), trials=3)
    setattr(proxy.spoil, how, place)
    rig.controller()
    rig.completed(search)
    assert getattr(proxy.spoil, how) is None  # it did happen
    assert all(found[-1] == "measured" for found in rig.ends(search).values())


@slow
def test_a_board_that_is_cut_off_is_noticed_within_30_s_and_the_search_goes_on_by_itself(site, beds, capsys):
    board, rig = beds.board("a"), site(attempts=1)
    search = rig.search(rig.enrol(board), trials=3)
    rig.controller()
    rig.measuring(board)
    board.cut()
    cut = time.monotonic()
    rig.until(lambda: devices.get(rig.db, "a").state != DeviceState.online)
    noticed = time.monotonic() - cut
    with capsys.disabled():
        print(f"\na board cut off by DROP was noticed after {noticed:.1f} s")
    assert noticed < 30
    rig.until(lambda: rig.state(search) == WorkState.paused)
    board.mend()
    rig.completed(search)
    assert all(trial.stage == "scored" for trial in trials.page(rig.db, search))


@slow
def test_a_changed_host_key_stops_the_search_until_a_person_has_looked(site, beds):
    board, rig = beds.board("a"), site()
    search = rig.search(rig.enrol(board), trials=3)
    rig.controller()
    rig.until(lambda: any(one.state == AttemptState.measured for one in rig.attempts()))
    board.swap_host_key()
    mark = len((board.folder / "log").read_text())
    rig.until(lambda: rig.state(search) == WorkState.paused)
    told = devices.get(rig.db, "a")
    assert told.state == DeviceState.quarantined
    assert "another host key" in told.reason
    assert "Accepted publickey" not in (board.folder / "log").read_text()[mark:]
    assert not board.agents()
    rig.enrol_anew(board)
    rig.completed(search)
