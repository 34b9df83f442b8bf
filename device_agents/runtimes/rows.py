"""Models made for one row: compiled ahead of time, their batch is fixed, so a batch is run row by row."""

from __future__ import annotations

from typing import Any, Callable, Dict, List

from device_agents.runtimes import InputSpec


def is_for_one_row(inputs: List[InputSpec]) -> bool:
    """Tell whether every input is fixed to a batch of one."""
    return all(spec.shape[:1] == (1,) for spec in inputs)


def open_batch(inputs: List[InputSpec]) -> List[InputSpec]:
    """Return the specs with an open batch, as ``row_by_row`` takes them."""
    return [spec._replace(shape=(None, *spec.shape[1:])) for spec in inputs]


def row_by_row(infer: Callable[[Dict[str, Any]], Dict[str, Any]], inputs: Dict[str, Any]) -> Dict[str, Any]:
    """Run ``infer`` on each row of ``inputs`` and return its outputs as one batch."""
    import numpy as np

    rows = len(next(iter(inputs.values())))
    if rows == 1:
        return infer(inputs)
    found = [infer({name: array[row : row + 1] for name, array in inputs.items()}) for row in range(rows)]
    return {name: np.concatenate([outputs[name] for outputs in found]) for name in found[0]}
