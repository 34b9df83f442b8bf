"""Which series a search looks at, when it is not to look at all of them.

``stratified`` draws from strata of volume and of zeros, in proportion to what each stratum sells: a sample that is
proportional to size (Hansen and Hurwitz, On the theory of sampling from finite populations, Annals of Mathematical
Statistics 14, 1943), spread evenly over the sorted stratum (systematic sampling; Cochran, Sampling Techniques,
3rd edition, 1977, chapters 5 and 8). WAPE weighs a series by its sales: so most of what decides a ranking is kept,
and slow sellers still have their say. How far the ranking on a subset is that on all series is measured by
``make bench-subset``.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nas.errors import RequestError

ZERO_CLASSES = (0.25, 0.5, 0.75)
"""Where one class of the share of zeros ends and the next begins."""
DECILES = 10


def choose(
    totals: NDArray[np.float64], zero_share: NDArray[np.float64], n: int, rule: Literal["largest", "stratified"]
) -> NDArray[np.int64]:
    """Choose ``n`` of S series; the same figures always give the same choice.

    Args:
        totals: Units sold by series, [S].
        zero_share: Share of its observed steps without a sale, [S].
        n: How many; all of them, if there are no more.
        rule: ``largest``: those that sell most, of equal ones the first. ``stratified``: see above.

    Returns:
        Positions of the chosen series, ascending.

    Raises:
        RequestError: ``n`` is not positive.
    """
    if n < 1:
        raise RequestError(f"A subset of {n} series was asked for, expected at least 1; ask for more.")
    if n >= len(totals):
        return np.arange(len(totals))
    volume = np.nan_to_num(totals)
    by_volume = np.argsort(-volume, kind="stable")
    if rule == "largest":
        return np.sort(by_volume[:n])
    decile = np.empty(len(volume), np.int64)
    decile[by_volume] = np.arange(len(volume)) * DECILES // len(volume)
    stratum = decile * (len(ZERO_CLASSES) + 1) + np.digitize(zero_share, ZERO_CLASSES)
    members = [by_volume[stratum[by_volume] == name] for name in np.unique(stratum)]
    sizes = np.array([len(group) for group in members])
    counts = _allocate(np.array([volume[group].sum() for group in members]), sizes, n)
    spread = [group[_evenly(len(group), count)] for group, count in zip(members, counts, strict=True)]
    return np.sort(np.concatenate(spread))


def _evenly(size: int, count: int) -> NDArray[np.int64]:
    """``count`` of ``size`` places, as far apart as they can be."""
    return ((np.arange(count) + 0.5) * size / max(count, 1)).astype(np.int64)


def _allocate(weights: NDArray[np.float64], sizes: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Share ``n`` out by weight, to none more than its size; fewer than all places are asked for.

    What a full stratum cannot take goes to the others, by their weights; fractions go to the largest remainders.
    """
    counts = np.zeros_like(sizes)
    while True:
        free = counts < sizes
        left = n - int(counts.sum())
        weight = np.where(free, weights, 0)
        if not weight.any():  # nothing is sold in what is left
            weight = np.where(free, sizes, 0).astype(np.float64)
        quota = left * weight / weight.sum()
        full = free & (quota >= sizes)
        if not full.any():
            break
        counts[full] = sizes[full]
    whole = np.floor(quota).astype(np.int64)
    remainders = np.argsort(whole - quota, kind="stable")
    whole[remainders[: left - int(whole.sum())]] += 1
    counts += whole
    return counts
