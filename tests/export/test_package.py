"""A package as a store uses it: unpacked, without this project, with whole, partial and no plans."""

import csv
import io
import json
import subprocess
import sys
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from nas.architecture import Architecture
from nas.data.baselines import BASELINES
from nas.data.load import load_panel
from nas.data.metrics import wape
from nas.data.split import Split
from nas.data.windows import evaluation
from nas.export.onnx import export
from nas.export.package import Checked, Package, pack
from nas.export.tables import Tables
from nas.models.training import predict, train
from nas.request import DataSpec, Training

ARCHITECTURE = Architecture(cell="gru", hidden=8, window=28, embedding=4, head=8)
BUDGET = Training(max_epochs=3, steps_per_epoch=40, learning_rate=1e-2)
NAMES = ("student", "plain_lstm", "day_of_week_mean", "seasonal_naive")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A small trained network on synthetic sales with promotions, and its unpacked package."""
    data = DataSpec(source="synthetic", series=8)
    panel = load_panel(data, tmp_path_factory.mktemp("cache"))
    split = Split.of(panel)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as a worker does: on a busy machine, threads that wait for each other take minutes
    trained = train(ARCHITECTURE, panel, split, BUDGET, 0)
    torch.set_num_threads(threads)
    package = Package(
        name="student-7",
        architecture=ARCHITECTURE,
        panel=panel,
        split=split,
        data=data,
        models={"fp32": export(trained.model()).model},
        compiled={},
        weights=trained.weights,
        checks={"pi4": Checked(measured={}, verified={})},
        scorecards={"fp32": {"validation": {}, "test": {"slices": {}}}},
        beside={name: {} for name in NAMES},
        report={"report.json": b"{}"},
        training=BUDGET.model_dump(),
        origin={"search": 1, "trial": 2, "sampler": "tpe", "seed": 0},
    )
    folder = tmp_path_factory.mktemp("package")
    with zipfile.ZipFile(io.BytesIO(pack(package))) as archive:
        archive.extractall(folder)
    return SimpleNamespace(panel=panel, split=split, model=trained.model(), folder=folder / "student-7", data=data)


def table(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def save(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def run(made, history=None, future="example/future.csv"):
    """Rows of the forecast, and what was said."""
    options = ["--history", history or "example/history.csv", *(["--future", future] if future else [])]
    done = subprocess.run(
        [sys.executable, "predict.py", *options], cwd=made.folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert all(np.isfinite(float(row["forecast"])) and float(row["forecast"]) >= 0 for row in rows)
    return rows, done.stderr


def test_with_every_plan_nothing_is_said_and_all_rows_are_planned(made):
    rows, said = run(made)
    assert not said and {row["planned"] for row in rows} == {"1"} and len(rows) == 3 * 14


def test_without_plans_it_says_so_in_one_line_and_marks_every_row(made):
    rows, said = run(made, future=None)
    assert {row["planned"] for row in rows} == {"0"} and len(rows) == 3 * 14
    assert len(said.splitlines()) == 1
    assert "promotion of 14 days (taken as 0.2, as in the mean)" in said and "planned" in said


def test_a_day_that_is_missing_in_the_plan_is_marked_alone(made, tmp_path):
    whole, _ = run(made)
    plans = table(made.folder / "example/future.csv")
    gone = plans.pop(5)
    rows, said = run(made, future=save(tmp_path / "future.csv", plans))
    marked = [(row["unique_id"], row["ds"]) for row in rows if row["planned"] == "0"]
    assert marked == [(gone["unique_id"], gone["ds"])] and "promotion of 1 days" in said
    others = [(a, b) for a, b in zip(whole, rows, strict=True) if a["unique_id"] != gone["unique_id"]]
    assert all(a == b for a, b in others)


@pytest.mark.parametrize("days", [0, 7, 28])
def test_a_new_series_of_an_unseen_region_gets_forecasts(made, tmp_path, days):
    history = table(made.folder / "example/history.csv")
    series = history[0]["unique_id"]
    own = [{**row, "unique_id": "new", "region": "nowhere"} for row in history if row["unique_id"] == series]
    plans = table(made.folder / "example/future.csv")
    plans += [{**row, "unique_id": "new"} for row in plans if row["unique_id"] == series]
    past = save(tmp_path / "history.csv", history + own[len(own) - days :])
    rows, said = run(made, past, save(tmp_path / "future.csv", plans))
    assert sum(row["unique_id"] == "new" for row in rows) == 14
    assert ("Not seen in training" in said and "region nowhere" in said) == (days > 0)  # plans name no region


def test_steps_without_stock_say_nothing_of_demand(made, tmp_path):
    """Sales of 0 for want of stock lower the forecast; marked as such they hardly do."""
    history = table(made.folder / "example/history.csv")
    last = sorted({row["ds"] for row in history})[-10:]
    empty = [{**row, "y": "0"} if row["ds"] in last else row for row in history]
    told = [{**row, "available": "0"} if row["ds"] in last else row for row in empty]

    def total(rows):
        return sum(float(row["forecast"]) for row in run(made, save(tmp_path / "history.csv", rows))[0])

    usual = total(history)
    assert total(empty) < 0.8 * usual < total(told)


def test_what_is_usual_is_the_mean_of_training_and_holidays_are_no_business_of_this_package(made):
    card = json.loads((made.folder / "architecture.json").read_text())
    train = made.panel.futr[:, : made.split.train_end]
    assert card["table"]["usual"] == {"promotion": pytest.approx(train.mean())}
    assert json.loads((made.folder / "calendar.json").read_text()) == {"holidays": None, "clock": None}


def test_without_plans_accuracy_falls_gracefully(made):
    """Still better than the day-of-week mean; figures beside it are of the same forecasts."""
    panel, split = made.panel, made.split
    windows = evaluation(panel, split.test_origins, ARCHITECTURE.window, split.horizon)
    usual = Tables(panel, made.data).reading(split, ARCHITECTURE.window)["usual"]

    def error(forecast):
        return wape(windows.target, forecast, windows.target_mask)

    planned = error(predict(made.model, windows))
    windows.future[...] = [usual[name] for name in panel.futr_names]
    unplanned = error(predict(made.model, windows))
    rival = error(BASELINES["day_of_week_mean"](evaluation(panel, split.test_origins, 56, split.horizon)))
    assert planned < unplanned < rival, (planned, unplanned, rival)
