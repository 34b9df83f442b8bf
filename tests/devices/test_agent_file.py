"""The agent is one small file with the same bytes each time, and it runs."""

import io
import subprocess
import sys
import zipfile

from nas.devices.agent_file import agent_file


def test_it_has_at_most_100_kb():
    assert len(agent_file().content) <= 100_000


def test_it_has_the_same_bytes_each_time():
    first = agent_file()
    agent_file.cache_clear()
    assert agent_file() == first
    assert first.sha in first.name


def test_it_holds_the_agent_and_nothing_of_nas_or_of_the_hour():
    with zipfile.ZipFile(io.BytesIO(agent_file().content)) as archive:
        names = archive.namelist()
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert "__main__.py" in names
    assert "device_agents/runtimes/onnxruntime.py" in names
    assert not [name for name in names if name.startswith("nas") or "__pycache__" in name]


def test_it_runs_alone_with_the_standard_library(tmp_path):
    path = tmp_path / "agent.pyz"
    path.write_bytes(agent_file().content)
    hello = b'{"id": 1, "verb": "hello", "protocol": 2}\n{"id": 2, "verb": "bye"}\n'
    done = subprocess.run(
        [sys.executable, "-S", "-I", "-W", "error", path, "--root", tmp_path / "root"],
        input=hello,
        capture_output=True,
        cwd=tmp_path,
        check=True,
    )
    assert done.stdout.count(b'"ok":true') == 2
    assert done.stderr == b""
