"""What kind of demand a series has: smooth, erratic, intermittent or lumpy.

Syntetos, Boylan and Croston, "On the categorization of demand patterns", Journal of the Operational
Research Society 56 (2005), section 4: the mean interval between sales (ADI) and the squared coefficient
of variation of what is sold when something is (CV²), cut at 1.32 and 0.49.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ADI, CV2 = 1.32, 0.49
CLASSES = ("smooth", "erratic", "intermittent", "lumpy", "no sales")


def classes(series: NDArray[np.integer], y: NDArray[np.floating], count: int) -> NDArray[np.int64]:
    """The class of each series, as a position in ``CLASSES``.

    Args:
        series: [N], position of each observation's series.
        y: [N], units sold.
        count: How many series there are.
    """
    steps = np.bincount(series, minlength=count)
    sold = y > 0
    where, units = series[sold], y[sold].astype(np.float64)
    sales = np.bincount(where, minlength=count)
    mean = np.bincount(where, units, count) / np.maximum(sales, 1)
    units -= mean[where]
    spread = np.bincount(where, units**2, count) / np.maximum(sales, 1)
    cv2 = spread / np.where(sales, mean, 1) ** 2
    interval = steps / np.maximum(sales, 1)
    found = 2 * (interval > ADI) + (cv2 > CV2)
    return np.where(sales == 0, CLASSES.index("no sales"), found)
