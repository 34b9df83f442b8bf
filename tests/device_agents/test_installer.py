"""What the agent's file does besides measuring, as a process: the warm unit, and keeping to its own folder."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nas.devices.agent_file import agent_file
from nas.devices.install import unit
from nas.errors import RequestError

SYSTEMCTL = """\
#!/bin/sh
echo "$@" >> {folder}/said
cat {folder}/trouble 2>/dev/null && exit 1
exit 0
"""
UNIT = ".config/systemd/user/nas-agent.service"


@pytest.fixture
def ask(tmp_path):
    """Ask a verb in a home of its own, with a systemctl that notes its words, and fails if there is trouble."""
    root, tools = tmp_path / "root", tmp_path / "tools"
    root.mkdir()
    tools.mkdir()
    path = root / agent_file().name
    path.write_bytes(agent_file().content)
    systemctl = tools / "systemctl"
    systemctl.write_text(SYSTEMCTL.format(folder=tmp_path))
    systemctl.chmod(0o755)

    def ask(verb, **request):
        environment = {"HOME": str(tmp_path), "PATH": f"{tools}:/usr/bin:/bin"}
        command = [sys.executable, str(path), verb, "--root", str(root)]
        done = subprocess.run(
            command, input=json.dumps(request), env=environment, capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout)

    ask.root = root
    return ask


def said(tmp_path):
    return [line.split()[1] for line in (tmp_path / "said").read_text().splitlines()]


def test_the_unit_goes_to_the_users_own_systemd_and_away_again(ask, tmp_path):
    text = unit(str(ask.root), "/usr/bin/python3")
    assert ask("warm", unit=text)["ok"]
    assert (tmp_path / UNIT).read_text() == text
    assert said(tmp_path) == ["daemon-reload", "enable", "restart"]
    assert ask("remove") == {"ok": True, "left": []}
    assert said(tmp_path)[3:] == ["disable", "daemon-reload"]
    assert not (tmp_path / UNIT).exists()
    assert not ask.root.exists()


def test_a_unit_of_another_folder_stays(ask, tmp_path):
    ask("warm", unit=unit("/elsewhere", "/usr/bin/python3"))
    ask("remove")
    assert (tmp_path / UNIT).exists()


def test_a_unit_that_is_not_ours_is_left_as_it_is(ask, tmp_path):
    (tmp_path / UNIT).parent.mkdir(parents=True)
    (tmp_path / UNIT).write_text("[Service]\nExecStart=/bin/true\n")
    reply = ask("warm", unit=unit(str(ask.root), "/usr/bin/python3"))
    assert "not ours" in reply["error"]["message"]
    ask("remove")
    assert "/bin/true" in (tmp_path / UNIT).read_text()


def test_without_a_systemd_for_users_it_says_so_and_leaves_no_unit(ask, tmp_path):
    (tmp_path / "trouble").write_text("Failed to connect to bus")
    reply = ask("warm", unit=unit(str(ask.root), "/usr/bin/python3"))
    assert (reply["ok"], reply["error"]["blame"]) == (False, "device")
    assert "Failed to connect to bus" in reply["error"]["message"]
    assert not (tmp_path / UNIT).exists()


def test_the_unit_starts_this_agent_and_confines_it(tmp_path):
    text = unit("/home/pi/.nas-agent", "/home/pi/.nas-agent/python")
    agent = f"/home/pi/.nas-agent/{agent_file().name}"
    assert f"ExecStart=/home/pi/.nas-agent/python {agent} --root /home/pi/.nas-agent --listen\n" in text
    for word in ("NoNewPrivileges=yes", "ProtectSystem=strict", "PrivateNetwork=yes", "MemoryMax=", "{"):
        assert (word in text) == (word != "{")


@pytest.mark.parametrize("root", ["/home/a b/agent", "/x/%h", "/x\nExecStartPre=/bin/sh", "/x'"])
def test_a_folder_that_systemd_would_misread_is_refused(root):
    with pytest.raises(RequestError, match="cannot stand in a systemd unit"):
        unit(root, "/usr/bin/python3")


@pytest.mark.parametrize("text", ["no json", "[]", '{"wheel": "../../etc"}', '{"wheel": 7}', "{}"])
def test_whatever_is_asked_the_answer_is_one_sentence(ask, text):
    command = [sys.executable, str(ask.root / agent_file().name), "unpack", "--root", str(ask.root)]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["ok"] is False
    assert done.stderr == ""
    assert {path.name for path in Path(ask.root).iterdir()} == {agent_file().name}
