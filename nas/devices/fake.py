"""A device in memory: what it answers can be scripted, and otherwise follows a closed form."""

from __future__ import annotations

import hashlib
import io
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from device_agents import protocol
from nas.devices.device import Device
from nas.devices.tensors import encode_output
from nas.devices.transport import fault_of
from nas.errors import DeviceBusy, DeviceUnreachable, Fault

FACTS: Mapping[str, Any] = {
    "kernel": "6.0-fake",
    "machine": "fake",
    "cpu_model": "fake",
    "cores": 4,
    "memory_mb": 4000,
    "boot_id": "00000000-0000-0000-0000-00000000fa4e",
    "board": "fake",
    "governor": "performance",
    "power_mode": None,
    "temperature_c": 40.0,
    "python": "3.11.0",
    "utc_offset_s": 0,
    "swap_used_mb": 0,
    "libc": "glibc 2.36",
    "emulated": False,
    "sensors": {"energy": None, "throttle": None, "clock": None, "psi": True, "temperature": True},
    "providers": ["CPUExecutionProvider"],
    "runtimes": {"onnxruntime": "1.0.0", "identity": "1.0.0"},
}


def latency_by_size(model: bytes, threads: int) -> float:
    """Return a latency in ms that grows with the file: 10 µs and 100 µs per MB, shared among threads."""
    return 0.01 + 0.1 * len(model) / 1e6 / threads


def paired(p50_ms: float, reference_ms: float = 0.08) -> dict[str, Any]:
    """Return the ``paired`` part of a reply whose reference ran as it usually does."""
    ratio = p50_ms / reference_ms
    interval = [ratio * 0.99, ratio * 1.01]
    return {"ratio": ratio, "interval": interval, "reference_ms": reference_ms, "level_ms": reference_ms}


class FakeTransport:
    """Devices in memory, one per name; models are identities, whatever their bytes.

    Args:
        script: One step for each ``measure`` or ``run`` to come: a fault is raised, a mapping
            stands over the usual reply, None is the usual reply. After the last step all is as usual;
            so is the identity runtime, by which a device shows that it works.
        opening: Faults that the next openings meet.
        latency_ms: Closed form of p50 in ms from the model's bytes and the threads.
        facts: What differs from ``FACTS``.
    """

    def __init__(
        self,
        script: Iterable[Fault | Mapping[str, Any] | None] = (),
        opening: Iterable[Fault] = (),
        *,
        latency_ms: Callable[[bytes, int], float] = latency_by_size,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        self.script = deque(script)
        self.opening = deque(opening)
        self.latency_ms = latency_ms
        self.facts = {**FACTS, **(facts or {})}
        self.blobs: dict[str, dict[str, bytes]] = {}
        self.results: dict[str, dict[str, Any]] = {}
        self.held: set[str] = set()
        """Names of the devices that a session holds."""
        self.calls: list[dict[str, Any]] = []
        """Every request so far, in order."""

    def open(self, device: Device) -> FakeSession:
        if self.opening:
            raise self.opening.popleft()
        if device.name in self.held:
            raise DeviceBusy(f"Another agent holds the device {device.name}; wait until it is done.")
        self.held.add(device.name)
        return FakeSession(self, device.name, self.blobs.setdefault(device.name, {}))


class FakeSession:
    """A session with a device in memory."""

    def __init__(self, transport: FakeTransport, device: str, blobs: dict[str, bytes]) -> None:
        self._transport = transport
        self._device = device
        self._blobs = blobs
        self._open = True

    def put(self, blob: bytes) -> str:
        sha = hashlib.sha256(blob).hexdigest()
        self._blobs[sha] = blob
        return sha

    def call(self, message: Mapping[str, Any], deadline_s: float) -> dict[str, Any]:  # noqa: ARG002 # it takes no time
        if not self._open:
            raise DeviceUnreachable(f"The session with {self._device} is closed; open another one.")
        self._transport.calls.append(dict(message))
        try:
            verb = protocol.check({"id": 1, **message})
            return self._answer(verb, message)
        except protocol.Problem as problem:
            raise fault_of(self._device, problem.to_dict()) from None

    def close(self) -> None:
        if self._open:
            self._transport.held.discard(self._device)
        self._open = False

    def _answer(self, verb: str, message: Mapping[str, Any]) -> dict[str, Any]:
        if verb in ("measure", "sweep", "run"):
            scripted = self._transport.script and message["runtime"] != "identity"
            step = self._transport.script.popleft() if scripted else None
            if isinstance(step, Fault):
                raise step
            usual = {"measure": self._measure, "sweep": self._sweep, "run": self._run}[verb](message)
            return {**usual, **(step or {})}
        if verb == "bye":
            self.close()
        fixed: dict[str, dict[str, Any]] = {
            "hello": {"protocol": protocol.VERSION, "pid": 1},
            "probe": {"facts": dict(self._transport.facts)},
            "bye": {},
        }
        return self._result(message) if verb == "result" else fixed[verb]

    def _blob(self, sha: str) -> bytes:
        blob = self._blobs.get(sha)
        if blob is None:
            raise protocol.Problem("blob_missing", f"The blob {sha} is not on the device; send it again.")
        if hashlib.sha256(blob).hexdigest() != sha:
            del self._blobs[sha]
            raise protocol.Problem("blob_corrupt", f"The blob {sha} arrived damaged and was deleted; send it again.")
        return blob

    def _runtime_version(self, runtime: str) -> str:
        versions = self._transport.facts["runtimes"]
        if runtime not in versions:
            raise protocol.Problem("runtime_missing", f"{runtime} is not on the device; install it there.")
        return str(versions[runtime])

    def _measure(self, message: Mapping[str, Any]) -> dict[str, Any]:
        model = self._blob(message["model"])
        self._blob(message["inputs"])
        version = self._runtime_version(message["runtime"])
        p50 = self._transport.latency_ms(model, message["threads"])
        samples = [round(p50 * 1e6)] * message["budget"]["min_samples"]
        named = {name: message[name] for name in ("model", "runtime", "threads", "mode")}
        machine = {name: fact for name, fact in self._transport.facts.items() if name != "runtimes"}
        known = {"ms": p50, "interval": [p50 * 0.99, p50 * 1.01]}
        reply = {
            **named,
            "latency": dict.fromkeys(("p50", "p90", "p95", "p99"), known),
            "paired": message["reference"] and paired(p50),
            "sure": {"p50": True, "p95": True},
            "samples_ns": samples,
            "counts": {"launches": 3, "lost_launches": 0, "rounds": 9, "lost_rounds": 0, "timed": len(samples)}
            | {"warmup": 10},
            "discarded": {},
            "seconds": {"gate": 0.0, "load": 0.0, "warmup": 0.0, "timed": sum(samples) / 1e9, "reference": 0.0}
            | {"calibration": 0.0},
            "memory": {"peak_mb": 50.0 + len(model) / 1e6, "baseline_mb": 50.0, "model_mb": len(model) / 1e6}
            | {"source": "fake", "cgroup_mb": None, "cgroup_source": None, "pss_mb": None},
            "energy": None,
            "audit": None,
            "provider": "fake",
            "file_size_kb": len(model) / 1000,
            "verdict": "valid",
            "reasons": [],
            "notes": [],
            "emulated": False,
            "fingerprint": {**machine, **named, "runtime_version": version, "protocol": protocol.VERSION},
        }
        self._transport.results[message["job"]] = reply
        return reply

    def _sweep(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """A closed form, too: a second to start, then the latency for each series of the table."""
        model, table = self._blob(message["model"]), self._blob(message["table"])
        self._blob(message["recipe"])
        self._runtime_version(message["runtime"])
        series = len({line.split(b",", 1)[0] for line in table.splitlines()[1:]})
        infer = self._transport.latency_ms(model, message["threads"]) * series / 1000
        stages = {"start": 1.0, "load": 0.0, "read": 0.0, "features": 0.0, "infer": infer, "write": 0.0}
        reply = {
            "seconds": 1.0 + infer,
            "stages": stages,
            "peak_mb": 60.0 + len(model) / 1e6,
            "series": series,
            "provider": "fake",
            "memory": {"source": "fake", "cgroup_mb": None, "cgroup_source": None},
            "energy": None,
            "disturbed": {},
            "verdict": "valid",
            "reasons": [],
            "notes": [],
            "emulated": False,
            "fingerprint": {name: fact for name, fact in self._transport.facts.items() if name != "runtimes"},
        }
        self._transport.results[message["job"]] = reply
        return reply

    def _result(self, message: Mapping[str, Any]) -> dict[str, Any]:
        if message["job"] not in self._transport.results:
            raise protocol.Problem("result_missing", f"There is no result of the job {message['job']} on the device.")
        return self._transport.results[message["job"]]

    def _run(self, message: Mapping[str, Any]) -> dict[str, Any]:
        self._blob(message["model"])
        self._runtime_version(message["runtime"])
        with np.load(io.BytesIO(self._blob(message["inputs"])), allow_pickle=False) as archive:
            return {"outputs": {name: encode_output(archive[name]) for name in archive.files}}
