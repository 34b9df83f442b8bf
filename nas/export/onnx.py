"""A forecaster as an ONNX artifact: exported, stripped, quantized where asked, and compared with torch."""

from __future__ import annotations

import gc
import hashlib
import json
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import onnx_ir
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx_ir.passes.common import ClearMetadataAndDocStringPass
from torch.onnx import OnnxExporterError

from nas import __version__
from nas.architecture import Architecture
from nas.data.windows import INPUTS
from nas.errors import CandidateFault, ControllerFault
from nas.export.artifact import (
    ONE_AT_A_TIME,
    OUTPUT,
    Arrays,
    Artifact,
    example_request,
    parity,
    quiet,
    require_faithful,
)
from nas.export.recurrent import OPSET, with_operators
from nas.models.forecaster import Forecaster, example_inputs
from nas.models.shape import Shape

IR = 10
"""ONNX's format version, with opset 20 the newest that a device's runtime may have to read: onnxruntime
1.19.2, the last for Python 3.8 and 3.9 on aarch64, knows IR 10 and opset 21."""
TRIES = 3
_QUANTIZED_OPERATORS = ("LSTM", "MatMul", "Gather")


def export(model: Forecaster) -> Artifact:
    """Export a forecaster in the precision of its architecture.

    Raises:
        CandidateFault: The exported fp32 model does not compute what torch computes.
    """
    started = time.perf_counter()
    model = model.eval()
    fp32 = _stripped(_traced(model), model.architecture, model.shape)
    int8 = model.architecture.precision == "int8"
    data = _quantized(fp32) if int8 else fp32.SerializeToString()
    difference = parity(model, lambda inputs: forecast(data, inputs))
    if not int8:
        require_faithful(difference, model.architecture)
    seconds = round(time.perf_counter() - started, 3)
    return Artifact(model.architecture, data, example_request(model), graph_digest(data), difference, seconds)


def forecast(model: bytes, inputs: Arrays, threads: int = 1) -> NDArray[np.float32]:
    """Run an exported model here, ``[batch, horizon]`` in sales units."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    wanted = {spec.name for spec in session.get_inputs()}
    outputs = session.run([OUTPUT], {name: array for name, array in inputs.items() if name in wanted})
    result: NDArray[np.float32] = outputs[0]
    return result


def graph_digest(data: bytes) -> str:
    """SHA-256 over nodes, attributes, shapes and types; the values of float and int8 weights are left out."""
    model = onnx.load_from_string(data)
    weights = (onnx.TensorProto.FLOAT, onnx.TensorProto.INT8, onnx.TensorProto.UINT8)
    for tensor in model.graph.initializer:
        if tensor.data_type in weights:
            for field in ("raw_data", "float_data", "int32_data"):
                tensor.ClearField(field)
    del model.metadata_props[:]
    return hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest()


def _traced(model: Forecaster) -> onnx.ModelProto:
    """Torch's exporter fails once in a hundred times over what an earlier trace has left behind, so it may try again.

    Raises:
        ControllerFault: It failed each time.
    """
    for _ in range(TRIES - 1):
        with suppress(OnnxExporterError):
            return _program(model)
        gc.collect()
    try:
        return _program(model)
    except OnnxExporterError as error:
        reason = str(error.__cause__ or error).strip().partition("\n")[0]
        raise ControllerFault(f"torch could not export {model.architecture}: {reason:.200}") from error


def _program(model: Forecaster) -> onnx.ModelProto:
    # A batch of 1 would be frozen into the graph, so the example has two rows.
    arguments = example_inputs(model.architecture, model.shape, batch=2)
    batch = torch.export.Dim("batch")
    with ONE_AT_A_TIME, quiet():
        program = torch.onnx.export(
            with_operators(model),
            arguments,
            dynamo=True,
            dynamic_shapes=tuple({0: batch} for _ in arguments),
            input_names=list(INPUTS),
            output_names=[OUTPUT],
            opset_version=OPSET,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    return program.model_proto


def _stripped(model: onnx.ModelProto, architecture: Architecture, shape: Shape) -> onnx.ModelProto:
    """Without the exporter's notes (they hold local paths), with our own."""
    intermediate = onnx_ir.serde.deserialize_model(model)
    ClearMetadataAndDocStringPass()(intermediate)
    clean = onnx_ir.serde.serialize_model(intermediate)
    clean.ir_version = IR
    clean.producer_name, clean.producer_version = "edge-nas", __version__
    notes = {"architecture": architecture.to_dict(), "shape": shape.to_dict(), "digest": architecture.digest}
    onnx.helper.set_model_props(clean, {f"nas.{key}": json.dumps(value) for key, value in notes.items()})
    _assert_static_time(clean, architecture, shape)
    return clean


def _assert_static_time(model: onnx.ModelProto, architecture: Architecture, shape: Shape) -> None:
    """Only the batch may vary: the exporter has been seen to freeze or free axes silently."""
    expected = {"past": architecture.window, "future": shape.horizon, OUTPUT: shape.horizon}
    for value in (*model.graph.input, *model.graph.output):
        if value.name in expected:
            batch, days = value.type.tensor_type.shape.dim[:2]
            if not batch.dim_param or days.dim_value != expected[value.name]:
                raise CandidateFault(
                    f"The exporter gave {value.name} the shape [{batch.dim_param or batch.dim_value}, "
                    f"{days.dim_param or days.dim_value}], expected [batch, {expected[value.name]}] ({architecture})."
                )


def _quantized(model: onnx.ModelProto) -> bytes:
    """Weights as int8, activations quantized per request by the runtime (onnxruntime's dynamic quantization)."""
    from onnxruntime.quantization import QuantType, quantize_dynamic  # noqa: PLC0415 only int8 needs it

    with tempfile.TemporaryDirectory() as folder, quiet():
        target = Path(folder) / "int8.onnx"
        quantize_dynamic(model, target, op_types_to_quantize=list(_QUANTIZED_OPERATORS), weight_type=QuantType.QInt8)
        quantized = onnx.load(target)
    onnx.helper.set_model_props(quantized, {note.key: note.value for note in model.metadata_props})
    data: bytes = quantized.SerializeToString(deterministic=True)
    return data
