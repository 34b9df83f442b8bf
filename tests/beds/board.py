"""Boards: a real OpenSSH each, in a network namespace with its own cores, memory, disk and boot id."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from calm import python_with
from processes import is_alive, wait_until
from sshd import CONFIG, SSHD, Sshd, make_key

from beds.cgroup import Group
from beds.leftovers import fresh_folder
from beds.network import PREFIX, Namespace, Network, why_not
from nas.devices.device import Device, Hop

PORT = 22
_JOIN = 'for group in $GROUPS_OF_BOARD; do echo $$ > "$group/cgroup.procs"; done; exec "$@"'
_DISK = 'mkdir -p "$1" && mount -t tmpfs -o "size=$2" none "$1" && shift 2 && exec "$@"'


@dataclass
class Board(Sshd):
    """One board. Its facts (boot id, memory, model) are files of its own; its kernel and cores are this computer's.

    Attributes:
        name: What its device is called.
        namespace: Its network.
        group: Its processes, and what they may take.
        claims_mb: Memory that it says it has, in MiB.
        disk_kb: Size of the disk that its root folder lies on; 0 is this computer's.
        behind: The board that one has to go through to reach it.
    """

    name: str = ""
    namespace: Namespace = field(default=None, repr=False)  # type: ignore[assignment] # always given
    group: Group = field(default=None, repr=False)  # type: ignore[assignment] # always given
    claims_mb: int = 0
    disk_kb: int = 0
    behind: Board | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start sshd; the board is on."""
        for name in ("host_key", "user_key"):
            make_key(self.folder / name)
        self.port = PORT
        config = CONFIG.format(port=PORT, folder=self.folder, extra="")
        (self.folder / "config").write_text(config.replace("127.0.0.1", self.namespace.address))
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        command = ["nsenter", f"--net={self.namespace.path}", *self._with_disk(SSHD, "-D", "-e", "-f", "config")]
        groups = {"GROUPS_OF_BOARD": " ".join(map(str, self.group.folders))}
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                ["sh", "-c", _JOIN, "sh", *command], stderr=log, cwd=self.folder, env={**os.environ, **groups}
            )
        wait_until(self._listens)

    def stop(self) -> None:
        """Switch it off: everything on it dies at once, without goodbye."""
        self.group.send(signal.SIGKILL)
        wait_until(lambda: not any(map(is_alive, self.group.pids())))
        if self.process is not None:
            self.process.wait()
            self.process = None

    def reboot(self) -> None:
        """Switch it off and on again; what lies on its disk stays, unless the disk is its own."""
        self.stop()
        self._write_facts()
        self.start()

    def kill_sshd(self) -> None:
        """Kill sshd and its connections alone, as the out-of-memory killer might."""
        for pid in self.group.pids():
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_text().startswith("sshd"):
                    os.kill(pid, signal.SIGKILL)
        assert self.process is not None
        self.process.wait()
        self.process = None

    def pause(self) -> None:
        """Stop every process (SIGSTOP); the kernel goes on and acknowledges what arrives."""
        self.group.send(signal.SIGSTOP)

    def resume(self) -> None:
        self.group.send(signal.SIGCONT)

    def cut(self) -> None:
        """Drop every packet, in both directions."""
        self.namespace.cut()

    def mend(self) -> None:
        self.namespace.mend()

    def swap_host_key(self) -> None:
        """Set sshd up anew, as a stranger at the same address would have."""
        self.stop()
        for name in ("host_key", "host_key.pub"):
            (self.folder / name).unlink()
        self.start()

    def agents(self) -> list[int]:
        """The processes of agents on it: the agent itself, its fork servers, the measuring child."""
        return [pid for pid in self.group.pids() if b"\0--root\0" in _command_line(pid)]

    @property
    def root(self) -> Path:
        return self.folder / "root" / "agent"

    @property
    def hop(self) -> Hop:
        return Hop(self.namespace.address, PORT, "root", str(self.folder / "user_key"), self.host_key)

    def device(self, root: Path | None = None, **changes: object) -> Device:
        given = {"name": self.name, "host": self.namespace.address, "python": str(self.folder / "python")}
        jump = {"jump": (self.behind.hop,)} if self.behind else {}
        return super().device(root or self.root, **{**given, **jump, **changes})

    def lay_out(self) -> Board:
        """Write what makes it a board of its own, before it is started."""
        python_with(self._sysroot, self.folder / "python")
        self._write_facts()
        return self

    @property
    def _sysroot(self) -> Path:
        return self.folder / "sysroot"

    def _write_facts(self) -> None:
        facts = {
            "proc/sys/kernel/random/boot_id": str(uuid.uuid4()),
            "proc/sys/kernel/osrelease": "6.1-bed",
            "proc/meminfo": f"MemTotal: {self.claims_mb << 10} kB",
            "proc/cpuinfo": "model name : bed",
            "proc/device-tree/model": "Test bed",
        }
        for name, content in facts.items():
            path = self._sysroot / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{content}\n")

    def _with_disk(self, *command: str) -> list[str]:
        if not self.disk_kb:
            return list(command)
        mount = ["sh", "-c", _DISK, "sh", str(self.folder / "root"), f"{self.disk_kb}k"]
        return ["unshare", "--mount", *mount, *command]

    def _listens(self) -> bool:
        """Looked up in its own list of sockets, because not every board can be reached from here."""
        assert self.process is not None
        assert self.process.poll() is None, self.folder.joinpath("log").read_text()
        with contextlib.suppress(OSError):
            return f":{PORT:04X} 00000000:0000 0A" in Path(f"/proc/{self.process.pid}/net/tcp").read_text()
        return False


class Beds:
    """All boards of one test."""

    def __init__(self) -> None:
        self.folder = fresh_folder()
        self._network = Network()
        self._boards: list[Board] = []

    def board(
        self,
        name: str,
        *,
        cpus: float = 1.0,
        memory_mb: int = 512,
        claims_mb: int = 0,
        disk_kb: int = 0,
        behind: Board | None = None,
    ) -> Board:
        """Build a board and switch it on.

        Args:
            name: What its device is called.
            cpus: Cores that it may keep busy.
            memory_mb: Resident memory of all its processes, in MiB.
            claims_mb: Memory that it says it has; 0: the truth.
            disk_kb: Size of its own disk; 0 shares this computer's.
            behind: Reached only through this board.
        """
        folder = self.folder / name
        folder.mkdir()
        namespace = self._network.plug_in(name, behind and behind.namespace)
        group = Group.create(f"{PREFIX}{name}", cpus, memory_mb)
        given = {"name": name, "namespace": namespace, "group": group, "disk_kb": disk_kb, "behind": behind}
        self._boards.append(Board(folder, claims_mb=claims_mb or memory_mb, **given).lay_out())
        self._boards[-1].start()
        return self._boards[-1]

    def close(self) -> None:
        for board in self._boards:
            board.stop()
            board.group.remove()
        self._network.close()
        shutil.rmtree(self.folder)


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.fixture(scope="session")
def _bed_is_possible() -> str | None:
    if SSHD is None:
        return "OpenSSH's server is not installed; install it with `apt-get install openssh-server`"
    return why_not()


@pytest.fixture
def beds(_bed_is_possible: str | None) -> Iterator[Beds]:
    """Boards of a test's own: ``beds.board("a", cpus=0.5, memory_mb=512)``."""
    if _bed_is_possible:
        pytest.skip(_bed_is_possible)
    made = Beds()
    yield made
    made.close()
