"""What a trial *is*: one architecture, frozen, with a digest. Standard library only."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from nas.errors import RequestError

CELLS = ("lstm", "gru")
HISTORIES = ("daily", "pooled")
FEATURES = ("calendar", "discount", "promotion", "profile")
DECODERS = ("effects", "plain")
PRECISIONS = ("fp32", "int8")
RUNTIMES = ("onnxruntime", "onnxruntime-cuda", "onnxruntime-tensorrt", "openvino", "executorch", "litert")


@dataclass(frozen=True, slots=True)
class Architecture:
    """One compact recurrent forecaster together with how it is deployed.

    Attributes:
        cell: Recurrent cell, ``lstm`` or ``gru``.
        layers: Stacked recurrent layers.
        hidden: Hidden units per layer.
        window: Lookback window in steps of the series: hours, days or weeks.
        history: ``daily`` leaves every step as it is; ``pooled`` takes means of the older ones (of daily
            sales: weekly means, then the last 14 days), see ``nas.frequency``.
        features: Feature groups that the network sees besides sales: ``calendar`` (inside
            the graph), ``discount`` (historic covariates), ``promotion`` (future-known
            covariates), ``profile`` (means over the window of the days alike, such as each weekday's).
        embedding: Width of the embedding of each static id; 0 leaves them out.
        head: Hidden width of the forecast head; 0 is one linear layer, which only decoder ``plain`` has.
        precision: ``fp32``, or ``int8`` weights quantized dynamically by the runtime.
        threads: Intra-op threads of the runtime on the device.
        runtime: Inference runtime on the device; ``onnxruntime`` alone is its CPU provider.
        decoder: ``effects`` lays down what is known of a day and leaves the rest to the encoder
            (``nas.models.effects``); ``plain`` leaves everything to it.
    """

    cell: str = "lstm"
    layers: int = 1
    hidden: int = 32
    window: int = 56
    history: str = "daily"
    features: tuple[str, ...] = ("calendar", "discount", "promotion", "profile")
    embedding: int = 8
    head: int = 32
    precision: str = "fp32"
    threads: int = 1
    runtime: str = "onnxruntime"
    decoder: str = "effects"

    def __post_init__(self) -> None:
        object.__setattr__(self, "features", tuple(sorted(self.features)))
        for problem in self._problems():
            raise RequestError(f"This architecture is not possible: {problem}.")

    def _problems(self) -> list[str]:
        found = []
        words = {"cell": CELLS, "history": HISTORIES, "precision": PRECISIONS, "runtime": RUNTIMES, "decoder": DECODERS}
        for name, allowed in words.items():
            if getattr(self, name) not in allowed:
                found.append(f"{name} is {getattr(self, name)!r}, expected one of {', '.join(allowed)}")
        if unknown := set(self.features) - set(FEATURES):
            found.append(f"unknown features {sorted(unknown)}, expected some of {', '.join(FEATURES)}")
        for name, least in (("layers", 1), ("hidden", 1), ("window", 2), ("embedding", 0), ("head", 0), ("threads", 1)):
            if getattr(self, name) < least:
                found.append(f"{name} is {getattr(self, name)}, expected at least {least}")
        if self.decoder == "effects" and self.head == 0:
            found.append("head is 0, expected at least 1 with decoder effects; only decoder plain is linear")
        if self.precision == "int8" and not has_int8(self.cell, self.runtime):
            found.append(f"{self.runtime} has no int8 {self.cell.upper()} kernel; use precision fp32")
        return found

    @property
    def digest(self) -> str:
        """SHA-256 over everything that makes this architecture what it is."""
        return _digest(self.to_dict())

    @property
    def network(self) -> Architecture:
        """The part that is trained: the same network whatever its precision, threads and runtime."""
        return replace(self, precision="fp32", threads=1, runtime="onnxruntime")

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; ``from_dict`` is its inverse."""
        return {**asdict(self), "features": list(self.features)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Architecture:
        """Build from JSON values.

        Raises:
            RequestError: An unknown key, or values that do not go together.
        """
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise RequestError(f"Unknown keys {unknown} in an architecture; expected some of {sorted(known)}.")
        return cls(**{**values, "features": tuple(values.get("features", FEATURES))})

    def __str__(self) -> str:
        size = f"{self.layers}x{self.hidden}"
        groups = "+".join(self.features) or "sales only"
        where = "" if self.runtime == "onnxruntime" else f", {self.runtime}"
        plain = "plain " if self.decoder == "plain" else ""
        return (
            f"{plain}{self.cell} {size}, {self.window} {self.history}, {groups}, "
            f"emb {self.embedding}, head {self.head}, {self.precision}, {self.threads} thr{where}"
        )


def has_int8(cell: str, runtime: str) -> bool:
    """Whether a runtime has an int8 kernel for a cell: only onnxruntime's CPU provider has one, for LSTM."""
    return (cell, runtime) == ("lstm", "onnxruntime")


def _digest(values: Mapping[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
