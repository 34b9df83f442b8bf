"""This computer as a device: the same agent and the same protocol over pipes."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from nas.devices.agent_file import agent_file
from nas.devices.device import Device
from nas.devices.transport import LineSession, python_missing
from nas.errors import DeviceFull

_END_S = 5.0


ROOT = "agent"


def at_home(device: Device, home: Path) -> Device:
    """This computer as a device: our own interpreter has the runtime, and our own folder takes the agent."""
    python = sys.executable if device.python == "python3" else device.python
    return replace(device, root=str(home / ROOT), python=python)


class LocalTransport:
    """Starts the agent as a process of this computer, with ``device.root`` as its folder."""

    def open(self, device: Device) -> LocalSession:
        python = shutil.which(device.python)
        if python is None:
            raise python_missing(device, "there is no such program")
        agent, root = agent_file(), Path(device.root).expanduser().absolute()
        try:
            (root / "blobs").mkdir(mode=0o700, parents=True, exist_ok=True)
            if not (root / agent.name).exists():
                _write(root / agent.name, agent.content)
            known = [path.name for path in (root / "blobs").iterdir()]
        except OSError as error:
            raise _cannot_write(device, error) from error
        session = LocalSession(device, _Process([python, str(root / agent.name), "--root", str(root)]), root, known)
        session.hello()
        return session


class LocalSession(LineSession):
    """A session with an agent on this computer."""

    def __init__(self, device: Device, process: _Process, root: Path, known: list[str]) -> None:
        super().__init__(device, process, known)
        self._process = process
        self._root = root

    def _end(self) -> None:
        self._process.close()

    def _send_blob(self, sha: str, blob: bytes) -> None:
        try:
            _write(self._root / "blobs" / sha, blob)
        except OSError as error:
            raise _cannot_write(self._device, error) from error


class _Process:
    """The agent's process. Its own session keeps a Ctrl-C at this terminal away from it."""

    def __init__(self, command: list[str]) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 # lives as long as the process
        self._process = subprocess.Popen(  # noqa: S603 # a program that the user named, no shell
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            bufsize=0,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout

    def send(self, data: bytes) -> None:
        self._stdin.write(data)

    def receive(self, timeout_s: float) -> bytes:
        if not select.select([self._stdout], [], [], timeout_s)[0]:
            raise TimeoutError
        return os.read(self._stdout.fileno(), 1 << 18)

    def ending(self) -> tuple[int | None, str]:
        try:
            status = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            status = None
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, size - 4000))
        return status, self._log.read().decode(errors="replace")

    def close(self) -> None:
        """Let the agent end by itself, as it does when its stdin ends; kill it if it does not."""
        with contextlib.suppress(OSError):
            self._stdin.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stdout.close()
        self._log.close()


def _write(path: Path, content: bytes) -> None:
    """Write under a temporary name, then rename: nobody sees half a file."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    temporary.write_bytes(content)
    temporary.replace(path)


def _cannot_write(device: Device, error: OSError) -> DeviceFull:
    return DeviceFull(
        f"The device {device.name} cannot write to its folder {device.root} ({error.strerror}); "
        "check its rights and free space."
    )
