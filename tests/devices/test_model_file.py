"""Inputs for any ONNX model: made up from what it says of itself, or one sentence on what is missing."""

import numpy as np
import onnx
import onnx_models
import pytest
from onnx import TensorProto, helper, numpy_helper

from nas.devices.model_file import example_inputs, read_inputs, read_model
from nas.errors import RequestError


def model(*inputs, initializers=()):
    nodes = [helper.make_node("Identity", [inputs[0].name], ["out"])]
    graph = helper.make_graph(
        nodes, "g", list(inputs), [helper.make_empty_tensor_value_info("out")], list(initializers)
    )
    return helper.make_model(graph).SerializeToString()


def tensor(name, *shape, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, list(shape))


def test_floats_are_drawn_and_whole_numbers_are_zero():
    given = model(
        tensor("x", "batch", 4), tensor("n", 2, kind=TensorProto.INT64), tensor("b", 1, kind=TensorProto.BOOL)
    )
    found = example_inputs(given, {})
    assert {name: (array.dtype.name, array.shape) for name, array in found.items()} == {
        "x": ("float32", (1, 4)),
        "n": ("int64", (2,)),
        "b": ("bool", (1,)),
    }
    assert found["x"].std() > 0 and not found["n"].any() and not found["b"].any()
    np.testing.assert_array_equal(found["x"], example_inputs(given, {})["x"])


def test_weights_are_no_inputs():
    assert list(example_inputs(onnx_models.lstm(), {})) == ["x"]
    weight = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
    assert list(example_inputs(model(tensor("x", 1), tensor("w", 1), initializers=[weight]), {})) == ["x"]


def test_a_free_dimension_is_asked_for_and_taken():
    given = model(tensor("x", "batch", "time", 16))
    with pytest.raises(RequestError, match=r"\[batch, time, 16\].*--shape x=1,1,16"):
        example_inputs(given, {})
    assert example_inputs(given, {"x": (2, 56, 16)})["x"].shape == (2, 56, 16)


@pytest.mark.parametrize(
    ("given", "shapes", "says"),
    [
        (model(tensor("x", "b", 16)), {"x": (1, 17)}, r"\[b, 16\]"),
        (model(tensor("x", "b", 16)), {"x": (1,)}, r"\[b, 16\]"),
        (model(tensor("x", "b", 16)), {"y": (1,)}, "no input y"),
        (model(tensor("x", "b", 16)), {"x": (10**9, 16)}, "give a smaller --shape"),
        (model(tensor("x", 1, kind=TensorProto.STRING)), {}, "no tensor of plain numbers"),
        (model(tensor("x", 1, kind=TensorProto.BFLOAT16)), {}, "no tensor of plain numbers"),
        (model(helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, [1])), {}, "no tensor of plain numbers"),
        (b"no model at all", {}, "no ONNX model"),
        (b"", {}, "no ONNX model"),
    ],
    ids=["size", "rank", "name", "huge", "strings", "bfloat16", "sequence", "bytes", "empty"],
)
def test_what_cannot_be_made_up_is_one_sentence(given, shapes, says):
    with pytest.raises(RequestError, match=says):
        example_inputs(given, shapes)


def test_weights_in_other_files_are_refused():
    weight = numpy_helper.from_array(np.ones(1000, "float32"), "w")
    whole = onnx.load_from_string(model(tensor("x", 1), initializers=[weight]))
    onnx.external_data_helper.set_external_data(whole.graph.initializer[0], "w.bin")
    with pytest.raises(RequestError, match="save it as one"):
        example_inputs(whole.SerializeToString(), {})


def test_files_that_cannot_be_read_are_one_sentence(tmp_path):
    np.savez(tmp_path / "good.npz", x=np.ones(3))
    np.testing.assert_array_equal(read_inputs(tmp_path / "good.npz")["x"], np.ones(3))
    np.savez(tmp_path / "pickled.npz", x=np.array([{}], object))
    (tmp_path / "text.npz").write_text("x = 1")
    for name in ("pickled.npz", "text.npz", "absent.npz"):
        with pytest.raises(RequestError, match=name):
            read_inputs(tmp_path / name)
    with pytest.raises(RequestError, match="Cannot read the model"):
        read_model(tmp_path / "absent.onnx")
