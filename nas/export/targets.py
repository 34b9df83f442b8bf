"""Which exporter makes what a runtime reads: one per runtime, imported when it is first needed."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import torch

from nas.architecture import RUNTIMES, Architecture
from nas.export.artifact import Artifact
from nas.models.forecaster import Forecaster, build
from nas.models.shape import Shape

_MODULES = {runtime: runtime.partition("-")[0].replace("onnxruntime", "onnx") for runtime in RUNTIMES}
_SUFFIXES = {"onnx": ".onnx", "openvino": ".onnx", "executorch": ".pte", "litert": ".tflite"}


def exporter_for(runtime: str) -> Callable[[Forecaster], Artifact]:
    """The exporter for a runtime; onnxruntime's providers share one.

    The exporter raises ``MissingExtra`` where its packages are not installed.
    """
    exporter: Callable[[Forecaster], Artifact] = importlib.import_module(f"nas.export.{_MODULES[runtime]}").export
    return exporter


def export(model: Forecaster) -> Artifact:
    """Export a forecaster for the runtime and in the precision of its architecture.

    Raises:
        CandidateFault: It cannot be exported faithfully.
        MissingExtra: The runtime's exporter is not installed here.
    """
    return exporter_for(model.architecture.runtime)(model)


def export_untrained(architecture: Architecture, shape: Shape) -> Artifact:
    """Export with random weights: latency and memory do not depend on them."""
    torch.manual_seed(0)
    return export(build(architecture, shape))


def suffix(runtime: str) -> str:
    """File name suffix of a runtime's models."""
    return _SUFFIXES[_MODULES[runtime]]


def is_onnx(runtime: str) -> bool:
    """Whether a runtime reads ONNX files."""
    return suffix(runtime) == ".onnx"
