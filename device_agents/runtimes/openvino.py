"""OpenVINO on the CPU: one stream, as many threads as asked, fp32 all the way."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from device_agents.protocol import Problem
from device_agents.runtimes import InputSpec, installed, missing
from device_agents.runtimes.onnxruntime import IDENTITY_MODEL as ONNX_IDENTITY

INSTALL = "python3 -m pip install openvino"
IDENTITY_MODEL = ONNX_IDENTITY
"""OpenVINO reads ONNX."""


class Model:
    """A compiled model with one inference request.

    Args:
        used: Names of the inputs that the graph reads: the others are listed, but refused as unknown.
    """

    def __init__(self, compiled: Any, used: List[str]) -> None:
        self._request = compiled.create_infer_request()
        self._used = used
        self._outputs = [(index, port.any_name) for index, port in enumerate(compiled.outputs)]
        self.inputs: List[InputSpec] = [_spec(port) for port in compiled.inputs]
        self.provider = "+".join(compiled.get_property("EXECUTION_DEVICES"))

    def run(self, inputs: Dict[str, Any]) -> Dict[str, Any]:
        found = self._request.infer({name: inputs[name] for name in self._used})
        return {name: found[index] for index, name in self._outputs}


def _spec(port: Any) -> InputSpec:
    shape = tuple(size.get_length() if size.is_static else None for size in port.partial_shape)
    return InputSpec(port.any_name, port.element_type.to_dtype().name, shape)


def version() -> Optional[str]:
    return installed("openvino")


def prepare() -> str:
    try:
        import numpy  # noqa: F401, ICN001 # imported ahead of the fork, so that no child pays for it
        import openvino  # noqa: F401 # likewise
    except ImportError as error:
        raise missing("openvino", error, INSTALL) from None
    return str(version())


def load(path: str, threads: int) -> Model:
    import openvino

    core = openvino.Core()
    properties = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        # Left to itself it computes in bf16 or fp16 on processors that can, and answers differ by board.
        "INFERENCE_PRECISION_HINT": "f32",
        # The fork server has chosen the cores already.
        "ENABLE_CPU_PINNING": False,
    }
    try:
        model = core.read_model(path)
        used = [port.any_name for port in model.inputs if port.get_target_inputs()]
        return Model(core.compile_model(model, "CPU", properties), used)
    except RuntimeError as error:
        # The lines before the last name OpenVINO's own source files.
        reason = [line for line in str(error).splitlines() if line.strip()][-1].partition(" Please ")[0]
        raise Problem("model_failed", "OpenVINO cannot load the model: %.200s." % reason.strip(" .")) from error
