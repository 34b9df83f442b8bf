"""A sales table: how a command describes it, and how it is looked at before a search is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.errors import DataError
from nas.request import DataSpec
from nas.settings import Settings

if TYPE_CHECKING:
    from nas.data.profile import Profile

SHOWN = 5
_Names = list[str] | None
UniqueId = Annotated[_Names, typer.Option(help="Column that names a series; several together, joined with /.")]
Ds = Annotated[str, typer.Option(help="Column with the time.")]
Y = Annotated[str, typer.Option(help="Column with the units sold.")]
Hist = Annotated[_Names, typer.Option(help="Column known only up to today.")]
Futr = Annotated[_Names, typer.Option(help="Column that is planned ahead.")]
Stat = Annotated[_Names, typer.Option(help="Column that never changes within a series.")]
Ignore = Annotated[_Names, typer.Option(help="Column to leave out.")]
Open = Annotated[str | None, typer.Option(help="Column known ahead that is 0 where a store is closed.")]
Available = Annotated[
    str | None, typer.Option(help="Column (stock, or 0 and 1) that is 0 where nothing could be sold.")
]
Holidays = Annotated[str | None, typer.Option(help="Country, or country and state, as DE or DE-BY.")]
Timezone = Annotated[str | None, typer.Option(help="The stores' own zone, as Europe/Berlin.")]
Freq = Annotated[str | None, typer.Option(help="hourly, daily or weekly; by default found in the table.")]
Fill = Annotated[str | None, typer.Option(help="What a missing step means: zero or previous.")]
Until = Annotated[str | None, typer.Option(help="Leave out the sales after this day, as 2024-03-31.")]
Series = Annotated[int | None, typer.Option(help="Search over so many series only.")]
Subset = Annotated[str | None, typer.Option(help="Which series those are: largest or stratified.")]
Horizon = Annotated[int | None, typer.Option(help="Steps ahead; by default 24 hours, 14 days or 4 weeks.")]


def described(options: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a request's ``data`` that these options of a command say; what was not given is left out.

    Args:
        options: Values of the options above by the name of the command's argument; others are ignored.
    """
    plain = ("open", "available", "holidays", "timezone", "freq", "fill", "until", "series", "subset", "horizon")
    found: dict[str, Any] = {name: options[name] for name in plain if options.get(name) is not None}
    found |= {name: list(options[name]) for name in ("hist", "futr", "stat", "ignore") if options.get(name)}
    ids = options.get("unique_id") or ["unique_id"]
    keys = {"unique_id": ids[0] if len(ids) == 1 else list(ids), "ds": options.get("ds"), "y": options.get("y")}
    columns = {name: value for name, value in keys.items() if value not in (None, name)}
    return {**found, **({"columns": columns} if columns else {})}


def examine(values: Mapping[str, Any]) -> Profile:
    """Read the table that a request's ``data`` describes, and find everything that is wrong with it.

    Raises:
        RequestError: The description makes no sense.
        DataError: There is no table to read.
    """
    from nas.data.profile import examined  # noqa: PLC0415 pandas takes half a second

    return examined(DataSpec.checked(values), Settings.from_environment().folder / "cache")


def refuse_problems(path: str, found: Profile, *, listed: bool) -> None:
    """Raise if there are problems.

    Args:
        path: The table, as its user calls it.
        found: What is in it.
        listed: Whether the user has the whole list in front of them already.

    Raises:
        DataError: With the first problems, unless they are listed already.
    """
    if found.problems:
        count = f"{len(found.problems)} problem{'s' if len(found.problems) > 1 else ''}"
        first = "" if listed else "".join(f"\n  • {problem}" for problem in found.problems[:SHOWN])
        raise DataError(f"{path} has {count}; mend the table, or say what is meant with --fill or --ignore.{first}")
