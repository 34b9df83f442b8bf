"""Enrolment writes the way down once: keys that are known are taken, others are asked about, contradictions stop it."""

import dataclasses
import getpass
import subprocess
import sys

import pytest
from sshd import make_key, public_line

from nas.devices.enrol import Plan, Trust, Wish, expect_able, fingerprints, reached
from nas.devices.ssh_config import Options, SshConfig
from nas.devices.ssh_link import reach
from nas.errors import ControllerFault, HostKeyChanged, LoginRefused, RequestError, RuntimeMissing


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (tmp_path / ".ssh").mkdir()
    return tmp_path


@pytest.fixture
def gate(more_sshd):
    return more_sshd("gate")


@pytest.fixture
def asked():
    return []


@pytest.fixture
def said():
    return []


@pytest.fixture
def enrolled(home, asked, said):
    """Enrol a device by a configuration; what is asked is confirmed."""

    def enrol(config, host="board", **wish):
        (home / ".ssh" / "config").write_text(config)
        rest = {"python": sys.executable, "root": str(home / "agent")}
        plan = Plan.of(Wish("board-1", host, rest=rest, **wish), SshConfig())
        return reached(plan, Trust(lambda stop, shown: asked.append((stop.name, shown)), said.append))

    return enrol


def block(name, server, *more):
    lines = ["HostName 127.0.0.1", f"Port {server.port}", f"IdentityFile {server.folder}/user_key", *more]
    return "\n ".join([f"Host {name}", *lines]) + "\n"


def test_what_is_written_down_needs_no_configuration_any_more(sshd, gate, enrolled, home, asked):
    device = enrolled(block("board", sshd, "ProxyJump gate") + block("gate", gate))
    assert asked == [("gate", gate.fingerprint), ("board", sshd.fingerprint)]
    (home / ".ssh" / "config").unlink()
    assert device.jump == (gate.hop,)
    assert (device.host, device.port, device.user, device.host_key) == (
        "127.0.0.1",
        sshd.port,
        getpass.getuser(),
        sshd.host_key,
    )
    expect_able(device)


def test_the_key_that_is_accepted_is_the_one_written_down(sshd, enrolled, home):
    stranger = make_key(home / "stranger")
    device = enrolled(f"IdentityFile {stranger}\n" + block("board", sshd))
    assert device.key == str(sshd.folder / "user_key")
    assert not device.use_agent


def test_none_of_several_keys_is_accepted(sshd, enrolled, home):
    one, two = make_key(home / "one"), make_key(home / "two")
    with pytest.raises(LoginRefused, match=f"with the key {one}, then the key {two};"):
        enrolled(f"Host board\n HostName 127.0.0.1\n Port {sshd.port}\n IdentityFile {one}\n IdentityFile {two}\n")


def test_a_key_of_the_agent_is_written_down_as_the_agents(sshd, enrolled, ssh_agent):
    ssh_agent.add(sshd.folder / "user_key")
    device = enrolled(f"Host board\n HostName 127.0.0.1\n Port {sshd.port}\n")
    assert (device.key, device.use_agent) == ("", True)
    reach(device).close()
    ssh_agent.forget_all()
    with pytest.raises(LoginRefused, match="no private key here"):
        reach(device)


@pytest.mark.parametrize("hashed", [False, True])
def test_keys_in_known_hosts_are_taken_without_asking(sshd, gate, enrolled, home, asked, said, hashed):
    hosts = home / ".ssh" / "known_hosts"
    hosts.write_text(f"[127.0.0.1]:{sshd.port} {sshd.host_key}\nthe-gate {gate.host_key}\n")
    if hashed:
        subprocess.run(["ssh-keygen", "-q", "-H", "-f", hosts], check=True, capture_output=True)
    enrolled(block("board", sshd, "ProxyJump gate") + block("gate", gate, "HostKeyAlias the-gate"))
    assert asked == []
    assert [f"is known by {hosts}" in sentence for sentence in said] == [True, True]


def test_a_key_of_another_kind_in_known_hosts_is_asked_for_by_its_kind(more_sshd, enrolled, home, asked):
    rsa = make_key(home / "rsa", kind="rsa")
    server = more_sshd("two-keys", extra=f"HostKey {rsa}")
    (home / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{server.port} {public_line(rsa)}\n")
    assert enrolled(block("board", server)).host_key == public_line(rsa)
    assert not asked


@pytest.mark.parametrize("line", ["[127.0.0.1]:{} {}", "@revoked [127.0.0.1]:{} {}"])
def test_known_hosts_that_contradict_are_a_hard_stop(sshd, enrolled, home, asked, line):
    key = sshd.host_key if "revoked" in line else public_line(make_key(home / "other"))
    (home / ".ssh" / "known_hosts").write_text(line.format(sshd.port, key) + "\n")
    with pytest.raises(HostKeyChanged, match=r"revokes|ssh-keygen -R '\[127"):
        enrolled(block("board", sshd), fingerprint=sshd.fingerprint)
    assert not asked


def test_fingerprints_given_for_all_ask_nothing_and_wrong_ones_stop(sshd, gate, enrolled, asked):
    config = block("board", sshd, "ProxyJump gate") + block("gate", gate)
    right = {"fingerprint": sshd.fingerprint, "jump_fingerprints": {"gate": gate.fingerprint}}
    enrolled(config, **right)
    with pytest.raises(HostKeyChanged, match="nothing was sent"):
        enrolled(config, **right | {"fingerprint": gate.fingerprint})
    with pytest.raises(HostKeyChanged, match="nothing was sent"):
        enrolled(config, **right | {"jump_fingerprints": {"gate": sshd.fingerprint}})
    assert not asked
    with pytest.raises(RequestError, match="elsewhere is of no use"):
        enrolled(config, jump_fingerprints={"elsewhere": sshd.fingerprint})


def test_a_key_that_is_not_confirmed_stops_it_before_any_login(fresh_sshd, home):
    def refuse(stop, shown):
        raise RequestError("not confirmed")

    wish = Wish("board-1", "127.0.0.1", Options(port=fresh_sshd.port, key=str(fresh_sshd.folder / "user_key")))
    with pytest.raises(RequestError, match="not confirmed"):
        reached(Plan.of(wish, SshConfig()), Trust(refuse))
    assert "publickey" not in fresh_sshd.log


def test_a_passphrase_that_nobody_knows_is_said_at_enrolment(sshd, enrolled, home):
    key = make_key(home / "locked", passphrase="secret")
    config = f"Host board\n HostName 127.0.0.1\n Port {sshd.port}\n IdentityFile {key}\n"
    with pytest.raises(ControllerFault, match="NAS_KEY_PASSPHRASE_FILE"):
        expect_able(enrolled(config))


def test_a_device_without_a_runtime_is_not_able(sshd, enrolled, home):
    bare = home / "bare"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S -I "$@"\n')
    bare.chmod(0o755)
    with pytest.raises(RuntimeMissing, match="devices add … --install"):
        expect_able(dataclasses.replace(enrolled(block("board", sshd)), python=str(bare)))


@pytest.mark.parametrize("word", ["gate", "gate=", "=SHA256:" + "A" * 43, "gate=SHA256:short", "gate=MD5:00"])
def test_how_the_fingerprint_of_a_jump_is_written(word):
    with pytest.raises(RequestError, match="HOST=SHA256"):
        fingerprints([word])
