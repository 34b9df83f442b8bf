"""What a real device said about one model: the certificate that travels with a candidate."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from device_agents.protocol import VERSION
from nas.devices.sweep import Sweep
from nas.errors import ControllerFault


@dataclass(frozen=True, slots=True)
class Percentile:
    """A latency percentile with its 95 % interval, in milliseconds."""

    ms: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Paired:
    """The candidate's median over that of the reference model, measured in turns with it.

    Attributes:
        ratio: What candidates are ranked by: a device that is slow today is slow for both.
        low: Lower end of the ratio's 95 % interval.
        high: Upper end of it.
        reference_ms: The reference's median during this measurement.
        level_ms: Its usual median on this device.
    """

    ratio: float
    low: float
    high: float
    reference_ms: float
    level_ms: float


@dataclass(frozen=True, slots=True)
class Energy:
    """What a fixed number of inferences took from the named rails of a sensor, idle subtracted.

    Attributes:
        energy_mj: Millijoules per inference above idle; None where the readings do not carry it.
        mean_power_w: Mean power during the inferences, idle included.
        idle_power_w: Mean power before and after.
        sensor: Name of the sensor.
        rails: What it measures.
        relative: True where the sensor misses part of the board: good for ranking, not for a limit.
        inferences: How many were made.
        seconds: How long they took.
        samples: Readings of the sensor meanwhile.
        notes: What is doubtful about it.
    """

    energy_mj: float | None
    mean_power_w: float | None
    idle_power_w: float
    sensor: str
    rails: tuple[str, ...]
    relative: bool
    inferences: int
    seconds: float
    samples: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measurement of one model at batch 1 on one device: a certificate.

    Attributes:
        device: Name of the device.
        tier: ``screening`` or ``thorough``.
        model_sha: SHA-256 of the measured file.
        runtime: Runtime that ran it; its version stands in the fingerprint.
        provider: What really executed it, as the runtime itself reports; None when it was refused.
        threads: Intra-op threads of the runtime.
        mode: ``kind`` (single, sustained, duty) with its figures.
        file_size_kb: Size of the measured file in kB (1000 bytes).
        p50: Median latency, or None below its floor of 11 samples.
        p90: 90th percentile, or None below its floor of 64 samples.
        p95: 95th percentile, or None below its floor of 130 samples.
        p99: 99th percentile, or None below its floor of 662 samples.
        paired: The ratio to the reference model; None where there is none for the runtime.
        sure: Whether p50 is known within 2 % and p95 within 5 %; where not, the budget ended first.
        samples_ns: Every inference that counts, in order, in nanoseconds.
        counts: Launches, rounds and inferences that count, and those that were lost.
        discarded: Why rounds and launches were discarded -> how many.
        peak_memory_mb: Peak of the measuring process in MB (10^6 bytes); ``memory`` says by what.
        model_memory_mb: Resident peak minus what an identity model takes in the same runtime.
        memory: ``source`` of the peak (VmHWM), with ``cgroup_mb``, ``pss_mb`` and ``baseline_mb`` beside it.
        energy: None without a sensor.
        sweep: The store sweep, where it was asked for.
        audit: ``overhead_ns`` of timing itself and ``varied_ratio`` for other inputs, where it was made.
        verdict: ``valid``, ``degraded`` or ``rejected``.
        reasons: Why it is not valid; empty when it is.
        notes: What else a reader should know.
        emulated: The processor was imitated by another one.
        fingerprint: What was measured on: board, kernel, governor, runtime version and so on.
        seconds: Seconds per part: gate, load, warmup, timed, reference, calibration, energy.
        reply_s: Seconds from the request (sending the model included) to the reply.
    """

    device: str
    tier: str
    model_sha: str
    runtime: str
    provider: str | None
    threads: int
    mode: Mapping[str, Any]
    file_size_kb: float
    p50: Percentile | None
    p90: Percentile | None
    p95: Percentile | None
    p99: Percentile | None
    paired: Paired | None
    sure: Mapping[str, bool]
    samples_ns: tuple[int, ...]
    counts: Mapping[str, int]
    discarded: Mapping[str, int]
    peak_memory_mb: float | None
    model_memory_mb: float | None
    memory: Mapping[str, Any]
    energy: Energy | None
    sweep: Sweep | None
    audit: Mapping[str, float | None] | None
    verdict: str
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    emulated: bool
    fingerprint: Mapping[str, Any]
    seconds: Mapping[str, float]
    reply_s: float

    @property
    def cacheable(self) -> bool:
        """Only a valid measurement may stand for a later one."""
        return self.verdict == "valid"

    @property
    def measuring_s(self) -> float:
        """Seconds in which the device ran the candidate or the reference: warm-up, rounds, calibration."""
        return sum(self.seconds[name] for name in ("warmup", "timed", "reference", "calibration"))

    @property
    def overhead_s(self) -> float:
        """Seconds of the reply that were neither of these."""
        return self.reply_s - self.measuring_s

    def interval(self, name: str) -> tuple[float, float] | None:
        """Return the 95 % interval of a metric, a single point where it has none; None when it was not measurable.

        Raises:
            KeyError: ``name`` is not one of ``nas.request.COSTS``.
        """
        if name == "latency_p50_ms" and self.paired is not None:
            return (self.paired.low * self.paired.level_ms, self.paired.high * self.paired.level_ms)
        if name in _LATENCIES:
            percentile: Percentile | None = getattr(self, _LATENCIES[name])
            return None if percentile is None else (percentile.low * self._level, percentile.high * self._level)
        value = self.metric(name)
        return None if value is None else (value, value)

    def metric(self, name: str) -> float | None:
        """Return the value of a metric; None when it was not measurable.

        Latencies are told at the device's usual speed: multiplied by what the reference usually
        takes over what it took meanwhile, so that candidates measured at different moments compare.

        Raises:
            KeyError: ``name`` is not one of ``nas.request.COSTS``.
        """
        if name == "latency_p50_ms" and self.paired is not None:
            return self.paired.ratio * self.paired.level_ms
        if name in _LATENCIES:
            percentile: Percentile | None = getattr(self, _LATENCIES[name])
            return None if percentile is None else percentile.ms * self._level
        values: dict[str, float | None] = {
            "peak_memory_mb": self.peak_memory_mb,
            "size_kb": self.file_size_kb,
            "energy_mj": self.energy.energy_mj if self.energy else None,
            "mean_power_w": self.energy.mean_power_w if self.energy else None,
            "sweep_seconds": self.sweep.seconds if self.sweep else None,
            "sweep_peak_mb": self.sweep.peak_mb if self.sweep else None,
        }
        return values[name]

    @property
    def _level(self) -> float:
        return 1.0 if self.paired is None else self.paired.level_ms / self.paired.reference_ms

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; ``from_dict`` is its inverse."""
        values: dict[str, Any] = json.loads(json.dumps({**asdict(self), "fingerprint": dict(self.fingerprint)}))
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Measurement:
        """Build from JSON values."""
        parts: dict[str, Any] = {name: values[name] and Percentile(**values[name]) for name in _PERCENTILES}
        parts["paired"] = values["paired"] and Paired(**values["paired"])
        parts["sweep"] = values["sweep"] and Sweep.from_dict(values["sweep"])
        energy = values["energy"]
        parts["energy"] = energy and Energy(**{**energy, **{n: tuple(energy[n]) for n in ("rails", "notes")}})
        tuples = {name: tuple(values[name]) for name in ("samples_ns", "reasons", "notes")}
        return cls(**{**values, **parts, **tuples})

    @classmethod
    def from_reply(cls, reply: Mapping[str, Any], *, device: str, tier: str, reply_s: float) -> Measurement:
        """Build from the agent's reply to ``measure`` (see PROTOCOL.md).

        Raises:
            ControllerFault: The reply is not of the documented form.
        """
        try:
            pair, memory = reply["paired"], reply["memory"]
            low, high = pair["interval"] if pair else (0.0, 0.0)
            return cls.from_dict(
                {
                    **{name: reply[name] for name in _SAME},
                    **{name: _percentile(reply["latency"][name]) for name in _PERCENTILES},
                    "device": device,
                    "tier": tier,
                    "model_sha": reply["model"],
                    "paired": pair
                    and {"low": low, "high": high, **{n: pair[n] for n in ("ratio", "reference_ms", "level_ms")}},
                    "peak_memory_mb": memory["peak_mb"],
                    "model_memory_mb": memory["model_mb"],
                    "memory": {
                        name: memory[name] for name in ("source", "cgroup_mb", "cgroup_source", "pss_mb", "baseline_mb")
                    },
                    "sweep": None,
                    "reply_s": reply_s,
                }
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ControllerFault(
                f"The agent on {device} sent a measurement without the documented field {error}; "
                "expected the reply of PROTOCOL.md, so let the controller upload its own agent."
            ) from error


_PERCENTILES = ("p50", "p90", "p95", "p99")
_SAME = (
    *("runtime", "provider", "threads", "mode", "file_size_kb", "sure", "samples_ns", "counts", "discarded"),
    *("energy", "audit", "verdict", "reasons", "notes", "emulated", "fingerprint", "seconds"),
)
"""Fields that a reply and a measurement call the same."""
_LATENCIES = {"latency_p50_ms": "p50", "latency_p95_ms": "p95"}


def _percentile(values: Mapping[str, Any] | None) -> dict[str, float] | None:
    if values is None:
        return None
    low, high = values["interval"]
    return {"ms": values["ms"], "low": low, "high": high}


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
    mode: str = "single",
    beside_load: bool = False,
    sweep: str | None = None,
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
        mode: Kind of the mode.
        beside_load: Whether it was measured beside the device's usual load.
        sweep: Digest of the store's table and recipe, where its nightly job was measured, too.
    """
    parts = {
        "graph": graph,
        "inputs": {name: list(shape) for name, shape in input_shapes.items()},
        "precision": precision,
        "runtime": [runtime, facts["runtimes"].get(runtime)],
        "threads": threads,
        "mode": [mode, beside_load, sweep],
        "tier": tier,
        "protocol": VERSION,
        **{name: facts[name] for name in KEY_FACTS},
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
