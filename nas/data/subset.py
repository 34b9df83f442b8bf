"""Which series a search looks at when it does not look at all of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def choose(totals: NDArray[np.float64], zero_share: NDArray[np.float64], n: int, rule: str) -> NDArray[np.int64]:  # noqa: ARG001
    """Positions of ``n`` series, ascending: those with the largest totals; of equal ones the earlier."""
    return np.sort(np.argsort(-totals, kind="stable")[:n]).astype(np.int64)
