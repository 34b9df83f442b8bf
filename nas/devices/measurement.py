"""What a real device said about one model: the certificate that travels with a candidate."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from device_agents.protocol import VERSION
from nas.errors import ControllerFault


@dataclass(frozen=True, slots=True)
class Percentile:
    """A latency percentile with its distribution-free 95 % interval, in milliseconds."""

    ms: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measurement of one model at batch 1 on one device.

    Attributes:
        device: Name of the device.
        tier: ``screening`` or ``thorough``.
        model_sha: SHA-256 of the measured file.
        runtime: Runtime that ran it; its version stands in the fingerprint.
        threads: Intra-op threads of the runtime.
        file_size_kb: Size of the measured file in kB (1000 bytes).
        p50: Median latency, or None below its floor of 11 samples.
        p95: 95th percentile, or None below its floor of 130 samples.
        p99: 99th percentile, or None below its floor of 662 samples.
        samples_ns: Every timed inference in order, in nanoseconds.
        peak_memory_mb: Highest resident memory of the measuring process, in MB (10^6 bytes).
        model_memory_mb: The same minus what an identity model takes in the same runtime.
        verdict: ``valid`` or ``degraded``.
        reasons: Why it is degraded; empty when valid.
        fingerprint: What was measured on: board, kernel, governor, runtime version and so on.
        load_s: Seconds to load the model.
        warmup_s: Seconds of warm-up.
        timed_s: Seconds of timed inferences.
        reply_s: Seconds from the request (sending the model included) to the reply.
    """

    device: str
    tier: str
    model_sha: str
    runtime: str
    threads: int
    file_size_kb: float
    p50: Percentile | None
    p95: Percentile | None
    p99: Percentile | None
    samples_ns: tuple[int, ...]
    peak_memory_mb: float
    model_memory_mb: float
    verdict: str
    reasons: tuple[str, ...]
    fingerprint: Mapping[str, Any]
    load_s: float
    warmup_s: float
    timed_s: float
    reply_s: float

    @property
    def cacheable(self) -> bool:
        """Only a valid measurement may stand for a later one."""
        return self.verdict == "valid"

    @property
    def overhead_s(self) -> float:
        """Seconds of the reply that were neither warm-up nor timed inferences."""
        return self.reply_s - self.warmup_s - self.timed_s

    def interval(self, name: str) -> tuple[float, float] | None:
        """Return the interval of a metric, a single point for memory and size; None when it was not measurable.

        Raises:
            KeyError: ``name`` is not one of ``nas.request.COSTS``.
        """
        latency = {"latency_p50_ms": self.p50, "latency_p95_ms": self.p95}
        if name in latency:
            percentile = latency[name]
            return None if percentile is None else (percentile.low, percentile.high)
        value = {"peak_memory_mb": self.peak_memory_mb, "size_kb": self.file_size_kb}[name]
        return (value, value)

    def metric(self, name: str) -> float | None:
        """Return the value of a metric; None when it was not measurable.

        Raises:
            KeyError: ``name`` is not one of ``nas.request.COSTS``.
        """
        latency = {"latency_p50_ms": self.p50, "latency_p95_ms": self.p95}
        if name in latency:
            percentile = latency[name]
            return None if percentile is None else percentile.ms
        return {"peak_memory_mb": self.peak_memory_mb, "size_kb": self.file_size_kb}[name]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; ``from_dict`` is its inverse."""
        return {
            **asdict(self),
            "samples_ns": list(self.samples_ns),
            "reasons": list(self.reasons),
            "fingerprint": dict(self.fingerprint),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Measurement:
        """Build from JSON values."""
        percentiles = {name: values[name] and Percentile(**values[name]) for name in ("p50", "p95", "p99")}
        tuples = {name: tuple(values[name]) for name in ("samples_ns", "reasons")}
        return cls(**{**values, **percentiles, **tuples})

    @classmethod
    def from_reply(cls, reply: Mapping[str, Any], *, device: str, tier: str, reply_s: float) -> Measurement:
        """Build from the agent's reply to ``measure`` (see PROTOCOL.md).

        Raises:
            ControllerFault: The reply is not of the documented form.
        """
        try:
            return cls(
                device=device,
                tier=tier,
                model_sha=reply["model"],
                runtime=reply["runtime"],
                threads=reply["threads"],
                file_size_kb=reply["file_size_kb"],
                **{name: _percentile(reply["latency"][name]) for name in ("p50", "p95", "p99")},
                samples_ns=tuple(reply["samples_ns"]),
                peak_memory_mb=reply["memory"]["peak_mb"],
                model_memory_mb=reply["memory"]["model_mb"],
                verdict=reply["verdict"],
                reasons=tuple(reply["reasons"]),
                fingerprint=dict(reply["fingerprint"]),
                load_s=reply["seconds"]["load"],
                warmup_s=reply["seconds"]["warmup"],
                timed_s=reply["seconds"]["timed"],
                reply_s=reply_s,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ControllerFault(
                f"The agent on {device} sent a measurement without the documented field {error}; "
                "expected the reply of PROTOCOL.md, so let the controller upload its own agent."
            ) from error


def _percentile(values: Mapping[str, Any] | None) -> Percentile | None:
    if values is None:
        return None
    low, high = values["interval"]
    return Percentile(values["ms"], low, high)


KEY_FACTS = ("board", "cpu_model", "kernel", "governor", "power_mode")
"""Facts of a device that a measurement depends on."""


def cache_key(  # noqa: PLR0913 # the key is made of exactly these
    *,
    graph: str,
    input_shapes: Mapping[str, tuple[int, ...]],
    precision: str,
    threads: int,
    tier: str,
    facts: Mapping[str, Any],
    runtime: str = "onnxruntime",
    provider: str = "CPUExecutionProvider",
) -> str:
    """Return the SHA-256 under which a valid measurement may be found again.

    Latency and memory do not depend on the weights, so ``graph`` is a digest of the graph
    without them; two devices of the same board, kernel and power settings share results.

    Args:
        graph: Digest of the exported graph without its weights.
        input_shapes: Shape of every input.
        precision: ``fp32`` or ``int8``.
        threads: Intra-op threads.
        tier: ``screening`` or ``thorough``.
        facts: What ``Fleet.facts`` returned for the device.
        runtime: Name of the runtime.
        provider: Execution provider of the runtime.
    """
    parts = {
        "graph": graph,
        "inputs": {name: list(shape) for name, shape in input_shapes.items()},
        "precision": precision,
        "runtime": [runtime, facts["runtimes"].get(runtime), provider],
        "threads": threads,
        "mode": "single",
        "tier": tier,
        "protocol": VERSION,
        **{name: facts[name] for name in KEY_FACTS},
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
