"""A store's nightly job on the device: what predict.py forecasts, timed in a fresh process, gated and confined."""

import csv
import io
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx_models
import pytest
from processes import descendants, is_alive, wait_until
from test_agent import Running

from device_agents import energy, nightly, sweep
from device_agents.energy_meters import Reading
from device_agents.gate import Opened
from device_agents.measure import Device
from device_agents.protocol import Problem
from device_agents.sensors import Senses
from nas.architecture import Architecture
from nas.data.check import check
from nas.data.dense import to_panel
from nas.data.long_table import LongTable
from nas.data.sources import synthetic
from nas.data.split import Split
from nas.export import predict
from nas.export.sweep import store_table
from nas.export.targets import export_untrained
from nas.models.shape import Shape
from nas.request import DataSpec

ARCHITECTURE = Architecture(hidden=8, window=28)


@pytest.fixture(scope="module")
def store():
    """A model, a store's table and its recipe: four series, of which the second sold last three days earlier."""
    made = synthetic.generate(n_series=4, days=160, seed=3)
    days = made.frame["ds"].drop_duplicates().sort_values()
    gone = (made.frame["unique_id"] == "store-02") & (made.frame["ds"] >= days.iloc[-17])
    table = LongTable(made.frame[~gone].reset_index(drop=True), made.hist, made.futr, made.stat)
    panel = to_panel(check(table), made.hist, made.futr)
    split = Split.of(panel)
    text, recipe = store_table(panel, split, ARCHITECTURE, DataSpec())
    model = export_untrained(ARCHITECTURE, Shape.of(panel, split.horizon)).model
    return SimpleNamespace(model=model, table=text, recipe=recipe)


@pytest.fixture
def job(store, tmp_path):
    """The nightly job as the agent hands it to the process."""
    for name, content in (
        ("model", store.model),
        ("table", store.table),
        ("recipe", json.dumps(store.recipe).encode()),
    ):
        (tmp_path / name).write_bytes(content)
    paths = {name: str(tmp_path / name) for name in ("model", "table", "recipe", "output")}
    return {**paths, "runtime": "onnxruntime", "threads": 1, "memory_mb": None}


def forecasts(text):
    return {(row["unique_id"], row["ds"]): float(row["forecast"]) for row in csv.DictReader(io.StringIO(text))}


def predicted(store, folder):
    """What the package's predict.py says of the same table, cut into history and plans."""
    (folder / "model.onnx").write_bytes(store.model)
    shutil.copy(predict.__file__, folder)
    card = {"architecture": ARCHITECTURE.to_dict(), "table": store.recipe, "models": {"fp32": "model.onnx"}}
    (folder / "architecture.json").write_text(json.dumps(card))
    (folder / "calendar.json").write_text(json.dumps({name: store.recipe[name] for name in ("holidays", "clock")}))
    header, *lines = store.table.decode().splitlines()
    for name, of_history in (("history", True), ("future", False)):
        kept = [line for line in lines if bool(line.split(",")[2]) == of_history]
        (folder / f"{name}.csv").write_text("\n".join([header, *kept]) + "\n")
    command = [sys.executable, "predict.py", "--history", "history.csv", "--future", "future.csv"]
    return forecasts(subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout)


def test_it_writes_what_predict_says(store, job, tmp_path):
    done = nightly.work(job)
    found, expected = forecasts(Path(job["output"]).read_text()), predicted(store, tmp_path)
    assert done["series"] == 4
    assert found.keys() == expected.keys() and len(found) == 4 * store.recipe["horizon"]
    np.testing.assert_allclose([found[key] for key in expected], [*expected.values()], rtol=1e-4)


def test_the_stages_come_in_their_order(job):
    marks = nightly.work(job)["marks_ns"]
    assert tuple(marks) == sweep.STAGES
    assert [*marks.values()] == sorted(marks.values())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"window": "long"}, "window, horizon"),
        ({"horizon": 7}, "cannot load or run the model"),
        ({"columns": {"hist": [], "futr": []}}, "'stat'"),
        ({"columns": {"hist": ["humidity"], "futr": [], "stat": [], "open": None, "available": None}}, "no column hum"),
        ({"quantiles": [0.1, 0.9]}, "0.5 among them"),
        ({"quantiles": [0.1, 0.5, 0.9]}, "expected .1, 14, 3."),
    ],
    ids=["window", "horizon", "columns", "column", "no median", "quantiles"],
)
def test_a_wrong_recipe_is_one_sentence(store, job, changes, says):
    Path(job["recipe"]).write_text(json.dumps({**store.recipe, **changes}))
    with pytest.raises(Problem, match=says):
        nightly.work(job)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("unique_id,ds,y,discount,promotion,region\n", "no row with a y"),
        ("unique_id,ds,y,discount,promotion,region\na,today,1,0,0,north\n", "no CSV with dates"),
        ("unique_id,ds,y,discount,promotion,region\na,2024-01-01,some,0,0,north\n", "lacks a number"),
        ("unique_id,ds,y,discount,promotion,region\na,2024-01-01,1,0,,north\n", "lacks a number: promotion"),
        ("\0\n", "no column unique_id"),
    ],
    ids=["empty", "date", "number", "plan", "bytes"],
)
def test_a_wrong_table_is_one_sentence(job, text, says):
    Path(job["table"]).write_text(text)
    with pytest.raises(Problem, match=says) as met:
        nightly.work(job)
    assert met.value.code == "bad_inputs"


def test_what_is_no_forecaster_is_the_models_fault(job):
    Path(job["model"]).write_bytes(b"no model at all")
    with pytest.raises(Problem) as met:
        nightly.work(job)
    assert met.value.code == "model_failed"


@pytest.fixture
def running(tmp_path):
    agent = Running(tmp_path)
    assert agent.ask(verb="hello", protocol=2)["ok"]
    yield agent
    agent.close()


def request(agent, store, **changes):
    blobs = {"model": store.model, "table": store.table, "recipe": json.dumps(store.recipe).encode()}
    how = {"runtime": "onnxruntime", "threads": 1, "deadline_s": 60, "limits": {"memory_mb": None}}
    how |= {"gate_max_seconds": 30, "beside_load": True, "job": "cd" * 16}
    return {"verb": "sweep", **{name: agent.blobs.add(blob) for name, blob in blobs.items()}, **how, **changes}


def test_the_agent_times_a_process_of_its_own_from_outside(running, store, tmp_path):
    reply = running.ask(**request(running, store))
    assert reply["ok"], reply
    assert 0 < sum(reply["stages"].values()) < reply["seconds"]
    assert reply["stages"]["start"] > 0.02  # numpy and the runtime are imported anew
    assert reply["series"] == 4 and reply["provider"] == "CPUExecutionProvider"
    assert reply["peak_mb"] > 30 and reply["memory"]["source"] == "VmHWM"
    assert reply["fingerprint"]["runtime_version"] and reply["fingerprint"]["boot_id"]
    assert reply["energy"] is None
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("sweep-")]
    assert running.ask(verb="result", job="cd" * 16) == reply


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"runtime": "identity"}, "model_failed"),
        ({"limits": {"memory_mb": 1}}, "model_failed"),
        ({"table": "0" * 64}, "blob_missing"),
        ({"table": "../../etc/passwd"}, "bad_request"),
    ],
    ids=["no forecaster", "memory", "blob", "path"],
)
def test_after_a_failed_sweep_the_agent_lives_on(running, store, changes, code):
    reply = running.ask(**request(running, store, **changes))
    assert reply["error"]["code"] == code
    assert running.ask(verb="probe")["ok"]


def endless(running):
    return running.blobs.add(onnx_models.endless("past_mask", (1, ARCHITECTURE.window)))


def nightly_of(running):
    """The processes under the agent that do the nightly job."""
    return [pid for pid in descendants(running.process.pid) if "nightly" in command_line(pid)]


def command_line(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def test_a_sweep_that_never_ends_is_killed_at_its_deadline(running, store):
    reply = running.ask(**request(running, store, model=endless(running), deadline_s=1.5))
    assert reply["error"]["code"] == "deadline" and reply["error"]["blame"] == "candidate"
    assert not nightly_of(running)


@pytest.mark.parametrize("end", ["kill", "hang up"])
def test_the_process_goes_with_the_agent(running, store, end):
    running.tell(id=2, **request(running, store, model=endless(running), deadline_s=600))
    wait_until(lambda: nightly_of(running))
    family = nightly_of(running)
    if end == "kill":
        running.process.kill()
    else:
        running.process.stdin.close()
    wait_until(lambda: not any(is_alive(pid) for pid in family))


class Scripted:
    """A gate that follows a script, and a meter that shows 2 W."""

    name, rails, relative = "INA3221", ("VDD_IN",), False

    def __init__(self, root, waits=(True, []), disturbed=(), emulated=False, meter=True):
        self._wait, self._disturbed, self.nights = waits, list(disturbed), 0
        senses = Senses("/")
        self.device = Device(senses, self, self if meter else None, None, emulated)
        self.place = sweep.Place(str(root), None, (), 60.0)

    def wait(self, max_seconds, beside_load):
        return Opened(self._wait[0], 0.1, self._wait[1], ["the governor is ondemand"])

    def disturbed(self, before, after, *, inferences_ns, beside_load):
        assert after.own_ns - before.own_ns > 50e6, "the job's own time counts as a neighbour's"
        self.nights += 1
        return self._disturbed.pop(0) if self._disturbed else []

    def sample(self):
        return Reading(time.monotonic_ns(), 2.0)


def swept(board, job):
    how = {"limits": {"memory_mb": None}, "gate_max_seconds": 1, "beside_load": False}
    return sweep.sweep({**job, **how}, board.device, board.place)


def test_energy_is_of_the_whole_job_above_idle(job, tmp_path, monkeypatch):
    """A reading each millisecond, 5 W while the job runs: a live meter would read late on a busy machine."""
    runs = []

    class Watched(sweep.Cold):
        def run(self, job, hangup=None):
            runs.append(super().run(job, hangup))
            return runs[-1]

    class Steady(energy.Sampler):
        def start(self):
            self.began = time.monotonic_ns()
            return self

        def stop(self):
            moments = range(self.began, time.monotonic_ns() + 2_000_000, 1_000_000)
            return [Reading(at, 5.0 if runs[0].begin_ns <= at <= runs[0].end_ns else 2.0) for at in moments]

    monkeypatch.setattr(sweep, "Cold", Watched)
    monkeypatch.setattr(energy, "Sampler", Steady)
    reply = swept(Scripted(tmp_path), job)
    assert reply["energy"]["sensor"] == "INA3221" and reply["energy"]["idle_power_w"] == pytest.approx(2.0, abs=0.05)
    assert reply["energy"]["energy_mj"] / 1000 == pytest.approx(3.0 * reply["seconds"], rel=0.05)
    assert (reply["verdict"], reply["notes"]) == ("valid", ["the governor is ondemand"])


def test_a_device_that_is_not_fit_is_refused_with_the_reason(job, tmp_path):
    board = Scripted(tmp_path, waits=(False, ["temperature over limit: 91 °C"]))
    reply = swept(board, job)
    assert reply["verdict"] == "rejected" and "91 °C" in reply["reasons"][0]
    assert reply["seconds"] is None and reply["energy"] is None and board.nights == 0


def test_a_disturbed_run_is_made_again(job, tmp_path):
    board = Scripted(tmp_path, disturbed=[["throttled: soft limit"]], meter=False)
    reply = swept(board, job)
    assert (reply["verdict"], reply["disturbed"], board.nights) == ("valid", {"throttled": 1}, 2)


def test_three_disturbed_runs_are_degraded(job, tmp_path):
    board = Scripted(tmp_path, disturbed=[["throttled: soft limit"]] * 4, meter=False)
    reply = swept(board, job)
    assert (reply["verdict"], reply["disturbed"], board.nights) == ("degraded", {"throttled": 3}, 3)
    assert reply["reasons"] == ["throttled: soft limit"] and reply["seconds"] > 0


def test_an_imitated_processor_is_never_valid(job, tmp_path):
    reply = swept(Scripted(tmp_path, emulated=True, meter=False), job)
    assert reply["verdict"] == "degraded" and reply["reasons"][0].startswith("emulated")
