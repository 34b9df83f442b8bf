"""``nas data add|list|show|remove``: sales tables that the service keeps; `nas data check` looks at one here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.cli import show, table
from nas.cli.checks import data as app
from nas.cli.searches import AsJson, service
from nas.errors import DataError

Number = Annotated[int, typer.Argument(help="Number of the data set.")]


@app.command("add")
def add(
    file: Annotated[Path, typer.Argument(help="CSV or Parquet with one row per series and step.")],
    unique_id: table.UniqueId = None,
    ds: table.Ds = "ds",
    y: table.Y = "y",
    hist: table.Hist = None,
    futr: table.Futr = None,
    stat: table.Stat = None,
    ignore: table.Ignore = None,
    open: table.Open = None,  # noqa: A002 the option's name
    available: table.Available = None,
    holidays: table.Holidays = None,
    timezone: table.Timezone = None,
    freq: table.Freq = None,
    fill: table.Fill = None,
    name: Annotated[str | None, typer.Option(help="What to call it; by default the name of the file.")] = None,
    in_place: Annotated[
        bool, typer.Option("--in-place", help="The file lies on the service's computer: leave it there.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Send a sales table to the service, and say what its columns mean in every search on it."""
    description = table.described(locals())
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
    lines = [
        [d["id"], d["name"], f"{d['size'] / 1e6:.1f}", d["state"], d["problems"], d["path"], d["reason"]] for d in found
    ]
    show.rows("Data sets", ["id", "name", "MB", "profile", "problems", "path", "reason"], lines)


@app.command("show")
def show_(
    dataset: Number,
    watch: Annotated[bool, typer.Option(help="Wait until it was looked at.")] = False,
    json: AsJson = False,
) -> None:
    """Show what is in a data set, and everything that is wrong with it by row and column."""
    with service() as client:
        found = show.follow_dataset(client, dataset, json=json) if watch else client.dataset(dataset)
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
