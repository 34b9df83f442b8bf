"""Network namespaces of the tests' own: boards on one bridge, or hidden behind another board.

Everything is named after this process (``nas-bed-PID-…``, links ``nbPID…``), so that what a killed
run left is found and taken away by the next.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from processes import is_alive

from beds.cgroup import Group

NETNS = Path("/run/netns")
PREFIX = f"nas-bed-{os.getpid()}-"
_BRIDGE = f"nb{os.getpid()}"
_links = itertools.count(1)
"""Numbers of links; the kernel may take its time with the names of those that are gone."""
_CUT = """\
table inet cut {
  chain arriving { type filter hook input priority 0; policy drop; }
  chain leaving { type filter hook output priority 0; policy drop; }
  chain passing { type filter hook forward priority 0; policy drop; }
}
"""


def why_not() -> str | None:
    """What keeps this computer from being a test bed; None when nothing does."""
    if os.getuid() != 0:
        return "boards in network namespaces need root; run the tests as root"
    missing = {"ip": "iproute2", "nft": "nftables", "nsenter": "util-linux"}
    if absent := [package for program, package in missing.items() if shutil.which(program) is None]:
        return f"boards in network namespaces need {' and '.join(absent)}; apt-get install {' '.join(absent)}"
    tried = subprocess.run(["ip", "netns", "add", f"{PREFIX}try"], capture_output=True, text=True, check=False)
    if tried.returncode:
        return f"network namespaces cannot be made here: {tried.stderr.strip()}"
    run("ip", "netns", "del", f"{PREFIX}try")
    try:
        Group.create(f"{PREFIX}try", 1.0, 64).remove()
    except OSError as error:
        return f"cgroups cannot be made here: {error}"
    return None


def run(*command: str, given: str | None = None) -> str:
    """Run a program that has to succeed, and return what it says."""
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


@dataclass(frozen=True)
class Namespace:
    """One machine's view of the network, with one address."""

    name: str
    address: str

    @property
    def path(self) -> Path:
        return NETNS / self.name

    def cut(self) -> None:
        """From now on every packet is dropped, to and fro, without a word."""
        run("nsenter", f"--net={self.path}", "nft", "-f", "-", given=_CUT)

    def mend(self) -> None:
        run("nsenter", f"--net={self.path}", "nft", "delete", "table", "inet", "cut")


class Network:
    """A bridge on this computer, and namespaces that are plugged into it."""

    def __init__(self) -> None:
        sweep()
        self._addresses = itertools.count(2)
        run("ip", "link", "add", _BRIDGE, "type", "bridge")
        run("ip", "addr", "add", f"{self._subnet}.1/24", "dev", _BRIDGE)
        run("ip", "link", "set", _BRIDGE, "up")

    def close(self) -> None:
        for path in NETNS.glob(f"{PREFIX}*"):
            run("ip", "netns", "del", path.name)
        run("ip", "link", "del", _BRIDGE)

    def plug_in(self, name: str, behind: Namespace | None = None) -> Namespace:
        """Make a namespace with one address: on the bridge, or only to be reached from ``behind``."""
        number, full = next(_links), PREFIX + name
        link = f"{_BRIDGE}v{number}"
        run("ip", "netns", "add", full)
        run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", full)
        if behind is None:
            address = f"{self._subnet}.{next(self._addresses)}"
            run("ip", "link", "set", link, "master", _BRIDGE, "up")
        else:
            hidden = f"198.19.{number % 256}"
            address = f"{hidden}.2"
            run("ip", "link", "set", link, "netns", behind.name)
            run("ip", "-n", behind.name, "addr", "add", f"{hidden}.1/24", "dev", link)
            run("ip", "-n", behind.name, "link", "set", link, "up")
        run("ip", "-n", full, "addr", "add", f"{address}/24", "dev", "eth0")
        for device in ("eth0", "lo"):
            run("ip", "-n", full, "link", "set", device, "up")
        return Namespace(full, address)

    @cached_property
    def _subnet(self) -> str:
        """The first free one of those that are set aside for tests of networks (RFC 2544)."""
        taken = run("ip", "-o", "-4", "addr")
        return next(f"198.18.{third}" for third in range(1, 255) if f"198.18.{third}." not in taken)


def sweep() -> None:
    """Take away what killed runs left: processes, groups, namespaces and bridges."""
    for name, group in Group.named("nas-bed-*").items():
        if _is_orphan(name):
            group.remove()
    for path in NETNS.glob("nas-bed-*"):
        if _is_orphan(path.name):
            for pid in run("ip", "netns", "pids", path.name).split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            run("ip", "netns", "del", path.name)
    for line in run("ip", "-o", "link", "show", "type", "bridge").splitlines():
        if (found := re.search(r"\b(nb(\d+))\b", line)) and not is_alive(int(found[2])):
            run("ip", "link", "del", found[1])


def _is_orphan(name: str) -> bool:
    return not is_alive(int(name.split("-")[2]))
