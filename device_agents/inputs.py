"""What goes into a model on the device and what comes out of it, as files and as JSON values."""

from __future__ import annotations

import base64
from typing import Any, Dict

from device_agents.protocol import Problem
from device_agents.runtimes import Loaded

Arrays = Dict[str, Any]


def read_inputs(path: str, loaded: Loaded) -> Arrays:
    """Read an npz archive and check it against what the model takes.

    Raises:
        Problem: ``bad_inputs``.
    """
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as archive:
            inputs = {name: archive[name] for name in archive.files}
    except Exception as error:
        raise Problem("bad_inputs", "The inputs are no npz archive of plain arrays; encode them again.") from error
    wanted = {spec.name: spec for spec in loaded.inputs}
    if set(inputs) != set(wanted) and wanted:
        raise Problem("bad_inputs", "The inputs are %s; the model takes %s." % (sorted(inputs), sorted(wanted)))
    for name, spec in wanted.items():
        shape, dtype = inputs[name].shape, inputs[name].dtype.name
        fits = len(shape) == len(spec.shape) and all(d in (None, shape[i]) for i, d in enumerate(spec.shape))
        if dtype != spec.dtype or not fits:
            raise Problem(
                "bad_inputs",
                "The input %s is %s %s; the model takes %s %s." % (name, dtype, shape, spec.dtype, spec.shape),
            )
    return inputs


def varied(inputs: Arrays) -> Arrays:
    """Return the same shapes with other numbers in them: each row of floats reversed and stretched by a half.

    Integers (ids, hours, masks) stay: another id may be one that the model does not know.
    """
    return {
        name: value[..., ::-1].copy() * value.dtype.type(1.5) if value.dtype.kind == "f" else value
        for name, value in inputs.items()
    }


def tensor(name: str, value: Any) -> Dict[str, Any]:
    """Return an array as JSON values: base64 of its little-endian bytes in C order."""
    if value.dtype.kind not in "biuf":
        raise Problem("model_failed", "The output %s is no tensor of numbers, but %s." % (name, value.dtype))
    little = value.astype(value.dtype.newbyteorder("<"))
    data = base64.b64encode(little.tobytes()).decode("ascii")
    return {"dtype": value.dtype.name, "shape": list(value.shape), "data": data}
