"""``nas serve``, ``nas controller``, ``nas space`` and ``nas data``: what runs on this computer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.cli import show
from nas.cli.searches import AsJson
from nas.cli.table import examine, refuse_problems
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
    file: Annotated[Path, typer.Argument(help="CSV or Parquet with unique_id, ds, y and covariates.")],
    hist: Annotated[list[str] | None, typer.Option(help="Column known only up to today.")] = None,
    futr: Annotated[list[str] | None, typer.Option(help="Column that is planned ahead.")] = None,
    stat: Annotated[list[str] | None, typer.Option(help="Column that never changes within a series.")] = None,
    ignore: Annotated[list[str] | None, typer.Option(help="Column to leave out.")] = None,
    fill: Annotated[str | None, typer.Option(help="What a missing day means: zero or previous.")] = None,
    horizon: Annotated[int | None, typer.Option(help="Steps ahead, for the shortest history that is enough.")] = None,
    json: AsJson = False,
) -> None:
    """Say what is in a sales table, and everything that is wrong with it by row and column."""
    columns = {"hist": hist or [], "futr": futr or [], "stat": stat or [], "ignore": ignore or []}
    found = examine({"source": "table", "path": str(file), "fill": fill, "horizon": horizon, **columns})
    if json:
        show.as_json(found.to_dict())
    else:
        facts = [[name.replace("_", " "), value] for name, value in found.to_dict().items() if name != "problems"]
        show.rows(str(file), ["", ""], facts)
        for problem in found.problems:
            show.line(f"• {problem}")
    refuse_problems(str(file), found, listed=True)
