"""The door to a device: a transport opens sessions, a session calls the agent and puts blobs.

Whatever carries the bytes, the conversation is the same, so it stands here once:
``LineSession`` speaks the agent's protocol over any ``Pipe``.
"""

from __future__ import annotations

import hashlib
import json
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from device_agents.protocol import VERSION, Lines, encode
from nas.devices.device import Device
from nas.errors import (
    BlobLost,
    CandidateFault,
    ControllerFault,
    DeviceBusy,
    DeviceFault,
    DeviceUnreachable,
    Fault,
    PythonMissing,
    RuntimeMissing,
)

HELLO_S = 30.0
"""Seconds for an agent to start and answer; a Pi Zero needs several for Python alone."""
MAX_REPLY = 96 * 1024 * 1024


class Session(Protocol):
    """A conversation with the agent on one device."""

    def call(self, message: Mapping[str, Any], deadline_s: float) -> dict[str, Any]:
        """Send a request (``verb`` and its fields) and return the reply.

        Raises:
            CandidateFault: The model failed, was stopped at its deadline, or crashed.
            BlobLost: A blob is not there or damaged; ``put`` sends it again.
            ControllerFault: The agent refuses the request as wrong.
            DeviceFault: The device broke; ``DeviceUnreachable`` when no reply came within ``deadline_s`` seconds.
        """
        ...

    def put(self, blob: bytes) -> str:
        """Bring a blob to the device, unless it is known to be there, and return its SHA-256.

        Raises:
            DeviceFault: It could not be sent or stored.
        """
        ...

    def close(self) -> None:
        """End the agent and the connection; closing twice is fine."""
        ...


class Transport(Protocol):
    """A way to reach devices."""

    def open(self, device: Device) -> Session:
        """Start the agent on the device and greet it.

        Raises:
            DeviceFault: The subclass says why it cannot be used.
        """
        ...


class Pipe(Protocol):
    """What carries bytes to a running agent and back."""

    def send(self, data: bytes) -> None:
        """Send all of ``data``; raise OSError when the agent has gone."""
        ...

    def receive(self, timeout_s: float) -> bytes:
        """Return the next bytes, nothing at the end; raise TimeoutError when none come in time."""
        ...

    def ending(self) -> tuple[int | None, str]:
        """Return the agent's exit status, if it is known, and the tail of its stderr."""
        ...


_FAULTS: dict[str, type[Fault]] = {
    "blob_missing": BlobLost,
    "blob_corrupt": BlobLost,
    "device_busy": DeviceBusy,
    "runtime_missing": RuntimeMissing,
}
_BLAMED: dict[str, type[Fault]] = {
    "candidate": CandidateFault,
    "controller": ControllerFault,
    "device": DeviceFault,
}


def fault_of(device: str, error: Mapping[str, Any]) -> Fault:
    """Return the fault that the ``error`` object of a reply stands for."""
    kind = _FAULTS.get(error["code"]) or _BLAMED[error["blame"]]
    return kind(f"On the device {device}: {error['message']}")


class LineSession(ABC):
    """A session over a pipe; a transport adds how blobs get there and how it is closed.

    Args:
        device: The device at the other end.
        pipe: Stdin and stdout of its agent, just started.
        known: SHA-256 of the blobs that are there already.
    """

    def __init__(self, device: Device, pipe: Pipe, known: Iterable[str]) -> None:
        self._device = device
        self._pipe = pipe
        self._known = set(known)
        self._number = 0
        self._lines = Lines(MAX_REPLY)
        self._arrived: deque[bytes | None] = deque()
        self._closed = False

    @abstractmethod
    def _end(self) -> None:
        """End the agent and the connection; called once."""

    @abstractmethod
    def _send_blob(self, sha: str, blob: bytes) -> None:
        """Store ``blob`` under its name, so that it is never seen half written."""

    def hello(self) -> None:
        """Greet the agent, which then holds the device; on any fault the session is closed."""
        try:
            self.call({"verb": "hello", "protocol": VERSION}, HELLO_S)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._end()

    def put(self, blob: bytes) -> str:
        sha = hashlib.sha256(blob).hexdigest()
        if sha not in self._known:
            self._send_blob(sha, blob)
            self._known.add(sha)
        return sha

    def call(self, message: Mapping[str, Any], deadline_s: float) -> dict[str, Any]:
        if self._closed:
            raise DeviceUnreachable(f"The session with {self._device.name} is closed; open another one.")
        end = time.monotonic() + deadline_s
        self._number += 1
        try:
            self._pipe.send(encode({"id": self._number, **message}))
            reply = self._reply(end)
        except TimeoutError:
            raise DeviceUnreachable(
                f"The device {self._device.name} did not answer {message['verb']} within {deadline_s:g} s; "
                "check that it is on, reachable and not overloaded."
            ) from None
        except OSError:
            raise self._ended() from None
        if reply["ok"]:
            return {key: value for key, value in reply.items() if key not in ("id", "ok")}
        fault = fault_of(self._device.name, reply["error"])
        if isinstance(fault, BlobLost):
            self._known.clear()
        raise fault

    def _reply(self, end: float) -> dict[str, Any]:
        """Return the reply to the last request; other lines (a login shell's greeting, say) are passed over."""
        while True:
            while self._arrived:
                reply = _parsed(self._arrived.popleft())
                if reply.get("id") == self._number and "ok" in reply:
                    return reply
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError
            chunk = self._pipe.receive(left)
            if not chunk:
                raise self._ended()
            self._arrived.extend(self._lines.feed(chunk))

    def _ended(self) -> Fault:
        status, tail = self._pipe.ending()
        last = " ".join(tail.split())[-300:]
        if status in (126, 127):
            return python_missing(self._device, last)
        if "PYTHON_TOO_OLD" in tail:
            return python_missing(self._device, f"it is {tail.split('PYTHON_TOO_OLD')[1].split()[0]}")
        said = f"its last words: {last}" if last else "it said nothing"
        return DeviceUnreachable(
            f"The agent on {self._device.name} ended or lost its connection; {said}. Check the device and try again."
        )


def python_missing(device: Device, why: str) -> PythonMissing:
    """Return the fault for an interpreter that is not there or too old."""
    return PythonMissing(
        f"The device {device.name} cannot run {device.python!r} as Python 3.8 or newer ({why}); "
        "install python3 there or name another interpreter."
    )


def _parsed(line: bytes | None) -> dict[str, Any]:
    try:
        reply = json.loads(line or b"")
    except ValueError:
        return {}
    return reply if isinstance(reply, dict) else {}
