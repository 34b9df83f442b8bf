"""What every inference runtime keeps to, each through a real fork server with a forecaster of its own format."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from runtime_host import RuntimeHost

from device_agents import runtimes
from device_agents.protocol import RUNTIMES, Problem
from nas.architecture import Architecture
from nas.data.windows import INPUTS
from nas.export.artifact import as_arrays
from nas.export.targets import export_untrained
from nas.models.forecaster import build, example_inputs
from nas.models.shape import Shape

SHAPE = Shape(horizon=7, hist=1, futr=2, vocabulary=(5, 3))
WIDE = Shape(horizon=7, hist=1, futr=2, vocabulary=(5, 3), quantiles=(0.1, 0.5, 0.9), open=1, promotions=(0,))
"""Quantiles, closed days and promotions: everything that a shop's data may ask for."""
SMALL = Architecture(hidden=8, window=7, head=8, embedding=4)
BATCH = 3
EXPORTED = ("onnxruntime", "openvino", "executorch", "litert")
"""The runtimes that run on any computer; the others need an accelerator."""
PROVIDERS = {
    "onnxruntime": "CPUExecutionProvider",
    "openvino": "CPU",
    "executorch": "XnnpackBackend",
    "litert": "XNNPACK",
    "identity": "numpy",
}
MODULES = {
    "onnxruntime": "onnxruntime",
    "onnxruntime-cuda": "onnxruntime",
    "onnxruntime-tensorrt": "onnxruntime",
    "openvino": "openvino",
    "executorch": "executorch.extension.pybindings",
    "litert": "ai_edge_litert.interpreter",
    "identity": "numpy",
}


@pytest.fixture(scope="module", params=EXPORTED)
def runtime(request):
    return request.param


@pytest.fixture(scope="module")
def host(runtime):
    host = RuntimeHost(runtime)
    yield host
    host.close()


@pytest.fixture(scope="module")
def artifact(runtime):
    return export_untrained(replace(SMALL, runtime=runtime), SHAPE)


@pytest.fixture(scope="module")
def model(artifact, tmp_path_factory):
    """The model as it lies on a device: a file without a suffix."""
    path = tmp_path_factory.mktemp("blobs") / "model"
    path.write_bytes(artifact.model)
    return path


@pytest.fixture
def inputs(tmp_path):
    return written(tmp_path, as_arrays(example_inputs(SMALL, SHAPE, BATCH)))


def written(folder, arrays):
    path = folder / "inputs"
    with io.BytesIO() as archive:
        np.savez(archive, **arrays)
        path.write_bytes(archive.getvalue())
    return path


@pytest.mark.parametrize("threads", [1, 2])
def test_a_forecaster_gives_torch_s_forecasts_every_time(host, model, inputs, threads):
    torch.manual_seed(0)
    with torch.no_grad():
        expected = build(SMALL, SHAPE).eval()(*example_inputs(SMALL, SHAPE, BATCH)).numpy()
    first, second = host.run(model, inputs, threads)["outputs"]
    assert first == second
    assert set(first) == {"forecast"}
    np.testing.assert_allclose(first["forecast"], expected, rtol=0, atol=1e-3 * expected.mean())


def test_quantiles_and_closed_days_are_torch_s_too(runtime, host, tmp_path):
    path = tmp_path / "model"
    path.write_bytes(export_untrained(replace(SMALL, runtime=runtime), WIDE).model)
    inputs = list(example_inputs(SMALL, WIDE, BATCH))
    inputs[INPUTS.index("future")][:, :3, WIDE.open] = 0
    torch.manual_seed(0)
    with torch.no_grad():
        expected = build(SMALL, WIDE).eval()(*inputs).numpy()
    first, second = host.run(path, written(tmp_path, as_arrays(tuple(inputs))))["outputs"]
    assert first == second and expected.shape == (BATCH, WIDE.horizon, 3)
    np.testing.assert_allclose(first["forecast"], expected, rtol=0, atol=1e-3 * expected.mean())
    assert not np.array(first["forecast"])[:, :3].any()


def test_the_inputs_have_names_types_and_an_open_batch(host, model, inputs):
    assert host.run(model, inputs)["inputs"] == {
        "past": ["float32", None, 7, 4],
        "past_mask": ["float32", None, 7],
        "past_time": ["int64", None, 7],
        "future": ["float32", None, 7, 2],
        "future_time": ["int64", None, 7],
        "static": ["int64", None, 2],
    }


def test_it_says_what_ran_the_model(runtime, host, model, inputs):
    assert host.run(model, inputs)["provider"] == PROVIDERS[runtime]


def test_no_thread_spins_between_two_requests(host, model, inputs):
    """In none of several rests would a spinning thread be still; what else this computer does only adds to one."""
    assert min(host.run(model, inputs, 2, rests=5)["resting_s"]) < 0.01


def test_the_example_request_fits_the_model(host, model, artifact, tmp_path):
    (first, _) = host.run(model, written(tmp_path, artifact.inputs))["outputs"]
    assert np.shape(first["forecast"]) == (1, SHAPE.horizon)


@pytest.mark.parametrize("content", [b"no model at all " * 20, b""], ids=["garbage", "empty"])
def test_a_wrong_file_is_the_model_s_fault_and_the_server_lives(runtime, host, model, inputs, tmp_path, content):
    (tmp_path / "wrong").write_bytes(content)
    with pytest.raises(Problem) as failed:
        host.run(tmp_path / "wrong", inputs)
    assert failed.value.code == "model_failed"
    assert "\n" not in failed.value.message
    assert host.run(model, inputs)["provider"] == PROVIDERS[runtime]


@pytest.mark.parametrize("name", PROVIDERS)
def test_the_identity_model_returns_its_input(name, tmp_path):
    (tmp_path / "identity").write_bytes(runtimes.find(name).IDENTITY_MODEL)
    (tmp_path / "inputs").write_bytes(runtimes.identity_inputs())
    host = RuntimeHost(name)
    try:
        assert host.version == runtimes.versions()[name]
        for threads in (1, 2):
            (output,) = host.run(tmp_path / "identity", tmp_path / "inputs", threads)["outputs"][0].values()
            assert output == [[0.0]]
    finally:
        host.close()


@pytest.mark.parametrize("name", RUNTIMES)
def test_a_runtime_that_is_absent_is_not_on_this_device(name):
    words = r"is not on this device \(.*\); install it there with `python3 -m pip"
    with pytest.raises(Problem, match=words) as missing:
        RuntimeHost(name, hidden=MODULES[name])
    assert missing.value.code == "runtime_missing"
