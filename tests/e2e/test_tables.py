"""Tables of every kind as a user takes them: looked at, searched on, exported, and run without this project."""

import csv
import json
import subprocess
import zipfile

import numpy as np
import pytest

from nas.data.sources import synthetic

SPACE = (
    "name: tiny\nfrequency: {}\nparameters: {{hidden: [4], window: [{}], history: [{}], embedding: [4], head: [4]}}\n"
)
KINDS = {
    "weekly": ({"frequency": "weekly", "steps": 160}, ("weekly", 26, "daily"), 4),
    "hourly": ({"frequency": "hourly", "steps": 1680, "closed": True}, ("hourly", 168, "pooled"), 24),
    "intermittent": ({"levels": synthetic.INTERMITTENT}, ("daily", 28, "daily"), 14),
}


@pytest.fixture(scope="module")
def nas(service):
    """The command line on the running service; gives its JSON."""

    def run(*arguments, cwd):
        done = subprocess.run(
            ["nas", *arguments, "--json"], cwd=cwd, env=service.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr + done.stdout
        return json.loads(done.stdout)

    return run


@pytest.fixture(scope="module")
def pi(client, calm_python):
    client.add_device({"name": "pi", "transport": "local", "python": calm_python})
    yield
    client.remove_device("pi")  # another name for this computer would have to wait for its session to end


@pytest.mark.usefixtures("pi")
@pytest.mark.parametrize("kind", KINDS)
def test_from_a_table_to_forecasts_without_special_care(kind, nas, bare_python, tmp_path):
    ways, space, horizon = KINDS[kind]
    table, _ = synthetic.generate_with_truth(6, seed=1, **ways)
    table.frame.to_csv(tmp_path / "sales.csv", index=False)
    (tmp_path / "space.yaml").write_text(SPACE.format(*space))
    columns = ["--hist", "discount", "--stat", "region", "--futr", "promotion"]
    columns += ["--open", "open"] if "open" in table.frame else []

    profile = nas("data", "check", "sales.csv", *columns, cwd=tmp_path)
    assert profile["problems"] == [] and profile["frequency"] == space[0]
    if kind == "intermittent":
        assert profile["zeros_share"] > 0.6

    search = ["search", "start", "--device", "pi", "--data", "sales.csv", *columns, "--space", "space.yaml"]
    found = nas(
        *search, "--trials", "1", "--max-epochs", "1", "--quantile", "0.1", "--beside-load", "--watch", cwd=tmp_path
    )
    assert found["state"] == "completed", found["reason"]
    student = nas("student", "export", str(found["id"]), "--out", ".", cwd=tmp_path)
    with zipfile.ZipFile(tmp_path / student["path"]) as archive:
        archive.extractall(tmp_path)
    folder = tmp_path / f"student-{student['id']}"

    done = bare_python("predict.py", "--history", "example/history.csv", "--future", "example/future.csv", cwd=folder)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert len(rows) == 3 * horizon and {row["planned"] for row in rows} == {"1"}
    values = np.array([[float(row["q0.1"]), float(row["forecast"])] for row in rows])
    assert np.isfinite(values).all() and (values >= 0).all() and (values[:, 0] <= values[:, 1]).all()
