"""Ports of this computer that nobody else takes while a test is about to use them."""

from __future__ import annotations

import contextlib
import random
import socket
from pathlib import Path

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_SOME = 12_000
_claims: list[socket.socket] = []


def free_port() -> int:
    """Return a port on loopback that nobody listens at and that stays ours for as long as this process lives.

    To bind port 0 and close it again would leave it to chance who is next. This one lies below the ports that the
    kernel gives to outgoing connections, and a name among the abstract unix sockets, which goes with this process,
    keeps other runs of these tests away from it.
    """
    first = int(_RANGE.read_text().split()[0])
    below = range(max(1024, first - _SOME), first) or range(1024, 1024 + _SOME)
    for port in random.SystemRandom().sample(below, len(below)):
        claim = socket.socket(socket.AF_UNIX)
        with contextlib.suppress(OSError):
            claim.bind(f"\0nas-tests-port-{port}")
            with socket.create_server(("127.0.0.1", port)):
                _claims.append(claim)
                return port
        claim.close()
    raise AssertionError(f"no port of {below} is free")
