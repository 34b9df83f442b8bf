"""SSH against a real OpenSSH: who is spoken to, what is refused, and what a broken connection looks like."""

import os
import socket
import stat
import sys
import threading

import numpy as np
import onnx_models
import paramiko
import pytest
from ports import free_port
from processes import agents_of, wait_until
from sshd import make_key

from nas.devices.agent_file import agent_file
from nas.devices.fleet import Fleet
from nas.devices.ssh import SshTransport
from nas.errors import (
    ControllerFault,
    DeviceFault,
    DeviceUnreachable,
    HostKeyChanged,
    HostKeyUnknown,
    LoginRefused,
    PythonMissing,
    RuntimeMissing,
)

X = {"x": np.arange(3, dtype="float32")}


@pytest.fixture
def device(sshd, tmp_path):
    return sshd.device(tmp_path / "agent", python=sys.executable)


def opened(device):
    return SshTransport().open(device)


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_a_device_that_was_never_enrolled_is_not_spoken_to(sshd, tmp_path):
    with pytest.raises(HostKeyUnknown, match="never enrolled"):
        opened(sshd.device(tmp_path, host_key=""))


def test_a_changed_host_key_is_a_hard_stop_and_nothing_is_sent(fresh_sshd, tmp_path):
    make_key(tmp_path / "other")
    other = " ".join((tmp_path / "other.pub").read_text().split()[:2])
    root = tmp_path / "agent"
    with pytest.raises(HostKeyChanged, match=r"shows another host key \(SHA256:"):
        opened(fresh_sshd.device(root, host_key=other))
    assert not root.exists()
    log = fresh_sshd.folder / "log"
    wait_until(lambda: "[preauth]" in log.read_text())
    assert "publickey" not in log.read_text()


def test_another_key_is_refused(sshd, tmp_path):
    make_key(tmp_path / "stranger")
    with pytest.raises(LoginRefused, match="authorized_keys"):
        opened(sshd.device(tmp_path, key=str(tmp_path / "stranger")))


def test_no_key_is_refused_without_looking_for_the_users_own(sshd, tmp_path):
    with pytest.raises(LoginRefused, match="no private key"):
        opened(sshd.device(tmp_path, key=""))


def test_a_dead_port_is_unreachable(sshd, tmp_path):
    with pytest.raises(DeviceUnreachable, match="refused"):
        opened(sshd.device(tmp_path, port=free_port()))


def test_a_port_that_is_no_ssh_server_is_unreachable(sshd, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            link, _ = server.accept()
            with link:
                link.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(DeviceUnreachable, match="no usable SSH server"):
            opened(sshd.device(tmp_path, port=server.getsockname()[1]))


def test_an_address_that_does_not_exist_is_unreachable(sshd, tmp_path):
    with pytest.raises(DeviceUnreachable, match="check the address"):
        opened(sshd.device(tmp_path, host="no-such-host.invalid"))


@pytest.mark.parametrize("uploaded", [False, True])
def test_no_python_on_the_device_says_so(sshd, device, tmp_path, uploaded):
    if uploaded:
        opened(device).close()
    with pytest.raises(PythonMissing, match="python9"):
        opened(sshd.device(tmp_path / "agent", python="python9"))


def test_an_old_python_on_the_device_says_so(sshd, device, tmp_path):
    opened(device).close()
    old = script(tmp_path / "old", "echo PYTHON_TOO_OLD 3.5 >&2; exit 1")
    with pytest.raises(PythonMissing, match=r"it is 3\.5"):
        opened(sshd.device(tmp_path / "agent", python=old))


def test_no_onnxruntime_on_the_device_says_how_to_install_it(sshd, tmp_path):
    bare = script(tmp_path / "bare", f'exec {sys.executable} -S -I "$@"')
    with Fleet([sshd.device(tmp_path / "agent", python=bare)]) as fleet:
        assert fleet.facts("over-ssh")["runtimes"] == {}
        with pytest.raises(RuntimeMissing, match="python3 -m pip install onnxruntime"):
            fleet.measure("over-ssh", onnx_models.lstm(), X)


def test_a_greeting_on_stdout_does_not_break_the_protocol(sshd, tmp_path):
    chatty = script(tmp_path / "chatty", f'echo "Welcome, {{ no JSON }}"; echo []; exec {sys.executable} "$@"')
    session = opened(sshd.device(tmp_path / "agent", python=chatty))
    assert session.call({"verb": "probe"}, 30)["facts"]
    session.close()


def test_a_folder_that_cannot_be_made_is_the_devices_fault(sshd, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DeviceFault, match="check that the home folder exists"):
        opened(sshd.device(tmp_path / "file" / "agent"))


def test_a_folder_that_another_connection_makes_at_the_same_moment_is_no_fault(sshd, tmp_path, monkeypatch):
    once = paramiko.SFTPClient.mkdir

    def twice(sftp, path, mode):
        once(sftp, path, mode)
        once(sftp, path, mode)  # the slower of two

    monkeypatch.setattr(paramiko.SFTPClient, "mkdir", twice)
    opened(sshd.device(tmp_path / "shared" / "agents" / "pi", python=sys.executable)).close()


def test_a_folder_name_with_blanks_and_quotes_is_only_a_name(sshd, tmp_path):
    root = tmp_path / "a b'; touch canary; echo '$(touch canary2)"
    session = opened(sshd.device(root, python=sys.executable))
    session.put(b"blob")
    session.close()
    assert (root / "blobs").is_dir()
    assert not list(tmp_path.glob("canary*"))


def test_the_agent_is_uploaded_once(device, tmp_path):
    opened(device).close()
    path = tmp_path / "agent" / agent_file().name
    assert path.read_bytes() == agent_file().content
    before = path.stat().st_mtime_ns
    opened(device).close()
    assert path.stat().st_mtime_ns == before


def test_a_truncated_agent_is_uploaded_again(device, tmp_path):
    opened(device).close()
    path = tmp_path / "agent" / agent_file().name
    os.truncate(path, 1000)
    opened(device).close()
    assert path.read_bytes() == agent_file().content


def test_an_agent_that_is_damaged_on_the_way_never_gets_its_name(device, tmp_path, monkeypatch):
    class Damaged:
        name, sha = agent_file().name, agent_file().sha
        content = agent_file().content[:-1] + b"!"

    monkeypatch.setattr("nas.devices.ssh.agent_file", Damaged)
    with pytest.raises(ControllerFault, match="damaged"):
        opened(device)
    assert [path.name for path in (tmp_path / "agent").iterdir()] == ["blobs"]


def test_a_server_killed_in_the_middle_of_a_call_is_unreachable_and_leaves_nothing(fresh_sshd, tmp_path):
    device = fresh_sshd.device(tmp_path / "agent", python=sys.executable)
    with Fleet([device]) as fleet:
        fleet.facts(device.name)
        killer = threading.Thread(target=_kill_when_measuring, args=(fresh_sshd, tmp_path / "agent"))
        killer.start()
        with pytest.raises(DeviceUnreachable):
            fleet.run(device.name, onnx_models.endless(), X)
        killer.join()
        wait_until(lambda: not agents_of(tmp_path / "agent"))
        fresh_sshd.start()
        assert fleet.run(device.name, onnx_models.lstm(), {"x": np.zeros((7, 1, 3), "float32")})["h"].shape == (1, 1, 8)


def _kill_when_measuring(server, root):
    wait_until(lambda: len(agents_of(root)) == 3)
    server.stop()
