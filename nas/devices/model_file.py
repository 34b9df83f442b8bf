"""Any ONNX model from a file, and inputs to run it with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.devices.tensors import Arrays
from nas.errors import RequestError

if TYPE_CHECKING:
    import onnx

BATCH = 1
MOST_NUMBERS = 50_000_000
"""Of one input: more would not fit beside the model on a board."""


def read_model(path: Path) -> bytes:
    """Return the bytes of a model file.

    Raises:
        RequestError: It cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise RequestError(f"Cannot read the model {path} ({error.strerror}); check its name and rights.") from None


def read_inputs(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Return the arrays of an ``.npz`` archive.

    Raises:
        RequestError: It is no archive of plain arrays.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except OSError as error:
        raise RequestError(f"Cannot read the inputs {path} ({error.strerror or error}); check its name.") from None
    except Exception as error:  # what numpy and zipfile raise for a broken archive has no common base
        raise RequestError(
            f"{path} is no archive of plain arrays; expected what `numpy.savez(file, name=array)` writes."
        ) from error


def example_inputs(model: bytes, shapes: Mapping[str, tuple[int, ...]]) -> Arrays:
    """Return one request: whole numbers and flags are zero, floats are drawn from a seeded normal.

    A free batch (the first dimension) is 1.

    Args:
        model: An ONNX model in one file.
        shapes: Shapes by input name, for inputs with other free dimensions.

    Raises:
        RequestError: It is no such model, an input is no tensor of numbers, or a shape is missing or wrong.
    """
    graph = _parsed(model).graph
    stored = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in stored]
    names = [value.name for value in inputs]
    if unknown := sorted(set(shapes) - set(names)):
        raise RequestError(f"The model has no input {unknown[0]}; expected one of {', '.join(names) or 'none'}.")
    draw = np.random.Generator(np.random.PCG64(0))
    return {value.name: _array(value, shapes.get(value.name), draw) for value in inputs}


def _parsed(model: bytes) -> onnx.ModelProto:
    import onnx  # noqa: PLC0415 # slow to import, and not needed where inputs are given
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped] # noqa: PLC0415 # it ships no types

    try:
        parsed = onnx.load_model_from_string(model)
    except DecodeError:
        parsed = onnx.ModelProto()
    if not parsed.graph.node and not parsed.graph.output:
        raise RequestError("The file is no ONNX model; expected what an exporter writes, such as model.onnx.")
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in parsed.graph.initializer):
        raise RequestError(
            "The model keeps its weights in other files; save it as one: "
            "`onnx.save(onnx.load(file), 'one.onnx', save_as_external_data=False)`."
        )
    return parsed


def _array(value: onnx.ValueInfoProto, given: tuple[int, ...] | None, draw: np.random.Generator) -> Any:
    import onnx  # noqa: PLC0415 # as above

    kind = value.type.tensor_type
    dtype = _DTYPES.get(onnx.TensorProto.DataType.Name(kind.elem_type)) if value.type.HasField("tensor_type") else None
    if dtype is None:
        raise RequestError(f"The input {value.name} is no tensor of plain numbers; such a model cannot be measured.")
    shape = _shape(value.name, kind.shape.dim, given)
    if math.prod(shape) > MOST_NUMBERS:
        raise RequestError(
            f"The input {value.name} of shape {shape} has more than {MOST_NUMBERS:,} numbers; give a smaller --shape."
        )
    return draw.standard_normal(shape).astype(dtype) if dtype.startswith("float") else np.zeros(shape, dtype)


_DTYPES = {"FLOAT": "float32", "DOUBLE": "float64", "FLOAT16": "float16", "BOOL": "bool"} | {
    name: name.lower() for name in ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64")
}
"""ONNX's names of the types that numpy has, too."""


def _shape(name: str, dimensions: Any, given: tuple[int, ...] | None) -> tuple[int, ...]:
    fixed = [dim.dim_value if dim.dim_value > 0 else None for dim in dimensions]
    called = ", ".join(str(size or dim.dim_param or "?") for size, dim in zip(fixed, dimensions, strict=True))
    example = f"--shape {name}=" + ",".join(str(size or BATCH) for size in fixed)
    if given is not None:
        if len(given) != len(fixed) or any(f not in (None, g) for f, g in zip(fixed, given, strict=True)):
            raise RequestError(f"The input {name} is [{called}], and --shape says {list(given)}; give {example}.")
        return given
    if any(size is None for size in fixed[1:]):
        raise RequestError(f"The input {name} is [{called}], of which more than the batch is free; say it: {example}.")
    return tuple(size or BATCH for size in fixed)
