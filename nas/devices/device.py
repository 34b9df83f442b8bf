"""Which device, and how it is reached."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nas.errors import RequestError
from nas.request import DAILY_WINDOW

TRANSPORTS = ("local", "ssh")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_HOST_KEY = re.compile(r"[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,2}")


@dataclass(frozen=True, slots=True)
class Hop:
    """One machine on the way to a device (OpenSSH's ProxyJump), with a pinned host key of its own.

    Attributes:
        host: Address, as the machine before it sees it.
        port: Port of its SSH server.
        user: Login name there.
        key: Path of the private key on the controller; empty leaves it to the ssh-agent.
        host_key: The pinned host key, for example ``ssh-ed25519 AAAA…``.
        certificate: Path of the OpenSSH certificate that goes with ``key``, on the controller.
    """

    host: str
    port: int
    user: str
    key: str
    host_key: str
    certificate: str = ""


@dataclass(frozen=True, slots=True)
class Device:
    """One enrolled device. It holds the name of a key file, never a secret.

    Attributes:
        name: What users call it: small letters, digits and dashes.
        transport: ``local`` (pipes to this computer) or ``ssh``.
        host: Address for ``ssh``.
        port: Port for ``ssh``.
        user: Login name for ``ssh``.
        key: Path of the private key on the controller; empty leaves it to the ssh-agent, if that may be used.
        host_key: The pinned host key, for example ``ssh-ed25519 AAAA…``; empty means never enrolled.
        python: The interpreter on the device, 3.8 or newer.
        root: Folder on the device for the agent and its blobs; relative to the user's home for ``ssh``.
        pool: Identical boards share the name of a pool; empty stands alone.
        measure_between: Window of the day, in the device's own time, such as ``22:00-05:00``; empty is always.
        jump: The machines on the way, first to last.
        certificate: Path of the OpenSSH certificate that goes with ``key``, on the controller.
        use_agent: Whether a running ssh-agent may be used, on the way too: for ``key`` if it holds that, or for all its
            keys if none is named.
    """

    name: str
    transport: str
    host: str = ""
    port: int = 22
    user: str = ""
    key: str = ""
    host_key: str = ""
    python: str = "python3"
    root: str = ".nas-agent"
    pool: str = ""
    measure_between: str = ""
    jump: tuple[Hop, ...] = ()
    certificate: str = ""
    use_agent: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "jump", tuple(hop if isinstance(hop, Hop) else Hop(**hop) for hop in self.jump))
        for problem in self._problems():
            raise RequestError(f"The device {self.name!r} is not possible: {problem}.")

    def _problems(self) -> list[str]:
        found = []
        if not _NAME.fullmatch(self.name):
            found.append("expected a name of at most 63 small letters, digits and dashes, such as pi4-kitchen")
        if self.transport not in TRANSPORTS:
            found.append(f"transport is {self.transport!r}, expected one of {', '.join(TRANSPORTS)}")
        if self.transport == "ssh" and not (self.host and self.user):
            found.append("the ssh transport needs a host and a user")
        if not self.python or not self.root:
            found.append("python and root must not be empty")
        if ".." in self.root.split("/") or not self.root.strip("/."):
            found.append(f"root is {self.root!r}, expected a folder of its own, such as .nas-agent")
        if self.pool and not _NAME.fullmatch(self.pool):
            found.append(f"pool is {self.pool!r}, expected a name such as pi4")
        if self.pool == self.name:
            found.append("its pool has the same name, and a search could not tell them apart; rename one of them")
        if self.measure_between and not is_daily_window(self.measure_between):
            found.append(f"measure_between is {self.measure_between!r}, expected two times such as 22:00-05:00")
        found += _problems_of(self, ("host", "user", "key", "certificate", "python", "root"))
        for number, hop in enumerate(self.jump, start=1):
            found += [f"jump {number}: {problem}" for problem in _problems_of_hop(hop)]
        return found


def is_daily_window(text: str) -> bool:
    """Tell whether a text is a window of the day: two different times such as ``22:00-05:00``."""
    begin, _, end = text.partition("-")
    return re.fullmatch(DAILY_WINDOW, text) is not None and begin != end


def _problems_of_hop(hop: Hop) -> list[str]:
    found = _problems_of(hop, ("host", "user", "key", "certificate"))
    if not (hop.host and hop.user and hop.host_key):
        found.append("a machine on the way needs a host, a user and a pinned host_key")
    return found


def _problems_of(place: Device | Hop, texts: tuple[str, ...]) -> list[str]:
    found = []
    if not 1 <= place.port <= 65535:
        found.append(f"port is {place.port}, expected 1 to 65535")
    if place.host_key and not _HOST_KEY.fullmatch(place.host_key):
        found.append("host_key is not of the form `ssh-ed25519 AAAA…`; take the line that enrolment shows")
    for field in texts:
        value = getattr(place, field)
        if any(ord(letter) < 32 for letter in value) or value.startswith("-"):
            found.append(f"{field} is {value!r}, expected no control characters and no leading dash")
    return found
