"""A device over SSH, by paramiko: what enrolment wrote down, and nothing of the user's own SSH configuration."""

from __future__ import annotations

import contextlib
import io
import os
import posixpath
import shlex
import stat
import time
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import paramiko

from nas.devices.agent_file import AgentFile, agent_file
from nas.devices.device import Device
from nas.devices.ssh_link import CONNECT_S, Way, reach
from nas.devices.transport import LineSession, python_missing
from nas.errors import ControllerFault, DeviceFull, DeviceUnreachable

TRANSFER_S = 20.0
"""Seconds that one SFTP request or a command that we wait for may stay without an answer."""
QUIET_S = 8.0
"""Seconds without a word from the agent after which the device is asked whether it is still there."""
CHUNK = 32768
"""Bytes of one SFTP write: what every server takes."""

_INSTALL = (
    "import hashlib, os, sys; part, path, sha = sys.argv[1:]; "
    'ok = hashlib.sha256(open(part, "rb").read()).hexdigest() == sha; '
    "os.rename(part, path) if ok else os.remove(part); "
    'sys.exit(0 if ok else "UPLOAD_DAMAGED")'
)
"""Runs on the device, readable by any Python: verifies the uploaded agent and only then gives it its name."""


class SshTransport:
    """Logs in, uploads the agent once, and starts it."""

    def open(self, device: Device) -> SshSession:
        way = reach(device)
        try:
            with _plain_faults(device):
                session = _start(device, way)
        except BaseException:
            way.close()
            raise
        session.hello()
        return session


class SshSession(LineSession):
    """A session with an agent behind SSH; blobs go through SFTP."""

    def __init__(self, device: Device, way: Way, sftp: paramiko.SFTPClient, pipe: _Exec, known: list[str]) -> None:
        super().__init__(device, pipe, known)
        self._way = way
        self._sftp = sftp

    def _end(self) -> None:
        self._way.close()

    def _send_blob(self, sha: str, blob: bytes) -> None:
        path = posixpath.join(self._device.root, "blobs", sha)
        with _plain_faults(self._device):
            part = _upload(self._sftp, path, blob)
            self._sftp.posix_rename(part, path)

    def upload(self, path: str, source: BinaryIO, report: Callable[[int], None]) -> None:
        """Write a file below the device's folder; one that is there already is taken for an earlier part of it.

        Args:
            path: Where, below the folder; nothing looks at the content before it has been verified.
            source: What; read from where the device's file ends.
            report: Told how many bytes are there, again and again.
        """
        path = posixpath.join(self._device.root, path)
        with _plain_faults(self._device):
            _make_folders(self._sftp, posixpath.dirname(path))
            with self._sftp.open(path, "ab") as file:
                file.set_pipelined(True)
                done = source.seek(file.stat().st_size or 0)
                while chunk := source.read(CHUNK):
                    file.write(chunk)
                    done += len(chunk)
                    report(done)

    def command(self, words: list[str], stdin: bytes, deadline_s: float) -> tuple[int | None, bytes, str]:
        """Run a command beside the agent; return its exit status, its stdout and the tail of its stderr."""
        end = time.monotonic() + deadline_s
        with _plain_faults(self._device):
            pipe, said = _Exec(self._way.end, words), b""
            pipe.send(stdin)
            pipe.end()
            while chunk := pipe.receive(max(0.0, end - time.monotonic())):
                said += chunk
            status, tail = pipe.ending()
        return status, said, tail


@contextlib.contextmanager
def _plain_faults(device: Device) -> Iterator[None]:
    """Turn what SFTP and channels raise into faults of the device."""
    try:
        yield
    except (TimeoutError, EOFError, ConnectionError, paramiko.SSHException) as error:
        raise DeviceUnreachable(
            f"The device {device.name} stopped answering ({str(error) or type(error).__name__}); "
            "check it and its network."
        ) from error
    except OSError as error:
        raise DeviceFull(
            f"The device {device.name} cannot write to the folder {device.root} of {device.user} ({error}); "
            "check that the home folder exists, its rights, and its free space."
        ) from error


def _start(device: Device, way: Way) -> SshSession:
    sftp = way.end.open_sftp_client()
    assert sftp is not None
    channel = sftp.get_channel()
    assert channel is not None
    channel.settimeout(TRANSFER_S)
    agent = agent_file()
    known, present = _prepare_folder(sftp, device.root, agent)
    path = posixpath.join(device.root, agent.name)
    if not present:
        part = _upload(sftp, path, agent.content)
        _install(device, way.end, [device.python, "-c", _INSTALL, part, path, agent.sha])
    pipe = _Exec(way.end, [device.python, path, "--root", device.root], still_there=lambda: sftp.stat("."))
    return SshSession(device, way, sftp, pipe, known)


def _prepare_folder(sftp: paramiko.SFTPClient, root: str, agent: AgentFile) -> tuple[list[str], bool]:
    """Return the names of the blobs on the device, and whether this agent is there already."""
    blobs = posixpath.join(root, "blobs")
    try:
        known = sftp.listdir(blobs)
    except FileNotFoundError:
        _make_folders(sftp, blobs)
        return [], False
    try:
        size = sftp.stat(posixpath.join(root, agent.name)).st_size
    except FileNotFoundError:
        size = None
    return known, size == len(agent.content)


def _make_folders(sftp: paramiko.SFTPClient, path: str) -> None:
    for folder in [path[:end] for end in range(1, len(path)) if path[end] == "/"] + [path]:
        if not _is_folder(sftp, folder):
            try:
                sftp.mkdir(folder, 0o700)
            except OSError:  # SFTP says no more than "Failure"; another connection may have made it meanwhile
                if not _is_folder(sftp, folder):
                    raise


def _is_folder(sftp: paramiko.SFTPClient, path: str) -> bool:
    try:
        return stat.S_ISDIR(sftp.stat(path).st_mode or 0)
    except FileNotFoundError:
        return False


def _upload(sftp: paramiko.SFTPClient, path: str, content: bytes) -> str:
    """Write ``content`` beside ``path``, check its size, and return the temporary name."""
    part = f"{path}.{os.getpid()}.part"
    sftp.putfo(io.BytesIO(content), part, confirm=True)
    return part


def _install(device: Device, connection: paramiko.Transport, command: list[str]) -> None:
    pipe = _Exec(connection, command)
    while pipe.receive(TRANSFER_S):
        pass
    status, tail = pipe.ending()
    if "UPLOAD_DAMAGED" in tail:
        raise ControllerFault(f"The agent arrived damaged on {device.name} and was deleted there; try again.")
    if status != 0:
        raise python_missing(device, " ".join(tail.split())[-300:])


class _Exec:
    """A command on the device: every word of it is quoted, and only we choose the words.

    While we wait for it to speak, ``still_there`` is asked every ``QUIET_S`` seconds and raises where no answer comes.
    The kernel's own watch (``SILENCE_MS``) ends at the first machine on the way, and does not see a frozen device.
    """

    def __init__(
        self, connection: paramiko.Transport, command: list[str], still_there: Callable[[], object] = lambda: None
    ) -> None:
        self._still_there = still_there
        self._channel = connection.open_session(timeout=CONNECT_S)
        self._channel.settimeout(TRANSFER_S)
        self._channel.exec_command(" ".join(map(shlex.quote, command)))
        self._tail = b""

    def send(self, data: bytes) -> None:
        self._channel.settimeout(TRANSFER_S)
        self._channel.sendall(data)

    def end(self) -> None:
        """Say that nothing more comes on its stdin."""
        self._channel.shutdown_write()

    def receive(self, timeout_s: float) -> bytes:
        """As in ``Pipe``; stderr is read along, so that the device never waits for it to be."""
        now = time.monotonic()
        end, ask_at = now + timeout_s, now + QUIET_S
        while True:
            self._drain_stderr()
            self._channel.settimeout(max(0.0, min(1.0, end - time.monotonic())))
            try:
                return self._channel.recv(1 << 18)
            except TimeoutError:
                if (now := time.monotonic()) >= end:
                    raise
            if now >= ask_at:
                self._ask()
                ask_at = now + QUIET_S

    def _ask(self) -> None:
        try:
            self._still_there()
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise ConnectionError("the device no longer answers") from error

    def ending(self) -> tuple[int | None, str]:
        status = self._channel.recv_exit_status() if self._channel.status_event.wait(1.0) else None
        self._drain_stderr()
        return status if status != -1 else None, self._tail.decode(errors="replace")

    def _drain_stderr(self) -> None:
        while self._channel.recv_stderr_ready():
            said: Any = self._channel.recv_stderr(1 << 16)
            if not said:
                break
            self._tail = (self._tail + said)[-4000:]
