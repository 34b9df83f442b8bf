"""Small ONNX models that behave well or badly, for the tests of devices."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def lstm(hidden: int = 8, steps: int = 7, channels: int = 3, seed: int = 0) -> bytes:
    """An LSTM with random weights: x float32 [steps, 1, channels] -> h [1, 1, hidden]."""
    rng = np.random.default_rng(seed)
    weights = {
        "W": rng.normal(size=(1, 4 * hidden, channels)).astype("float32"),
        "R": rng.normal(size=(1, 4 * hidden, hidden)).astype("float32"),
    }
    return _model(
        [helper.make_node("LSTM", ["x", "W", "R"], ["", "h"], hidden_size=hidden)],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [steps, 1, channels])],
        [helper.make_tensor_value_info("h", TensorProto.FLOAT, [1, 1, hidden])],
        weights,
    )


def endless(name: str = "x", shape: tuple[int, ...] = (3,)) -> bytes:
    """A loop that never ends: an input float32, by default x [3] -> y."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["still_going"]),
            helper.make_node("Identity", ["value"], ["same"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("value", TensorProto.FLOAT, shape),
        ],
        [
            helper.make_tensor_value_info("still_going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("same", TensorProto.FLOAT, shape),
        ],
    )
    return _model(
        [helper.make_node("Loop", ["turns", "yes", name], ["y"], body=body)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        {"turns": np.array(2**62, "int64"), "yes": np.array(True)},
    )


def bomb() -> bytes:
    """A tensor of 80 GB from a file of some bytes: x float32 [3] -> y."""
    return _model(
        [
            helper.make_node("Expand", ["x", "shape"], ["huge"]),
            helper.make_node("ReduceSum", ["huge"], ["y"], keepdims=0),
        ],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [])],
        {"shape": np.array([100_000, 67_000, 3], "int64")},
    )


def _model(nodes: list, inputs: list, outputs: list, weights: dict[str, np.ndarray]) -> bytes:
    initializers = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "test", inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()
