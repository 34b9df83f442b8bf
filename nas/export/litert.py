"""A forecaster as a LiteRT model for batch 1, converted by litert-torch in an environment of its own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.export import ExportedProgram

from nas.errors import CandidateFault, MissingExtra
from nas.export.artifact import OUTPUT, Arrays, Artifact, example_request, parity, quiet, require_faithful, rows
from nas.export.unrolled import captured, program_digest
from nas.models.forecaster import Forecaster
from nas.settings import Settings

DEADLINE_S = 900.0
_WORKER = Path(__file__).with_name("litert_converter.py")


def export(model: Forecaster) -> Artifact:
    """Convert a forecaster for LiteRT, in fp32; the converter takes 10 s to start.

    Raises:
        CandidateFault: It cannot be converted, or computes something else than torch.
        MissingExtra: ai-edge-litert or the converter's environment is not installed here.
    """
    started = time.perf_counter()
    interpreter, python = _interpreter(), _converter_python()
    program = captured(model)
    data, version = _converted(program, python, str(model.architecture))
    runner = interpreter(model_content=data, num_threads=1)
    difference = parity(model.eval(), lambda inputs: _forecast(runner, inputs))
    require_faithful(difference, model.architecture)
    seconds = round(time.perf_counter() - started, 3)
    graph = program_digest(program, f"litert-torch {version}")
    return Artifact(model.architecture, data, example_request(model), graph, difference, seconds)


def _interpreter() -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415 an extra
    except ImportError:
        raise MissingExtra(
            "Exporting for litert needs the package ai-edge-litert; install it with `pip install 'edge-nas[litert]'`."
        ) from None
    return Interpreter


def _converter_python() -> Path:
    chosen = Settings.from_environment().litert_python
    python = Path(chosen) if chosen else Path(sys.prefix).with_name(".venv-litert") / "bin" / "python"
    if not python.is_file():
        raise MissingExtra(
            f"Exporting for litert needs litert-torch in an environment of its own, and there is no {python}; "
            "run `make litert`, or let NAS_LITERT_PYTHON name the Python of one that has it."
        )
    return python


def _converted(program: ExportedProgram, python: Path, architecture: str) -> tuple[bytes, str]:
    """The model's bytes and the converter's version."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with quiet():
            torch.export.save(program, folder / "program.pt2")
        # -I: neither this process's modules nor the current folder's may stand in for the converter's own.
        command = [str(python), "-I", str(_WORKER), str(folder / "program.pt2"), name]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)  # noqa: S603 the user's own Python
        except subprocess.TimeoutExpired:
            raise CandidateFault(
                f"LiteRT's converter did not finish within {DEADLINE_S:g} s; use a shorter window ({architecture})."
            ) from None
        if done.returncode != 0:
            reason = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            if "ModuleNotFoundError" in reason:
                raise MissingExtra(f"{python} has no litert-torch ({reason:.100}); run `make litert` again.")
            raise CandidateFault(f"LiteRT's converter cannot convert {architecture}: {reason:.200}")
        return (folder / "model.tflite").read_bytes(), (folder / "version").read_text(encoding="utf-8")


def _forecast(interpreter: Any, inputs: Arrays) -> NDArray[np.float32]:
    run = interpreter.get_signature_runner()
    wanted = set(run.get_input_details())
    found = [run(**{name: array for name, array in row.items() if name in wanted})[OUTPUT] for row in rows(inputs)]
    return np.concatenate(found)
