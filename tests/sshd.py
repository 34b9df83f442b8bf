"""Real OpenSSH for the tests: servers on loopback with keys of their own, an ssh-agent, certificates; as this user."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from ports import free_port
from processes import descendants, wait_until

from nas.devices.device import Device, Hop

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
CONFIG = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/user_key.pub
PidFile none
StrictModes no
UsePAM no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PrintMotd no
Subsystem sftp internal-sftp
{extra}
PasswordAuthentication no
"""


@dataclass
class Sshd:
    """One server; ``device`` describes a device that is reached through it. ``extra`` goes into its configuration."""

    folder: Path
    port: int = 0
    extra: str = ""
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        for name in ("host_key", "user_key"):
            make_key(self.folder / name)
        self.port = self.port or free_port()
        (self.folder / "config").write_text(self.config())
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd's privilege separation wants it
        with (self.folder / "log").open("ab") as log:
            said = log.tell()
            self.process = subprocess.Popen([SSHD, "-D", "-e", "-f", self.folder / "config"], stderr=log)
        wait_until(lambda: self._says_it_listens(said))

    def config(self) -> str:
        return CONFIG.format(port=self.port, folder=self.folder, extra=self.extra)

    def _says_it_listens(self, said: int) -> bool:
        """By its own word: to call it would leave a line in its log, which tests read."""
        assert self.process is not None
        assert self.process.poll() is None, f"sshd did not start: {self.log}"
        return b"Server listening on" in (self.folder / "log").read_bytes()[said:]

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

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    @property
    def hop(self) -> Hop:
        """This server as a machine on the way."""
        return Hop("127.0.0.1", self.port, getpass.getuser(), str(self.folder / "user_key"), self.host_key)

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


def make_key(path: Path, *, kind: str = "ed25519", passphrase: str = "") -> Path:
    """Make a pair of keys, unless it is there."""
    if not path.exists():
        command = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "test", "-f", path]
        subprocess.run([*command, *(["-b", "2048"] if kind == "rsa" else [])], check=True)
    return path


def public_line(path: Path) -> str:
    """Return the public half of a key without its comment."""
    return " ".join(Path(f"{path}.pub").read_text().split()[:2])


def certify(key: Path, authority: Path, *, validity: str = "+1h") -> Path:
    """Sign a user's key, for the current user, and return the certificate that ssh-keygen puts beside it."""
    command = ["ssh-keygen", "-q", "-s", authority, "-I", "test", "-n", getpass.getuser(), "-V", validity, f"{key}.pub"]
    subprocess.run(command, check=True)
    return key.with_name(f"{key.name}-cert.pub")


@dataclass
class SshAgent:
    """A running ssh-agent."""

    socket: Path

    def add(self, key: Path) -> None:
        self._ask("-q", key)

    def forget_all(self) -> None:
        self._ask("-q", "-D")

    def _ask(self, *words: str | Path) -> None:
        environment = {**os.environ, "SSH_AUTH_SOCK": str(self.socket)}
        subprocess.run(["ssh-add", *words], env=environment, check=True, stdin=subprocess.DEVNULL)


@pytest.fixture
def ssh_agent(monkeypatch: pytest.MonkeyPatch) -> Iterator[SshAgent]:
    """An agent of the test's own, at SSH_AUTH_SOCK."""
    with tempfile.TemporaryDirectory(prefix="agent-") as folder:  # a socket's path is short
        agent = SshAgent(Path(folder) / "socket")
        process = subprocess.Popen(["ssh-agent", "-D", "-a", agent.socket], stdout=subprocess.DEVNULL)
        wait_until(agent.socket.exists)
        monkeypatch.setenv("SSH_AUTH_SOCK", str(agent.socket))
        yield agent
        process.terminate()
        process.wait()


@pytest.fixture
def more_sshd(tmp_path: Path) -> Iterator[Callable[..., Sshd]]:
    """Start further servers, each with keys of its own: ``more_sshd("gate", extra="AllowTcpForwarding no")``."""
    _expect_openssh()
    started: list[Sshd] = []

    def start(name: str, *, extra: str = "") -> Sshd:
        folder = tmp_path / name
        folder.mkdir()
        started.append(Sshd(folder, extra=extra))
        started[-1].start()
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A server for the whole run; tests that kill one start their own with ``fresh_sshd``."""
    yield from _served(tmp_path_factory.mktemp("sshd"))


@pytest.fixture
def fresh_sshd(tmp_path: Path) -> Iterator[Sshd]:
    folder = tmp_path / "sshd"
    folder.mkdir()
    yield from _served(folder)


def _expect_openssh() -> None:
    if SSHD is None or shutil.which("ssh-keygen") is None:
        pytest.skip("OpenSSH's server is not installed; install it with `apt-get install openssh-server`")


def _served(folder: Path) -> Iterator[Sshd]:
    _expect_openssh()
    server = Sshd(folder)
    server.start()
    yield server
    server.stop()
