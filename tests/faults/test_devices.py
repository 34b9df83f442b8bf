"""Devices that are full or unsteady: they are blamed, others go on, and they come back by themselves."""

import pytest

from nas.store import devices, trials
from nas.store.states import AttemptState, DeviceState, WorkState

pytestmark = pytest.mark.faults


def test_a_full_disk_is_the_devices_fault_and_says_so(site, beds):
    board, rig = beds.board("a", disk_kb=24), site()
    search = rig.search(rig.enrol(board), trials=2)
    rig.controller()
    rig.until(lambda: rig.state(search) == WorkState.paused)
    told = devices.get(rig.db, "a")
    assert told.state != DeviceState.online
    assert "free space" in told.reason
    assert not any(one.state == AttemptState.candidate_fault for one in rig.attempts())


def test_a_board_that_flaps_is_quarantined_and_the_search_goes_on_elsewhere(site, beds):
    steady, flaky = beds.board("steady"), beds.board("flaky")
    rig = site()
    for board in (steady, flaky):
        rig.enrol(board, pool="tills")
    search = rig.search("tills", trials=12)
    rig.controller()
    while devices.get(rig.db, "flaky").state != DeviceState.quarantined:
        rig.until(lambda: flaky.agents() or devices.get(rig.db, "flaky").state == DeviceState.quarantined)
        flaky.reboot()
    rig.completed(search)
    assert all(trial.stage == "scored" for trial in trials.page(rig.db, search))
    assert any(one.device == "steady" and one.state == AttemptState.measured for one in rig.attempts())
    assert "It broke 3 times in a row" in devices.get(rig.db, "flaky").reason
