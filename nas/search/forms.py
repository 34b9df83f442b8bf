"""The forms of a trained network: each precision exported, scored, and held on the devices against the trainer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.architecture import PRECISIONS, Architecture, has_int8
from nas.data.drawings import Drawing
from nas.data.panel import Panel
from nas.data.scorecard import Scorecard
from nas.data.split import Split
from nas.data.windows import Windows, evaluation
from nas.errors import CandidateFault
from nas.export.artifact import Artifact
from nas.export.store_slice import StoreSlice
from nas.export.targets import export, exporter_for, is_onnx, suffix
from nas.models.forecaster import Forecaster
from nas.models.shape import Shape
from nas.models.training import predict, restore
from nas.search.finish import Finished
from nas.search.trainer import judge
from nas.search.workshop import Workshop

VERIFIED_ROWS = 64
TOLERANCE = {"fp32": 1e-4, "int8": 5e-2}
"""Mean difference between the device and the trainer, relative to the mean forecast.

int8 rounds activations, and kernels for different processors round differently.
"""


@dataclass(frozen=True, slots=True)
class Form:
    """One trained model in one precision, with its accuracy and the trainer's own answers.

    ``onnx`` is the artifact itself, or beside an artifact for a runtime of another format the same network;
    ``weights`` is that network as safetensors. ``errors`` and ``drawings`` are of the test part; see ``Judged``.
    """

    weights: bytes
    artifact: Artifact
    onnx: bytes
    validation: Scorecard
    test: Scorecard
    errors: NDArray[np.float64]
    drawings: tuple[Drawing, ...]
    expected: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Verification:
    """The device's outputs against the trainer's (torch) on real windows."""

    device: str
    rows: int
    mean_difference: float
    largest_difference: float
    tolerance: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def forms_of(
    architecture: Architecture, made: Finished, shop: Workshop, quantiles: tuple[float, ...]
) -> dict[str, Form]:
    """Every precision that the architecture's runtime has, made on a worker."""
    precisions = PRECISIONS if has_int8(architecture.cell, architecture.runtime) else ("fp32",)
    with shop.working():
        return shop.cluster.call(
            trained_forms, architecture, made, shop.shared(), shop.split, precisions, quantiles, shop.store
        )


def trained_forms(  # a network, its data, and what of both is wanted
    architecture: Architecture,
    made: Finished,
    panel: Panel,
    split: Split,
    precisions: tuple[str, ...],
    quantiles: tuple[float, ...] = (),
    store: str | None = None,
) -> dict[str, Form]:
    """Runs on a worker: every precision of one trained network, scored; the test weeks are used here only.

    Args:
        panel: What it was trained on.
        store: Cut out this one, and judge by its series.
    """
    forms, shape, part = {}, Shape.of(panel, split.horizon, quantiles), StoreSlice.of(panel, store) if store else None
    own = part.panel if part else panel

    def restored(weights: bytes, precision: str) -> Forecaster:
        return restore(replace(architecture, precision=precision), shape, weights)

    def onnx_of(model: Forecaster) -> bytes:
        return exporter_for("onnxruntime")(model).model

    for precision in precisions:
        whole = restored(made.weights, precision)
        model, artifact = (part.forecaster(whole), part.export(whole)) if part else (whole, export(whole))
        expected = predict(model, verification_windows(own, split, architecture.window))
        portable = artifact.model if is_onnx(architecture.runtime) else onnx_of(model)
        judged = portable
        if made.validated is not None:  # it has seen the validation weeks since
            before = restored(made.validated, precision)
            judged = onnx_of(part.forecaster(before) if part else before)
        validation = judge(judged, architecture.window, own, split, "validation", shape.quantiles)
        test = judge(portable, architecture.window, own, split, "test", shape.quantiles)
        kept = part.weights(whole) if part else made.weights
        forms[precision] = Form(
            kept, artifact, portable, validation.card, test.card, test.errors, test.drawings, expected
        )
    return forms


def verification_windows(panel: Panel, split: Split, window: int) -> Windows:
    """The newest window of up to 64 series: real data for the comparison on the device."""
    newest = evaluation(panel, split.test_origins[-1:], window, split.horizon)
    names = newest.__dataclass_fields__
    return Windows(**{name: getattr(newest, name)[:VERIFIED_ROWS] for name in names})


def compiled(forms: Mapping[str, Form]) -> dict[str, bytes]:
    """What other runtimes than onnxruntime read, by file name."""
    runtimes = {precision: form.artifact.architecture.runtime for precision, form in forms.items()}
    return {
        f"model.{precision}{suffix(runtime)}": forms[precision].artifact.model
        for precision, runtime in runtimes.items()
        if not is_onnx(runtime)
    }


def verified(form: Form, shop: Workshop) -> dict[str, Verification]:
    """Run real windows on each device and hold its answers against the trainer's."""
    architecture = form.artifact.architecture
    threads, runtime, model = architecture.threads, architecture.runtime, form.artifact.model
    inputs = verification_windows(shop.own, shop.split, architecture.window).inputs()
    found = {}
    for device in shop.devices:
        outputs = shop.fleet.run(device, model, inputs, threads=threads, runtime=runtime)
        found[device] = _compared(device, outputs["forecast"], form)
    return found


def _compared(device: str, forecast: NDArray[np.float32], form: Form) -> Verification:
    precision = form.artifact.architecture.precision
    difference = np.abs(forecast - form.expected) / max(float(form.expected.mean()), 1e-9)
    tolerance = TOLERANCE[precision]
    mean, largest = float(difference.mean()), float(difference.max())
    if not mean <= tolerance:  # NaN fails too
        raise CandidateFault(
            f"On {device} the {precision} model differs from the trainer by {mean:.2g} of the mean forecast, expected "
            f"at most {tolerance:g}; do not deploy it, and check the runtime on that device."
        )
    return Verification(device, len(form.expected), mean, largest, tolerance)
