"""Teachers: trained here or imported, and shown."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from nas.cli import show
from nas.cli.searches import AsJson, service
from nas.client import Client
from nas.errors import ControllerFault, RequestError

app = typer.Typer(no_args_is_help=True)
OfSearch = Annotated[int, typer.Option(help="The search whose data, split and devices are the teacher's.")]
Watch = Annotated[bool, typer.Option(help="Follow it until it ends.")]


@app.command("train")
def train(
    search: OfSearch,
    layers: Annotated[int, typer.Option(help="Stacked LSTM layers.")] = 2,
    hidden: Annotated[int, typer.Option(help="Units per layer.")] = 512,
    window: Annotated[int, typer.Option(help="Lookback window in steps.")] = 56,
    history: Annotated[str, typer.Option(help="daily, or pooled, which takes a third of the time.")] = "pooled",
    members: Annotated[int, typer.Option(help="Networks that are trained from different seeds and averaged.")] = 1,
    max_epochs: Annotated[int | None, typer.Option(help="Where a training ends; default: as in the search.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the first member.")] = 0,
    watch: Watch = True,
    json: AsJson = False,
) -> None:
    """Train a large teacher on a search's data; a kill costs one epoch."""
    network = {"layers": layers, "hidden": hidden, "window": window, "history": history}
    request: dict[str, Any] = {"search": search, "architecture": network, "members": members, "seed": seed}
    with service() as client:
        if max_epochs is not None:
            request["training"] = {**client.search(search)["request"]["training"], "max_epochs": max_epochs}
        _follow(client, client.make_teacher(request), watch=watch, json=json)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="Parquet: unique_id, cutoff, ds, yhat[, quantiles][, in_sample].")],
    search: OfSearch,
    trained_until: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Last day that the tool was fitted on: up to it in-sample."),
    ] = None,
    watch: Watch = True,
    json: AsJson = False,
) -> None:
    """Import the forecasts of any tool as a teacher; the file is copied."""
    path = file.expanduser().absolute()
    if not path.is_file():
        raise RequestError(f"There is no file {file}; give a Parquet file of forecasts.")
    until = trained_until and trained_until.date().isoformat()
    request = {"search": search, "kind": "imported", "path": str(path), "trained_until": until}
    with service() as client:
        _follow(client, client.make_teacher(request), watch=watch, json=json)


@app.command("list")
def list_(json: AsJson = False) -> None:
    """List the teachers, newest first."""
    with service() as client:
        found = client.teachers()
    if json:
        show.as_json(found)
        return
    lines = [[t["id"], t["kind"], t["search"], t["state"], _wape(t), t["reason"]] for t in found]
    show.rows("Teachers", ["id", "kind", "search", "state", "validation WAPE", "reason"], lines)


@app.command("show")
def show_(teacher: Annotated[int, typer.Argument(help="Number of the teacher.")], json: AsJson = False) -> None:
    """Show how far a teacher is, how accurate it is, and what it costs."""
    with service() as client:
        found = client.teacher(teacher)
    if json:
        show.as_json(found)
    else:
        _print(found)


def follow(client: Client, teacher: int) -> show.Json:
    """Show a teacher's progress until it ends; Ctrl-C leaves it running."""
    with show.console.status("waiting for a controller") as status:
        while True:
            found = client.teacher(teacher)
            if found["state"] in show.FINISHED:
                return found
            told = found["progress"]
            epoch = f", epoch {told['epoch']} of {told['of']}, WAPE {told['wape']:.4f}" if "epoch" in told else ""
            status.update(escape(told.get("step", found["state"]) + epoch))
            time.sleep(show.POLL_S)


def _follow(client: Client, teacher: show.Json, *, watch: bool, json: bool) -> None:
    if not json:
        show.line(f"teacher {teacher['id']} is queued: nas teacher show {teacher['id']}")
    found = follow(client, teacher["id"]) if watch else teacher
    if json:
        show.as_json(found)
    elif watch:
        _print(found)
    if watch and found["state"] != "completed":
        raise ControllerFault(f"Teacher {found['id']} is {found['state']}: {found['reason']}")


def _print(teacher: show.Json) -> None:
    told, result = teacher["progress"], teacher["result"] or {}
    lines = [["kind", teacher["kind"]], ["state", teacher["state"]], ["step", told.get("step")]]
    lines += [[name, told[name]] for name in ("epoch", "wape") if name in told]
    for part, figures in result.get("accuracy", {}).items():
        lines += [[f"{part} {name}", figures[name]] for name in ("wape", "bias")]
    lines += [[name, result[name]] for name in ("in_sample_share", "rows_left_out") if name in result]
    lines += [[name, value] for name, value in (result.get("cost") or {}).items() if value is not None]
    lines += [["reason", teacher["reason"]]] if teacher["reason"] else []
    show.rows(f"Teacher {teacher['id']}", ["", ""], lines)


def _wape(teacher: show.Json) -> float | None:
    accuracy: dict[str, Any] = (teacher["result"] or {}).get("accuracy", {})
    wape: float | None = accuracy.get("validation", {}).get("wape")
    return wape
