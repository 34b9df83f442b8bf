"""A real OpenSSH server on loopback for the tests: its own port, host key and configuration, as the current user."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from processes import descendants

from nas.devices.device import Device

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
CONFIG = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/user_key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PrintMotd no
Subsystem sftp internal-sftp
"""


@dataclass
class Sshd:
    """One server; ``device`` describes a device that is reached through it."""

    folder: Path
    port: int = 0
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        for name in ("host_key", "user_key"):
            make_key(self.folder / name)
        with socket.create_server(("127.0.0.1", self.port)) as probe:
            self.port = probe.getsockname()[1]
        (self.folder / "config").write_text(self.config())
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd's privilege separation wants it
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([SSHD, "-D", "-e", "-f", self.folder / "config"], stderr=log)
        self._wait_until_it_answers()

    def config(self) -> str:
        return CONFIG.format(port=self.port, folder=self.folder)

    def _wait_until_it_answers(self) -> None:
        for _ in range(200):
            try:
                with socket.create_connection(("127.0.0.1", self.port), 5) as link:
                    if link.recv(4) == b"SSH-":
                        return
            except OSError:
                time.sleep(0.02)
        pytest.fail(f"sshd did not start: {(self.folder / 'log').read_text()}")

    def stop(self) -> None:
        """Kill the server and every connection to it, at once and without goodbye."""
        if self.process is not None:
            for pid in [self.process.pid, *descendants(self.process.pid)]:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            self.process.wait()
            self.process = None

    @property
    def host_key(self) -> str:
        return " ".join((self.folder / "host_key.pub").read_text().split()[:2])

    @property
    def fingerprint(self) -> str:
        command = ["ssh-keygen", "-lf", str(self.folder / "host_key.pub")]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[1]

    def device(self, root: Path, **changes: object) -> Device:
        usual = {
            "name": "over-ssh",
            "transport": "ssh",
            "host": "127.0.0.1",
            "port": self.port,
            "user": getpass.getuser(),
            "key": str(self.folder / "user_key"),
            "host_key": self.host_key,
            "root": str(root),
        }
        return Device(**{**usual, **changes})  # type: ignore[arg-type] # the tests choose


def make_key(path: Path) -> None:
    if not path.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", path], check=True)


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A server for the whole run; tests that kill one start their own with ``fresh_sshd``."""
    yield from _served(tmp_path_factory.mktemp("sshd"))


@pytest.fixture
def fresh_sshd(tmp_path: Path) -> Iterator[Sshd]:
    folder = tmp_path / "sshd"
    folder.mkdir()
    yield from _served(folder)


def _served(folder: Path) -> Iterator[Sshd]:
    if SSHD is None or shutil.which("ssh-keygen") is None:
        pytest.skip("OpenSSH's server is not installed; install it with `apt-get install openssh-server`")
    server = Sshd(folder)
    server.start()
    yield server
    server.stop()
