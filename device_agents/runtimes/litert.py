"""LiteRT (TensorFlow Lite): its interpreter with the XNNPACK delegate that it brings along."""

from __future__ import annotations

import base64
import zlib
from typing import Any, Dict, List, Optional

from device_agents.protocol import Problem
from device_agents.runtimes import InputSpec, installed, missing
from device_agents.runtimes.rows import is_for_one_row, open_batch, row_by_row

INSTALL = "python3 -m pip install ai-edge-litert"
IDENTITY_MODEL = zlib.decompress(
    base64.b64decode(
        "eNptkcFKxDAQhqda1iBlXXFRDzn04GEP4kXfQBCF9SLeQ3WjBttU2nTRi8/gg/gUnnwAD/sgHoX6J53iiga+zmSSmc78kUR0eTI9HFNKMQlK"
        "aERjxHZJBrsKjsAE7EeEc6IXsAdisEDsA3zCfwWRv+s/7I+Ctw6boHoMr6shQQo2QK2rubG3aqZvsiZ3IS/hfN+Dbds25v0TeF7aP4IVcMr9"
        "vONMcN874F7rB1W77CrXd3mprkuLjXX0xjU8rmq0n9zP73MF19wChbGqaqwzhVZzXdWmtIgOwiwDzu9m/L38XOfTs4v0uLTIc3p2gMgQuv6o"
        "PFzSVvKsfU9FZmxfK/rHyuBto54IanWv5tcaot21Cd8V/I/Nv1qrXr+I+Qq6xKGHb/jiRXY="
    )
)
"""A TensorFlow Lite flatbuffer: y = x with x float32 [1, 1]."""


class Model:
    """An interpreter; inputs and outputs go by the names of the model's one signature, else of its tensors."""

    def __init__(self, interpreter: Any) -> None:
        import numpy as np

        interpreter.allocate_tensors()
        self._interpreter = interpreter
        inputs, outputs = _named(interpreter)
        specs = [InputSpec(n, np.dtype(d["dtype"]).name, _shape(d)) for n, d in inputs.items()]
        self._one_row = is_for_one_row(specs)
        self._inputs = {name: detail["index"] for name, detail in inputs.items()}
        self._outputs = {name: detail["index"] for name, detail in outputs.items()}
        self.inputs: List[InputSpec] = open_batch(specs) if self._one_row else specs
        self.provider = _provider(interpreter)

    def run(self, inputs: Dict[str, Any]) -> Dict[str, Any]:
        return row_by_row(self._infer, inputs) if self._one_row else self._infer(inputs)

    def _infer(self, inputs: Dict[str, Any]) -> Dict[str, Any]:
        for name, index in self._inputs.items():
            self._interpreter.set_tensor(index, inputs[name])
        self._interpreter.invoke()
        return {name: self._interpreter.get_tensor(index) for name, index in self._outputs.items()}


def _named(interpreter: Any) -> Any:
    signatures = list(interpreter.get_signature_list())
    if len(signatures) == 1:
        runner = interpreter.get_signature_runner(signatures[0])
        return runner.get_input_details(), runner.get_output_details()
    details = interpreter.get_input_details(), interpreter.get_output_details()
    return tuple({tensor["name"]: tensor for tensor in side} for side in details)


def _shape(detail: Dict[str, Any]) -> Any:
    return tuple(int(size) for size in detail["shape"])


def _provider(interpreter: Any) -> str:
    """Whether the delegate took nodes over: XNNPACK leaves some integer operators to the interpreter's kernels."""
    operators = {operator["op_name"] for operator in interpreter._get_ops_details()}  # noqa: SLF001 # the only way
    return "XNNPACK" if "DELEGATE" in operators else "built-in kernels"


def version() -> Optional[str]:
    return installed("ai-edge-litert")


def prepare() -> str:
    try:
        import ai_edge_litert.interpreter  # noqa: F401 # imported ahead of the fork, so that no child pays for it
    except ImportError as error:
        raise missing("litert", error, INSTALL) from None
    return str(version())


def load(path: str, threads: int) -> Model:
    from ai_edge_litert.interpreter import Interpreter

    try:
        return Model(Interpreter(path, num_threads=threads))
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise Problem("model_failed", "LiteRT cannot load the model: %.200s." % reason.rstrip(".")) from error
