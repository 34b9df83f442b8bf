"""A device to oneself: what may be asked of it, and what is noted of the answers."""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Iterator, Mapping
from typing import Any, TypedDict, Unpack

import numpy as np

from nas.devices.ledger import Register
from nas.devices.line import PROBE_S, Line
from nas.devices.measurement import Measurement
from nas.devices.reference import reference_for
from nas.devices.sweep import Sweep
from nas.devices.tensors import Arrays, decode_outputs, encode_inputs
from nas.devices.tiers import tier_named
from nas.devices.transport import Session, Transport
from nas.errors import BlobLost, ControllerFault, DeviceFault, DeviceUnreachable, RuntimeMissing

SINGLE: Mapping[str, Any] = {"kind": "single"}
RUN_DEADLINE_S = 60.0
SWEEP_DEADLINE_S = 300.0
SWEEP_GATE_S = 10.0
MARGIN_S = 90.0
"""What a reply may take beyond the model's own deadline: the runtime's import and the baseline, on a slow board."""
MEMORY_SHARE = 0.8
"""Share of the device's memory that a candidate may take."""


Blobs = Mapping[str, Any]
"""Fields of a request that are files: bytes, a mapping of them, or None."""


class By(TypedDict, total=False):
    """By what a model is run.

    Attributes:
        threads: Intra-op threads of the runtime, by default 1.
        runtime: What runs it, by default ``onnxruntime``.
        beside_load: Measure beside what the device carries anyway, instead of refusing to.
        job: 32 hex digits under which the device keeps the result, the same for each try at the same
            measurement; made here when there is none.
    """

    threads: int
    runtime: str
    beside_load: bool
    job: str


class How(By, total=False):
    """How a model is measured.

    Attributes:
        tier: How thoroughly, by default ``screening``.
        mode: ``kind`` (single, sustained, duty) and its fields, as in PROTOCOL.md.
    """

    tier: str
    mode: Mapping[str, Any]


class Turn:
    """The right to use one device, from ``Fleet.turn``. The session is opened by the first request.

    Attributes:
        device: Name of the device; of a pool, the board that was chosen.
        token: Fencing token of its lease; 0 where nobody leases devices.
    """

    def __init__(self, line: Line, transport: Transport, register: Register, token: int) -> None:
        self.device, self.token = line.device.name, token
        self._line, self._transport, self._register = line, transport, register

    def facts(self) -> dict[str, Any]:
        """Return what the device said about itself when its session was opened (PROTOCOL.md, ``probe``).

        Raises:
            DeviceFault: It cannot be used; the subclass says why.
        """
        with self._noted():
            return dict(self._opened()[1])

    def measure(self, model: bytes, inputs: Arrays, **how: Unpack[How]) -> Measurement:
        """Measure a model with its inputs (batch 1).

        A reply that was lost with the connection is read again, not measured again: the agent keeps it
        under the name of its job.

        Raises:
            CandidateFault: The model cannot run there.
            DeviceFault: The device broke; the next request reconnects.
            ControllerFault: The request was refused, for example for inputs that the model does not take.
        """
        tier, mode, runtime = how.get("tier", "screening"), how.get("mode", SINGLE), how.get("runtime", "onnxruntime")
        plan, job = tier_named(tier), how.get("job") or secrets.token_hex(16)
        with self._noted():
            facts, started = self._opened()[1], time.monotonic()
            request = {
                "verb": "measure",
                "budget": plan.budget,
                "mode": dict(mode),
                "beside_load": how.get("beside_load", False),
                "job": job,
                **_common(facts, runtime, how.get("threads", 1), plan.deadline_s + _mode_seconds(mode)),
            }
            pair = reference_for(runtime)
            beside = pair and {"model": pair.model, "inputs": encode_inputs(pair.inputs)}
            blobs = {"model": model, "inputs": encode_inputs(inputs), "reference": beside}
            reply = self._finished(facts, request, blobs)
        found = Measurement.from_reply(reply, device=self.device, tier=tier, reply_s=time.monotonic() - started)
        self._register.worked(self.device, _levels(found))
        return found

    def sweep(self, model: bytes, table: bytes, recipe: Mapping[str, Any], **by: Unpack[By]) -> Sweep:
        """Let the device do a store's nightly job once: cold start, every series of ``table``, written forecasts.

        Args:
            model: A model of the contract, for ``runtime``.
            table: A store's CSV, as ``nas.export.sweep.store_table`` makes it.
            recipe: How it becomes the model's inputs; from there, too.

        Raises:
            Fault: As for ``measure``.
        """
        runtime = by.get("runtime", "onnxruntime")
        with self._noted():
            facts = self._opened()[1]
            request = {
                "verb": "sweep",
                "gate_max_seconds": SWEEP_GATE_S,
                "beside_load": by.get("beside_load", False),
                "job": by.get("job") or secrets.token_hex(16),
                **_common(facts, runtime, by.get("threads", 1), SWEEP_DEADLINE_S),
            }
            text = json.dumps(recipe, sort_keys=True, ensure_ascii=False, allow_nan=False)
            reply = self._finished(facts, request, {"model": model, "table": table, "recipe": text.encode()})
        self._register.worked(self.device, {})
        return Sweep.from_reply(reply, device=self.device)

    def run(self, model: bytes, inputs: Arrays, *, threads: int, runtime: str) -> dict[str, Any]:
        """Run a model once and return its outputs, arrays by name.

        Raises:
            Fault: As for ``measure``.
        """
        with self._noted():
            session, facts = self._opened()
            request = {"verb": "run", **_common(facts, runtime, threads, RUN_DEADLINE_S)}
            blobs = {"model": model, "inputs": encode_inputs(inputs)}
            outputs = decode_outputs(_ask(session, request, blobs)["outputs"])
        self._register.worked(self.device, {})
        return outputs

    def check(self) -> None:
        """Let the device run an identity model, which tells whether it is the device that is broken.

        Raises:
            DeviceFault: It is.
        """
        given = np.arange(3, dtype=np.float32)
        returned = self.run(b"identity", {"x": given}, threads=1, runtime="identity")
        if not np.array_equal(returned.get("x", given[:0]), given):
            raise DeviceFault(f"The device {self.device} returned {returned} for {given}; check its memory and disk.")

    def _opened(self) -> tuple[Session, Mapping[str, Any]]:
        known = self._line.facts
        session, facts = self._line.open(self._transport)
        if facts is not known:
            self._register.answered(self.device, facts)
        return session, facts

    def _finished(self, facts: Mapping[str, Any], request: Mapping[str, Any], blobs: Blobs) -> dict[str, Any]:
        """The reply to a request with a job: the kept one, or a new one."""
        reply = self._kept(request["job"]) or self._answer(request, blobs)
        self._line.unanswered.discard(request["job"])
        self._refuse_rebooted(facts, reply.get("fingerprint", {}).get("boot_id"))
        return reply

    def _answer(self, request: Mapping[str, Any], blobs: Blobs) -> dict[str, Any]:
        """Ask; when the connection breaks, reconnect once for the reply that may have been on its way."""
        session, facts = self._opened()
        try:
            return _ask(session, request, blobs)
        except DeviceUnreachable:
            self._line.unanswered.add(request["job"])
            self._line.drop()
            with contextlib.suppress(DeviceFault):
                again = self._opened()[1]
                if again.get("boot_id") == facts.get("boot_id") and (reply := self._kept(request["job"])):
                    return reply
            raise

    def _kept(self, job: str) -> dict[str, Any] | None:
        """The reply that the agent kept for a job, if that was asked for before and got lost."""
        if job not in self._line.unanswered:
            return None
        try:
            return self._opened()[0].call({"verb": "result", "job": job}, PROBE_S)
        except ControllerFault:
            return None  # it was never finished

    def _refuse_rebooted(self, facts: Mapping[str, Any], boot_id: object) -> None:
        if boot_id != facts.get("boot_id"):
            raise DeviceFault(
                f"The device {self.device} rebooted while it measured, so the result is refused; it is measured again."
            )

    @contextlib.contextmanager
    def _noted(self) -> Iterator[None]:
        """Close the session of a device that breaks, and note it."""
        try:
            yield
        except DeviceFault as fault:
            fault.device = self.device
            if not isinstance(fault, RuntimeMissing):
                self._line.drop()
                self._register.broke(self.device, fault)
            raise


def _common(facts: Mapping[str, Any], runtime: str, threads: int, deadline_s: float) -> dict[str, Any]:
    memory = facts["memory_mb"]
    return {
        "runtime": runtime,
        "threads": threads,
        "deadline_s": deadline_s,
        "limits": {"memory_mb": memory and max(1, int(memory * MEMORY_SHARE))},
    }


def _mode_seconds(mode: Mapping[str, Any]) -> float:
    """What a mode takes by itself, beyond the tier's time."""
    return float(mode.get("seconds", 0.0)) + float(mode.get("gap_s", 0.0)) * int(mode.get("requests", 0))


def _ask(session: Session, request: Mapping[str, Any], blobs: Blobs) -> dict[str, Any]:
    """Put the blobs and call; a blob that got lost or damaged on the way is sent again once."""
    deadline_s = request["deadline_s"] + MARGIN_S
    try:
        return session.call({**request, **_put(session, blobs)}, deadline_s)
    except BlobLost:
        return session.call({**request, **_put(session, blobs)}, deadline_s)


def _put(session: Session, blobs: Blobs) -> dict[str, Any]:
    """Bring the blobs to the device; each is then named by its SHA-256."""
    return {
        name: session.put(blob) if isinstance(blob, bytes) else blob and _put(session, blob)
        for name, blob in blobs.items()
    }


def _levels(found: Measurement) -> dict[str, float]:
    """What the reference model took beside it, which makes the boards of a pool comparable."""
    if found.paired is None or found.verdict != "valid":
        return {}
    return {f"{found.runtime}/{found.threads}": found.paired.reference_ms}
