"""This computer as a device: what can be wrong with it, and what happens when its agent dies."""

import os
import signal
import sys

import pytest
from processes import descendants, wait_until

from nas.devices.device import Device
from nas.devices.enrol import probe
from nas.devices.local import LocalTransport
from nas.errors import DeviceFault, DeviceUnreachable, PythonMissing


def device(root, **changes):
    return Device("here", "local", **{"python": sys.executable, "root": str(root), **changes})


def test_a_probe_tells_the_facts_and_lets_go(tmp_path):
    before = set(descendants(os.getpid()))
    assert probe(device(tmp_path))["runtimes"]["onnxruntime"]
    assert set(descendants(os.getpid())) <= before


def test_no_python_says_so(tmp_path):
    with pytest.raises(PythonMissing, match="python9"):
        LocalTransport().open(device(tmp_path, python="python9"))


def test_an_old_python_says_so(tmp_path):
    old = tmp_path / "old"
    old.write_text("#!/bin/sh\necho PYTHON_TOO_OLD 2.7 >&2; exit 1\n")
    old.chmod(0o755)
    with pytest.raises(PythonMissing, match=r"it is 2\.7"):
        LocalTransport().open(device(tmp_path, python=str(old)))


def test_a_folder_that_cannot_be_used_is_the_devices_fault(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DeviceFault, match="check its rights and free space"):
        LocalTransport().open(device(tmp_path / "file" / "agent"))


def test_an_agent_that_dies_says_its_last_words(tmp_path):
    dying = tmp_path / "dying"
    dying.write_text("#!/bin/sh\necho the disk is on fire >&2; exit 3\n")
    dying.chmod(0o755)
    with pytest.raises(DeviceUnreachable, match="the disk is on fire"):
        LocalTransport().open(device(tmp_path, python=str(dying)))


def test_a_killed_agent_is_unreachable(tmp_path):
    session = LocalTransport().open(device(tmp_path))
    os.kill(session._process._process.pid, signal.SIGKILL)
    with pytest.raises(DeviceUnreachable, match="ended"):
        session.call({"verb": "probe"}, 30)
    session.close()


def test_an_agent_that_does_not_answer_is_unreachable_at_the_deadline(tmp_path):
    session = LocalTransport().open(device(tmp_path))
    pid = session._process._process.pid
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(DeviceUnreachable, match=r"did not answer probe within 0\.2 s"):
        session.call({"verb": "probe"}, 0.2)
    os.kill(pid, signal.SIGCONT)
    session.close()
    wait_until(lambda: pid not in descendants(os.getpid()))


def test_a_reply_that_comes_late_is_not_taken_for_the_next_one(tmp_path):
    session = LocalTransport().open(device(tmp_path))
    pid = session._process._process.pid
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(DeviceUnreachable):
        session.call({"verb": "probe"}, 0.2)
    os.kill(pid, signal.SIGCONT)
    assert session.call({"verb": "bye"}, 30) == {}
    session.close()
