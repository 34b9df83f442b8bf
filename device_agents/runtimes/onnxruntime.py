"""onnxruntime: sequential, as many intra-op threads as asked, none of them spinning; here on the CPU."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from device_agents.protocol import Problem
from device_agents.runtimes import InputSpec, installed, missing

INSTALL = "python3 -m pip install onnxruntime"
CPU = "CPUExecutionProvider"
DISTRIBUTIONS = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino")
"""The packages that bring the module ``onnxruntime``; they differ in the providers inside."""
IDENTITY_MODEL = (
    b'\x08\x08:F\n\x10\n\x01x\x12\x01y"\x08Identity\x12\x08identityZ\x13\n\x01x\x12\x0e\n\x0c\x08\x01\x12\x08\n'
    b"\x02\x08\x01\n\x02\x08\x01b\x13\n\x01y\x12\x0e\n\x0c\x08\x01\x12\x08\n\x02\x08\x01\n\x02\x08\x01B\x04\n\x00\x10\r"
)
"""ONNX, IR 8, opset 13: y = Identity(x) with x float32 [1, 1]."""

_DTYPES = {
    "float": "float32",
    "double": "float64",
    "float16": "float16",
    "bool": "bool",
    **{sign + "int" + bits: sign + "int" + bits for sign in ("", "u") for bits in ("8", "16", "32", "64")},
}


class Model:
    """An inference session with its input specs."""

    def __init__(self, session: Any, provider: str = CPU) -> None:
        self._run = session.run
        self.provider = str(session.get_providers()[0])
        self._outputs = [output.name for output in session.get_outputs()]
        self.inputs: List[InputSpec] = [_spec(node) for node in session.get_inputs()]
        self.provider = provider

    def run(self, inputs: Dict[str, Any]) -> Dict[str, Any]:
        return dict(zip(self._outputs, self._run(self._outputs, inputs)))  # noqa: B905 # strict is of Python 3.10


def _spec(node: Any) -> InputSpec:
    dtype = node.type[len("tensor(") : -1]
    if dtype not in _DTYPES:
        raise Problem("model_failed", "The input %s is a %s; expected a tensor of numbers." % (node.name, node.type))
    return InputSpec(node.name, _DTYPES[dtype], tuple(size if isinstance(size, int) else None for size in node.shape))


def version() -> Optional[str]:
    return next(filter(None, map(installed, DISTRIBUTIONS)), None)


def prepare() -> str:
    try:
        import numpy  # noqa: F401, ICN001 # imported ahead of the fork, so that no child pays for it
        import onnxruntime
    except ImportError as error:
        raise missing("onnxruntime", error, INSTALL) from None
    onnxruntime.set_default_logger_severity(4)
    return str(onnxruntime.__version__)


def session_options(threads: int) -> Any:
    """Return the options that every provider shares."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    # A waiting thread that spins burns a core beside the measurement, and a store's other work.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def load(path: str, threads: int) -> Model:
    import onnxruntime

    return Model(onnxruntime.InferenceSession(path, session_options(threads), providers=[CPU]))
