"""Devices that are full or unsteady: they are blamed, others go on, and they come back by themselves."""

import pytest

from nas.store import devices, trials
from nas.store.states import AttemptState, DeviceState, TrialStage, WorkState

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("disk_kb", [24, 100], ids=["for the agent", "for a model"])
def test_a_disk_that_is_too_full_is_the_devices_fault_and_says_so(site, beds, disk_kb):
    board, rig = beds.board("a", disk_kb=disk_kb), site()
    search = rig.search(rig.enrol(board), trials=2)
    rig.controller()
    reason = rig.until(lambda: devices.get(rig.db, "a").reason)
    assert "free space" in reason
    rig.until(lambda: rig.state(search) == WorkState.paused)
    assert not any(one.state == AttemptState.candidate_fault for one in rig.attempts())
    assert not any(trial.stage == TrialStage.failed for trial in trials.page(rig.db, search))


def test_a_board_that_flaps_is_quarantined_while_others_go_on_and_comes_back_by_itself(site, beds):
    steady, flaky = beds.board("steady"), beds.board("flaky")
    rig = site()
    for board in (steady, flaky):
        rig.enrol(board, pool="tills")
    search = rig.search("tills", trials=12)
    rig.controller()

    def told():
        return devices.get(rig.db, "flaky")

    while (flapping := told()).state != DeviceState.quarantined:
        rig.until(lambda: flaky.agents() or told().state == DeviceState.quarantined)
        flaky.reboot()
    assert "It broke 3 times in a row" in flapping.reason
    rig.completed(search)
    assert all(trial.stage == "scored" for trial in trials.page(rig.db, search))
    assert any(one.device == "steady" and one.state == AttemptState.measured for one in rig.attempts())
    rig.until(lambda: told().state == DeviceState.online)
