"""What enrolment asks a device before it is added."""

from __future__ import annotations

from typing import Any

from nas.devices.device import Device
from nas.devices.fleet import Fleet


def probe(device: Device) -> dict[str, Any]:
    """Open a session, ask the device for its facts, and close it again.

    Raises:
        DeviceFault: It cannot be used; the subclass says why.
    """
    with Fleet([device]) as fleet:
        return fleet.facts(device.name)
