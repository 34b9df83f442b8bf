"""A runtime put on a device and taken away again: over a real OpenSSH, with real wheels and no network."""

import hashlib
import os
import stat
import subprocess
from dataclasses import replace
from importlib.metadata import version

import numpy as np
import onnx_models
import pytest
from wheel_files import BARE_PYTHON, made, packed

from nas.devices.agent_file import agent_file
from nas.devices.device import Device
from nas.devices.fleet import Fleet
from nas.devices.install import install, launcher_of, uninstall
from nas.devices.ssh import SshTransport
from nas.errors import DeviceBusy, DeviceFault, PythonMissing, RequestError, RuntimeMissing

X = {"x": np.ones((7, 1, 3), "float32")}


@pytest.fixture
def real(tmp_path):
    """A cache that holds the real wheels."""
    folder = tmp_path / "real"
    folder.mkdir()
    for name in ("onnxruntime", "numpy"):
        packed(name, folder)
    return folder


@pytest.fixture
def cache(tmp_path):
    """A cache that holds wheels of these names and of a few bytes: they are unpacked and imported, and do nothing."""
    folder = tmp_path / "cache"
    folder.mkdir()
    versions = {"onnxruntime": version("onnxruntime"), "numpy": version("numpy"), "openvino": "2026.4.1"}
    for name, found in versions.items():
        files = {f"{name}/__init__.py": f"__version__ = {found!r}", f"{name}/data": os.urandom(300_000)}
        made(folder, name, found, files)
    return folder


@pytest.fixture
def device(sshd, tmp_path):
    return sshd.device(tmp_path / "agent", python=BARE_PYTHON)


def put(device, cache, **options):
    return install(device, "onnxruntime", cache, offline=True, **options)


def output(device, *words):
    return subprocess.run([device.python, *words], check=True, capture_output=True, text=True, cwd="/").stdout


def test_what_was_installed_computes_comes_from_the_devices_folder_and_leaves_nothing(device, real, tmp_path):
    done = put(device, real)
    assert done.facts["runtimes"]["onnxruntime"] == version("onnxruntime")
    code = "import onnxruntime, numpy; print(onnxruntime.__file__, numpy.__file__)"
    assert output(done.device, "-c", code).count(f"{tmp_path}/agent/wheels/") == 2
    with Fleet([done.device]) as fleet:
        assert fleet.run(device.name, onnx_models.lstm(), X)["h"].shape == (1, 1, 8)
    assert uninstall(done.device) == []
    assert not (tmp_path / "agent").exists()


def test_doing_it_again_sends_nothing(device, cache):
    first = put(device, cache)
    again = put(first.device, cache)
    assert first.sent > 500_000
    assert again.sent == 0
    assert again.device == first.device


@pytest.mark.parametrize("damaged", [False, True])
def test_an_upload_that_broke_off_goes_on_where_it_ended_and_a_damaged_one_starts_again(
    device, cache, tmp_path, damaged
):
    wheel = next(cache.glob("numpy*"))
    content = wheel.read_bytes()
    half, sha = len(content) // 2, hashlib.sha256(content).hexdigest()
    parts = tmp_path / "agent" / "wheels"
    parts.mkdir(parents=True)
    (parts / f"{sha}.part").write_bytes(bytes(half) if damaged else content[:half])
    steps = []
    put(device, cache, report=lambda name, done, size: steps.append(done) if name == wheel.name else None)
    assert steps[0] > half
    assert (len(content) in steps[:-1]) == damaged
    assert steps[-1] == len(content)


def test_removing_keeps_what_others_put_there_and_names_it(device, cache, tmp_path):
    root = tmp_path / "agent"
    (root / "wheels").mkdir(parents=True)
    for name in ("python", "notes.txt", "wheels/mine.whl"):
        (root / name).write_text("the user's own")
    SshTransport().open(device).close()
    assert uninstall(device) == ["notes.txt", "python", "wheels"]
    assert sorted(path.name for path in root.rglob("*")) == ["mine.whl", "notes.txt", "python", "wheels"]


def test_a_file_that_a_power_cut_left_empty_is_put_back(device, cache, tmp_path):
    put(device, cache)
    module = next((tmp_path / "agent" / "wheels").glob("*/numpy/__init__.py"))
    os.truncate(module, 0)
    assert put(device, cache).sent == next(cache.glob("numpy*")).stat().st_size
    assert module.stat().st_size > 0


def test_a_deleted_launcher_is_made_anew(device, cache, tmp_path, monkeypatch):
    done = put(device, cache)
    (tmp_path / "agent" / "python").unlink()
    with pytest.raises(PythonMissing):
        SshTransport().open(done.device)
    assert put(done.device, cache).sent == 0
    SshTransport().open(done.device).close()


def test_a_wheel_of_ones_own_stands_in_for_the_usual_one(device, cache, tmp_path):
    mine = made(tmp_path, "onnxruntime_gpu", "1.40.0", {"onnxruntime/__init__.py": "__version__ = '1.40.0'"})
    done = put(device, cache, own=[mine])
    assert done.facts["runtimes"]["onnxruntime"] == "1.40.0"
    assert [name.partition("-")[0] for name in done.wheels] == ["onnxruntime_gpu", "numpy"]


def test_a_runtime_that_does_not_start_there_says_why(device, cache, tmp_path):
    text = "raise ImportError('libcublas.so.12: cannot open shared object file')"
    broken = made(tmp_path, "onnxruntime_gpu", "1.40.0", {"onnxruntime/__init__.py": text})
    with pytest.raises(RuntimeMissing, match=r"does not start there \(ImportError: libcublas"):
        put(device, cache, own=[broken])


@pytest.mark.parametrize("member", ["../canary", "/tmp/nas-canary", "a/../../canary"])
def test_a_wheel_that_reaches_out_of_its_folder_is_not_unpacked(device, cache, tmp_path, member):
    hostile = made(tmp_path, "onnxruntime_gpu", "1.40.0", {member: "x"})
    with pytest.raises(Exception, match="which no wheel should"):
        put(device, cache, own=[hostile])
    assert not list(tmp_path.rglob("*canary"))


def test_while_something_is_measured_nothing_is_installed(device, cache, tmp_path, monkeypatch):
    monkeypatch.setattr("nas.devices.install.BUSY_S", 0.0)
    session = SshTransport().open(device)
    with pytest.raises(DeviceBusy):
        put(device, cache)
    session.close()
    assert not (tmp_path / "agent" / "wheels").exists()


def test_another_runtime_joins_the_first_and_an_old_version_goes(device, cache, tmp_path):
    done = put(device, cache)
    both = install(done.device, "openvino", cache, offline=True).device
    assert output(both, "-c", "import onnxruntime, openvino; print(openvino.__version__)").split() == ["2026.4.1"]
    assert len(list((tmp_path / "agent" / "wheels").iterdir())) == 3
    mine = made(tmp_path, "onnxruntime_gpu", "1.40.0", {"onnxruntime/__init__.py": "__version__ = '1.40.0'"})
    newer = put(both, cache, own=[mine])
    assert newer.facts["runtimes"]["onnxruntime"] == "1.40.0"
    assert len(list((tmp_path / "agent" / "wheels").iterdir())) == 3


def test_agents_of_earlier_releases_are_collected(device, tmp_path):
    old, other = tmp_path / "agent" / f"agent-{'0' * 64}.pyz", tmp_path / "agent" / "agent-of-mine.pyz"
    SshTransport().open(device).close()
    for path in (old, other):
        path.write_text("old")
    SshTransport().open(device).close()
    kept = {path.name for path in (tmp_path / "agent").glob("*.pyz")}
    assert kept == {agent_file().name, other.name}


def test_no_runtime_reports_to_its_maker_from_a_device(device, cache, tmp_path):
    code = "import os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    assert output(put(device, cache).device, "-c", code) == "1\n"


@pytest.mark.parametrize(
    ("changes", "runtime", "says"),
    [({}, "tflite", "expected one of onnxruntime"), ({"transport": "local"}, "onnxruntime", "controller's own")],
)
def test_what_cannot_be_installed_is_said(device, cache, changes, runtime, says):
    with pytest.raises(RequestError, match=says):
        install(replace(device, **changes), runtime, cache, offline=True)


def test_a_device_that_answers_rubbish_is_named(sshd, cache, tmp_path):
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\ncase "$2" in look) echo Killed >&2; exit 9;; esac\nexec {BARE_PYTHON} "$@"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    with pytest.raises(DeviceFault, match=r"ended look with status 9 and without an answer \(Killed\)"):
        put(sshd.device(tmp_path / "agent", python=str(script)), cache)


def test_the_launcher_is_known_by_where_it_lies():
    assert launcher_of(Device("a", "local", root="/srv/nas")) == "/srv/nas/python"
