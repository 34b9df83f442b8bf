"""Public holidays as a covariate that is known for all the future."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nas.errors import DataError
from nas.frequency import Frequency

NAME = "holiday"


def on(country: str, start: np.datetime64, steps: int, clock: Frequency) -> NDArray[np.float32]:
    """1 where a step lies on a holiday, or a week holds one, by the stores' own calendar; float32 [steps].

    Args:
        country: ISO code, or country and subdivision, as ``DE`` or ``DE-BY``.
        start: The first step.
        steps: How many.
        clock: What a step is.

    Raises:
        DataError: The package ``holidays`` knows no such place.
    """
    import holidays  # noqa: PLC0415 - only tables with holidays need it

    hours = start.astype("datetime64[h]") + np.arange(steps) * clock.hours
    first = hours.astype("datetime64[D]")
    last = (hours + (clock.hours - 1)).astype("datetime64[D]")
    years = range(int(str(first[0])[:4]), int(str(last[-1])[:4]) + 1) if steps else range(0)
    code, _, subdivision = country.partition("-")
    try:
        found = holidays.country_holidays(code, subdiv=subdivision or None, years=years)
    except NotImplementedError:
        raise DataError(
            f"No holidays are known for {country}; expected a country, or country and state, of the Python package "
            "holidays, as DE or DE-BY: leave it out and give a column of your own under futr."
        ) from None
    days = np.array(sorted(found), "datetime64[D]")
    inside: NDArray[np.bool_] = np.searchsorted(days, last, "right") > np.searchsorted(days, first, "left")
    return inside.astype(np.float32)
