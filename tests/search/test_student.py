"""A student of several devices: each measures and verifies it, and the package tells of all of them."""

import io
import json
import zipfile
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
from homes import db, migrated, settings
from safetensors.numpy import load

from nas.architecture import Architecture
from nas.data.load import load_panel
from nas.data.split import Split
from nas.devices.device import Device
from nas.devices.fake import FakeTransport
from nas.devices.fleet import Fleet
from nas.devices.tensors import encode_output
from nas.export.onnx import forecast
from nas.request import DataSpec, SearchRequest, Training
from nas.search.finish import Finish, Finished, finish
from nas.search.forms import trained_forms
from nas.search.student import make_student
from nas.search.trainer import train_and_score
from nas.search.workshop import Workshop
from nas.store import jobs, leases, searches, trials

__all__ = ["db", "migrated", "settings"]
TINY = Architecture(cell="gru", hidden=4, window=28, history="pooled", embedding=4, head=0, decoder="plain")
PLAIN = {"wape": 0.4, "parameters": 1}


class Here:
    """A cluster whose only worker is the caller."""

    workers = 1

    def share(self, _name, value):
        return value

    def call(self, function, *arguments):
        return function(*arguments)


class Boards(FakeTransport):
    """Devices whose figures are made up and whose forecasts are real."""

    def open(self, device):
        session = super().open(device)
        session._run = self._forecasts
        return session

    def _forecasts(self, message):
        blobs = next(held for held in self.blobs.values() if message["model"] in held and message["inputs"] in held)
        with np.load(io.BytesIO(blobs[message["inputs"]])) as inputs:
            return {"outputs": {"forecast": encode_output(forecast(blobs[message["model"]], dict(inputs)))}}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    panel = load_panel(DataSpec(source="synthetic", series=5), tmp_path_factory.mktemp("cache"))
    panel = replace(panel, stat_names=("store",))
    split = Split.of(panel)
    budget = Training(max_epochs=1, steps_per_epoch=5)
    return panel, split, train_and_score(TINY, panel, split, budget, 0, None)


@pytest.fixture
def made(db, trained):
    """Make a student on these devices; returns its files and what is shown of it."""
    panel, split, found = trained

    def made(*names, store=None, plan=None):
        request = SearchRequest.model_validate({"devices": names})
        search = searches.create(db, name="s", request=request.model_dump(mode="json"), space={})
        held = leases.claim_next(db, leases.Observer(1000))
        trial = trials.create(db, search.id, 0, token=held.token, architecture=TINY.to_dict())
        job = jobs.create(db, "student", search_id=search.id, trial=0, request={"devices": list(names)})
        with Fleet([Device(name, "local") for name in names], {"local": Boards()}) as fleet:
            shop = Workshop(
                panel=panel,
                split=split,
                cluster=Here(),
                fleet=fleet,
                devices=names,
                alone=lambda _facts: nullcontext(),
                working=nullcontext,
                tell=lambda _step: None,
                beside_load=False,
                store=store,
            )
            made = Finished(Finish(request.training), found.learned.weights, None, 1, 1)
            if plan is not None:
                made = finish(TINY, plan, 0, shop, made)
            package, result = make_student(job, trial, made, request, shop, PLAIN)
        with zipfile.ZipFile(io.BytesIO(package)) as archive:
            return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}, result

    return made


def test_every_device_of_the_search_measures_and_verifies_it(made):
    files, result = made("pi4", "jetson")
    assert result["devices"] == list(result["verification"]) == ["pi4", "jetson"]
    for device, name in (("pi4", "measurement.json"), ("jetson", "measurement.jetson.json")):
        told = json.loads(files[name])
        assert told["measured"]["fp32"]["device"] == told["verified"]["fp32"]["device"] == device
        assert told["verified"]["fp32"] == result["verification"][device]["fp32"]
        assert f"| fp32 | {device} | " in files["README.md"].decode()
        assert f"  {name}\n" in files["SHA256SUMS"].decode()
    figures = result["beside"]["student"]
    assert figures["latency_p50_ms"] == max(figures["latency_p50_ms@pi4"], figures["latency_p50_ms@jetson"])
    assert "the worst of pi4, jetson" in files["README.md"].decode()


def test_the_report_stands_beside_it(made, trained):
    panel, split, _ = trained
    files, _ = made("pi4")
    report = json.loads(files["report.json"])
    assert files["report.html"].startswith(b"<!doctype html>")
    assert "  report.html\n" in files["SHA256SUMS"].decode()
    assert report["test"] == json.loads(files["scorecard.json"])["forms"]["fp32"]["test"]
    assert set(report["test"]["slices"]["cold_start"]) == {"0", "7", "28"}
    assert "cold_start" not in report["validation"]["slices"]
    assert [rival["name"] for rival in report["rivals"]] == ["plain 1x128 LSTM", "seasonal naive", "day-of-week mean"]
    first = report["drawings"][0]
    assert len(first["forecast"]) == split.horizon and first["series"] in panel.ids


def test_a_refit_ships_other_weights_and_validates_those_from_before(made, trained):
    plan = Finish.of(Training(max_epochs=1, steps_per_epoch=60), None, refit=True)
    files, _ = made("pi4", plan=plan)
    form = json.loads(files["scorecard.json"])["forms"]["fp32"]
    searched = trained[2]
    assert form["validation"]["overall"]["wape"] == pytest.approx(searched.scorecard.overall["wape"], rel=1e-4)
    assert files["weights.safetensors"] != searched.learned.weights
    recipe = json.loads(files["recipe.json"])
    assert (recipe["schedule"]["refit"], recipe["schedule"]["best_epoch"]) == (True, 1)
    panel, split, _ = trained
    assert recipe["data"]["train_end"] == str(panel.date(split.steps - split.test))


def test_a_longer_training_has_more_patience():
    longer = Finish.of(Training(patience=4), 30, refit=False)
    assert (longer.budget.max_epochs, longer.budget.patience) == (30, 10)
    assert Finish.of(Training(), None, refit=False).budget == Training()


def test_quantiles_are_judged_in_search_and_student_alike(trained):
    panel, split, _ = trained
    budget = Training(max_epochs=1, steps_per_epoch=5, quantiles=(0.1, 0.9))
    found = train_and_score(TINY, panel, split, budget, 0, None)
    made = Finished(Finish(budget), found.learned.weights, None, 1, 1)
    forms = trained_forms(TINY, made, panel, split, ("fp32",), budget.quantiles)
    assert found.scorecard.overall["pinball"] == pytest.approx(forms["fp32"].validation.overall["pinball"], rel=1e-3)
    assert set(forms["fp32"].test.calibration) == {"0.1", "0.5", "0.9"}
    assert all(len(drawn.low) == split.horizon for drawn in forms["fp32"].drawings)


def test_a_student_of_one_device_has_one_measurement_and_no_names(made):
    files, result = made("pi4")
    assert [name for name in files if name.startswith("measurement")] == ["measurement.json"]
    assert not any("@" in name for name in result["beside"]["student"])
    assert "the worst of" not in files["README.md"].decode()


def test_a_package_of_one_store_has_its_rows_and_its_series_only(made, trained):
    panel, _, _ = trained
    files, result = made("pi4", store=panel.stat_vocab[0][0])
    card = json.loads(files["architecture.json"])
    (column,) = card["table"]["columns"]["stat"]
    assert column == {"name": "store", "values": [panel.stat_vocab[0][0]]} and card["shape"]["vocabulary"] == [1]
    assert load(files["weights.safetensors"])["ids.0.weight"].shape == (2, 4)
    own = {panel.ids[s] for s in np.flatnonzero(panel.stat[:, 0] == 1)}
    rows = files["example/history.csv"].decode().splitlines()[1:]
    assert {row.split(",")[0] for row in rows} <= own and result["store"] == panel.stat_vocab[0][0]
    assert json.loads(files["scorecard.json"])["forms"]["fp32"]["test"]["series"] == len(own) < len(panel.ids)


def test_the_card_tells_sizes_without_and_with_embeddings(made):
    files, _ = made("pi4")
    (line,) = [line for line in files["README.md"].decode().splitlines() if line.startswith("| model.fp32.onnx")]
    network, whole = (int(cell) for cell in line.split("|")[2:4])
    assert whole == len(files["model.fp32.onnx"])
    vocabulary = json.loads(files["architecture.json"])["shape"]["vocabulary"]
    assert whole - network == (vocabulary[0] + 1) * 4 * 4


def test_the_card_explains_why_its_two_p50_differ(made):
    files, _ = made("pi4")
    assert "Here p50 is as measured on that day" in files["README.md"].decode()
