"""A forecaster for OpenVINO: it reads our ONNX file, so what is exported here is that file, tried out in OpenVINO."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

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
    forecast = _compiled(artifact.model)
    difference = parity(model.eval(), forecast)
    require_faithful(difference, model.architecture)
    return replace(artifact, parity=difference, seconds=round(time.perf_counter() - started, 3))


def _compiled(data: bytes) -> Callable[[Arrays], NDArray[np.float32]]:
    """What forecasts with OpenVINO here."""
    try:
        import openvino  # noqa: PLC0415 an extra
    except ImportError:
        raise MissingExtra(
            "Exporting for openvino needs the package openvino; install it with `pip install 'edge-nas[openvino]'`."
        ) from None
    core = openvino.Core()
    model = core.read_model(data)
    # An input that the graph does not read is listed, but refused as unknown.
    used = [port.any_name for port in model.inputs if port.get_target_inputs()]
    # Left to itself OpenVINO computes in bf16 where the processor can.
    request = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}).create_infer_request()

    def forecast(inputs: Arrays) -> NDArray[np.float32]:
        result: NDArray[np.float32] = request.infer({name: inputs[name] for name in used})[OUTPUT].copy()
        return result

    return forecast
