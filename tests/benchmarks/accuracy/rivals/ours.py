"""Our student: a search by the real service on this computer, which sees validation only; then a refit."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.accuracy import settings
from benchmarks.accuracy.rivals import network
from benchmarks.accuracy.task import Outcome, Task
from nas.architecture import Architecture
from nas.client import Client
from nas.models.training import train

LIMITS = {"size_kb": 150.0}
"""What the student may cost; far below any rival that is as accurate."""
REQUEST: dict[str, Any] = {
    "space": "lstm_compact",
    "devices": ["here"],
    "objectives": ["wape", "size_kb"],
    "constraints": LIMITS,
    "trials": 1000,
    "beside_load": True,
}
LOOK_S = 2.0


def run(task: Task) -> Outcome:
    """Search within the budget, train the best trial's network with this seed, refit, export."""
    chosen, tuning = task.chosen, 0.0
    if chosen is None:
        chosen = searched(task)
        tuning = chosen["seconds"]
    architecture = Architecture.from_dict(chosen["architecture"])
    data = network.Data.of(task)
    validated = train(architecture, data.panel, data.split, network.LONGER, task.seed)
    found = network.outcome(task, data, architecture, network.LONGER, validated)
    fit = validated.seconds + found.fit_seconds  # the former says after how many epochs the latter ends
    notes = f"refit s is of two trainings of {network.LONGER.max_epochs} epochs, before and with the validation weeks"
    return replace(found, tuning_seconds=tuning, fit_seconds=fit, chosen=chosen, notes=notes)


def searched(task: Task) -> dict[str, Any]:
    """Search through the service until the budget is used up; a search that was killed goes on.

    Returns:
        The request as it was accepted (the data's folder left out), how many trials, and the best one by validation.
    """
    sys.path[:0] = [str(Path(__file__).parents[3])]  # as pytest does
    from serving import Service  # of the tests; needs that path

    home = task.folder / "search"
    end_left_over(home)
    data = settings.filled(task.options["spec"])
    service = Service(home).start()
    try:
        (home / "service.pid").write_text(str(service.process.pid))
        with Client(service.url) as client:
            if not client.searches():
                client.add_device({"name": "here", "transport": "local", "python": sys.executable})
                client.start_search({**REQUEST, "name": "bench", "data": data, "seed": task.seed})
            number = client.searches()[0]["id"]
            found = _within(client, number, task.budget)
            trials = [t for t in client.trials(number, stage="scored") if _kept(t)]
            if not trials:
                raise RuntimeError(
                    f"The search scored no trial within {task.budget:g} s, expected some; raise BUDGET "
                    f"({found['reason'] or found['progress']['stages']})."
                )
            best = min(trials, key=lambda t: t["values"]["wape"])
            return {
                "request": {**found["request"], "data": {**found["request"]["data"], "path": _path(task)}},
                "stages": found["progress"]["stages"],
                "seconds": found["progress"]["elapsed_seconds"],
                "trial": best["number"],
                "architecture": best["architecture"],
                "values": best["values"],
                "scored": [[t["number"], t["values"]["wape"], t["values"]["size_kb"]] for t in trials],
            }
    finally:
        service.stop()


def end_left_over(home: Path) -> None:
    """End the service that outlived a killed cell: two would share the cores that only one may use."""
    note = home / "service.pid"
    if not note.exists():
        return
    process = Path("/proc") / note.read_text()
    with suppress(OSError):  # it is over
        if f"NAS_HOME={home}".encode() in (process / "environ").read_bytes().split(b"\0"):
            os.kill(int(process.name), signal.SIGTERM)
            while (process / "environ").read_bytes():  # empty once it has ended, absent once it is buried
                time.sleep(LOOK_S / 10)
    note.unlink()


def _within(client: Client, number: int, budget: float) -> dict[str, Any]:
    """Let it run for its time, then stop it; what is being trained then is given up, but for the first trial."""

    def spent(found: dict[str, Any]) -> bool:
        progress = found["progress"]
        return (progress["elapsed_seconds"] or 0.0) > budget and progress["stages"].get("scored", 0) > 0

    found = client.search(number)
    if found["state"] == "paused" and not spent(found):
        client.resume_search(number)
    while (found := client.search(number))["state"] in ("queued", "running"):
        if spent(found):
            client.stop_search(number)
        time.sleep(LOOK_S)
    return found


def _kept(trial: dict[str, Any]) -> bool:
    return all(trial["values"].get(name) is not None and trial["values"][name] <= top for name, top in LIMITS.items())


def _path(task: Task) -> str | None:
    path: str | None = task.options["spec"].get("path")
    return path
