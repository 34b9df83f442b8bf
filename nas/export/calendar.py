"""Dates that a store's device cannot compute itself: holidays, and the hours at which clocks are changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from nas.data.panel import Panel
from nas.errors import RequestError
from nas.request import DataSpec

HOLIDAY = "holiday"
"""The future-known covariate that is computed from a country's holidays."""
YEARS_AHEAD = 10
"""A package knows the holidays of so many years after its data; nobody runs an older one."""


def computed(panel: Panel, data: DataSpec) -> str | None:
    """Name of the covariate that is computed from the date; None: every one is read from the table."""
    return HOLIDAY if data.holidays and HOLIDAY in panel.futr_names else None


def calendar(panel: Panel, data: DataSpec) -> dict[str, Any]:
    """What of the calendar a package carries, as plain JSON values.

    Returns:
        ``holidays``: ``column``, ``country``, ``until`` (the last day that is known) and ``dates``; None without.
        ``clock``: ``timezone``, and the local hours that are ``skipped`` in spring and ``repeated`` in autumn;
        None unless the series are hourly and their zone is known.

    Raises:
        RequestError: There is no such country.
    """
    first, last = (int(str(panel.date(step))[:4]) for step in (0, panel.steps - 1))
    years = range(first, last + YEARS_AHEAD + 1)
    hourly = panel.frequency == "hourly"
    return {
        "holidays": _holidays(data.holidays, years) if data.holidays and computed(panel, data) else None,
        "clock": _changes(data.timezone, years) if hourly and data.timezone else None,
    }


def _holidays(country: str, years: range) -> dict[str, Any]:
    import holidays  # noqa: PLC0415 its tables take a while, and only a package with holidays needs them

    name, _, subdivision = country.partition("-")
    try:
        dates = holidays.country_holidays(name, subdiv=subdivision or None, years=years)
    except NotImplementedError as error:
        raise RequestError(
            f"There are no holidays of {country} ({error}); name a country or its part as DE or US-CA."
        ) from None
    days = sorted(str(day) for day in dates)
    return {"column": HOLIDAY, "country": country, "until": f"{years[-1]}-12-31", "dates": days}


def _changes(timezone: str, years: range) -> dict[str, Any]:
    """The local hours that a zone leaves out or has twice, as ``YYYY-MM-DDTHH``."""
    zone, hour = ZoneInfo(timezone), timedelta(hours=1)
    begin = datetime(years[0], 1, 1, tzinfo=UTC)
    hours = int((datetime(years[-1] + 1, 1, 1, tzinfo=UTC) - begin) / hour)
    local = [(begin + hour * h).astimezone(zone).replace(tzinfo=None) for h in range(hours)]
    steps = np.array(local, "datetime64[h]")
    jumps = np.diff(steps).astype(int)
    skipped = [str(steps[i] + k) for i in np.flatnonzero(jumps > 1) for k in range(1, jumps[i])]
    repeated = [str(steps[i] + k) for i in np.flatnonzero(jumps < 1) for k in range(jumps[i], 1)]
    return {"timezone": timezone, "skipped": skipped, "repeated": repeated}
