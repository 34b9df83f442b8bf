"""The agent as a process: it holds the device, answers on stdout alone, and takes everything along when it ends."""

import io
import json
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from calm import calm_root
from processes import PATIENCE_S, descendants, is_alive, wait_until

from device_agents.blobs import Blobs
from device_agents.protocol import MAX_LINE
from nas.devices.agent_file import agent_file
from nas.devices.tensors import encode_inputs

BUDGET = {
    "min_launches": 1,
    "max_launches": 2,
    "min_samples": 11,
    "max_samples": 400,
    "launch_seconds": 0.02,
    "warmup_max_seconds": 0.1,
    "gate_max_seconds": 30,
    "energy_seconds": 0,
    "tail": True,
    "audit": False,
}


class Running:
    """An agent in a process of its own, spoken to by hand."""

    def __init__(self, root: Path):
        archive = root / "agent.pyz"
        archive.write_bytes(agent_file().content)
        if not (root / "sysroot").exists():
            calm_root(root / "sysroot")
        command = [sys.executable, str(archive), "--root", str(root), "--sysroot", str(root / "sysroot")]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.blobs = Blobs(str(root / "blobs"))

    def tell(self, **message):
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def ask(self, **message):
        self.tell(id=1, **message)
        return json.loads(self.process.stdout.readline())

    def job(self, model: bytes = b"any", runtime="identity", verb="measure", **changes):
        inputs = encode_inputs({"x": np.arange(3, dtype="float32")})
        common = {
            "verb": verb,
            "model": self.blobs.add(model),
            "inputs": self.blobs.add(inputs),
            "runtime": runtime,
            "threads": 1,
            "deadline_s": 30,
            "limits": {"memory_mb": None},
        }
        how = {"budget": BUDGET, "reference": None, "mode": {"kind": "single"}, "beside_load": True, "job": "ab" * 16}
        return {**common, **(how if verb == "measure" else {}), **changes}

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.kill()
        self.process.wait()


@pytest.fixture
def running(tmp_path):
    agent = Running(tmp_path)
    assert agent.ask(verb="hello", protocol=2)["ok"]
    yield agent
    agent.close()


@pytest.fixture
def hanging(running, endless_model):
    """An agent in the middle of a job that lasts longer than the test."""
    running.tell(id=2, **running.job(endless_model, "onnxruntime", "run", deadline_s=600))
    wait_until(lambda: len(descendants(running.process.pid)) == 2)
    return running


def test_a_model_is_measured(running):
    reply = running.ask(**running.job(b"x" * 5000))
    assert reply["ok"]
    assert reply["file_size_kb"] == 5.0
    assert reply["counts"]["timed"] == len(reply["samples_ns"]) >= 11
    low, high = reply["latency"]["p50"]["interval"]
    assert 0 < low <= reply["latency"]["p50"]["ms"] <= high
    assert reply["fingerprint"]["runtime_version"] == np.__version__


def test_the_memory_of_a_model_is_recovered(running):
    block = 64 * 1024 * 1024
    reply = running.ask(**running.job(b"x" * block))
    assert reply["memory"]["model_mb"] == pytest.approx(block / 1e6, abs=2.1)
    assert reply["memory"]["peak_mb"] > block / 1e6
    small = running.ask(**running.job(b"small"))
    assert small["memory"]["model_mb"] < 1


def test_the_agent_lives_after_errors_of_every_kind(running, endless_model):
    for message, code in [
        ({"verb": "fly"}, "unknown_verb"),
        (running.job(b"no model at all", "onnxruntime"), "model_failed"),
        (running.job(endless_model, "onnxruntime", deadline_s=0.5), "deadline"),
        (running.job(model=b"", verb="run", inputs="0" * 64), "blob_missing"),
        ({"verb": "probe", "padding": "x" * MAX_LINE}, "too_long"),
    ]:
        assert running.ask(**message)["error"]["code"] == code
    assert running.ask(**running.job(verb="run"))["ok"]


def test_a_model_that_eats_the_memory_is_stopped_and_the_agent_lives(running, bomb_model):
    reply = running.ask(**running.job(bomb_model, "onnxruntime", limits={"memory_mb": 1000}))
    assert reply["error"]["blame"] == "candidate"
    assert running.ask(**running.job(verb="run"))["ok"]


def test_a_child_that_is_killed_from_outside_is_a_crash_and_the_agent_lives(hanging):
    os.kill(descendants(hanging.process.pid)[-1], signal.SIGKILL)
    error = json.loads(hanging.process.stdout.readline())["error"]
    assert error["code"] == "crashed"
    assert "SIGKILL" in error["message"]
    assert hanging.ask(**hanging.job(verb="run"))["ok"]


def test_a_killed_fork_server_is_replaced(running):
    assert running.ask(**running.job(verb="run"))["ok"]
    os.kill(descendants(running.process.pid)[0], signal.SIGKILL)
    assert running.ask(**running.job(verb="run"))["error"]["code"] == "device_broken"
    assert running.ask(**running.job(verb="run"))["ok"]


def test_no_orphan_survives_the_agent_being_killed(hanging):
    pids = descendants(hanging.process.pid)
    hanging.process.kill()
    hanging.process.wait()
    wait_until(lambda: not any(map(is_alive, pids)))


def test_the_agent_ends_with_its_stdin_even_in_the_middle_of_a_job(hanging):
    pids = descendants(hanging.process.pid)
    hanging.process.stdin.close()
    assert hanging.process.wait(PATIENCE_S) == 0
    wait_until(lambda: not any(map(is_alive, pids)))


def test_bye_ends_the_agent_and_frees_the_device(running, tmp_path):
    assert running.ask(verb="bye") == {"id": 1, "ok": True}
    assert running.process.wait(PATIENCE_S) == 0
    other = Running(tmp_path)
    assert other.ask(verb="hello", protocol=2)["ok"]
    other.close()


def test_a_second_agent_is_told_that_the_device_is_busy_until_the_first_has_gone(running, tmp_path):
    second = Running(tmp_path)
    assert second.ask(verb="hello", protocol=2)["error"]["code"] == "device_busy"
    running.process.kill()
    running.process.wait()
    assert second.ask(verb="hello", protocol=2)["ok"]
    second.close()


def test_requests_sent_ahead_are_answered_in_order(running):
    for number in range(5):
        running.tell(id=number, verb="probe")
    assert [json.loads(running.process.stdout.readline())["id"] for _ in range(5)] == list(range(5))


def test_a_folder_that_cannot_be_used_is_the_devices_fault(tmp_path):
    agent = Running(tmp_path)
    (tmp_path / "blobs").write_text("in the way")
    error = agent.ask(verb="hello", protocol=2)["error"]
    assert (error["blame"], error["code"]) == ("device", "device_broken")
    agent.close()


def test_an_older_python_reads_its_message_before_anything_that_it_cannot_parse():
    with zipfile.ZipFile(io.BytesIO(agent_file().content)) as archive:
        main = archive.read("__main__.py").decode()
    assert main.index("PYTHON_TOO_OLD") < main.index("from device_agents")
    assert not any(news in main for news in ('f"', "->", "annotations"))
