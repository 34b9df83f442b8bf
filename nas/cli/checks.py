"""``nas serve``, ``nas controller``, ``nas space`` and ``nas data``: what runs on this computer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nas.cli import show, table
from nas.cli.searches import AsJson
from nas.settings import Settings
from nas.space import SearchSpace, schema

space = typer.Typer(no_args_is_help=True)
data = typer.Typer(no_args_is_help=True)


def serve() -> None:
    """Run the service and one controller until Ctrl-C."""
    from nas.service.serve import serve as run  # noqa: PLC0415 only this command needs fastapi

    run(Settings.from_environment())


def controller() -> None:
    """Run one more controller on the same database."""
    from nas.controller import main  # noqa: PLC0415 only this command needs torch

    main()


@space.command("check")
def check_space(
    file: Annotated[Path, typer.Argument(help="YAML file with a search space.")], json: AsJson = False
) -> None:
    """Say what is wrong with a search space, by line, or how large it is."""
    found = SearchSpace.load(file)
    if json:
        show.as_json({**found.to_dict(), "size": found.size})
        return
    show.line(f"{file} is fine: {found.name}, {found.size} architectures")


@space.command("schema")
def print_schema() -> None:
    """Print the JSON schema of a search space file, for editors."""
    show.as_json(schema())


@data.command("check")
def check_data(
    file: Annotated[Path, typer.Argument(help="CSV or Parquet: series, time, units sold, and covariates.")],
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
    horizon: table.Horizon = None,
    json: AsJson = False,
) -> None:
    """Say what is in a sales table, and everything that is wrong with it by row and column."""
    found = table.examine({"source": "table", "path": str(file), **table.described(locals())})
    if json:
        show.as_json(found.to_dict())
    else:
        show.rows(str(file), ["", ""], _facts(found.to_dict()))
        for kind, texts in (("look at", found.warnings), ("mend", found.problems)):
            for text in texts:
                show.line(f"• {kind}: {text}")
    table.refuse_problems(str(file), found, listed=True)


def _facts(profile: dict[str, Any]) -> list[list[Any]]:
    """A profile as lines of a table; what there is none of is left out."""
    return [
        [name.replace("_", " "), _fact(value)]
        for name, value in profile.items()
        if name not in ("warnings", "problems") and value not in (None, {})
    ]


def _fact(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    parts = []
    for name, of in value.items():
        if isinstance(of, dict):  # a promotion's share and lift
            parts.append(f"{name}: " + ", ".join(f"{key} {show.figure(number)}" for key, number in of.items()))
        elif isinstance(of, list):
            parts.append(f"{name}: {', '.join(of) or '–'}")
        else:
            parts.append(f"{name}: {'always' if of is None else of}")
    return "; ".join(parts)
