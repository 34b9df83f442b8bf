"""Whether the devices of a search can do what it asks of them, judged by the facts of their last probe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nas.errors import RequestError
from nas.metric import split
from nas.request import SearchRequest
from nas.space import SearchSpace
from nas.store import Database, Device, devices

_ENERGY = ("energy_mj", "mean_power_w")
"""What only a sensor can tell; every other cost is known on every device."""


def boards_of(db: Database, name: str) -> list[Device]:
    """The device of this name, or the members of the pool.

    Raises:
        RequestError: There is neither.
    """
    enrolled = devices.enrolled(db)
    found = [device for device in enrolled if name in (device.name, device.pool)]
    if not found:
        known = sorted({*(device.name for device in enrolled), *(device.pool for device in enrolled)} - {""})
        others = f", or use one of: {', '.join(known)}" if known else ""
        raise RequestError(f"There is no device {name}; enrol it with `nas devices add {name}`{others}.")
    return found


def refuse_impossible(db: Database, request: SearchRequest, space: SearchSpace) -> None:
    """Refuse a search that a device of it could never carry out; of one that was never probed nothing is known.

    Raises:
        RequestError: A device is not enrolled, or has no such sensor or runtime.
    """
    seen: dict[str, str] = {}
    for name in request.devices:
        for board in boards_of(db, name):
            if board.name in seen:
                raise RequestError(
                    f"The board {board.name} is named twice, as {seen[board.name]} and as {name}; "
                    "name the pool or the board."
                )
            seen[board.name] = name
            if board.facts is not None:
                _refuse_energy(request, name, board.name, board.facts)
                _refuse_runtimes(space, board.name, board.facts)


def _refuse_energy(request: SearchRequest, name: str, board: str, facts: Mapping[str, Any]) -> None:
    if "sensors" not in facts:  # told by an agent of an earlier version; the controller's own tells them
        return
    sensor = facts["sensors"]["energy"]
    for metric, use in _energies(request, name):
        if sensor is None:
            raise RequestError(
                f"{metric} cannot be {use}: {board} has no energy sensor; leave it out, or search on a device that "
                "has one."
            )
        if sensor["relative"] and use == "a constraint":
            raise RequestError(
                f"{metric} cannot be a constraint: the sensor {sensor['sensor']} of {board} does not see all that it "
                "draws, so its figures only compare candidates; make it an objective."
            )


def _refuse_runtimes(space: SearchSpace, board: str, facts: Mapping[str, Any]) -> None:
    for runtime in space.parameters.runtime:
        if runtime not in facts["runtimes"]:
            raise RequestError(
                f"The space offers the runtime {runtime}, which is not on {board}; install it with "
                f"`nas devices install {board} --runtime {runtime}`, or take it out of the space."
            )


def _energies(request: SearchRequest, device: str) -> Iterator[tuple[str, str]]:
    """What the request wants of the device's energy sensor, and as what."""
    wanted = [(name, "an objective") for name in request.objectives]
    wanted += [(name, "a constraint") for name in request.constraints]
    for name, use in wanted:
        metric, of = split(name)
        if metric in _ENERGY and of in (None, device):
            yield name, use
