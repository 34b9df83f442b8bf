"""A device over SSH, by paramiko: pinned host key, one private key, nothing of the user's own SSH configuration."""

from __future__ import annotations

import contextlib
import io
import os
import posixpath
import shlex
import socket
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import paramiko

from nas.devices.agent_file import AgentFile, agent_file
from nas.devices.device import Device
from nas.devices.transport import LineSession, python_missing
from nas.errors import (
    ControllerFault,
    DeviceFault,
    DeviceUnreachable,
    HostKeyChanged,
    HostKeyUnknown,
    LoginRefused,
)

CONNECT_S = 10.0
"""Seconds for each of: TCP, the banner, the key exchange, the login."""
TRANSFER_S = 30.0
"""Seconds that one SFTP request or a command that we wait for may stay without an answer."""
CHUNK = 32768
"""Bytes of one SFTP write: what every server takes."""
KEEPALIVE_S = 5
SILENCE_MS = 20_000
"""Milliseconds that sent data may stay unacknowledged before the kernel gives the connection up."""

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
        if not device.host_key:
            raise HostKeyUnknown(
                f"The device {device.name} was never enrolled, so nothing was sent; "
                "enrol it first, which shows its host key's fingerprint and pins it."
            )
        connection = _connected(device.host, device.port, device.host_key)
        try:
            _expect_pinned(device, connection)
            _log_in(device, connection)
            with _plain_faults(device):
                session = _start(device, connection)
        except BaseException:
            connection.close()
            raise
        session.hello()
        return session


class SshSession(LineSession):
    """A session with an agent behind SSH; blobs go through SFTP."""

    def __init__(
        self, device: Device, connection: paramiko.Transport, sftp: paramiko.SFTPClient, pipe: _Exec, known: list[str]
    ) -> None:
        super().__init__(device, pipe, known)
        self._connection = connection
        self._sftp = sftp

    def _end(self) -> None:
        self._connection.close()

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
            pipe, said = _Exec(self._connection, words), b""
            pipe.send(stdin)
            pipe.end()
            while chunk := pipe.receive(max(0.0, end - time.monotonic())):
                said += chunk
            status, tail = pipe.ending()
        return status, said, tail


def scan_host_key(host: str, port: int = 22, timeout_s: float = CONNECT_S) -> tuple[str, str]:
    """Ask a host for its key, to show and pin it at enrolment; nothing else is sent.

    Returns:
        The key line (``ssh-ed25519 AAAA…``) and its fingerprint (``SHA256:…``), as ``ssh-keygen -l`` prints it.

    Raises:
        DeviceUnreachable: No SSH server answers there.
    """
    connection = _connected(host, port, "ssh-ed25519 ", timeout_s)
    try:
        key = connection.get_remote_server_key()
        return _key_line(key), key.fingerprint
    finally:
        connection.close()


def _connected(host: str, port: int, host_key: str, timeout_s: float = CONNECT_S) -> paramiko.Transport:
    """Return a connection after the key exchange, before any login."""
    where = f"{host}:{port}"
    try:
        link = socket.create_connection((host, port), timeout_s)
    except OSError as error:
        raise DeviceUnreachable(
            f"No connection to {where} ({error.strerror or error}); check the address, the network, and that sshd runs."
        ) from error
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; elsewhere the deadline of each call has to do
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE_MS)
    connection = paramiko.Transport(link)
    try:
        connection.banner_timeout = connection.auth_timeout = connection.channel_timeout = timeout_s
        offers = connection.get_security_options()
        offers.key_types = sorted(offers.key_types, key=lambda kind: not _is_of(kind, host_key))
        connection.start_client(timeout=timeout_s)
        connection.get_remote_server_key()
    except (paramiko.SSHException, OSError, EOFError) as error:
        connection.close()
        raise DeviceUnreachable(
            f"What answers at {where} is no usable SSH server ({error}); check the port."
        ) from error
    connection.set_keepalive(KEEPALIVE_S)
    return connection


def _is_of(algorithm: str, host_key: str) -> bool:
    """Tell whether a signature algorithm belongs to the type of a key; RSA keys sign with SHA-2."""
    kind = host_key.split(maxsplit=1)[0]
    return algorithm == kind or (kind == "ssh-rsa" and algorithm.startswith("rsa-sha2-"))


def _key_line(key: paramiko.PKey) -> str:
    return f"{key.get_name()} {key.get_base64()}"


def _expect_pinned(device: Device, connection: paramiko.Transport) -> None:
    shown = connection.get_remote_server_key()
    if _key_line(shown) != device.host_key:
        raise HostKeyChanged(
            f"The device {device.name} shows another host key ({shown.fingerprint}) than the one pinned at enrolment, "
            "so nothing was sent; if it was set up anew, remove it and enrol it again, otherwise somebody else answers."
        )


def _log_in(device: Device, connection: paramiko.Transport) -> None:
    refused = f"The device {device.name} refuses the login of {device.user}"
    if not device.key:
        raise LoginRefused(f"{refused}: it has no private key here; name the file of one with its `key`.")
    try:
        key = paramiko.PKey.from_path(Path(device.key).expanduser())
    except (OSError, ValueError, TypeError, paramiko.SSHException) as error:
        raise ControllerFault(
            f"The private key {device.key} of {device.name} cannot be read ({error}); "
            "expected a key file without a passphrase, readable by this user."
        ) from error
    try:
        connection.auth_publickey(device.user, key)
    except paramiko.AuthenticationException as error:
        raise LoginRefused(
            f"{refused} with the key {device.key}; add its public half to ~/.ssh/authorized_keys there."
        ) from error
    except (paramiko.SSHException, OSError, EOFError) as error:
        raise DeviceUnreachable(f"The device {device.name} broke off the login ({error}); try again.") from error


@contextlib.contextmanager
def _plain_faults(device: Device) -> Iterator[None]:
    """Turn what SFTP and channels raise into faults of the device."""
    try:
        yield
    except (TimeoutError, EOFError, ConnectionError, paramiko.SSHException) as error:
        raise DeviceUnreachable(
            f"The device {device.name} stopped answering ({error or type(error).__name__}); check it and its network."
        ) from error
    except OSError as error:
        raise DeviceFault(
            f"The device {device.name} cannot write to the folder {device.root} of {device.user} ({error}); "
            "check that the home folder exists, its rights, and its free space."
        ) from error


def _start(device: Device, connection: paramiko.Transport) -> SshSession:
    sftp = connection.open_sftp_client()
    assert sftp is not None
    channel = sftp.get_channel()
    assert channel is not None
    channel.settimeout(TRANSFER_S)
    agent = agent_file()
    known, present = _prepare_folder(sftp, device.root, agent)
    path = posixpath.join(device.root, agent.name)
    if not present:
        part = _upload(sftp, path, agent.content)
        _install(device, connection, [device.python, "-c", _INSTALL, part, path, agent.sha])
    pipe = _Exec(connection, [device.python, path, "--root", device.root])
    return SshSession(device, connection, sftp, pipe, known)


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
            sftp.mkdir(folder, 0o700)


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
    """A command on the device: every word of it is quoted, and only we choose the words."""

    def __init__(self, connection: paramiko.Transport, command: list[str]) -> None:
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
        end = time.monotonic() + timeout_s
        while True:
            self._drain_stderr()
            self._channel.settimeout(max(0.0, min(1.0, end - time.monotonic())))
            try:
                return self._channel.recv(1 << 18)
            except TimeoutError:
                if time.monotonic() >= end:
                    raise

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
