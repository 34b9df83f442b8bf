"""What goes into a model on the device: checked inputs, and other numbers of the same shape."""

import numpy as np
import pytest

from device_agents.inputs import read_inputs, varied
from device_agents.protocol import Problem
from device_agents.runtimes import InputSpec, identity


class Fixed:
    """A model that takes x: float32 [1, 2, any]."""

    inputs = (InputSpec("x", "float32", (1, 2, None)),)


def test_fitting_inputs_are_read(tmp_path):
    x = np.ones((1, 2, 7), "float32")
    np.savez(tmp_path / "inputs.npz", x=x)
    read = read_inputs(str(tmp_path / "inputs.npz"), Fixed())
    np.testing.assert_array_equal(read["x"], x)


@pytest.mark.parametrize(
    "arrays",
    [
        {"y": np.ones((1, 2, 7), "float32")},
        {"x": np.ones((1, 2, 7), "float64")},
        {"x": np.ones((1, 3, 7), "float32")},
        {"x": np.ones((1, 2), "float32")},
        {"x": np.array(["text", None], object)},
    ],
)
def test_inputs_that_the_model_does_not_take_are_refused(tmp_path, arrays):
    np.savez(tmp_path / "inputs.npz", **arrays)
    with pytest.raises(Problem) as refused:
        read_inputs(str(tmp_path / "inputs.npz"), Fixed())
    assert refused.value.code == "bad_inputs"


def test_inputs_that_are_no_archive_are_refused(tmp_path):
    (tmp_path / "inputs.npz").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(Problem) as refused:
        read_inputs(str(tmp_path / "inputs.npz"), identity.Model(b""))
    assert refused.value.code == "bad_inputs"


def test_varied_inputs_keep_shapes_and_leave_ids_alone():
    given = {"x": np.arange(6, dtype="float32").reshape(1, 2, 3), "ids": np.array([[3]], "int64")}
    other = varied(given)
    assert other["ids"] is given["ids"]
    assert (other["x"].shape, other["x"].dtype) == ((1, 2, 3), np.float32)
    assert not np.array_equal(other["x"], given["x"])
