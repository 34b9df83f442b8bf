"""A warm agent: found by the next controller, shared by none, and never missed when it has gone."""

import os
import subprocess
import sys

import pytest
from processes import wait_until

from nas.devices.agent_file import agent_file
from nas.devices.device import Device
from nas.devices.local import LocalTransport
from nas.errors import DeviceBusy


@pytest.fixture
def device(tmp_path):
    return Device("here", "local", python=sys.executable, root=str(tmp_path))


@pytest.fixture
def warm(tmp_path):
    """A warm agent in a process of its own."""
    path = tmp_path / agent_file().name
    path.write_bytes(agent_file().content)
    process = subprocess.Popen([sys.executable, path, "--root", tmp_path, "--listen"])
    wait_until(lambda: list(tmp_path.glob("agent-*.sock")))
    yield process
    process.kill()
    process.wait()


def served_by(session):
    return session.call({"verb": "hello", "protocol": 2}, 30)["pid"]


def test_every_controller_is_served_by_the_same_agent_one_after_the_other(device, warm):
    for _ in range(3):
        session = LocalTransport().open(device)
        assert served_by(session) == warm.pid
        assert session.call({"verb": "probe"}, 30)["facts"]
        session.close()


def test_a_large_blob_and_its_answer_pass_through(device, warm):
    session = LocalTransport().open(device)
    sha = session.put(os.urandom(3_000_000))
    assert (len(sha), served_by(session)) == (64, warm.pid)
    session.close()


def test_a_second_controller_hears_that_the_device_is_held(device, warm):
    session = LocalTransport().open(device)
    with pytest.raises(DeviceBusy, match="Another agent"):
        LocalTransport().open(device)
    session.close()
    LocalTransport().open(device).close()


def test_without_it_everything_goes_on_as_ever(device, warm, tmp_path):
    warm.kill()
    warm.wait()
    session = LocalTransport().open(device)
    assert served_by(session) != warm.pid
    session.close()


def test_only_its_user_may_call_it(warm, tmp_path):
    [socket] = tmp_path.glob("agent-*.sock")
    assert socket.stat().st_mode & 0o777 == 0o600


def test_a_folder_whose_name_is_too_long_is_said(tmp_path):
    root = tmp_path / ("long" * 25)
    root.mkdir()
    path = root / agent_file().name
    path.write_bytes(agent_file().content)
    done = subprocess.run(
        [sys.executable, path, "--root", root, "--listen"], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "too long for a socket" in done.stderr
