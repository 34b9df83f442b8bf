"""The reference model: one fixed small LSTM that every measurement is paired with.

Its weights, shapes and bytes never change, so that its level tells how fast a board is, today
and beside its neighbours of the same kind. It is made of ONNX alone: runtimes that read
something else are measured without a pair until somebody hands them one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from nas.devices.tensors import Arrays

HIDDEN, STEPS, CHANNELS, HORIZON = 64, 56, 16, 14
READS_ONNX = ("onnxruntime", "onnxruntime-cuda", "onnxruntime-tensorrt", "openvino")


@dataclass(frozen=True, slots=True)
class Reference:
    """A model file with its inputs."""

    model: bytes
    inputs: Arrays


def reference_for(runtime: str) -> Reference | None:
    """Return the reference model for a runtime, or None where there is none that it reads."""
    return _lstm() if runtime in READS_ONNX else None


@cache
def _lstm() -> Reference:
    """One LSTM layer of 64 units over 56 steps of 16 channels, and a linear head; ONNX IR 8, opset 17."""
    from onnx import TensorProto, helper, numpy_helper  # noqa: PLC0415 # onnx is slow to import

    draw = np.random.Generator(np.random.PCG64(0))
    shapes = {"W": (1, 4 * HIDDEN, CHANNELS), "R": (1, 4 * HIDDEN, HIDDEN), "H": (HIDDEN, HORIZON)}
    weights = {name: (draw.random(shape, np.float32) - 0.5) / 4 for name, shape in shapes.items()}
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [STEPS, 1, CHANNELS])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, HORIZON])
    nodes = [
        helper.make_node("LSTM", ["x", "W", "R"], ["", "h"], hidden_size=HIDDEN),
        helper.make_node("MatMul", ["h", "H"], ["y"]),
    ]
    initializers = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "reference", [x], [y], initializers)
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)], producer_name="")
    inputs = {"x": draw.random((STEPS, 1, CHANNELS), np.float32)}
    return Reference(model.SerializeToString(deterministic=True), inputs)
