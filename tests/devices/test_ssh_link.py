"""The way to a device through other machines: real OpenSSH servers one behind the other."""

import contextlib
import dataclasses
import os
import signal
import sys
import threading

import numpy as np
import onnx_models
import pytest
from processes import agents_of, descendants, wait_until
from sshd import make_key, public_line

from nas.devices import ssh, ssh_link
from nas.devices.device import Hop
from nas.devices.fleet import Fleet
from nas.devices.ssh_link import Place, Way, reach
from nas.errors import DeviceUnreachable, HostKeyChanged, LoginRefused

X = {"x": np.zeros((7, 1, 3), "float32")}


@pytest.fixture
def gate(more_sshd):
    return more_sshd("gate")


@pytest.fixture
def device(sshd, gate, tmp_path):
    return sshd.device(tmp_path / "agent", python=sys.executable, jump=(gate.hop,))


def other_key(tmp_path):
    return public_line(make_key(tmp_path / "other"))


def test_a_scanned_host_key_is_the_servers_and_nothing_else_is_sent(fresh_sshd):
    with Way() as way:
        assert way.scan(Place("The device x", "127.0.0.1", fresh_sshd.port, "")) == fresh_sshd.host_key
    wait_until(lambda: "[preauth]" in fresh_sshd.log)
    assert "publickey" not in fresh_sshd.log


def test_of_several_host_keys_the_preferred_kind_is_shown(more_sshd, tmp_path):
    rsa = make_key(tmp_path / "rsa", kind="rsa")
    server = more_sshd("two-keys", extra=f"HostKey {rsa}")
    place = Place("The device x", "127.0.0.1", server.port, "")
    with Way() as way:
        assert way.scan(place, ["ssh-rsa"]) == public_line(rsa)
        assert way.scan(place, ["ssh-ed25519"]) == server.host_key
        assert way.scan(place, ["ecdsa-sha2-nistp256"]) in (server.host_key, public_line(rsa))


@pytest.mark.parametrize("hops", [1, 2])
def test_a_device_behind_others_is_measured_as_any(device, gate, more_sshd, hops):
    if hops == 2:
        device = dataclasses.replace(device, jump=(more_sshd("outer").hop, gate.hop))
    with Fleet([device]) as fleet:
        assert fleet.run(device.name, onnx_models.lstm(), X)["h"].shape == (1, 1, 8)
        assert len(descendants(gate.process.pid)) >= 1
    wait_until(lambda: not descendants(gate.process.pid))  # closing closes all


def test_a_jump_host_with_another_key_is_a_hard_stop_and_nothing_goes_on(gate, more_sshd, tmp_path):
    behind = more_sshd("behind", extra="LogLevel VERBOSE")
    hop = dataclasses.replace(gate.hop, host_key=other_key(tmp_path))
    with pytest.raises(
        HostKeyChanged, match=f"The jump host 127.0.0.1:{gate.port} on the way to over-ssh shows another"
    ):
        reach(behind.device(tmp_path, jump=(hop,)))
    wait_until(lambda: "[preauth]" in gate.log)
    assert "publickey" not in gate.log
    assert "Connection from" not in behind.log


def test_a_device_with_another_key_behind_a_jump_host_is_a_hard_stop(device, gate, tmp_path):
    with pytest.raises(HostKeyChanged, match="The device over-ssh shows another host key"):
        reach(dataclasses.replace(device, host_key=other_key(tmp_path)))
    wait_until(lambda: not descendants(gate.process.pid))


def test_a_jump_host_that_refuses_the_login_is_named(device, tmp_path):
    hop = dataclasses.replace(device.jump[0], key=str(make_key(tmp_path / "stranger")))
    with pytest.raises(LoginRefused, match=r"The jump host 127.0.0.1:\d+ on the way to over-ssh refuses the login of"):
        reach(dataclasses.replace(device, jump=(hop,)))


def test_a_jump_host_that_passes_nothing_on_is_told_how_to(more_sshd, device):
    closed = more_sshd("closed", extra="AllowTcpForwarding no")
    with pytest.raises(DeviceUnreachable, match=r"The jump host .* refuses to pass connections on .*Forwarding yes"):
        reach(dataclasses.replace(device, jump=(closed.hop,)))


def test_a_jump_host_that_cannot_reach_the_device_is_named(device):
    with pytest.raises(DeviceUnreachable, match=r"The jump host .* cannot reach 127.0.0.1:9 \(Connect failed\)"):
        reach(dataclasses.replace(device, port=9))


def test_a_jump_host_that_is_down_is_named_by_its_address(device):
    hop = Hop("127.0.0.1", 9, "ops", "/k", device.host_key)
    with pytest.raises(DeviceUnreachable, match=r"No connection to 127\.0\.0\.1:9"):
        reach(dataclasses.replace(device, jump=(hop,)))


@pytest.mark.parametrize("frozen", ["device", "jump host"])
def test_a_machine_that_freezes_in_the_middle_of_a_call_is_noticed(gate, more_sshd, tmp_path, monkeypatch, frozen):
    monkeypatch.setattr(ssh, "QUIET_S", 0.5)  # instead of 8 and 20, which together stay below 30
    monkeypatch.setattr(ssh, "TRANSFER_S", 5.0)
    behind = more_sshd("behind")
    device = behind.device(tmp_path / "agent", python=sys.executable, jump=(gate.hop,))
    server = behind if frozen == "device" else gate
    with Fleet([device]) as fleet:
        fleet.facts(device.name)
        freezer = threading.Thread(target=_freeze_when_measuring, args=(server, tmp_path / "agent"))
        freezer.start()
        with pytest.raises(DeviceUnreachable, match="ended or lost its connection"):
            fleet.run(device.name, onnx_models.endless(), {"x": np.arange(3, dtype="float32")})
        freezer.join()
        _signal(server, signal.SIGCONT)


def _freeze_when_measuring(server, root):
    wait_until(lambda: len(agents_of(root)) == 3)
    _signal(server, signal.SIGSTOP)


def _signal(server, number):
    for pid in (server.process.pid, *descendants(server.process.pid)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def test_so_many_logins_at_once_that_a_server_would_drop_some_all_succeed(more_sshd, tmp_path):
    server = more_sshd("busy", extra="MaxStartups 10:100:10")  # OpenSSH's 10:30:100, without the luck
    device = server.device(tmp_path / "agent")
    failed = []

    def log_in():
        try:
            reach(device).close()
        except DeviceUnreachable as error:
            failed.append(error)

    threads = [threading.Thread(target=log_in) for _ in range(3 * ssh_link.AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
