"""``nas demo``: the main job from an empty folder to a verified student, through the REST API."""

from __future__ import annotations

import math
import os
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from nas.architecture import Architecture
from nas.cli import draw, show
from nas.cli.searches import save_package
from nas.client import Client
from nas.devices.device import Device
from nas.devices.fleet import Fleet
from nas.errors import Conflict, ControllerFault, NasError, RequestError
from nas.settings import Settings

REQUEST: dict[str, Any] = {
    "name": "demo",
    "space": "lstm_compact",
    "data": {"source": "complete_journey", "horizon": 14},
    "devices": ["here"],
    "objectives": ["wape", "latency_p50_ms", "size_kb"],
    "beside_load": True,  # the computer that somebody sits at is never quiet
}
START_S = 90.0


def demo(
    trials: Annotated[int, typer.Option(help="Architectures to propose.")] = 40,
    share: Annotated[float, typer.Option(help="Limits: this share of a plain LSTM's latency and size.")] = 0.5,
    out: Annotated[Path, typer.Option(help="Folder for the picture and the package.")] = Path("results/demo"),
) -> None:
    """Run a whole search on this computer: data, front, student. Takes five to ten minutes."""
    started = time.monotonic()
    limits = _share_of_plain(share)
    with _service() as client:
        with suppress(Conflict):  # enrolled by an earlier demo
            client.add_device({"name": "here", "transport": "local"})
        search = client.start_search({**REQUEST, "trials": trials, "constraints": limits})["id"]
        named = ", ".join(f"{name} <= {limit:g}" for name, limit in limits.items())
        show.line(f"search {search}: {trials} trials on this computer, {named}")
        found = show.follow_search(client, search)
        if found["state"] != "completed" or found["reason"]:
            raise ControllerFault(f"The demo's search is {found['state']}: {found['reason']}")
        front, proposed = client.front(search), list(client.trials(search))
        draw.front_table(front, limits, "Pareto front")
        draw.front_plot(front, proposed)
        draw.front_picture(front, proposed, limits, out / "front.png")
        _saved(proposed)
        student = show.follow_student(client, client.export_student(search)["id"])
        if student["state"] != "completed":
            raise ControllerFault(f"The demo's export {student['state']}: {student['reason']}")
        package = save_package(client, student["id"], out)
    with zipfile.ZipFile(package) as archive:
        archive.extractall(out)
    _beside(student["result"])
    show.line(f"front:   {out / 'front.png'}\nstudent: {package.with_suffix('')} (and {package.name})")
    show.line(f"done in {(time.monotonic() - started) / 60:.1f} minutes")


def _share_of_plain(share: float) -> dict[str, float]:
    """Limits that mean the same on any computer: a share of what a plain 1x128 LSTM takes on this one."""
    from nas.export.targets import export_untrained  # noqa: PLC0415 torch takes seconds
    from nas.models.shape import Shape  # noqa: PLC0415
    from nas.search.student import PLAIN  # noqa: PLC0415

    if not 0 < share < math.inf:
        raise RequestError(f"--share is {share:g}, expected a number above 0 such as 0.5.")
    with show.console.status("measuring a plain 1x128 LSTM on this computer"):
        artifact = export_untrained(PLAIN, Shape(horizon=14, hist=1, futr=2, vocabulary=()))
        here = Device("here", "local", python=sys.executable, root=str(Settings.from_environment().folder / "agent"))
        with Fleet([here]) as fleet:
            plain = fleet.measure("here", artifact.model, artifact.inputs, tier="thorough", beside_load=True)
    values = {name: plain.metric(name) for name in ("latency_p50_ms", "size_kb")}
    show.line("a plain 1x128 LSTM here: " + ", ".join(f"{name} {show.figure(value)}" for name, value in values.items()))
    return {name: float(f"{value * share:.3g}") for name, value in values.items() if value is not None}


def _saved(trials: list[show.Json]) -> None:
    """How many candidates were measured and turned away, and the training time that saved."""
    away = sum(t["stage"] == "turned_away" for t in trials)
    trained = [t for t in trials if t["training"] and "reused_from" not in t["training"]]
    early = sum(t["training"]["stopped"] == "early" for t in trained)
    mean = sum(t["training"]["seconds"] for t in trained) / max(1, len(trained))
    show.line(
        f"{len(trials)} candidates were proposed, {away} ({away / len(trials):.0%}) measured and turned away before "
        f"training; at {mean:.1f} s each that saved {away * mean / 60:.1f} minutes of training.\n"
        f"{len(trained)} networks were trained, {early} of them until early stopping."
    )


def _beside(result: show.Json) -> None:
    names = ("wape", "bias", "latency_p50_ms", "latency_p95_ms", "peak_memory_mb", "size_kb")
    lines = [[title.replace("_", " "), *(row.get(n) for n in names)] for title, row in result["beside"].items()]
    show.rows("On the test weeks, measured on this computer", ["", *names], lines)
    show.line(f"student: {Architecture.from_dict(result['architecture'])}")
    for precision, checked in result["verification"]["here"].items():
        mean = checked["mean_difference"]
        show.line(f"{precision}: the device's outputs differ from the trainer's by {mean:.1e} of the mean forecast")


@contextmanager
def _service() -> Iterator[Client]:
    """A service of our own on a free port; its log lies in NAS_HOME."""
    folder = Settings.from_environment().folder
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    port, log = _free_port(), folder / "demo.log"
    ours = {"NAS_HOME": str(folder), "NAS_PORT": str(port), "NAS_HOST": "127.0.0.1"}
    command = [sys.executable, "-P", "-m", "nas.cli", "serve"]
    with log.open("wb") as sink:
        process = subprocess.Popen(  # noqa: S603 our own program
            command, env={**os.environ, **ours}, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink
        )
        try:
            with Client(f"http://127.0.0.1:{port}") as client:
                _wait_for(client, process, log)
                show.line(f"service on port {port}; database and log in {folder}")
                yield client
        finally:
            process.terminate()
            process.wait()


def _wait_for(client: Client, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < end:
        try:
            client.health()
        except NasError:
            time.sleep(0.2)
        else:
            return
    said = (log.read_text(errors="replace").strip().splitlines() or ["nothing"])[-1]
    raise ControllerFault(f"The service did not start within {START_S:.0f} s and said: {said} (see {log}).")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
