"""Small tables that the tests of this room break, or that have something particular about them."""

import numpy as np
import pandas as pd

DAYS = [f"2024-03-{day:02d}" for day in range(1, 11)]


def good(dates=DAYS):
    """Two series, a and b, of ten days."""
    steps = len(dates)
    return pd.DataFrame(
        {
            "unique_id": ["a"] * steps + ["b"] * steps,
            "ds": list(dates) * 2,
            "y": np.arange(2.0 * steps),
            "price": np.linspace(1, 2, 2 * steps),
            "region": ["north"] * steps + ["south"] * steps,
        }
    )
