"""A sales table looked at on this computer, before a search is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nas.errors import DataError
from nas.frequency import FREQUENCIES
from nas.request import DataSpec
from nas.settings import Settings

if TYPE_CHECKING:
    from nas.data.profile import Profile

SHOWN = 5


def examine(values: Mapping[str, Any]) -> Profile:
    """Read the table that a request's ``data`` describes, and find everything that is wrong with it.

    Raises:
        RequestError: The description makes no sense.
        DataError: There is no table to read.
    """
    from nas.data import sources  # noqa: PLC0415 pandas takes half a second
    from nas.data.profile import profile  # noqa: PLC0415
    from nas.data.split import steps_needed  # noqa: PLC0415

    spec = DataSpec.checked(values)
    needed = steps_needed(*spec.split_steps(FREQUENCIES[spec.freq or "daily"]))
    table = sources.load(spec, Settings.from_environment().folder / "cache")
    return profile(table, fill=spec.fill, steps_needed=needed)


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
