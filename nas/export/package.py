"""The student package: everything that a store needs, in one zip file with checksums."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nas import __version__
from nas.architecture import Architecture
from nas.data.panel import Panel
from nas.data.split import Split
from nas.export.calendar import calendar
from nas.export.card import model_card
from nas.export.tables import Tables, as_csv
from nas.models.shape import Shape
from nas.request import DataSpec

EXAMPLE_SERIES = 3
_EPOCH = (2000, 1, 1, 0, 0, 0)
"""Files in the zip carry one fixed time, so that the same student gives the same bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What one device said of the final forms.

    Attributes:
        measured: Precision -> measurement.
        verified: Precision -> the device's outputs against the trainer's.
    """

    measured: Mapping[str, Any]
    verified: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """What goes into a package.

    Attributes:
        data: What the columns of the sales table are called, and whose holidays and clock they follow.
        models: Precision -> ONNX file.
        compiled: File name -> what another runtime than onnxruntime reads; that is what was measured then.
        weights: safetensors of the fp32 network.
        checks: Device -> what it said of the final forms; the first one's is ``measurement.json``.
        scorecards: Precision -> part -> scorecard.
        beside: What else one could deploy: plain LSTM and baselines, on the test weeks.
        report: The report's files by name.
        training: The budget that it was trained with.
        origin: Search, trial, sampler and seed.
        distilled: The teacher's part in the training; None without a teacher.
    """

    name: str
    architecture: Architecture
    panel: Panel
    split: Split
    data: DataSpec
    models: Mapping[str, bytes]
    compiled: Mapping[str, bytes]
    weights: bytes
    checks: Mapping[str, Checked]
    scorecards: Mapping[str, Any]
    beside: Mapping[str, Any]
    report: Mapping[str, bytes]
    training: Mapping[str, Any]
    origin: Mapping[str, Any]
    distilled: Mapping[str, Any] | None = None

    @property
    def shape(self) -> Shape:
        """What the data and the training ask of the network."""
        return Shape.of(self.panel, self.split.horizon, tuple(self.training.get("quantiles", ())))


def pack(package: Package) -> bytes:
    """Return the package as a zip file; unpacked, everything lies in one folder of the package's name."""
    files = {
        **{f"model.{precision}.onnx": model for precision, model in package.models.items()},
        **package.compiled,
        "weights.safetensors": package.weights,
        "architecture.json": _json(_architecture(package)),
        "calendar.json": _json(calendar(package.panel, package.data)),
        **_measurements(package),
        "scorecard.json": _json({"forms": package.scorecards, "beside": package.beside}),
        **package.report,
        "recipe.json": _json(_recipe(package)),
        "README.md": model_card(package).encode(),
        "predict.py": Path(__file__).with_name("predict.py").read_bytes(),
        **_example(package),
    }
    sums = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(files.items()))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted({**files, "SHA256SUMS": sums.encode()}.items()):
            entry = zipfile.ZipInfo(f"{package.name}/{name}", _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o755 if name.endswith(".py") else 0o644) << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


def _measurements(package: Package) -> dict[str, bytes]:
    """``measurement.json`` is of the first device, ``measurement.jetson.json`` of another one named jetson."""
    first = next(iter(package.checks))
    return {
        "measurement.json" if device == first else f"measurement.{device}.json": _json(
            {"measured": check.measured, "verified": check.verified}
        )
        for device, check in package.checks.items()
    }


def _architecture(package: Package) -> dict[str, Any]:
    """The network, and how a sales table becomes its inputs."""
    tables, window = Tables(package.panel, package.data), package.architecture.window
    return {
        "made_by": f"edge-nas {__version__}",
        "architecture": package.architecture.to_dict(),
        "digest": package.architecture.digest,
        "shape": package.shape.to_dict(),
        "table": tables.reading(package.split, window, package.shape.quantiles),
        "models": {precision: f"model.{precision}.onnx" for precision in package.models},
        "origin": dict(package.origin),
    }


def _recipe(package: Package) -> dict[str, Any]:
    """How this student was trained: schedule, loss, and the teacher's part where it had one."""
    split = package.split
    end = split.steps - split.test if package.training.get("refit") else split.train_end
    return {
        "network": package.architecture.network.to_dict(),
        "schedule": {
            **package.training,
            "optimizer": "adamw",
            "gradient_clip": 1.0,
            "learning_rate_rule": "a warm-up of 5 % of all steps, then a cosine down to 0.5 % at max_epochs",
            "weights": "running mean over the steps, 0.995 of itself at each; the epoch best on validation",
        },
        "loss": {"of": "log(1 + sales), or sales with decoder plain", "weight": "sqrt(mean past sales + 1) of the row"},
        "teacher": (package.distilled or {}).get("teacher"),
        "distillation": package.distilled and dict(package.distilled),
        "data": {"panel": package.panel.digest, "train_end": str(package.panel.date(end))},
    }


def _example(package: Package) -> dict[str, bytes]:
    """The newest steps of a few series as CSV, in the form that predict.py reads."""
    panel, split, window = package.panel, package.split, package.architecture.window
    origin, tables = split.test_origins[-1], Tables(panel, package.data)
    chosen = [int(s) for s in np.argsort(-panel.y.sum(axis=1), kind="stable")[:EXAMPLE_SERIES]]
    past = [row for s in chosen for row in tables.history(s, range(max(0, origin - window), origin))]
    ahead = [row for s in chosen for row in tables.plans(s, range(origin, origin + split.horizon))]
    return {
        "example/history.csv": as_csv(tables.history_header, past),
        "example/future.csv": as_csv(tables.plans_header, ahead),
    }


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode()
