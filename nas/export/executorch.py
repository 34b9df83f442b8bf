"""A forecaster as an ExecuTorch program for batch 1, its arithmetic delegated to XNNPACK."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import metadata

import numpy as np
import torch
from numpy.typing import NDArray
from torch.export import ExportedProgram

from nas.data.windows import INPUTS
from nas.errors import CandidateFault, MissingExtra
from nas.export.artifact import OUTPUT, Arrays, Artifact, example_request, parity, quiet, require_faithful, rows
from nas.export.unrolled import captured, program_digest
from nas.models.forecaster import Forecaster


def export(model: Forecaster) -> Artifact:
    """Compile a forecaster for ExecuTorch, in fp32; it takes a few seconds per ten days of window.

    Raises:
        CandidateFault: It cannot be compiled, or computes something else than torch.
        MissingExtra: executorch is not installed here.
    """
    started = time.perf_counter()
    compile_program = _compiler()
    program = captured(model)
    try:
        with quiet():
            data = compile_program(program)
    except Exception as error:  # the compiler's own errors share no base class
        reason = str(error).strip().partition("\n")[0]
        raise CandidateFault(f"ExecuTorch cannot compile {model.architecture}: {reason:.200}") from error
    difference = parity(model.eval(), _loaded(data))
    require_faithful(difference, model.architecture)
    graph = program_digest(program, f"executorch {metadata.version('executorch')}")
    seconds = round(time.perf_counter() - started, 3)
    return Artifact(model.architecture, data, example_request(model), graph, difference, seconds)


def _compiler() -> Callable[[ExportedProgram], bytes]:
    """What makes a program's bytes of an exported program."""
    try:
        with quiet():
            from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner  # noqa: PLC0415
            from executorch.exir import to_edge_transform_and_lower  # noqa: PLC0415 an extra, and heavy
    except ImportError:
        raise MissingExtra(
            "Exporting for executorch needs the package executorch; "
            "install it with `pip install 'edge-nas[executorch]'`."
        ) from None

    def compile_program(program: ExportedProgram) -> bytes:
        # A program knows its inputs by position only: the agent asks these two methods for the names.
        names = {"input_names": ",".join(INPUTS), "output_names": OUTPUT}
        lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()], constant_methods=names)
        data: bytes = lowered.to_executorch().buffer
        return data

    return compile_program


def _loaded(data: bytes) -> Callable[[Arrays], NDArray[np.float32]]:
    """What forecasts with ExecuTorch here."""
    with quiet():
        from executorch.runtime import Runtime  # noqa: PLC0415 an extra

    program = Runtime.get().load_program(data)
    method = program.load_method("forward")

    def forecast(inputs: Arrays) -> NDArray[np.float32]:
        found = [method.execute([torch.from_numpy(row[name]) for name in INPUTS])[0] for row in rows(inputs)]
        return torch.cat(found).numpy()

    return forecast
