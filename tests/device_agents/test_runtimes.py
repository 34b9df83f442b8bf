"""The runtimes behind their door, and the identity models that give the memory baseline."""

import io
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from device_agents import runtimes
from device_agents.protocol import RUNTIMES, Problem
from device_agents.runtimes import rows

ANYWHERE = [name for name in RUNTIMES if not name.startswith("onnxruntime-")]
"""The runtimes that need no accelerator."""


@pytest.fixture(params=ANYWHERE)
def runtime(request):
    return runtimes.find(request.param)


def test_the_identity_model_returns_what_it_gets(runtime, tmp_path):
    runtime.prepare()
    (tmp_path / "model").write_bytes(runtime.IDENTITY_MODEL)
    loaded = runtime.load(str(tmp_path / "model"), 1)
    x = np.full((1, 1), 3.5, "float32")
    (output,) = loaded.run({"x": x}).values()
    np.testing.assert_array_equal(output, x)


def test_the_version_is_known_without_importing_and_is_the_imported_one(runtime):
    assert runtime.version() == runtime.prepare()


def test_the_embedded_identity_model_is_what_onnx_builds():
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "identity", [x], [y])
    built = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    embedded = onnx.load_from_string(runtimes.find("onnxruntime").IDENTITY_MODEL)
    onnx.checker.check_model(embedded)
    assert embedded == built


def test_the_identity_inputs_are_an_archive_that_numpy_reads():
    with np.load(io.BytesIO(runtimes.identity_inputs()), allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["x"], np.zeros((1, 1), "float32"))
        assert archive["x"].dtype == np.float32


def test_the_inputs_of_a_model_are_known(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(runtimes.find("onnxruntime").IDENTITY_MODEL)
    loaded = runtimes.find("onnxruntime").load(str(path), 2)
    assert loaded.inputs == [runtimes.InputSpec("x", "float32", (1, 1))]


def test_a_runtime_that_is_not_installed_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(Problem, match="python3 -m pip install onnxruntime") as missing:
        runtimes.find("onnxruntime").prepare()
    assert missing.value.code == "runtime_missing"


def test_only_installed_runtimes_are_listed(monkeypatch):
    assert set(runtimes.versions()) == set(ANYWHERE)
    for name in ("onnxruntime", "openvino", "litert"):
        monkeypatch.setattr(runtimes.find(name), "installed", lambda _: None)
    assert set(runtimes.versions()) == {"executorch", "identity"}


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_an_input_that_the_graph_leaves_unread_is_still_taken(name, tmp_path):
    x, y, unread = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 2]) for name in ("x", "y", "unread"))
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "partly", [x, unread], [y])
    path = tmp_path / "model"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    loaded = runtimes.find(name).load(str(path), 1)
    assert [(spec.name, spec.shape) for spec in loaded.inputs] == [("x", (None, 2)), ("unread", (None, 2))]
    ones = np.ones((3, 2), "float32")
    np.testing.assert_array_equal(loaded.run({"x": ones, "unread": ones})["y"], ones)


def test_a_program_of_another_maker_has_inputs_by_position(tmp_path):
    executorch = runtimes.find("executorch")
    path = tmp_path / "model"
    path.write_bytes(executorch.IDENTITY_MODEL.replace(b"input_names", b"other_names"))
    loaded = executorch.load(str(path), 1)
    assert [spec.name for spec in loaded.inputs] == ["input_0"]
    np.testing.assert_array_equal(loaded.run({"input_0": np.ones((1, 1), "float32")})["y"], [[1.0]])


def test_a_model_made_for_one_row_runs_a_batch_row_by_row():
    runs = []

    def infer(inputs):
        runs.append(inputs["x"].copy())
        return {"y": inputs["x"] * 2}

    batch = np.arange(6, dtype="float32").reshape(3, 2)
    np.testing.assert_array_equal(rows.row_by_row(infer, {"x": batch})["y"], batch * 2)
    assert [run.shape for run in runs] == [(1, 2)] * 3
