"""From a spec to a panel: source -> check -> dense arrays."""

from __future__ import annotations

from pathlib import Path

from nas.data import sources
from nas.data.dense import to_panel
from nas.data.panel import Panel
from nas.data.split import steps_needed
from nas.request import DataSpec


def load_panel(spec: DataSpec, cache_folder: Path) -> Panel:
    """Load, check and lay out the data that a request asks for.

    Args:
        spec: Which data, which columns, which split.
        cache_folder: Where a source may keep what is costly to make.

    Raises:
        DataError: The data cannot be used; carries every problem.
        RequestError: The horizon does not fit in a part, at the frequency that the table has.
        MissingExtra: The source's package is not installed.
    """
    from nas.data.check import check  # noqa: PLC0415 - pandas takes half a second, and only loading needs it

    table = sources.load(spec, cache_folder)
    columns = check(
        table,
        fill=spec.fill,
        steps_needed=lambda clock: steps_needed(*spec.split_steps(clock)),
        until=spec.until,
    )
    return to_panel(columns, table.hist, table.planned, fill=spec.fill, series=spec.series, rule=spec.subset)
