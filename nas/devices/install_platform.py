"""What decides which builds of a runtime run on a device: its processor, Python and C library."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

from packaging.tags import Tag, compatible_tags, cpython_tags

from nas.errors import RuntimeMissing

Version = tuple[int, int]
OLDEST_GLIBC = {"x86_64": 5, "aarch64": 17}
"""Minor version of the oldest glibc that wheels name, by processor (PEP 600)."""


@dataclass(frozen=True)
class Platform:
    """What decides which builds run on a device.

    Attributes:
        device: Its name, for messages.
        machine: Processor as the kernel calls it, for example ``aarch64``.
        bits: Of the interpreter: a 64-bit kernel may well carry a 32-bit system.
        implementation: ``CPython`` or another.
        python: For example ``3.11.2``.
        libc: For example ``glibc 2.36``; None for another C library, such as musl.
    """

    device: str
    machine: str
    bits: int
    implementation: str
    python: str
    libc: str | None

    @classmethod
    def of(cls, device: str, facts: Mapping[str, Any]) -> Self:
        """Take from the device's answer to ``look`` what matters here."""
        names = ("machine", "bits", "implementation", "python", "libc")
        return cls(device, **{name: facts[name] for name in names})

    @cached_property
    def version(self) -> Version:
        """Python's major and minor version."""
        return _version(self.python)

    @cached_property
    def glibc(self) -> Version:
        return _version((self.libc or "").removeprefix("glibc "))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The platform tags that run there, best first."""
        newest, oldest = self.glibc[1], OLDEST_GLIBC[self.machine]
        names = [f"manylinux_2_{minor}_{self.machine}" for minor in range(newest, oldest - 1, -1)]
        old = {"2014": 17, "2010": 12, "1": 5}
        names += [f"manylinux{year}_{self.machine}" for year, minor in old.items() if oldest <= minor <= newest]
        return (*names, f"linux_{self.machine}")

    @cached_property
    def tags(self) -> frozenset[Tag]:
        """Every tag of a wheel that runs there."""
        interpreter = f"cp{self.version[0]}{self.version[1]}"
        own = cpython_tags(self.version, [interpreter], self.names)
        return frozenset(own) | frozenset(compatible_tags(self.version, interpreter, self.names))

    def __str__(self) -> str:
        return f"Python {self.version[0]}.{self.version[1]} on {self.machine} with {self.libc}"


def require_supported(platform: Platform) -> None:
    """Refuse what no runtime has builds for.

    Raises:
        RuntimeMissing: Saying what would work.
    """
    name = platform.device
    if platform.bits != 64:
        raise RuntimeMissing(
            f"{name} is 32-bit ({platform.machine}, with a {platform.bits}-bit Python), and no runtime has builds "
            "for that; install a 64-bit system on it, such as the 64-bit Raspberry Pi OS (a Pi 3, 4, 5 or Zero 2 W can "
            "run it)."
        )
    if platform.machine not in OLDEST_GLIBC:
        known = " and ".join(OLDEST_GLIBC)
        raise RuntimeMissing(
            f"{name} has a processor of the kind {platform.machine}, for which no runtime has builds; expected {known}."
        )
    if platform.libc is None:
        raise RuntimeMissing(
            f"{name} has another C library than glibc (musl, as in Alpine), for which no runtime has builds; "
            "use a system such as Debian, Ubuntu or Raspberry Pi OS."
        )
    if platform.implementation != "CPython":
        raise RuntimeMissing(
            f"{name} has {platform.implementation} as its Python, for which no runtime has builds; "
            "name a CPython there with --python."
        )


def dotted(version: Version) -> str:
    """Return for example ``3.11``."""
    return f"{version[0]}.{version[1]}"


def _version(text: str) -> Version:
    major, minor = re.findall(r"\d+", text)[:2]
    return int(major), int(minor)
