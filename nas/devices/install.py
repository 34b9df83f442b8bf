"""Puts a runtime on a device over SSH, into the agent's folder and as its ordinary user, and takes all of it away."""

from __future__ import annotations

import contextlib
import hashlib
import json
import posixpath
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from device_agents import protocol
from nas.devices import wheels
from nas.devices.agent_file import agent_file
from nas.devices.device import Device
from nas.devices.enrol import probe
from nas.devices.install_platform import Platform
from nas.devices.ssh import SshSession, SshTransport
from nas.devices.transport import fault_of
from nas.errors import BlobLost, DeviceBusy, DeviceFault, PythonMissing, RequestError, RuntimeMissing

Report = Callable[[str, int, int], None]
"""Told a file's name, how many bytes of it are on the device, and how many it has."""
QUICK_S = 60.0
BUSY_S = 30.0
UNPACK_S = 600.0
"""Seconds in which the slowest SD card has unpacked the largest wheel."""
IMPORTS = {
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
    "litert": "ai_edge_litert.interpreter",
    "executorch": "executorch.runtime",
}
"""What is imported on the device to see that a runtime really works there."""


@dataclass(frozen=True, slots=True)
class Installed:
    """What an installation came to.

    Attributes:
        device: The device with its new interpreter, the launcher: this is how it is to be enrolled from now on.
        runtime: Name of the runtime.
        wheels: File names of what it is made of.
        sent: Bytes that went over the network.
        facts: What the device says of itself now (PROTOCOL.md, ``probe``).
    """

    device: Device
    runtime: str
    wheels: tuple[str, ...]
    sent: int
    facts: Mapping[str, Any]


def install(
    device: Device,
    runtime: str,
    cache: Path,
    *,
    own: Iterable[Path] = (),
    offline: bool = False,
    warm: bool = False,
    report: Report = lambda _name, _done, _size: None,
) -> Installed:
    """Install a runtime on a device; doing it again mends what is broken and sends nothing that is there.

    Args:
        device: A device behind SSH. It needs Python 3.8 or newer; neither pip nor a network.
        runtime: One of ``IMPORTS``.
        cache: Folder here for the wheels.
        own: Wheels that the user supplies in place of the usual ones.
        offline: Take wheels from ``own`` and ``cache`` only.
        warm: Keep the agent running there by the user's own systemd, so that nothing needs to be started or imported.
        report: Follows the upload.

    Raises:
        RequestError: The device, the runtime or a wheel is not of the kind that this can do.
        RuntimeMissing: No build runs there; or it was installed, and does not start.
        ControllerFault: The wheels could not be fetched or arrived damaged.
        DeviceFault: The device cannot be used; the subclass says why.
    """
    if runtime not in IMPORTS:
        raise RequestError(f"{runtime!r} cannot be installed; expected one of {', '.join(IMPORTS)}.")
    _require_ssh(device)
    with _opened(device) as folder:
        found = folder.ask("look", {}, QUICK_S)
        platform = Platform.of(device.name, found)
        needed, supplied = wheels.with_own(platform, wheels.requirements(platform, runtime), own)
        files = (*supplied, *wheels.fetch(platform, needed, cache, offline=offline))
        digests = [_digest(path) for path in files]
        new = [(path, sha) for path, sha in zip(files, digests, strict=True) if sha not in found["wheels"]]
        for path, sha in new:
            folder.bring(path, sha, report)
        launcher = folder.ask("link", {"runtime": runtime, "wheels": digests}, QUICK_S)["launcher"]
        folder.expect_import(launcher, runtime)
        if warm:
            folder.ask("warm", {"unit": unit(found["root"], launcher)}, QUICK_S)
    ready = replace(device, python=launcher)
    names, sent = tuple(path.name for path in files), sum(path.stat().st_size for path, _ in new)
    return Installed(ready, runtime, names, sent, probe(ready))


def uninstall(device: Device) -> list[str]:
    """Take away what we put on a device; return the names of what others keep in the agent's folder, and which stays.

    Raises:
        DeviceFault: The device cannot be used; the subclass says why.
    """
    _require_ssh(device)
    with _opened(device) as folder:
        left: list[str] = folder.ask("remove", {}, UNPACK_S)["left"]
        return left


def unit(root: str, launcher: str) -> str:
    """The systemd unit of a warm agent, for a folder on a device.

    Raises:
        RequestError: The folder's name has letters that systemd reads in a way of its own.
    """
    if not re.fullmatch(r"[A-Za-z0-9/._+@-]+", root):
        raise RequestError(f"The folder {root} cannot stand in a systemd unit; choose a name of letters and digits.")
    text = (Path(protocol.__file__).parent / "systemd" / "nas-agent.service").read_text()
    for name, value in (("root", root), ("launcher", launcher), ("agent", f"{root}/{agent_file().name}")):
        text = text.replace(f"{{{name}}}", value)
    return text


def launcher_of(device: Device) -> str:
    """Where the launcher of a device lies, as far as its ``root`` tells."""
    return posixpath.join(device.root, "python")


@dataclass(frozen=True, slots=True)
class _Folder:
    """The agent's folder on a device, held by a session."""

    device: Device
    session: SshSession

    def ask(self, verb: str, request: Mapping[str, Any], deadline_s: float) -> dict[str, Any]:
        """Carry out a verb of ``device_agents.installer`` there."""
        path = posixpath.join(self.device.root, agent_file().name)
        words = [self.device.python, path, verb, "--root", self.device.root]
        status, said, tail = self.session.command(words, json.dumps(request).encode(), deadline_s)
        try:
            reply: dict[str, Any] = json.loads(said.strip().splitlines()[-1])
        except (IndexError, ValueError):
            raise DeviceFault(
                f"The device {self.device.name} ended {verb} with status {status} and without an answer "
                f"({' '.join(tail.split())[-300:] or 'it said nothing'}); check its memory and its disk."
            ) from None
        if not reply["ok"]:
            raise fault_of(self.device.name, reply["error"])
        return reply

    def bring(self, path: Path, sha: str, report: Report) -> None:
        """Upload a wheel, from where an earlier attempt ended, and unpack it; if it arrives damaged, once more."""
        size = path.stat().st_size

        def send() -> None:
            with path.open("rb") as file:
                self.session.upload(f"wheels/{sha}.part", file, lambda done: report(path.name, done, size))
            self.ask("unpack", {"wheel": sha}, UNPACK_S)

        try:
            send()
        except BlobLost:
            send()

    def expect_import(self, launcher: str, runtime: str) -> None:
        """See that the runtime starts there; a library that it needs may be missing."""
        words = [launcher, "-c", f"import {IMPORTS[runtime]}"]
        status, _, tail = self.session.command(words, b"", UNPACK_S)
        if status != 0:
            last = (tail.strip().splitlines() or ["it said nothing"])[-1]
            raise RuntimeMissing(
                f"{runtime} was installed on {self.device.name} and does not start there ({last[:300].rstrip('.')}); "
                "install what it names on the device, then run this again."
            )


@contextlib.contextmanager
def _opened(device: Device) -> Iterator[_Folder]:
    """Hold the device, so that nothing is being measured on it meanwhile."""
    try:
        session = _free(device)
    except PythonMissing:
        if not device.python.endswith(launcher_of(device)):
            raise
        device = replace(device, python="python3")  # somebody deleted the launcher: it can be made anew
        session = _free(device)
    with contextlib.closing(session):
        yield _Folder(device, session)


def _free(device: Device) -> SshSession:
    """Open a session; a controller that only looks at the device, as after its enrolment, is waited for."""
    end = time.monotonic() + BUSY_S
    while True:
        try:
            return SshTransport().open(device)
        except DeviceBusy:
            if time.monotonic() >= end:
                raise


def _require_ssh(device: Device) -> None:
    if device.transport != "ssh":
        raise RequestError(
            f"{device.name} is the controller's own computer, which measures with the controller's own Python; "
            "install runtimes there with its pip."
        )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
