"""What a fleet asks of those who keep the books: whose a device is, and how it does.

A controller hands in books that lie in its database, so that several controllers share boards;
a fleet by itself (a script, a test) has every device to itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from nas.errors import DeviceFault


class Leases(Protocol):
    """Whose a device is."""

    def take(self, name: str) -> int | None:
        """Return the fencing token of a device that is ours, taking it if it is our turn; None: not yet."""
        ...

    def give_back(self, name: str) -> None:
        """Let go of a device, or of the place in its queue."""
        ...

    def wanted(self, name: str) -> bool:
        """Whether another controller waits for a device of ours."""
        ...


class Register(Protocol):
    """How devices do."""

    def away(self, names: Sequence[str], *, pool: bool) -> dict[str, str]:
        """Say of those of ``names`` that are given no work now, why.

        Args:
            names: The devices, in a pool all of its boards.
            pool: Whether one of them is to be chosen: then a board that deviates from the others is away too.
        """
        ...

    def answered(self, name: str, facts: Mapping[str, Any]) -> None:
        """Note that a device was opened and told its facts."""
        ...

    def worked(self, name: str, levels: Mapping[str, float]) -> None:
        """Note that a device did what it was asked, and what the reference model took there, in milliseconds."""
        ...

    def broke(self, name: str, fault: DeviceFault) -> None:
        """Note that a device broke."""
        ...


class Sole:
    """Books of a fleet that shares its devices with nobody."""

    def take(self, name: str) -> int:  # noqa: ARG002 as in Leases
        return 0

    def give_back(self, name: str) -> None:
        """Nobody waits for it."""

    def wanted(self, name: str) -> bool:  # noqa: ARG002 as in Leases
        return False

    def away(self, names: Sequence[str], *, pool: bool) -> dict[str, str]:  # noqa: ARG002 as in Register
        return {}

    def answered(self, name: str, facts: Mapping[str, Any]) -> None:
        """Nobody reads it."""

    def worked(self, name: str, levels: Mapping[str, float]) -> None:
        """Nobody reads it."""

    def broke(self, name: str, fault: DeviceFault) -> None:
        """Nobody reads it."""
