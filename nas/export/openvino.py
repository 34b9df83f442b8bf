"""A forecaster for OpenVINO: it reads our ONNX file, so what is exported here is that file, tried out in OpenVINO."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.errors import MissingExtra
from nas.export import onnx
from nas.export.artifact import OUTPUT, Arrays, Artifact, parity, require_faithful
from nas.models.forecaster import Forecaster


def export(model: Forecaster) -> Artifact:
    """Export a forecaster as ONNX that OpenVINO runs, in fp32.

    Raises:
        CandidateFault: OpenVINO computes something else than torch.
        MissingExtra: openvino is not installed here.
    """
    started = time.perf_counter()
    artifact = onnx.export(model)
    request = _request(artifact.model)
    difference = parity(model.eval(), lambda inputs: _forecast(request, inputs))
    require_faithful(difference, model.architecture)
    return replace(artifact, parity=difference, seconds=round(time.perf_counter() - started, 3))


def _request(model: bytes) -> Any:
    try:
        import openvino  # noqa: PLC0415 an extra
    except ImportError:
        raise MissingExtra(
            "Exporting for openvino needs the package openvino; install it with `pip install 'edge-nas[openvino]'`."
        ) from None
    core = openvino.Core()
    # Left to itself OpenVINO computes in bf16 where the processor can.
    compiled = core.compile_model(core.read_model(model), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return compiled.create_infer_request()


def _forecast(request: Any, inputs: Arrays) -> NDArray[np.float32]:
    result: NDArray[np.float32] = request.infer(dict(inputs))[OUTPUT].copy()
    return result
