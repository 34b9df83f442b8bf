"""A teacher and its student through the real service: trained, killed, imported, distilled, packed."""

import io
import json
import zipfile

import numpy as np
import pandas as pd
import pytest
from serving import OVER, SMALL

from nas.client import Client
from nas.data.load import load_panel
from nas.data.split import Split
from nas.errors import Conflict
from nas.request import DataSpec

TINY = {"hidden": 6, "window": 14, "features": ["calendar"], "embedding": 0, "head": 4}
SPACE = {"name": "one", "parameters": {"hidden": [4], "window": [28], "embedding": [0], "head": [4]}}


def made(service, client, request):
    """Make a teacher and wait for its end."""
    id_ = client.make_teacher(request)["id"]
    return service.until(lambda: (t := client.teacher(id_))["state"] in OVER and t)


@pytest.fixture(scope="module")
def search(service, client, calm_python):
    client.add_device({"name": "pupil", "transport": "local", "python": calm_python})
    body = {**SMALL, "space": SPACE, "devices": ["pupil"], "trials": 1, "sampler": "random"}
    body["objectives"] = ["wape", "sweep_seconds"]
    found = service.ended(client, client.start_search(body)["id"])
    assert found["state"] == "completed", found["reason"]
    return found


@pytest.fixture(scope="module")
def teacher(service, client, search):
    found = made(service, client, {"search": search["id"], "architecture": TINY, "members": 2})
    assert found["state"] == "completed", found["reason"]
    return found


@pytest.fixture(scope="module")
def table(search, tmp_path_factory):
    """Out-of-sample forecasts of every fourth training origin and all later ones: the truth, a little too high."""
    panel = load_panel(DataSpec.model_validate(search["request"]["data"]), tmp_path_factory.mktemp("cache"))
    split = Split.of(panel)
    early = range(28, split.train_end - split.horizon, 4)
    rows = [
        (name, panel.date(origin - 1), panel.date(origin + h), 1.1 * panel.y[s, origin + h])
        for s, name in enumerate(panel.ids)
        for origin in (*early, *split.validation_origins, *split.test_origins)
        for h in range(split.horizon)
    ]
    return pd.DataFrame(rows, columns=["unique_id", "cutoff", "ds", "yhat"])


def student_of(service, client, search, teacher, alpha=0.5):
    id_ = client.export_student(search["id"], 0, teacher=teacher["id"], alpha=alpha)["id"]
    found = service.exported(client, id_)
    with zipfile.ZipFile(io.BytesIO(client.package(id_))) as archive:
        return found, json.loads(archive.read(f"student-{id_}/recipe.json"))


def test_a_teacher_is_scored_on_validation_and_measured_as_one_model(teacher):
    result = teacher["result"]
    assert result["accuracy"]["validation"]["wape"] > 0 and "test" not in result["accuracy"]
    assert len(result["training"]) == len(result["weights"]) == 2
    assert result["cost"]["latency_p50_ms"] > 0 and result["cost"]["sweep_seconds"] > 0
    assert teacher["progress"] == {"step": "done"}


def test_a_student_stands_beside_its_twin_its_teacher_and_what_the_search_found(service, client, search, teacher):
    student, recipe = student_of(service, client, search, teacher)
    told = student["result"]["distilled"]
    assert set(told["accuracy"]) == {"with_teacher", "without_teacher", "as_searched", "teacher"}
    on_validation = {name: parts["validation"]["wape"] for name, parts in told["accuracy"].items() if name != "teacher"}
    assert on_validation[told["shipped"]] == min(on_validation.values())
    gain = told["gain"]["test"]
    with_, without = (told["accuracy"][name]["test"]["wape"] for name in ("with_teacher", "without_teacher"))
    assert gain["loss"] == pytest.approx(with_ / without - 1, rel=1e-4)
    assert gain["low"] <= gain["loss"] <= gain["high"]
    shown = student["result"]["beside"]["student"]["wape"]
    assert shown == pytest.approx(told["accuracy"][told["shipped"]]["test"]["wape"], rel=1e-3)
    for figures in told["cost"].values():
        assert figures["size_kb"] > 0 and figures["latency_p95_ms"] > 0 and figures["sweep_seconds"] > 0
    assert told["cost"]["teacher"] == teacher["result"]["cost"]
    assert recipe["teacher"] == {"id": teacher["id"], "kind": "trained"}
    assert recipe["distillation"]["alpha"] == 0.5 and recipe["distillation"]["schedule"]["max_epochs"] == 2


def test_forecasts_of_any_tool_teach_and_are_not_measured(service, client, search, table, tmp_path):
    table.to_parquet(tmp_path / "lightgbm.parquet")
    request = {"search": search["id"], "kind": "imported", "path": str(tmp_path / "lightgbm.parquet")}
    found = made(service, client, {**request, "trained_until": str(table.ds.quantile(0.3).date())})
    assert found["state"] == "completed", found["reason"]
    assert found["result"]["accuracy"]["validation"]["wape"] == pytest.approx(0.1, abs=1e-4)
    assert 0.1 < found["result"]["in_sample_share"] < 0.6 and found["result"]["cost"] is None
    (tmp_path / "lightgbm.parquet").unlink()  # it was copied
    student, recipe = student_of(service, client, search, found, alpha=0.9)
    told = student["result"]["distilled"]
    assert 0.2 < told["training_pairs_covered"] < 0.3
    assert told["in_sample_share"] == found["result"]["in_sample_share"]
    assert told["cost"]["teacher"] == "not measured"
    assert recipe["distillation"]["trust"] == {"out_of_sample": 1.0, "in_sample": 0.5, "not_forecast": 0.0}


def test_a_table_that_cannot_teach_fails_with_rows_and_columns(service, client, search, table, tmp_path):
    broken = table.copy()
    broken.loc[5, "cutoff"] = broken.loc[5, "ds"]
    broken.loc[7, "yhat"] = np.inf
    broken.to_parquet(tmp_path / "broken.parquet")
    request = {"search": search["id"], "kind": "imported", "path": str(tmp_path / "broken.parquet")}
    found = made(service, client, request)
    assert found["state"] == "failed"
    for words in ("row 7, column cutoff", "row 9, column yhat", "before the forecast"):
        assert words in found["reason"]
    with pytest.raises(Conflict, match=f"Teacher {found['id']} is failed"):
        client.export_student(search["id"], 0, teacher=found["id"])


def test_a_teacher_of_other_data_is_refused(client, service, search):
    data = {"source": "synthetic", "series": 5}
    training = {**SMALL["training"], "max_epochs": 1}
    other = made(service, client, {"data": data, "architecture": TINY, "training": training})
    assert other["state"] == "completed", other["reason"]
    assert other["search"] is None and other["result"]["cost"] is None
    with pytest.raises(Conflict, match="learned other data"):
        client.export_student(search["id"], 0, teacher=other["id"])


def test_a_killed_service_goes_on_with_the_epoch_that_it_was_in(own_service):
    training = {"max_epochs": 14, "patience": 14, "steps_per_epoch": 20, "batch": 32}
    request = {"data": {"source": "synthetic", "series": 12}, "architecture": TINY, "training": training}
    with Client(own_service.url) as client:
        id_ = client.make_teacher(request)["id"]
        own_service.until(lambda: client.teacher(id_)["progress"].get("epoch", 0) >= 3)
        own_service.kill()
        written = [file.name for file in (own_service.home / "checkpoints").glob("job-*.safetensors")]
        assert written == [f"job-{id_}-member-0.safetensors"]
        own_service.start()
        seen = []
        found = own_service.until(
            lambda: (t := client.teacher(id_), seen.append(t["progress"].get("epoch")))[0]["state"] in OVER and t
        )
    assert found["state"] == "completed", found["reason"]
    assert min(epoch for epoch in seen if epoch) >= 3
    assert found["result"]["training"][0]["epochs"] == 14
    assert not list((own_service.home / "checkpoints").glob("*.safetensors"))
