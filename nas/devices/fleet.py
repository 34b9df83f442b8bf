"""The devices of one controller: one open session each, one request at a time."""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self

from nas.devices.device import Device
from nas.devices.local import LocalTransport
from nas.devices.measurement import Measurement
from nas.devices.reference import Reference, reference_for
from nas.devices.tensors import Arrays, decode_outputs, encode_inputs
from nas.devices.tiers import tier_named
from nas.devices.transport import Session, Transport
from nas.errors import BlobLost, DeviceFault, NotFound, RuntimeMissing

RUN_DEADLINE_S = 60.0
MARGIN_S = 90.0
"""What a reply may take beyond the model's own deadline: the runtime's import and the baseline, on a slow board."""
SINGLE: Mapping[str, Any] = {"kind": "single"}
MEMORY_SHARE = 0.8
"""Share of the device's memory that a candidate may take."""


class Fleet:
    """Measures and runs models on devices. It does not try again by itself: the search loop owns attempts.

    Safe to use from several threads; requests to one device wait for each other.

    Args:
        devices: The devices, each with a name of its own.
        transports: A transport for each name that a device uses; by default the real ones.
    """

    def __init__(
        self,
        devices: Iterable[Device],
        transports: Mapping[str, Transport] | None = None,
    ) -> None:
        self._lines = {device.name: _Line(device) for device in devices}
        self._transports = transports

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every session; a later request opens a new one."""
        for line in self._lines.values():
            with line.lock:
                line.drop()

    def facts(self, name: str) -> dict[str, Any]:
        """Return what the device said about itself when its session was opened (PROTOCOL.md, ``probe``).

        Raises:
            NotFound: No device of that name.
            DeviceFault: It cannot be used; the subclass says why.
        """
        with self._session(name) as (_, facts):
            return dict(facts)

    def measure(  # noqa: PLR0913 # each of these is a way to measure
        self,
        name: str,
        model: bytes,
        inputs: Arrays,
        *,
        threads: int = 1,
        runtime: str = "onnxruntime",
        tier: str = "screening",
        mode: Mapping[str, Any] = SINGLE,
        beside_load: bool = False,
        job: str | None = None,
    ) -> Measurement:
        """Measure a model with its inputs (batch 1) on a device.

        Args:
            mode: ``kind`` (single, sustained, duty) and its fields, as in PROTOCOL.md.
            beside_load: Measure beside what the device carries anyway, instead of refusing to.
            job: 32 hex digits under which the device keeps the result; made here when None.

        Raises:
            NotFound: No device of that name.
            CandidateFault: The model cannot run there.
            DeviceFault: The device broke; the next request reconnects.
            ControllerFault: The request was refused, for example for inputs that the model does not take.
        """
        plan = tier_named(tier)
        with self._session(name) as (session, facts):
            started = time.monotonic()
            request = {
                "verb": "measure",
                "budget": plan.budget,
                "mode": dict(mode),
                "beside_load": beside_load,
                "job": job or secrets.token_hex(16),
                **self._common(facts, runtime, threads, plan.deadline_s + mode_seconds(mode)),
            }
            reply = _ask(session, request, model, inputs, reference_for(runtime))
            reply_s = time.monotonic() - started
        return Measurement.from_reply(reply, device=name, tier=tier, reply_s=reply_s)

    def run(
        self, name: str, model: bytes, inputs: Arrays, *, threads: int = 1, runtime: str = "onnxruntime"
    ) -> dict[str, Any]:
        """Run a model once on a device and return its outputs, arrays by name.

        Raises:
            Fault: As for ``measure``.
        """
        with self._session(name) as (session, facts):
            request = {"verb": "run", **self._common(facts, runtime, threads, RUN_DEADLINE_S)}
            return decode_outputs(_ask(session, request, model, inputs)["outputs"])

    def _common(self, facts: Mapping[str, Any], runtime: str, threads: int, deadline_s: float) -> dict[str, Any]:
        memory = facts["memory_mb"]
        return {
            "runtime": runtime,
            "threads": threads,
            "deadline_s": deadline_s,
            "limits": {"memory_mb": memory and max(1, int(memory * MEMORY_SHARE))},
        }

    @contextlib.contextmanager
    def _session(self, name: str) -> Iterator[tuple[Session, Mapping[str, Any]]]:
        """Give the open session of a device and its facts; one that breaks is closed."""
        if name not in self._lines:
            known = ", ".join(self._lines) or "none"
            raise NotFound(f"There is no device {name!r} here; expected one of: {known}.")
        line = self._lines[name]
        with line.lock:
            try:
                yield line.open(self._transport(line.device.transport))
            except RuntimeMissing:
                raise
            except DeviceFault:
                line.drop()
                raise

    def _transport(self, kind: str) -> Transport:
        if self._transports is not None:
            return self._transports[kind]
        if kind == "local":
            return LocalTransport()
        from nas.devices.ssh import SshTransport  # noqa: PLC0415 # paramiko is slow to import and often not needed

        return SshTransport()


class _Line:
    """A device with the session that is open to it, if any."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.lock = threading.RLock()
        self._opened: tuple[Session, Mapping[str, Any]] | None = None

    def open(self, transport: Transport) -> tuple[Session, Mapping[str, Any]]:
        if self._opened is None:
            session = transport.open(self.device)
            try:
                self._opened = session, session.call({"verb": "probe"}, MARGIN_S)["facts"]
            except BaseException:
                session.close()
                raise
        return self._opened

    def drop(self) -> None:
        if self._opened is not None:
            self._opened[0].close()
            self._opened = None


def mode_seconds(mode: Mapping[str, Any]) -> float:
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
