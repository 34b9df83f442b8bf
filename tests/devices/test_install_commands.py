"""`nas devices install` and `remove` as a user types them: a real service, a real OpenSSH."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from serving import client, service
from wheel_files import BARE_PYTHON, made

from nas.errors import NotFound

__all__ = ["client", "service"]


@pytest.fixture
def run(service):
    """Run `nas` against the service, with a cache of small wheels and no network."""
    cache = service.home / "cache" / "wheels"
    if not cache.exists():
        cache.mkdir(parents=True)
        for name, version in (("onnxruntime", "1.32.0"), ("numpy", "2.4.6")):
            made(cache, name, version, {f"{name}/__init__.py": ""})

    def run(*words):
        command = [str(Path(sys.executable).with_name("nas")), "devices", *map(str, words)]
        return subprocess.run(
            command, env=service.environment, capture_output=True, text=True, timeout=120, check=False
        )

    return run


@pytest.fixture
def enrol(client, sshd, tmp_path):
    """Enrol a bare device; returns its folder."""

    def enrol(name, **changes):
        device = sshd.device(tmp_path / name, name=name, **{"python": BARE_PYTHON, **changes})
        fields = ("name", "transport", "host", "port", "user", "key", "host_key", "python", "root")
        client.add_device({field: getattr(device, field) for field in fields})
        return tmp_path / name

    return enrol


def test_a_device_is_installed_used_from_then_on_and_removed_without_a_trace(run, client, enrol):
    root = enrol("board")
    done = run("install", "board", "--offline", "--json")
    assert json.loads(done.stdout)["runtimes"]["onnxruntime"] == "1.32.0", done.stderr
    assert client.device("board")["python"] == f"{root}/python"
    assert "onnxruntime 1.32.0" in run("install", "board", "--offline").stdout
    assert "and so is its folder" in run("remove", "board").stdout
    assert not root.exists()
    with pytest.raises(NotFound):
        client.device("board")


def test_files_can_be_kept(run, enrol):
    root = enrol("kept")
    run("install", "kept", "--offline")
    assert run("remove", "kept", "--keep-files").stdout == "kept is removed\n"
    assert (root / "python").exists()


def test_a_device_that_is_gone_is_forgotten_and_what_is_left_is_said(run, client, enrol):
    root = enrol("gone", port=1)
    found = run("remove", "gone")
    assert found.returncode == 0
    assert f"gone is removed, but its folder {root} is still there: No connection" in found.stdout
    assert "gone" not in [device["name"] for device in client.devices()]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("install", "nobody-knows"), "no device nobody-knows"),
        (("install", "odd", "--runtime", "tflite"), "expected one of onnxruntime"),
        (("install", "odd", "--wheel", "mine.whl"), "is not named as a wheel is"),
        (("install", "odd", "--offline", "--runtime", "openvino"), "--offline"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(run, client, enrol, words, says):
    if "odd" not in [device["name"] for device in client.devices()]:
        enrol("odd")
    found = run(*words)
    assert (found.returncode, "Traceback" in found.stderr) == (2, False)
    assert says in found.stderr
