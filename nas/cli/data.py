"""``nas data add|list|show|remove``: sales tables that the service keeps; `nas data check` looks at one here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nas.cli import show
from nas.cli.checks import data as app
from nas.cli.searches import AsJson, service
from nas.errors import DataError

Number = Annotated[int, typer.Argument(help="Number of the data set.")]


@app.command("add")
def add(
    file: Annotated[Path, typer.Argument(help="CSV or Parquet with one row per series and step.")],
    unique_id: Annotated[list[str] | None, typer.Option(help="Column that names the series; again, to join.")] = None,
    ds: Annotated[str, typer.Option(help="Column with the time.")] = "ds",
    y: Annotated[str, typer.Option(help="Column with the units sold.")] = "y",
    hist: Annotated[list[str] | None, typer.Option(help="Column known only up to today.")] = None,
    futr: Annotated[list[str] | None, typer.Option(help="Column that is planned ahead.")] = None,
    stat: Annotated[list[str] | None, typer.Option(help="Column that never changes within a series.")] = None,
    ignore: Annotated[list[str] | None, typer.Option(help="Column to leave out.")] = None,
    open_: Annotated[str | None, typer.Option("--open", help="Column that is 0 where a store is closed.")] = None,
    available: Annotated[str | None, typer.Option(help="Column that is 0 where nothing was left to sell.")] = None,
    holidays: Annotated[str | None, typer.Option(help="Country whose holidays count, as DE or US-CA.")] = None,
    timezone: Annotated[str | None, typer.Option(help="The stores' own zone, as Europe/Berlin.")] = None,
    freq: Annotated[str | None, typer.Option(help="hourly, daily or weekly; by default found in the table.")] = None,
    fill: Annotated[str | None, typer.Option(help="What a missing step means: zero or previous.")] = None,
    name: Annotated[str | None, typer.Option(help="What to call it; by default the name of the file.")] = None,
    in_place: Annotated[
        bool, typer.Option("--in-place", help="The file lies on the service's computer: leave it there.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Send a sales table to the service, and say what its columns mean in every search on it."""
    ids = unique_id or ["unique_id"]
    columns = {"unique_id": ids[0] if len(ids) == 1 else ids, "ds": ds, "y": y}
    said: dict[str, Any] = {
        "columns": columns if columns != {"unique_id": "unique_id", "ds": "ds", "y": "y"} else None,
        "hist": hist,
        "futr": futr,
        "stat": stat,
        "ignore": ignore,
        "open": open_,
        "available": available,
        "holidays": holidays,
        "timezone": timezone,
        "freq": freq,
        "fill": fill,
    }
    description = {key: value for key, value in said.items() if value}
    with service() as client:
        found = client.add_dataset(file, description, name=name, in_place=in_place)
    if json:
        show.as_json(found)
        return
    show.line(f"data set {found['id']} is {found['name']}: nas data show {found['id']} --watch")


@app.command("list")
def list_(json: AsJson = False) -> None:
    """List the data sets, newest first."""
    with service() as client:
        found = client.datasets()
    if json:
        show.as_json(found)
        return
    lines = [[d["id"], d["name"], f"{d['size'] / 1e6:.1f}", d["state"], d["path"], d["reason"]] for d in found]
    show.rows("Data sets", ["id", "name", "MB", "profile", "path", "reason"], lines)


@app.command("show")
def show_(
    dataset: Number,
    watch: Annotated[bool, typer.Option(help="Wait until it was looked at.")] = False,
    json: AsJson = False,
) -> None:
    """Show what is in a data set, and everything that is wrong with it by row and column."""
    with service() as client:
        found = show.follow_dataset(client, dataset) if watch else client.dataset(dataset)
    if json:
        show.as_json(found)
    else:
        facts = {"state": found["state"], "SHA-256": found["digest"], "path": found["path"], **found["description"]}
        profile = {name.replace("_", " "): value for name, value in (found["profile"] or {}).items()}
        problems = profile.pop("problems", [])
        show.rows(f"{found['id']}: {found['name']}", ["", ""], [[*fact] for fact in {**facts, **profile}.items()])
        for problem in problems:
            show.line(f"• {problem}")
    if watch and found["state"] != "completed":
        raise DataError(f"Data set {dataset} {found['state']}: {found['reason']}")


@app.command("remove")
def remove(dataset: Number) -> None:
    """Forget a data set that no unfinished search or student needs."""
    with service() as client:
        client.remove_dataset(dataset)
    show.line(f"data set {dataset} is forgotten")
