"""Logging in to a real OpenSSH: with keys in files, behind passphrases, in an agent, and with certificates."""

import dataclasses
import shutil
import socket

import pytest
from sshd import certify, make_key

from nas.devices import ssh_keys
from nas.devices.ssh_keys import Login, certified_key, public_half
from nas.devices.ssh_link import reach
from nas.errors import ControllerFault, DeviceUnreachable, LoginRefused

SECRET = "correct horse"


@pytest.fixture
def server(more_sshd, tmp_path):
    """A server that lets in whoever stands in ``allowed``, and whom the authority has certified."""
    make_key(tmp_path / "ca")
    lines = f"TrustedUserCAKeys {tmp_path}/ca.pub"
    return more_sshd("board", extra=lines)


@pytest.fixture
def let_in(server, tmp_path):
    """Make a key that the server lets in, and return a device that uses it."""

    def make(name="mine", **kind):
        key = make_key(tmp_path / name, **kind)
        shutil.copy(f"{key}.pub", server.folder / "user_key.pub")
        return server.device(tmp_path / "agent", key=str(key))

    return make


@pytest.fixture
def passphrase_file(tmp_path, monkeypatch):
    file = tmp_path / "passphrase"
    file.write_text(f"{SECRET}\n")
    file.chmod(0o600)
    monkeypatch.setenv("NAS_KEY_PASSPHRASE_FILE", str(file))
    return file


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_every_kind_of_key_logs_in(let_in, kind):
    reach(let_in(kind=kind)).close()


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_a_passphrase_is_taken_from_its_file(let_in, passphrase_file, kind):
    reach(let_in(kind=kind, passphrase=SECRET)).close()


def test_without_the_passphrase_it_says_what_to_do(let_in):
    with pytest.raises(ControllerFault, match="add it to ssh-agent, or set NAS_KEY_PASSPHRASE_FILE"):
        reach(let_in(passphrase=SECRET))


def test_a_wrong_passphrase_is_said_and_never_shown(let_in, passphrase_file):
    passphrase_file.write_text("battery staple")
    with pytest.raises(ControllerFault, match="does not open it") as refused:
        reach(let_in(passphrase=SECRET))
    assert "staple" not in str(refused.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_passphrase_that_others_may_read_is_not_used(let_in, passphrase_file, mode):
    passphrase_file.chmod(mode)
    with pytest.raises(ControllerFault, match="others may read"):
        reach(let_in(passphrase=SECRET))


def test_a_passphrase_file_that_is_not_there_is_named(let_in, passphrase_file):
    passphrase_file.unlink()
    with pytest.raises(ControllerFault, match="passphrase, which cannot be read"):
        reach(let_in(passphrase=SECRET))


def test_a_key_file_is_no_key(let_in, tmp_path):
    device = let_in()
    (tmp_path / "mine").write_text("no key")
    with pytest.raises(ControllerFault, match="no Ed25519, ECDSA or RSA private key"):
        reach(device)
    with pytest.raises(ControllerFault, match="No such file"):
        reach(dataclasses.replace(device, key=str(tmp_path / "absent")))


def test_the_agent_opens_a_key_with_a_passphrase(let_in, tmp_path, ssh_agent):
    device = let_in()
    ssh_agent.add(tmp_path / "mine")
    (tmp_path / "mine").unlink()  # only the agent has it now, and its public half lies beside
    reach(dataclasses.replace(device, use_agent=True)).close()
    with pytest.raises(ControllerFault, match="No such file"):
        reach(device)


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_without_a_key_the_agents_are_tried_in_turn(let_in, tmp_path, ssh_agent, kind):
    device = let_in(kind=kind)
    for name in ("stranger", "mine"):
        ssh_agent.add(make_key(tmp_path / name))
    reach(dataclasses.replace(device, key="", use_agent=True)).close()


def test_a_key_that_the_agent_does_not_hold_is_read_from_its_file(let_in, ssh_agent):
    reach(dataclasses.replace(let_in(), use_agent=True)).close()


def test_an_agent_that_may_not_be_used_is_not_asked(let_in, tmp_path, ssh_agent):
    device = let_in()
    ssh_agent.add(tmp_path / "mine")
    with pytest.raises(LoginRefused, match="no private key"):
        reach(dataclasses.replace(device, key=""))


def test_a_refusal_names_every_key_that_was_tried(let_in, tmp_path, ssh_agent):
    device = let_in()
    for name in ("one", "two"):
        ssh_agent.add(make_key(tmp_path / name))
    with pytest.raises(LoginRefused, match="with the key test of ssh-agent, then the key test of ssh-agent;"):
        reach(dataclasses.replace(device, key="", use_agent=True))


def test_an_agent_with_more_keys_than_a_server_hears_is_said(let_in, tmp_path, ssh_agent):
    device = let_in()
    for number in range(7):
        ssh_agent.add(make_key(tmp_path / f"key{number}"))
    with pytest.raises((LoginRefused, DeviceUnreachable), match=r"hang up after 6|broke off"):
        reach(dataclasses.replace(device, key="", use_agent=True))


@pytest.mark.parametrize("answer", ["nothing", "no agent", "silence"])
def test_an_agent_that_is_none_is_said(let_in, tmp_path, monkeypatch, answer):
    monkeypatch.setattr(ssh_keys, "AGENT_S", 0.3)
    monkeypatch.chdir(tmp_path)
    device = dataclasses.replace(let_in(), key="", use_agent=True)
    if answer == "no agent":
        monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    else:
        monkeypatch.setenv("SSH_AUTH_SOCK", "socket")
    with socket.socket(socket.AF_UNIX) as listening:
        if answer == "silence":
            listening.bind("socket")
            listening.listen()
        with pytest.raises(ControllerFault, match="ssh-agent"):
            reach(device)


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
@pytest.mark.parametrize("held", [False, True])
def test_a_certificate_logs_in_where_its_key_alone_would_not(server, tmp_path, ssh_agent, kind, held):
    key = make_key(tmp_path / "staff", kind=kind)
    device = server.device(tmp_path / "agent", key=str(key), use_agent=held)
    with pytest.raises(LoginRefused):
        reach(device)
    if held:
        ssh_agent.add(key)
    certificate = certify(key, tmp_path / "ca")
    reach(dataclasses.replace(device, certificate=str(certificate))).close()
    with pytest.raises(LoginRefused):
        reach(device)  # one that was not written down is not used


def test_a_certificate_that_is_not_enough_leaves_the_key(let_in, tmp_path):
    device = let_in()
    certificate = certify(tmp_path / "mine", make_key(tmp_path / "unknown-ca"))
    reach(dataclasses.replace(device, certificate=str(certificate))).close()


def test_a_certificate_that_ran_out_is_in_the_refusal(server, tmp_path):
    key = make_key(tmp_path / "staff")
    certificate = certify(key, tmp_path / "ca", validity="20200101:20200102")
    with pytest.raises(LoginRefused, match=f"with the certificate {certificate}, then the key {key};"):
        reach(server.device(tmp_path / "agent", key=str(key), certificate=str(certificate)))


def test_the_certificate_of_another_key_is_said(let_in, tmp_path):
    device = let_in()
    certificate = certify(make_key(tmp_path / "other"), tmp_path / "ca")
    with pytest.raises(ControllerFault, match="no OpenSSH certificate of this key"):
        reach(dataclasses.replace(device, certificate=str(certificate)))


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        ("PubkeyAuthentication no", "takes no keys from"),
        ("PasswordAuthentication yes\nAuthenticationMethods publickey,password", "wants password besides"),
    ],
)
def test_a_server_that_takes_no_keys_or_wants_more_says_so(more_sshd, tmp_path, extra, says):
    with pytest.raises(LoginRefused, match=says):
        reach(more_sshd("strict", extra=extra).device(tmp_path / "agent"))


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
@pytest.mark.parametrize("source", ["public file", "header", "certificate"])
def test_the_public_half_is_found_without_the_passphrase(tmp_path, kind, source):
    key = make_key(tmp_path / "key", kind=kind, passphrase=SECRET)
    expected = public_half(Login(str(key)))
    make_key(tmp_path / "ca")
    certificate = certify(key, tmp_path / "ca")
    if source != "public file":
        (tmp_path / "key.pub").unlink()
    if source == "certificate":
        assert certified_key(str(certificate)) == expected
    else:
        assert public_half(Login(str(key))) == expected
    assert expected is not None
