"""A device to oneself: what may be asked of it, and what is noted of the answers."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator, Mapping
from typing import Any, TypedDict, Unpack

import numpy as np

from nas.devices.ledger import Register
from nas.devices.line import PROBE_S, Line
from nas.devices.measurement import Measurement
from nas.devices.reference import Reference, reference_for
from nas.devices.tensors import Arrays, decode_outputs, encode_inputs
from nas.devices.tiers import tier_named
from nas.devices.transport import Session, Transport
from nas.errors import BlobLost, ControllerFault, DeviceFault, DeviceUnreachable, RuntimeMissing

SINGLE: Mapping[str, Any] = {"kind": "single"}
RUN_DEADLINE_S = 60.0
MARGIN_S = 90.0
"""What a reply may take beyond the model's own deadline: the runtime's import and the baseline, on a slow board."""
MEMORY_SHARE = 0.8
"""Share of the device's memory that a candidate may take."""


class How(TypedDict, total=False):
    """How a model is measured.

    Attributes:
        threads: Intra-op threads of the runtime, by default 1.
        runtime: What runs it, by default ``onnxruntime``.
        tier: How thoroughly, by default ``screening``.
        mode: ``kind`` (single, sustained, duty) and its fields, as in PROTOCOL.md.
        beside_load: Measure beside what the device carries anyway, instead of refusing to.
        job: 32 hex digits under which the device keeps the result, the same for each try at the same
            measurement; made here when there is none.
    """

    threads: int
    runtime: str
    tier: str
    mode: Mapping[str, Any]
    beside_load: bool
    job: str


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
            reply = self._kept(job) or self._answer(request, model, inputs, reference_for(runtime))
            self._line.unanswered.discard(job)
            self._refuse_rebooted(facts, reply.get("fingerprint", {}).get("boot_id"))
        found = Measurement.from_reply(reply, device=self.device, tier=tier, reply_s=time.monotonic() - started)
        self._register.worked(self.device, _levels(found))
        return found

    def run(self, model: bytes, inputs: Arrays, *, threads: int, runtime: str) -> dict[str, Any]:
        """Run a model once and return its outputs, arrays by name.

        Raises:
            Fault: As for ``measure``.
        """
        with self._noted():
            session, facts = self._opened()
            request = {"verb": "run", **_common(facts, runtime, threads, RUN_DEADLINE_S)}
            outputs = decode_outputs(_ask(session, request, model, inputs)["outputs"])
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

    def _answer(
        self, request: Mapping[str, Any], model: bytes, inputs: Arrays, pair: Reference | None
    ) -> dict[str, Any]:
        """Ask; when the connection breaks, reconnect once for the reply that may have been on its way."""
        session, facts = self._opened()
        try:
            return _ask(session, request, model, inputs, pair)
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


def _ask(
    session: Session, request: Mapping[str, Any], model: bytes, inputs: Arrays, pair: Reference | None = None
) -> dict[str, Any]:
    """Put the blobs and call; a blob that got lost or damaged on the way is sent again once."""
    archive = encode_inputs(inputs)

    def ask() -> dict[str, Any]:
        blobs: dict[str, Any] = {"model": session.put(model), "inputs": session.put(archive)}
        if request["verb"] == "measure":
            sent = pair and {"model": session.put(pair.model), "inputs": session.put(encode_inputs(pair.inputs))}
            blobs["reference"] = sent
        return session.call({**request, **blobs}, request["deadline_s"] + MARGIN_S)

    try:
        return ask()
    except BlobLost:
        return ask()


def _levels(found: Measurement) -> dict[str, float]:
    """What the reference model took beside it, which makes the boards of a pool comparable."""
    if found.paired is None or found.verdict != "valid":
        return {}
    return {f"{found.runtime}/{found.threads}": found.paired.reference_ms}
