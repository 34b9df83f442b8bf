"""``make bench-distil ROSSMANN=folder``: through the real service; stopped, it goes on where it was."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[2])]  # as pytest does

from serving import OVER, Service

from benchmarks.accuracy import cells, settings
from benchmarks.accuracy.rivals.ours import end_left_over
from benchmarks.report import Figure, write
from nas.client import Client
from nas.space import SearchSpace

WORK = cells.WORK / "distillation"
DAY_S = 86_400.0
EPOCHS = 30
INTRODUCTION = """What a teacher gives a student on Rossmann's 934 stores, horizon 14, the last 42 days as test;
through the real service on this computer. The student is the network that `lstm_compact` begins with, trained for
{epochs} epochs with the teacher's word (half of the loss) and without it, on the same batches; which one is shipped is
chosen on validation. The teachers are a 2x512 LSTM trained by `nas teacher train`, and LightGBM's forecasts of the
training weeks (each half by a model of the other half) taken in by `nas teacher import`; the latter is not measured,
as forecasts of any tool are not."""


def main() -> None:
    """One search of one trial, two teachers, two students, one report."""
    if settings.rossmann() is None:
        raise SystemExit("Name the folder of Rossmann's train.parquet and store.parquet: make bench-distil ROSSMANN=…")
    setting = settings.prepared("rossmann-h14", cells.WORK, None)
    table = forecasts(setting)
    home = WORK / "search"
    end_left_over(home)
    service = Service(home).start()
    try:
        (home / "service.pid").write_text(str(service.process.pid))
        with Client(service.url) as client:
            search = searched(service, client, settings.filled(setting.spec))
            own = {"search": search}
            teachers = {
                "2x512 LSTM": taught(service, client, "trained", own),
                "LightGBM": taught(service, client, "imported", {**own, "kind": "imported", "path": str(table)}),
            }
            students = {name: distilled(service, client, search, teacher) for name, teacher in teachers.items()}
    finally:
        service.stop()
    figures = [figure for name, student in students.items() for figure in _figures(name, teachers[name], student)]
    write("distillation", INTRODUCTION.format(epochs=EPOCHS), figures)


def forecasts(setting: settings.Setting) -> Path:
    """LightGBM's Parquet, made once."""
    WORK.mkdir(parents=True, exist_ok=True)
    found = WORK / "lightgbm.parquet"
    if not found.exists():
        task = {"seed": 0, "budget": 0.0, "threads": cells.THREADS, "chosen": None, "options": {}}
        settings.written(WORK / "task.json", settings.as_json({**settings.words(setting), **task}))
        paths = f"{cells.REPOSITORY / 'tests'}:{cells.REPOSITORY}"
        command = [str(cells.RIVALS), "-m", "benchmarks.distillation.gbm", str(WORK)]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": paths, "PYTHONWARNINGS": "ignore"})
    return found


def searched(service: Service, client: Client, data: dict[str, Any]) -> int:
    """A search of the one network that `lstm_compact` begins with; its objectives have the sweep measured."""
    if not client.searches():
        first = SearchSpace.load("lstm_compact").first[0].model_dump(mode="json", exclude_none=True)
        space = {"name": "first", "parameters": {name: [value] for name, value in first.items()}}
        client.add_device({"name": "here", "transport": "local", "python": sys.executable})
        body = {"space": space, "data": data, "devices": ["here"], "trials": 1, "objectives": ["wape", "sweep_seconds"]}
        client.start_search({**body, "name": "distillation", "beside_load": True})
    number: int = client.searches()[0]["id"]
    found = service.until(lambda: (s := client.search(number))["state"] in OVER and s, DAY_S)
    if found["state"] != "completed":
        raise SystemExit(f"The search {found['state']}: {found['reason']}")
    return number


def taught(service: Service, client: Client, kind: str, request: dict[str, Any]) -> dict[str, Any]:
    """The teacher of this kind, made if it is not there."""
    known = [teacher for teacher in client.teachers() if teacher["kind"] == kind and teacher["state"] != "failed"]
    number = (known[0] if known else client.make_teacher(request))["id"]
    found: dict[str, Any] = service.until(lambda: (t := client.teacher(number))["state"] in OVER and t, DAY_S)
    if found["state"] != "completed":
        raise SystemExit(f"The {kind} teacher {found['state']}: {found['reason']}")
    return found


def distilled(service: Service, client: Client, search: int, teacher: dict[str, Any]) -> dict[str, Any]:
    """This teacher's student, made if it is not there."""
    made = {s["result"]["distilled"]["teacher"]: s for s in client.students() if s["state"] == "completed"}
    if teacher["id"] in made:
        return made[teacher["id"]]
    number = client.export_student(search, 0, teacher=teacher["id"], max_epochs=EPOCHS)["id"]
    found: dict[str, Any] = service.until(lambda: (s := client.student(number))["state"] in OVER and s, DAY_S)
    if found["state"] != "completed":
        raise SystemExit(f"The student {found['state']}: {found['reason']}")
    return found


def _figures(name: str, teacher: dict[str, Any], student: dict[str, Any]) -> list[Figure]:
    told, cost = student["result"]["distilled"], student["result"]["distilled"]["cost"]
    accuracy, gain = told["accuracy"], told["gain"]["test"]
    figures = [
        Figure(f"{name}: test WAPE, {of.replace('_', ' ')}", parts["test"]["wape"], "", note=_validation(parts))
        for of, parts in accuracy.items()
    ]
    note = f"95 % {gain['low']:+.2%} to {gain['high']:+.2%} over series; shipped: {told['shipped']}"
    figures.append(Figure(f"{name}: with the teacher over without it", 100 * gain["loss"], "%", note=note))
    for metric, unit in (("size_kb", "kB"), ("latency_p50_ms", "ms"), ("sweep_seconds", "s"), ("sweep_peak_mb", "MB")):
        theirs = cost["teacher"].get(metric) if isinstance(cost["teacher"], dict) else None
        beside = f"the teacher's {theirs:.4g}" if theirs else "the teacher's was not measured"
        if cost["student"].get(metric) is not None:
            figures.append(Figure(f"{name}: the student's {metric}", cost["student"][metric], unit, note=beside))
    epochs = [
        f"{member['epochs']} epochs in {member['seconds']:.0f} s" for member in teacher["result"].get("training", [])
    ]
    if epochs:
        seconds = sum(member["seconds"] for member in teacher["result"]["training"])
        figures.append(Figure(f"{name}: training of the teacher", seconds, "s", note=", ".join(epochs)))
    return figures


def _validation(parts: dict[str, Any]) -> str:
    return f"validation {parts['validation']['wape']:.4f}"


if __name__ == "__main__":
    main()
