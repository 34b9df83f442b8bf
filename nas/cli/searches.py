"""``nas search``, ``nas front`` and ``nas student``: everything goes through the service's REST API."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from nas.cli import draw, show, table
from nas.client import Client
from nas.errors import ControllerFault, RequestError
from nas.metric import ACCURACIES, COSTS
from nas.settings import Settings
from nas.space import SearchSpace

app = typer.Typer(no_args_is_help=True)
students = typer.Typer(no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print the service's answer as JSON.")]
SearchId = Annotated[int, typer.Argument(help="Number of the search.")]


def service() -> Client:
    """The service at ``NAS_URL``."""
    return Client(Settings.from_environment().url)


@app.command()
def start(
    device: Annotated[list[str], typer.Option(help="Device to measure on; give it again for several.")],
    space: Annotated[
        str | None, typer.Option(help="A built-in space, or a YAML file; by default the one for the data's steps.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="CSV or Parquet; default: Complete Journey.")] = None,
    dataset: Annotated[int | None, typer.Option(help="Number of a data set; `nas data list` shows them.")] = None,
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
    until: table.Until = None,
    series: table.Series = None,
    subset: table.Subset = None,
    horizon: table.Horizon = None,
    objective: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Of {', '.join(ACCURACIES + COSTS)}; a cost on one device is METRIC@DEVICE, an accuracy of a slice "
            "METRIC[promo] or METRIC[COLUMN=VALUE]."
        ),
    ] = None,
    constraint: Annotated[
        list[str] | None, typer.Option(help="Such as 'latency_p95_ms<=2', or for one device 'latency_p95_ms@pi4<=5'.")
    ] = None,
    trials: Annotated[int, typer.Option(help="Architectures to propose.")] = 36,
    validation_days: Annotated[int | None, typer.Option(help="Days before the test that choose among trials.")] = None,
    test_days: Annotated[int | None, typer.Option(help="Last days, for the final report only.")] = None,
    max_epochs: Annotated[int, typer.Option(help="Length of a training, unless it stops early.")] = 12,
    quantile: Annotated[list[float] | None, typer.Option(help="Forecast this quantile too, as 0.1 and 0.9.")] = None,
    loss: Annotated[str, typer.Option(help="absolute forecasts the median, squared the mean.")] = "absolute",
    seed: Annotated[int, typer.Option(help="Seed of the sampler and of training.")] = 0,
    sampler: Annotated[str, typer.Option(help="tpe, nsga2 or random.")] = "tpe",
    beside_load: Annotated[
        bool, typer.Option("--beside-load", help="Measure beside what the devices carry, not only when they are quiet.")
    ] = False,
    name: Annotated[str, typer.Option(help="A name to find it again.")] = "search",
    watch: Annotated[bool, typer.Option(help="Follow it until it ends.")] = False,
    json: AsJson = False,
) -> None:
    """Start a search."""
    parts = {"validation_days": validation_days, "test_days": test_days}
    asked = {**table.described(locals()), **{name: days for name, days in parts.items() if days is not None}}
    described, usual = _table(data, dataset, asked)
    named = space or usual
    request: dict[str, Any] = {
        "name": name,
        "space": named if named is None or _is_name(named) else SearchSpace.load(Path(named)).to_dict(),
        "data": described,
        "devices": device,
        "constraints": _constraints(constraint or ()),
        "trials": trials,
        "training": {"max_epochs": max_epochs, "quantiles": quantile or [], "loss": loss},
        "seed": seed,
        "sampler": sampler,
        "beside_load": beside_load,
        **({"objectives": objective} if objective else {}),
    }
    with service() as client:
        found = client.start_search(request)
        if not json:
            show.line(f"search {found['id']} is queued: nas search show {found['id']} --watch")
        if watch:
            found = show.follow_search(client, found["id"], json=json)
    if json:
        show.as_json(found)
    if watch:
        _expect_completed(found)


@app.command("list")
def list_(json: AsJson = False) -> None:
    """List the searches, newest first."""
    with service() as client:
        found = client.searches()
    if json:
        show.as_json(found)
        return
    lines = [[s["id"], s["name"], s["state"], f"{s['finished']} of {s['asked']}", s["reason"]] for s in found]
    show.rows("Searches", ["id", "name", "state", "trials", "reason"], lines)


@app.command("show")
def show_(
    search: SearchId,
    watch: Annotated[bool, typer.Option(help="Follow it until it ends.")] = False,
    json: AsJson = False,
) -> None:
    """Show how far a search is, and its trials."""
    with service() as client:
        found = show.follow_search(client, search, json=json) if watch else client.search(search)
        trials = list(client.trials(search))
    if json:
        show.as_json(found)
        return
    if not watch:
        show.console.print(show.progress(found))
    names = show.columns(found["request"]["objectives"], found["request"]["constraints"])
    lines = [[t["number"], t["stage"], *(t["values"].get(n) for n in names), t["reason"]] for t in trials]
    show.rows("Trials", ["trial", "stage", *names, "reason"], lines)
    if watch:
        _expect_completed(found)


@app.command()
def stop(search: SearchId, json: AsJson = False) -> None:
    """Pause a search after the step in hand; nothing is lost."""
    with service() as client:
        _said(client.stop_search(search), json=json)


@app.command()
def resume(search: SearchId, json: AsJson = False) -> None:
    """Go on with a paused search."""
    with service() as client:
        _said(client.resume_search(search), json=json)


@app.command()
def cancel(search: SearchId, json: AsJson = False) -> None:
    """End a search for good; what it found stays."""
    with service() as client:
        _said(client.cancel_search(search), json=json)


def front(
    search: SearchId,
    picture: Annotated[Path | None, typer.Option(help="Draw it into this PNG file as well.")] = None,
    json: AsJson = False,
) -> None:
    """Show the Pareto front of a search."""
    with service() as client:
        found = client.front(search)
        trials = list(client.trials(search))
        whole = client.search(search)
    limits = whole["request"]["constraints"]
    if picture is not None:
        draw.front_picture(found, trials, limits, picture)
    if json:
        show.as_json(found)
        return
    draw.front_table(found, limits, f"Pareto front of search {search}")
    draw.front_plot(found, trials)
    if not found["points"]:
        show.line(f"search {search} is {whole['state']}: {whole['reason'] or 'wait for its first feasible trial'}")


@students.command("export")
def export(
    search: SearchId,
    trial: Annotated[int | None, typer.Argument(help="Number of the trial; default: the recommended one.")] = None,
    device: Annotated[str | None, typer.Option(help="Where to verify it; default: every device of the search.")] = None,
    teacher: Annotated[int | None, typer.Option(help="Distil it from this teacher.")] = None,
    alpha: Annotated[float, typer.Option(help="The teacher's share of the loss.")] = 0.5,
    max_epochs: Annotated[
        int | None, typer.Option(help="Train it anew for so long; default: as the search trained it.")
    ] = None,
    refit: Annotated[
        bool, typer.Option("--refit", help="Then train it once more on all weeks before the test.")
    ] = False,
    store: Annotated[str | None, typer.Option(help="Pack this store's rows only; default: those of all.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the package.")] = Path("results"),
    json: AsJson = False,
) -> None:
    """Make a student of a trial: verified on its devices, packed, downloaded."""
    _make_folder(out)
    with service() as client:
        student = client.export_student(
            search, trial, device, teacher=teacher, alpha=alpha, max_epochs=max_epochs, refit=refit, store=store
        )
        found = show.follow_student(client, student["id"], json=json)
        if found["state"] != "completed":
            raise ControllerFault(f"Student {found['id']} {found['state']}: {found['reason']}")
        path = save_package(client, found["id"], out)
    if json:
        show.as_json({**found, "path": str(path)})
        return
    if told := found["result"].get("distilled"):
        _show_distilled(told)
    show.line(f"student {found['id']} of trial {found['trial']}: {path}")


def _show_distilled(told: dict[str, Any]) -> None:
    """What the teacher gave: each WAPE, and the interval of the difference."""
    lines = [
        [name, *(parts[part]["wape"] for part in ("validation", "test"))] for name, parts in told["accuracy"].items()
    ]
    show.rows(f"Distilled from teacher {told['teacher']}", ["", "validation WAPE", "test WAPE"], lines)
    gain = told["gain"]["test"]
    if gain["loss"] is not None:
        interval = f"{gain['low']:+.2%} to {gain['high']:+.2%}"
        show.line(f"with the teacher the test WAPE is {gain['loss']:+.2%} of that without (95 % interval {interval})")
    show.line(f"shipped: {told['shipped']}, {told['chosen_by']}")


@students.command("list")
def list_students(json: AsJson = False) -> None:
    """List the students, newest first."""
    with service() as client:
        found = client.students()
    if json:
        show.as_json(found)
        return
    lines = [[s["id"], s["search"], s["trial"], ", ".join(s["devices"]), s["state"], s["reason"]] for s in found]
    show.rows("Students", ["id", "search", "trial", "devices", "state", "reason"], lines)


def save_package(client: Client, student: int, folder: Path) -> Path:
    """Download a package into a folder.

    Raises:
        RequestError: The folder cannot be written.
    """
    _make_folder(folder)
    path = folder / f"student-{student}.zip"
    try:
        path.write_bytes(client.package(student))
    except OSError as error:
        raise RequestError(f"Cannot write {path}: {error.strerror}; choose another folder with --out.") from None
    return path


def _table(data: Path | None, dataset: int | None, asked: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    """The request's ``data``, and the space for such data where that can be told here.

    A table that lies on this computer is looked at before anything is queued.
    """
    if dataset is not None:
        if data is not None:
            raise RequestError("--data and --dataset name two tables; give one of them.")
        return {"source": "dataset", "dataset": dataset, **asked}, None  # the rest as when it was added
    if data is None:
        if {"columns", "hist", "futr", "stat", "ignore", "open", "available"} & asked.keys():
            raise RequestError(
                "--unique-id, --ds, --y, --hist, --futr, --stat, --ignore, --open and --available name columns of a "
                "table; give it with --data or --dataset."
            )
        return asked, None
    found = {"source": "table", "path": str(data.expanduser().absolute()), **asked}
    if urlsplit(Settings.from_environment().url).hostname not in ("127.0.0.1", "localhost", "::1"):
        return found, None
    profile = table.examine(found)
    table.refuse_problems(str(data), profile, listed=False)
    return found, profile.space


def _make_folder(folder: Path) -> None:
    """Before the work, not after it: a student takes a minute."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(f"Cannot make the folder {folder}: {error.strerror}; choose another with --out.") from None


def _is_name(space: str) -> bool:
    return "/" not in space and not space.endswith((".yaml", ".yml"))


def _constraints(texts: Sequence[str]) -> dict[str, float]:
    limits: dict[str, float] = {}
    for text in texts:
        name, _, limit = (part.strip() for part in text.rpartition("<="))
        try:
            value = float(limit)
        except ValueError:
            value = math.nan
        if not (name and math.isfinite(value)):
            raise RequestError(
                f"The constraint {text!r} cannot be read; expected METRIC<=NUMBER, as wape[promo]<=0.25, or "
                "METRIC@DEVICE<=NUMBER, as latency_p95_ms@pi4<=5."
            )
        if name in limits:
            raise RequestError(f"{name} is limited twice, to {limits[name]:g} and {value:g}; keep one of the two.")
        limits[name] = value
    return limits


def _expect_completed(search: show.Json) -> None:
    """A search that found nothing feasible has completed too, but is nothing to go on with."""
    if search["state"] != "completed" or search["reason"]:
        raise ControllerFault(f"Search {search['id']} is {search['state']}: {search['reason']}")


def _said(search: show.Json, *, json: bool) -> None:
    if json:
        show.as_json(search)
        return
    asked = f", {search['wants']} asked for" if search["wants"] else ""
    show.line(f"search {search['id']}: {search['state']}{asked}")
