"""Making a student of a trial: export, measure in its final form, verify on the device, score, pack."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nas.architecture import PRECISIONS, Architecture, has_int8
from nas.cluster import Cluster
from nas.data.panel import Panel
from nas.data.scorecard import Scorecard
from nas.data.split import Split
from nas.data.windows import Windows, evaluation
from nas.devices.fleet import Fleet
from nas.devices.measurement import Measurement
from nas.errors import CandidateFault, Conflict, DeviceBusy
from nas.export.artifact import Artifact
from nas.export.package import Checked, Package, pack
from nas.export.store_slice import StoreSlice
from nas.export.targets import export, exporter_for, is_onnx, suffix
from nas.models.shape import Shape
from nas.models.training import predict, restore
from nas.request import SearchRequest, Training
from nas.search.objectives import costs
from nas.search.study import trial_seed
from nas.search.trainer import Trained, judge, train_and_score
from nas.store.rows import Job, Trial

PLAIN = Architecture(
    cell="lstm",
    layers=1,
    hidden=128,
    window=56,
    features=("calendar", "discount", "promotion"),
    embedding=0,
    head=0,
    decoder="plain",
)
"""What a user would deploy without a search: one LSTM layer of 128 units, trained alike."""
VERIFIED_ROWS = 64
TOLERANCE = {"fp32": 1e-4, "int8": 5e-2}
"""Mean difference between the device and the trainer, relative to the mean forecast.

int8 rounds activations, and kernels for different processors round differently.
"""


@dataclass(frozen=True, slots=True)
class Workshop:
    """What a student is made with: data, cluster, devices, and a way to tell how far it is.

    Attributes:
        store: Pack this store alone; None: all of them.
    """

    panel: Panel
    split: Split
    cluster: Cluster
    fleet: Fleet
    devices: tuple[str, ...]
    alone: Callable[[Mapping[str, Any]], AbstractContextManager[None]]
    working: Callable[[], AbstractContextManager[None]]
    tell: Callable[[str], None]
    beside_load: bool
    store: str | None = None

    @property
    def own(self) -> Panel:
        """What a student is judged and verified on: the whole panel, or its store's part."""
        return StoreSlice.of(self.panel, self.store).panel if self.store else self.panel


@dataclass(frozen=True, slots=True)
class Form:
    """One trained model in one precision, with its accuracy and the trainer's own answers.

    ``onnx`` is the artifact itself, or beside an artifact for a runtime of another format the same network;
    ``weights`` is that network as safetensors.
    """

    weights: bytes
    artifact: Artifact
    onnx: bytes
    validation: Scorecard
    test: Scorecard
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


def make_student(
    job: Job, trial: Trial, weights: bytes, request: SearchRequest, shop: Workshop, plain: dict[str, Any] | None
) -> tuple[bytes, dict[str, Any]]:
    """Export, measure, verify, compare and pack one trial.

    Args:
        plain: The plain LSTM's figures from an earlier student of this search on the same devices.

    Returns:
        The package as a zip file, and what to show of it.

    Raises:
        CandidateFault: A device computes something else than the trainer.
        DeviceFault: A device cannot be used.
    """
    architecture = Architecture.from_dict(trial.architecture)
    shop.tell("export")
    forms = _forms(architecture, weights, shop)
    shop.tell("measure and verify")
    measured = {precision: _measured(form, shop) for precision, form in forms.items()}
    verified = {precision: _verified(form, shop) for precision, form in forms.items()}
    checks = {
        device: Checked(
            measured={precision: found[device].to_dict() for precision, found in measured.items()},
            verified={precision: found[device].to_dict() for precision, found in verified.items()},
        )
        for device in shop.devices
    }
    if plain is None:
        shop.tell("train the plain LSTM beside it")
        plain = _plain(request, shop)
    chosen = architecture.precision
    winner = {**_figures(forms[chosen].test, measured[chosen]), "parameters": (trial.training or {}).get("parameters")}
    beside = {"student": winner, "plain_lstm": plain, **_baselines(forms[chosen].test)}
    shop.tell("pack")
    package = Package(
        name=f"student-{job.id}",
        architecture=architecture,
        panel=shop.own,
        split=shop.split,
        data=request.data,
        models={precision: form.onnx for precision, form in forms.items()},
        compiled=_compiled(forms),
        weights=forms[chosen].weights,
        checks=checks,
        scorecards={p: {"validation": f.validation.to_dict(), "test": f.test.to_dict()} for p, f in forms.items()},
        beside=beside,
        training=request.training.model_dump(),
        origin={"search": job.search_id, "trial": job.trial, "sampler": request.sampler, "seed": request.seed},
    )
    result = {
        "architecture": architecture.to_dict(),
        "devices": list(shop.devices),
        "precision": chosen,
        "store": shop.store,
        "beside": beside,
        "verification": {device: check.verified for device, check in checks.items()},
    }
    return pack(package), result


def trained_forms(  # a network, its data, and what of both is wanted
    architecture: Architecture,
    weights: bytes,
    panel: Panel,
    split: Split,
    precisions: tuple[str, ...],
    store: str | None = None,
) -> dict[str, Form]:
    """Runs on a worker: every precision of one trained network, scored; the test weeks are used here only.

    Args:
        panel: What it was trained on.
        store: Cut out this one, and judge by its series.
    """
    forms, part = {}, StoreSlice.of(panel, store) if store else None
    own = part.panel if part else panel
    for precision in precisions:
        whole = restore(replace(architecture, precision=precision), Shape.of(panel, split.horizon), weights)
        model, artifact = (part.forecaster(whole), part.export(whole)) if part else (whole, export(whole))
        expected = predict(model, verification_windows(own, split, architecture.window))
        portable = artifact.model if is_onnx(architecture.runtime) else exporter_for("onnxruntime")(model).model
        cards = [judge(portable, architecture.window, own, split, each) for each in ("validation", "test")]
        kept = part.weights(whole) if part else weights
        forms[precision] = Form(kept, artifact, portable, cards[0], cards[1], expected)
    return forms


def verification_windows(panel: Panel, split: Split, window: int) -> Windows:
    """The newest window of up to 64 series: real data for the comparison on the device."""
    newest = evaluation(panel, split.test_origins[-1:], window, split.horizon)
    names = newest.__dataclass_fields__
    return Windows(**{name: getattr(newest, name)[:VERIFIED_ROWS] for name in names})


def require_scored(trial: Trial) -> str:
    """The weights' digest of a trial that can become a student.

    Raises:
        Conflict: It was never trained and scored.
    """
    if trial.weights is None or trial.stage != "scored":
        raise Conflict(
            f"Trial {trial.number} of search {trial.search_id} is {trial.stage}, so it has no trained weights; "
            f"choose one that `nas front {trial.search_id}` shows."
        )
    return trial.weights


def _forms(architecture: Architecture, weights: bytes, shop: Workshop) -> dict[str, Form]:
    precisions = PRECISIONS if has_int8(architecture.cell, architecture.runtime) else ("fp32",)
    panel = shop.cluster.share(shop.panel.digest, shop.panel)
    with shop.working():
        return shop.cluster.call(trained_forms, architecture, weights, panel, shop.split, precisions, shop.store)


def _measured(form: Form, shop: Workshop) -> dict[str, Measurement]:
    """Device -> what it says of the final form."""
    artifact, found = form.artifact, {}
    for device in shop.devices:
        with shop.alone(shop.fleet.facts(device)):
            found[device] = shop.fleet.measure(
                device,
                artifact.model,
                artifact.inputs,
                threads=artifact.architecture.threads,
                runtime=artifact.architecture.runtime,
                tier="thorough",
                beside_load=shop.beside_load,
            )
        if found[device].verdict == "rejected":
            raise DeviceBusy("; ".join([f"The device {device} was not fit to be measured", *found[device].reasons]))
    return found


def _compiled(forms: Mapping[str, Form]) -> dict[str, bytes]:
    """What other runtimes than onnxruntime read, by file name."""
    runtimes = {precision: form.artifact.architecture.runtime for precision, form in forms.items()}
    return {
        f"model.{precision}{suffix(runtime)}": forms[precision].artifact.model
        for precision, runtime in runtimes.items()
        if not is_onnx(runtime)
    }


def _verified(form: Form, shop: Workshop) -> dict[str, Verification]:
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


def train_alone(panel: Panel, split: Split, budget: Training, seed: int, threads: int) -> Trained:
    """Runs on a worker that has the cores of all others: the plain LSTM is the largest network of all."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return train_and_score(PLAIN, panel, split, budget, seed, None)
    finally:
        torch.set_num_threads(before)


def _plain(request: SearchRequest, shop: Workshop) -> dict[str, Any]:
    """The plain LSTM, trained with the same budget on the same weeks, measured on the same devices."""
    panel, seed = shop.cluster.share(shop.panel.digest, shop.panel), trial_seed(request.seed, 0)
    with shop.working():
        workers = shop.cluster.workers
        trained = shop.cluster.call(train_alone, panel, shop.split, request.training, seed, workers)
    forms = _forms(PLAIN, trained.learned.weights, shop)
    figures = _figures(forms["fp32"].test, _measured(forms["fp32"], shop))
    return {**figures, "parameters": trained.learned.training["parameters"]}


def _figures(test: Scorecard, measured: Mapping[str, Measurement]) -> dict[str, Any]:
    return {**test.overall, **costs(measured)}


def _baselines(test: Scorecard) -> dict[str, Any]:
    return {name: dict(figures) for name, figures in test.baselines.items()}
