"""Whether a device can do what a search asks of it, judged by the facts of its last probe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nas.errors import RequestError
from nas.request import SearchRequest, split
from nas.space import SearchSpace

_ENERGY = ("energy_mj", "mean_power_w")
"""What only a sensor can tell; every other cost is known on every device."""


def refuse_unable(
    request: SearchRequest, space: SearchSpace, device: str, facts: Mapping[str, Any], *, board: str | None = None
) -> None:
    """Refuse a search that a device of it could never carry out.

    Args:
        device: The device or pool, as the request names it.
        facts: What the device said about itself (PROTOCOL.md, ``probe``).
        board: The member of the pool that these facts are of; None is the device itself.

    Raises:
        RequestError: It has no such sensor or runtime.
    """
    # Facts without sensors were told by an agent of an earlier version; the controller's own tells them.
    for name, use in _energies(request, device) if "sensors" in facts else ():
        sensor = facts["sensors"]["energy"]
        if sensor is None:
            raise RequestError(
                f"{name} cannot be {use}: {board or device} has no energy sensor; leave it out, or search on a device "
                "that has one."
            )
        if sensor["relative"] and use == "a constraint":
            raise RequestError(
                f"{name} cannot be a constraint: the sensor {sensor['sensor']} of {board or device} does not see all "
                "that it draws, so its figures only compare candidates; make it an objective."
            )
    for runtime in space.parameters.runtime:
        if runtime not in facts["runtimes"]:
            raise RequestError(
                f"The space offers the runtime {runtime}, which is not on {board or device}; install it with "
                f"`nas devices install {board or device} --runtime {runtime}`, or take it out of the space."
            )


def _energies(request: SearchRequest, device: str) -> Iterator[tuple[str, str]]:
    """What the request wants of the device's energy sensor, and as what."""
    wanted = [(name, "an objective") for name in request.objectives]
    wanted += [(name, "a constraint") for name in request.constraints]
    for name, use in wanted:
        metric, of = split(name)
        if metric in _ENERGY and of in (None, device):
            yield name, use
