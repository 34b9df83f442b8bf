"""``nas devices``: from the terminal through the real service's routes to real OpenSSH servers."""

import contextlib
import getpass
import json
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import onnx_models
import pytest
from homes import db, in_process, migrated, settings
from ports import free_port
from processes import wait_until
from sshd import make_key, public_line

import device_agents
from nas.cli import devices, enrol, install, main
from nas.client import Client
from nas.devices.device import Device
from nas.devices.fleet import Fleet
from nas.devices.ssh_link import reach
from nas.service.app import create_app

__all__ = ["db", "in_process", "migrated", "settings"]

MANY = 12


@pytest.fixture
def client(settings, in_process):
    app = create_app(settings)
    client = Client("http://127.0.0.1:8765")
    client.close()
    client._http = httpx.Client(transport=in_process(app), base_url=client.url)
    yield client
    client.close()
    app.state.database.close()


@pytest.fixture
def nas(monkeypatch, capsys, tmp_path, client):
    """Run `nas devices` with these words against the service; returns exit code, stdout and stderr."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (tmp_path / ".ssh").mkdir()
    for module in (devices, enrol, install):
        monkeypatch.setattr(module, "service", lambda: _Kept(client))

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["nas", "devices", *map(str, words)])
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
        out = capsys.readouterr()
        assert "Traceback" not in out.err + out.out
        return code, out.out, out.err

    return run


class _Kept:
    """The client, which the command must not close: the test asks on."""

    def __init__(self, client):
        self._client = client

    def __enter__(self):
        return self._client

    def __exit__(self, *_):
        return None


def ways(server, root):
    """The options that reach a server, and how the device behaves there."""
    where = ["--host", "127.0.0.1", "--port", server.port, "--key", server.folder / "user_key"]
    return [*where, "--fingerprint", server.fingerprint, "--python", sys.executable, "--root", root]


def enrolled(client, name):
    row = client.device(name)
    return Device(**{field: row[field] for field in Device.__dataclass_fields__})


def answers(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as link:
        return link.recv(4) == b"SSH-"


def test_a_device_behind_a_jump_host_is_enrolled_looked_at_listed_and_removed(nas, sshd, more_sshd, client, tmp_path):
    gate = more_sshd("gate")
    (tmp_path / ".ssh" / "config").write_text(f"Host gate\n IdentityFile {gate.folder}/user_key\n HostName 127.0.0.1\n")
    jump = ["--jump", f"gate:{gate.port}", "--jump-fingerprint", f"gate={gate.fingerprint}"]
    extras = ["--pool", "boards", "--measure-between", "22:00-05:00"]
    code, out, err = nas("add", "board", *ways(sshd, tmp_path / "agent"), *jump, *extras)
    assert (code, err) == (0, "")
    assert "board is enrolled" in out
    row = client.device("board")
    assert (row["pool"], row["measure_between"], row["faults"]) == ("boards", "22:00-05:00", 0)
    assert enrolled(client, "board").jump == (gate.hop,)
    assert "127.0.0.1 > 127.0.0.1" in nas("list")[1]
    assert json.loads(nas("probe", "board", "--json")[1])["runtimes"]["onnxruntime"]
    assert nas("remove", "board")[0] == 0


def test_a_host_known_by_known_hosts_is_not_asked_about(nas, sshd, tmp_path):
    hosts = tmp_path / ".ssh" / "known_hosts"
    hosts.write_text(f"[127.0.0.1]:{sshd.port} {sshd.host_key}\n")
    words = ways(sshd, tmp_path / "agent")
    del words[words.index("--fingerprint") : words.index("--fingerprint") + 2]
    code, out, _ = nas("add", "board", *words)
    assert code == 0
    assert f"127.0.0.1 is known by {hosts}" in out


def test_a_jump_host_that_nobody_can_confirm_is_told_by_its_own_option(nas, sshd, more_sshd, tmp_path):
    gate = more_sshd("gate")
    code, _, err = nas("add", "board", *ways(sshd, tmp_path / "agent"), "--jump", f"127.0.0.1:{gate.port}")
    assert code == 2
    assert f"add --jump-fingerprint 127.0.0.1={gate.fingerprint}" in err


def test_a_fingerprint_that_a_person_confirms_is_pinned(nas, sshd, client, tmp_path, monkeypatch):
    words = ways(sshd, tmp_path / "agent")
    del words[words.index("--fingerprint") : words.index("--fingerprint") + 2]
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(enrol.typer, "confirm", lambda _: False)
    assert "was not confirmed" in nas("add", "board", *words)[2]
    monkeypatch.setattr(enrol.typer, "confirm", lambda _: True)
    assert sshd.fingerprint in nas("add", "board", *words)[1]
    assert enrolled(client, "board").host_key == sshd.host_key


@pytest.fixture
def table(sshd, tmp_path):
    """Write a table of so many names for one server; ``changes`` are by name."""

    def write(count, **changes):
        columns = ["name", "host", "port", "user", "key", "fingerprint", "pool", "python", "root"]
        lines = [",".join(columns)]
        for number in range(count):
            name = f"pi-{number}"
            values = {
                "name": name,
                "host": "127.0.0.1",
                "port": sshd.port,
                "user": getpass.getuser(),
                "key": sshd.folder / "user_key",
                "fingerprint": sshd.fingerprint,
                "pool": "shops",
                "python": sys.executable,
                "root": tmp_path / "agents" / name,
                **changes.get(name.replace("-", "_"), {}),
            }
            lines.append(",".join(str(values[column]) for column in columns))
        (tmp_path / "devices.csv").write_text("\n".join(lines) + "\n")
        return tmp_path / "devices.csv"

    return write


def test_many_are_enrolled_at_once_and_the_same_again_changes_nothing(nas, client, table):
    file = table(MANY)
    code, out, _ = nas("import", file)
    assert (code, out) == (0, f"{MANY} enrolled, 0 were already, 0 left out\n")
    assert [row["state"] for row in client.devices()] == ["offline"] * MANY
    reach(enrolled(client, "pi-7")).close()
    before = client.devices()
    assert nas("import", file)[1] == f"0 enrolled, {MANY} were already, 0 left out\n"
    assert client.devices() == before


def test_what_does_not_answer_stays_out_and_comes_in_with_the_next_run(nas, client, table):
    code, out, _ = nas("import", table(4, pi_2={"port": 9}), "--json")
    told = json.loads(out)
    assert code == 1
    assert told["enrolled"] == ["pi-0", "pi-1", "pi-3"]
    assert [(line["row"], line["name"]) for line in told["left_out"]] == [(4, "pi-2")]
    assert "No connection to 127.0.0.1:9" in told["left_out"][0]["reason"]
    told = json.loads(nas("import", table(4), "--json")[1])
    assert (told["enrolled"], told["already"], told["left_out"]) == (["pi-2"], ["pi-0", "pi-1", "pi-3"], [])


def test_a_device_that_is_enrolled_otherwise_is_a_conflict_unless_replaced(nas, client, table):
    code, out, err = nas("import", table(2))
    assert (code, err) == (0, ""), out
    file = table(3, pi_1={"pool": "other"})
    code, _, err = nas("import", file)
    assert code == 1
    assert "• pi-1: pool" in err
    assert len(client.devices()) == 2
    assert nas("import", file, "--replace")[1] == "2 enrolled, 1 were already, 0 left out\n"
    assert client.device("pi-1")["pool"] == "other"


def test_one_wrong_row_and_nothing_is_enrolled(nas, client, table):
    code, _, err = nas("import", table(3, pi_1={"fingerprint": "SHA256:x"}))
    assert code == 2
    assert "• row 3: fingerprint is" in err
    assert client.devices() == []


def test_unseen_devices_are_enrolled_with_whole_keys_only(nas, client, tmp_path):
    key = public_line(make_key(tmp_path / "key"))
    (tmp_path / "devices.csv").write_text(f"name,host,user,key,host_key\nfar,192.0.2.7,pi,/k,{key}\n")
    assert nas("import", tmp_path / "devices.csv", "--no-probe")[0] == 0
    assert client.device("far").items() >= {"host": "192.0.2.7", "state": "offline", "host_key": key}.items()


def dialled_out(controller, board_port, port):
    """The command of the unit file that boards get, and the line in authorized_keys that stands beside it there."""
    unit = Path(device_agents.__file__).with_name("systemd").joinpath("nas-tunnel.service").read_text()
    (allowed,) = re.findall(r"^#   (restrict,.*) <the line of key.pub>$", unit, re.MULTILINE)
    public = controller.folder / "user_key.pub"
    public.write_text(f"{allowed.replace('PORT', str(port))} {public.read_text()}")
    (controller.folder / "known_hosts").write_text(f"[127.0.0.1]:{controller.port} {controller.host_key}\n")
    for here, there in {
        "localhost:22": f"localhost:{board_port}",  # where this test's board has its sshd
        "127.0.0.1:PORT": f"127.0.0.1:{port}",
        "/etc/nas-tunnel/key": str(controller.folder / "user_key"),
        "/etc/nas-tunnel/known_hosts": str(controller.folder / "known_hosts"),
        "nas@CONTROLLER": f"-p {controller.port} {getpass.getuser()}@127.0.0.1",
    }.items():
        assert here in unit
        unit = unit.replace(here, there)
    return shlex.split(re.search(r"^ExecStart=((?:.*\\\n)*.*)$", unit, re.MULTILINE)[1].replace("\\\n", " "))


def test_a_board_that_can_only_dial_out_is_measured_through_its_tunnel(nas, client, sshd, more_sshd, tmp_path):
    port = free_port()
    tunnel = subprocess.Popen(dialled_out(more_sshd("controller"), sshd.port, port))
    try:
        wait_until(lambda: answers(port))
        words = ways(sshd, tmp_path / "agent")
        words[words.index("--port") + 1] = port
        assert nas("add", "far-board", *words)[0] == 0
        with Fleet([enrolled(client, "far-board")]) as fleet:
            found = fleet.run("far-board", onnx_models.lstm(), {"x": np.zeros((7, 1, 3), "float32")})
        assert found["h"].shape == (1, 1, 8)
    finally:
        tunnel.terminate()
        tunnel.wait()
    code, _, err = nas("probe", "far-board")
    assert code == 1
    assert f"No connection to 127.0.0.1:{port}" in err
