"""The tables of a forecaster: its embeddings, a row per known value of a static covariate and row 0 for the others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from torch import nn

from nas.models.forecaster import Forecaster


def tables(model: Forecaster) -> dict[str, int]:
    """Names of the weights that are tables, and which static covariate each is of: ``ids.0.weight`` -> 0."""
    names = [name for name, module in model.named_modules() if isinstance(module, nn.Embedding)]
    columns = ((name, name.rpartition(".")[2]) for name in names)  # weekdays have a table, too: not by column
    return {f"{name}.weight": int(column) for name, column in columns if column.isdigit()}


def stored(model: onnx.ModelProto, names: dict[str, int]) -> Iterator[tuple[TensorProto, int]]:
    """The tables in an exported model, in fp32 or int8."""
    for tensor in model.graph.initializer:
        name = tensor.name.removesuffix("_quantized")
        if name in names:
            yield tensor, names[name]


def bytes_of_tables(model: bytes, names: dict[str, int]) -> int:
    """How many bytes of an exported model are tables."""
    found = stored(onnx.load_from_string(model), names)
    return sum(int(np.asarray(numpy_helper.to_array(tensor)).nbytes) for tensor, _ in found)
