"""The main job with real parts: service, controller, workers, agent, OpenSSH, onnxruntime."""

import csv
import hashlib
import json
import re
import shutil
import subprocess
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from serving import PATIENCE_S, SMALL

from nas.architecture import Architecture
from nas.client import Client
from nas.data.load import load_panel
from nas.data.split import Split
from nas.data.windows import evaluation
from nas.errors import Conflict, NotFound
from nas.models.shape import Shape
from nas.models.training import predict, restore
from nas.request import SearchRequest


def curl(service, path, *options):
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed: apt-get install curl")
    command = ["curl", "-sS", "--fail-with-body", "-H", "content-type: application/json", *options, service.url + path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    return json.loads(done.stdout) if done.stdout else None


@pytest.fixture(scope="module")
def board(client, sshd, calm_python, tmp_path_factory):
    device = sshd.device(tmp_path_factory.mktemp("board"), python=calm_python, name="board")
    names = ("name", "transport", "host", "port", "user", "key", "host_key", "python", "root")
    client.add_device({name: getattr(device, name) for name in names})
    return "board"


@pytest.fixture(scope="module")
def here(client, calm_python):
    with suppress(Conflict):
        client.add_device({"name": "here", "transport": "local", "python": calm_python})
    return "here"


@pytest.fixture(scope="module")
def finished(service, client, board):
    """A search over SSH, launched with curl."""
    body = {**SMALL, "devices": [board], "trials": 6, "constraints": {"size_kb": 60}, "objectives": ["wape", "size_kb"]}
    search = curl(service, "/api/v1/searches", "-X", "POST", "-d", json.dumps(body))
    found = service.ended(client, search["id"])
    assert found["state"] == "completed", found["reason"]
    return found


@pytest.fixture(scope="module")
def package(service, client, finished, tmp_path_factory):
    """Its recommended trial as an unpacked student, fetched with curl."""
    student = curl(service, "/api/v1/students", "-X", "POST", "-d", json.dumps({"search": finished["id"]}))
    student = service.exported(client, student["id"])
    folder = tmp_path_factory.mktemp("student")
    curl(service, f"/api/v1/students/{student['id']}/package", "-o", str(folder / "student.zip"))
    with zipfile.ZipFile(folder / "student.zip") as archive:
        archive.extractall(folder)
    return student, folder / f"student-{student['id']}"


def test_every_measurement_came_over_ssh_before_any_training(client, finished):
    trials = list(client.trials(finished["id"]))
    assert [t["number"] for t in trials] == list(range(6))
    assert {t["stage"] for t in trials} <= {"scored", "turned_away"}
    for trial in trials:
        measured = trial["measurements"]["board"]
        assert measured["p50"]["low"] <= measured["p50"]["ms"] <= measured["p50"]["high"]
        assert measured["peak_memory_mb"] > measured["model_memory_mb"]
        assert measured["fingerprint"]["boot_id"]
        if trial["stage"] == "turned_away":
            assert trial["values"]["size_kb"] > 60 and trial["training"] is None
        else:
            assert trial["values"]["size_kb"] <= 60 and trial["scorecard"]["baselines"]["seasonal_naive"]["wape"] > 0


def test_the_front_is_of_the_trials(service, client, finished):
    front = curl(service, f"/api/v1/searches/{finished['id']}/front")
    trials = {t["number"]: t for t in client.trials(finished["id"])}
    assert front["points"] and front["recommended"] in trials
    for point in front["points"]:
        assert point["values"] == trials[point["number"]]["values"] and trials[point["number"]]["feasible"]


def test_the_package_is_whole_and_its_checksums_hold(package):
    student, folder = package
    sums = dict(reversed(line.split("  ")) for line in (folder / "SHA256SUMS").read_text().splitlines())
    files = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} - {"SHA256SUMS"}
    assert set(sums) == files
    for name, digest in sums.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    records = {f"{name}.json" for name in ("architecture", "measurement", "scorecard", "recipe")}
    assert records | {"model.fp32.onnx", "weights.safetensors", "README.md", "predict.py"} <= files
    assert ("model.int8.onnx" in files) == (student["result"]["architecture"]["cell"] == "lstm")


def test_the_device_computed_what_the_trainer_computes(package):
    student, folder = package
    verified = json.loads((folder / "measurement.json").read_text())["verified"]
    assert verified["fp32"]["device"] == "board"
    assert verified["fp32"]["largest_difference"] < 1e-4
    assert set(student["result"]["beside"]) == {"student", "plain_lstm", "seasonal_naive", "day_of_week_mean"}


def test_predict_forecasts_what_the_trainer_would(service, finished, package, bare_python):
    """The same numbers by two ways: CSV and predict.py without nas and torch; the panel's windows and torch."""
    student, folder = package
    spec = SearchRequest.model_validate(finished["request"]).data
    panel = load_panel(spec, Path(service.home) / "cache")
    split = Split.of(panel, *spec.split_steps(panel.clock))
    architecture = Architecture.from_dict(student["result"]["architecture"])
    weights = (folder / "weights.safetensors").read_bytes()
    windows = evaluation(panel, split.test_origins[-1:], architecture.window, split.horizon)
    expected = predict(restore(architecture, Shape.of(panel, split.horizon), weights), windows)
    options = ["--history", "example/history.csv", "--future", "example/future.csv", "--precision", "fp32"]
    done = bare_python("predict.py", *options, cwd=folder)
    assert done.returncode == 0, done.stderr
    found = {}
    for row in csv.DictReader(done.stdout.splitlines()):
        found.setdefault(row["unique_id"], []).append(float(row["forecast"]))
    assert len(found) == 3
    for series, values in found.items():
        np.testing.assert_allclose(values, expected[panel.ids.index(series)], rtol=1e-3, atol=1e-3)


def test_predict_runs_the_searched_precision_by_default(package, bare_python):
    _, folder = package
    done = bare_python("predict.py", "--history", "example/history.csv", "--future", "example/future.csv", cwd=folder)
    assert done.returncode == 0, done.stderr
    with (folder / "example/future.csv").open() as file:
        planned = {(row["unique_id"], row["ds"]) for row in csv.DictReader(file)}
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert {(row["unique_id"], row["ds"]) for row in rows} == planned
    assert all(float(row["forecast"]) >= 0 for row in rows)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda text: text.replace("unique_id", "id", 1), "no column unique_id"),
        (lambda text: text.replace(",", ";"), "no column unique_id.*separated by commas"),
        (lambda text: "\n".join([*text.splitlines()[:2], text.splitlines()[1]]), "twice"),
        (lambda text: text.splitlines()[0], "no rows"),
        (lambda text: text.replace("-", "/"), "expected YYYY-MM-DD"),
    ],
)
def test_predict_says_what_is_wrong_with_a_table(package, bare_python, tmp_path, spoil, says):
    _, folder = package
    broken = tmp_path / "history.csv"
    broken.write_text(spoil((folder / "example/history.csv").read_text()))
    done = bare_python("predict.py", "--history", str(broken), "--future", "example/future.csv", cwd=folder)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert re.search(says, done.stderr)


@pytest.mark.parametrize("spoil", [lambda model: model.unlink(), lambda model: model.write_bytes(b"half")])
def test_predict_says_when_its_model_is_broken(package, bare_python, tmp_path, spoil):
    folder = shutil.copytree(package[1], tmp_path / "copy")
    for model in folder.glob("model.*.onnx"):
        spoil(model)
    done = bare_python("predict.py", "--history", "example/history.csv", "--future", "example/future.csv", cwd=folder)
    assert done.returncode == 1
    assert "SHA256SUMS" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_killed_service_goes_on_where_it_was(own_service, calm_python):
    with Client(own_service.url) as client:
        client.add_device({"name": "here", "transport": "local", "python": calm_python})
        body = {**SMALL, "devices": ["here"], "trials": 5, "constraints": {"size_kb": 60}, "sampler": "random"}
        search = client.start_search(body)["id"]

        def enough():
            done = [t for t in client.trials(search) if t["finished_at"]]
            return len(done) >= 2 and done

        before = own_service.until(enough)
        own_service.kill()
        own_service.start()
        found = own_service.ended(client, search)
        assert found["state"] == "completed", found["reason"]
        after = {t["number"]: t for t in client.trials(search)}
    assert sorted(after) == list(range(5))
    assert all(t["finished_at"] for t in after.values())
    for trial in before:
        assert after[trial["number"]] == trial


def test_stop_pauses_and_resume_goes_on(service, client, here):
    search = client.start_search({**SMALL, "devices": [here], "trials": 4})["id"]
    service.until(lambda: any(t["measurements"] for t in client.trials(search)))  # so three are still to be measured
    client.stop_search(search)
    assert service.ended(client, search)["state"] == "paused"
    client.resume_search(search)
    assert service.ended(client, search)["state"] == "completed"
    assert [t["number"] for t in client.trials(search)] == list(range(4))


def test_a_device_that_does_not_answer_pauses_the_search_with_the_reason(service, client, sshd):
    body = {"name": "gone", "transport": "ssh", "host": "127.0.0.1", "port": 9, "user": "pi", "key": "/nowhere"}
    client.add_device({**body, "host_key": sshd.host_key})
    search = client.start_search({**SMALL, "devices": ["gone"], "trials": 2})["id"]
    found = service.ended(client, search)
    assert found["state"] == "paused" and "127.0.0.1:9" in found["reason"]
    assert client.device("gone")["state"] == "offline"


def test_a_broken_table_fails_the_search_with_rows_and_columns(service, client, here, tmp_path):
    table = tmp_path / "sales.csv"
    table.write_text("unique_id,ds,y\na,2024-01-01,1\na,2024-01-01,-2\na,2024-01-04,x\n")
    body = {**SMALL, "data": {"source": "table", "path": str(table)}, "devices": [here], "trials": 2}
    found = service.ended(client, client.start_search(body)["id"])
    assert found["state"] == "failed"
    for word in ("row 3", "column y", "negative"):
        assert word in found["reason"]


def test_what_does_not_exist_is_said_so(client):
    with pytest.raises(NotFound, match="search 999"):
        client.search(999)
    with pytest.raises(NotFound, match="999"):
        client.export_student(999)
