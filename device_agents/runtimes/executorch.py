"""ExecuTorch: programs compiled ahead of time, their arithmetic in XNNPACK, on a thread pool of the size asked for."""

from __future__ import annotations

import base64
import zlib
from typing import Any, Dict, List, Optional

from device_agents.protocol import Problem
from device_agents.runtimes import InputSpec, installed, missing
from device_agents.runtimes.rows import is_for_one_row, open_batch, row_by_row

INSTALL = "python3 -m pip install executorch torch"
IDENTITY_MODEL = zlib.decompress(
    base64.b64decode(
        "eNqtkzFOwzAUhl9LCKXNUCpUdcgQWR0YKtQyAWKEjYGhW1VVJQlqpJBGrSNaQe/BwAkYOAMHYOAEDNyjMc+xA25oJJCa6MtT3rN/279tEwAu"
        "up0jDFCFBn73MRpQAg0jgIm0kTOFEr6AdfEFKMDqU0ja8JqW1NNni+sVRQOe12PGmhhbCpfIlSREXtfop2Nwjc8lYwbGlGybbHuNMVYSKf0Z"
        "+6bznyOPS1E7R06QXqdl3RM6D11yagWR77csYo8D6s6okhh5vjNxg8E0dG1M9/qLvjIun9M4omFEB8Hw1p3yXCzX3Vbg6+1KHpC3nHWra/mI"
        "/752I9kTAypy31IPXuIfD2bIU7x5DyqIF6gW1OEAmmDh6Woo562OFe7LsYKDjBAfeZfnp6hoV3P8Efnyt3ZZ8SnPq8Ivv8qwK/3iNwO2a1CD"
        "vaQq/NPwn98YUTcTR/VkPF3qFKWgPPbybog5pfuwCa/jbH9yHXk+9YLpIY1C3yUrWoSLkXVqG+v/n/kv1s7b8WyaGbbXJ3kSaMIOenAzntwN"
        "Jw58AbhfzMc="
    )
)
"""A program of ExecuTorch 1.5: y = x with x float32 [1, 1]."""

_DELEGATE = "XnnpackBackend"
_DTYPES = {
    0: "uint8",
    1: "int8",
    2: "int16",
    3: "int32",
    4: "int64",
    5: "float16",
    6: "float32",
    7: "float64",
    11: "bool",
}
"""ExecuTorch's numbers of the scalar types (executorch/runtime/core/portable_type/scalar_type.h)."""


class Model:
    """A program with its method ``forward``.

    A program knows its inputs by position only, so ours carry two methods that return the names,
    joined by commas; in another program they are called input_0, output_0 and so on.
    """

    def __init__(self, program: Any, provider: str) -> None:
        import torch

        self._program = program  # owns the memory that the method works in
        self._method = program.load_method("forward")
        meta = self._method.method_meta()
        self._tensor = torch.from_numpy
        self._outputs = _names(program, "output", meta.num_outputs())
        tensors = [meta.input_tensor_meta(index) for index in range(meta.num_inputs())]
        specs = [
            InputSpec(name, _dtype(name, tensor), tuple(tensor.sizes()))
            for name, tensor in zip(_names(program, "input", len(tensors)), tensors)  # noqa: B905 # strict is of 3.10
        ]
        self._one_row = is_for_one_row(specs)
        self._order = [spec.name for spec in specs]
        self.inputs: List[InputSpec] = open_batch(specs) if self._one_row else specs
        self.provider = provider

    def run(self, inputs: Dict[str, Any]) -> Dict[str, Any]:
        return row_by_row(self._infer, inputs) if self._one_row else self._infer(inputs)

    def _infer(self, inputs: Dict[str, Any]) -> Dict[str, Any]:
        found = self._method([self._tensor(inputs[name]) for name in self._order])
        return {name: tensor.numpy() for name, tensor in zip(self._outputs, found)}  # noqa: B905 # likewise


def _names(program: Any, kind: str, count: int) -> List[str]:
    methods = [program.get_method_name(index) for index in range(program.num_methods())]
    if kind + "_names" not in methods:
        return ["%s_%d" % (kind, index) for index in range(count)]
    (names,) = program.load_method(kind + "_names")([])
    return [name for name in names.split(",") if name]


def _dtype(name: str, tensor: Any) -> str:
    if tensor.dtype() not in _DTYPES:
        message = "The input %s has ExecuTorch's scalar type %s; expected a tensor of numbers."
        raise Problem("model_failed", message % (name, tensor.dtype()))
    return _DTYPES[tensor.dtype()]


def version() -> Optional[str]:
    return installed("executorch")


def prepare() -> str:
    try:
        _library()
    except ImportError as error:
        raise missing("executorch", error, INSTALL) from None
    return str(version())


def load(path: str, threads: int) -> Model:
    library = _library()
    library._unsafe_reset_threadpool(threads)  # noqa: SLF001 # the only way; safe, as nothing has run here yet
    with open(path, "rb") as file:
        delegated = _DELEGATE.encode() in file.read()
    try:
        program = library._load_program(path)  # noqa: SLF001 # what the documented module re-exports
        return Model(program, _DELEGATE if delegated else "portable kernels")
    except RuntimeError as error:
        raise Problem("model_failed", "ExecuTorch cannot load the program: %.200s." % error) from error


def _library() -> Any:
    """Import the runtime alone: its documented module imports the whole compiler, 140 MB and some seconds of it."""
    import torch  # noqa: F401 # brings the libraries that the next line links to
    from executorch.extension.pybindings import _C

    return _C
