"""Arrays on their way to a device and back."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

Arrays = Mapping[str, np.ndarray[Any, Any]]
_EPOCH = (1980, 1, 1, 0, 0, 0)


def encode_inputs(inputs: Arrays) -> bytes:
    """Return an npz archive with the same bytes for the same arrays, so that its SHA-256 is stable.

    (``numpy.savez`` writes the current time into it.)
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(inputs):
            array = io.BytesIO()
            np.lib.format.write_array(array, np.ascontiguousarray(inputs[name]), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _EPOCH), array.getvalue())
    return buffer.getvalue()


def decode_outputs(outputs: Mapping[str, Mapping[str, Any]]) -> dict[str, np.ndarray[Any, Any]]:
    """Return the arrays of a reply to ``run``: ``{name: {dtype, shape, data}}`` with base64 of little-endian bytes."""
    return {name: _array(tensor) for name, tensor in outputs.items()}


def encode_output(array: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Return an array as ``run`` replies with it; ``decode_outputs`` is the inverse."""
    data = array.astype(array.dtype.newbyteorder("<")).tobytes()
    return {"dtype": array.dtype.name, "shape": list(array.shape), "data": base64.b64encode(data).decode()}


def _array(tensor: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    dtype = np.dtype(tensor["dtype"])
    flat = np.frombuffer(base64.b64decode(tensor["data"]), dtype.newbyteorder("<"))
    return flat.reshape(tensor["shape"]).astype(dtype)
