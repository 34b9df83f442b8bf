"""Accelerating providers of onnxruntime: only what the promised provider really executed is accepted.

No GPU is at hand: what one would say is ``recorded``, written after onnxruntime's own profiles; the
way from a session to its profile is tried with the provider that every computer has.
"""

import json

import onnx_models
import onnxruntime
import pytest

from device_agents import runtimes
from device_agents.protocol import Problem
from device_agents.runtimes import accelerator
from device_agents.runtimes.accelerator import Accelerator, executed

CUDA = Accelerator("onnxruntime-cuda", "CUDAExecutionProvider", "libonnxruntime_providers_cuda.so")
TENSORRT = Accelerator("onnxruntime-tensorrt", "TensorrtExecutionProvider", "libonnxruntime_providers_tensorrt.so")


def recorded(*nodes):
    """A session's profile, in the form that ``end_profiling`` writes."""
    session = {"cat": "Session", "pid": 7, "tid": 7, "dur": 900, "ts": 2, "ph": "X", "name": "model_run", "args": {}}
    fence = {"cat": "Node", "pid": 7, "tid": 7, "dur": 1, "ts": 3, "ph": "X", "name": "n_fence_before", "args": {}}
    events = [
        {
            "cat": "Node",
            "pid": 7,
            "tid": 7,
            "dur": 40,
            "ts": 5 + turn,
            "ph": "X",
            "name": f"{op}_{turn}_kernel_time",
            "args": {"op_name": op, "provider": provider, "node_index": str(turn), "thread_scheduling_stats": ""},
        }
        for turn, (op, provider) in enumerate(nodes)
    ]
    return json.loads(json.dumps([session, fence, *events]))


ON_CUDA = recorded(
    ("MemcpyFromHost", "CUDAExecutionProvider"),
    ("LSTM", "CUDAExecutionProvider"),
    ("Gemm", "CUDAExecutionProvider"),
    ("MemcpyToHost", "CUDAExecutionProvider"),
)
ON_TENSORRT = recorded(
    ("TRTKernel_graph_main_graph_8842071559183722017_0", "TensorrtExecutionProvider"),
)
PARTLY = recorded(
    ("LSTM", "CUDAExecutionProvider"),
    ("Mod", "CPUExecutionProvider"),
    ("Mod", "CPUExecutionProvider"),
    ("OneHot", "CPUExecutionProvider"),
)


@pytest.mark.parametrize(("promised", "profile"), [(CUDA, ON_CUDA), (TENSORRT, ON_TENSORRT)], ids=["cuda", "tensorrt"])
def test_a_model_that_ran_there_whole_is_accepted(promised, profile):
    promised.require([promised.provider, "CPUExecutionProvider"], executed(profile))


def test_nodes_that_fell_back_are_named():
    with pytest.raises(Problem) as refused:
        CUDA.require(["CUDAExecutionProvider", "CPUExecutionProvider"], executed(PARTLY))
    assert refused.value.code == "runtime_missing"
    assert "onnxruntime-cuda is not on this device" in refused.value.message
    assert "2 Mod on CPUExecutionProvider, 1 OneHot on CPUExecutionProvider" in refused.value.message


def test_cuda_is_no_tensorrt():
    with pytest.raises(Problem, match="LSTM on CUDAExecutionProvider"):
        TENSORRT.require(["TensorrtExecutionProvider", "CUDAExecutionProvider"], executed(ON_CUDA))


def test_a_provider_whose_libraries_do_not_load_is_not_on_this_device():
    with pytest.raises(Problem, match="libraries that CUDAExecutionProvider needs do not load"):
        CUDA.require(["CPUExecutionProvider"], ())


def test_a_driver_that_finds_no_gpu_is_not_the_model_s_fault(monkeypatch):
    def start(*_given, **_named):  # recorded
        raise RuntimeError("CUDA failure 100: no CUDA-capable device is detected ; GPU=-1 ; hostname=board")

    monkeypatch.setattr(onnxruntime, "InferenceSession", start)
    with pytest.raises(Problem, match=r"onnxruntime-cuda is not on this device .*no CUDA-capable device"):
        CUDA.load("any model", 1)


def test_an_onnxruntime_without_the_provider_is_refused_before_any_model():
    for name in ("onnxruntime-cuda", "onnxruntime-tensorrt"):
        assert runtimes.find(name).version() is None
        with pytest.raises(Problem, match=rf"{name} is not on this device .*has only"):
            runtimes.find(name).prepare()


def test_a_build_with_the_provider_s_library_has_it():
    lies_in_every_build = Accelerator("any", "CPUExecutionProvider", "libonnxruntime_providers_shared.so")
    assert lies_in_every_build.version() == lies_in_every_build.prepare() == onnxruntime.__version__


@pytest.fixture
def lstm(tmp_path):
    path = tmp_path / "model"
    path.write_bytes(onnx_models.lstm())
    return str(path)


def test_a_session_that_would_run_on_the_cpu_does_not_start(lstm):
    promised = Accelerator("promised", "CPUExecutionProvider", "")  # a real session, told to avoid the CPU
    with pytest.raises(Problem, match=r"promised is not on this device .*would run on the CPU"):
        promised.load(lstm, 1)


def test_what_a_real_session_executed_is_read_from_its_profile(lstm, monkeypatch):
    monkeypatch.setattr(accelerator, "_STRICT", "session.a_key_of_a_later_version")
    loaded = Accelerator("promised", "CPUExecutionProvider", "").load(lstm, 1)
    assert loaded.provider == "CPUExecutionProvider"
    asked = []
    monkeypatch.setattr(Accelerator, "require", lambda _self, _registered, nodes: asked.extend(nodes))
    Accelerator("promised", "CPUExecutionProvider", "").load(lstm, 1)
    assert {"op": "LSTM", "provider": "CPUExecutionProvider"} in asked


def test_a_broken_model_is_not_blamed_on_the_device(tmp_path):
    (tmp_path / "model").write_bytes(b"no model")
    with pytest.raises(Exception, match="Protobuf parsing failed"):
        Accelerator("promised", "CPUExecutionProvider", "").load(str(tmp_path / "model"), 1)
