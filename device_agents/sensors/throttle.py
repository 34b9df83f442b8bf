"""Whether the processor is being slowed down, in each board's own way of saying so."""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Optional, Union

from device_agents.sysroot import Sysroot

_PI_BITS = ("under-voltage", "arm frequency capped", "throttled", "soft temperature limit")
_PI_FILE = "sys/devices/platform/soc*/soc*:firmware/get_throttled"
_X86_COUNTS = "sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/%s_throttle_count"


class Slowed(NamedTuple):
    """Why the processor is slowed down now (None: it is not), and a count of such events that only rises."""

    reason: Optional[str]
    events: int


class Firmware:
    """A Raspberry Pi: ``get_throttled``, whose bits 0-3 say what is now and 16-19 what has been since boot.

    What has been since boot is no reason by itself. A bit that appears between two looks is an
    event, so that also a short under-voltage between them is seen.
    """

    def __init__(self, sysroot: Sysroot, path: Optional[str]) -> None:
        self.name = "sysfs get_throttled" if path else "vcgencmd get_throttled"
        self._sysroot = sysroot
        self._path = path
        self._bits = self.bits() or 0
        self._events = 0

    def bits(self) -> Optional[int]:
        """Return the bits; None when the firmware does not answer."""
        text = self._sysroot.read(self._path) if self._path else self._sysroot.vcgencmd("get_throttled")
        try:
            return int((text or "").split("=")[-1], 16)
        except ValueError:
            return None

    def look(self) -> Slowed:
        bits = self.bits()
        if bits is None:  # the firmware did not answer this time: nothing new is known
            bits = self._bits
        self._events += bin(bits & ~self._bits).count("1")  # noqa: FURB161 # bit_count came with Python 3.10
        self._bits = bits
        reasons = [name for bit, name in enumerate(_PI_BITS) if bits >> bit & 1]
        return Slowed(", ".join(reasons) or None, self._events)


class Cooling:
    """A Jetson or another Arm board: CPU cooling devices at work, and a Jetson's over-current events.

    The kernel's ``cpufreq`` cooling devices cap the clock when a thermal zone passes its trip
    point; ``soctherm_oc`` counts under-voltage and over-current events, each of which throttles.
    """

    def __init__(self, sysroot: Sysroot, states: Dict[str, str], counts: List[str]) -> None:
        self.name = "cooling devices, soctherm_oc" if states and counts else "cooling devices"
        if not states:
            self.name = "soctherm_oc"
        self._sysroot = sysroot
        self._states = states
        self._counts = counts
        self._active = {path for path in states if sysroot.number(path)}
        self._counted = self._count()
        self._rises = 0

    def _count(self) -> int:
        return sum(self._sysroot.number(path) or 0 for path in self._counts)

    def look(self) -> Slowed:
        active = {path for path in self._states if self._sysroot.number(path)}
        counted = self._count()
        reasons = ["cooled by %s" % kind for kind in sorted({self._states[path] for path in active})]
        if counted > self._counted:
            reasons.append("%d over-current events" % (counted - self._counted))
        self._rises += len(active - self._active)
        self._active, self._counted = active, counted
        return Slowed(", ".join(reasons) or None, self._rises + counted)


class Counters:
    """An x86 with Intel's thermal monitor: counts of throttling, of each core and once for each package.

    The counters say that it happened, not that it is happening; a rise since the last look is taken as now.
    """

    name = "thermal_throttle counts"

    def __init__(self, sysroot: Sysroot) -> None:
        self._sysroot = sysroot
        self._paths = sysroot.find(_X86_COUNTS % "core")
        packages: Dict[Optional[int], str] = {}
        for path in sysroot.find(_X86_COUNTS % "package"):
            packages.setdefault(sysroot.number(path.split("/thermal_")[0] + "/topology/physical_package_id"), path)
        self._paths = [path for path in (*self._paths, *packages.values()) if sysroot.number(path) is not None]
        self._counted = self._count()

    def __bool__(self) -> bool:
        return bool(self._paths)

    def _count(self) -> int:
        return sum(self._sysroot.number(path) or 0 for path in self._paths)

    def look(self) -> Slowed:
        counted = self._count()
        rise, self._counted = counted - self._counted, counted
        return Slowed("%d thermal throttle events" % rise if rise > 0 else None, counted)


Throttle = Union[Firmware, Cooling, Counters]


def find(sysroot: Sysroot) -> Optional[Throttle]:
    """Return this device's throttling sensor; None where it has none."""
    files = [path for path in sysroot.find(_PI_FILE) if sysroot.read(path)]
    firmware = Firmware(sysroot, files[0] if files else None)
    if firmware.bits() is not None:
        return firmware
    states = {}
    for path in sysroot.find("sys/class/thermal/cooling_device*/type"):
        kind = (sysroot.read(path) or "").lower()
        if "cpu" in kind and "fan" not in kind:
            states[path[: -len("type")] + "cur_state"] = kind
    counts = []
    for path in sysroot.find("sys/class/hwmon/hwmon*/name"):
        if sysroot.read(path) == "soctherm_oc":
            counts += sysroot.find(path[: -len("name")] + "oc[0-9]_event_cnt")
    if states or counts:
        return Cooling(sysroot, states, counts)
    return Counters(sysroot) or None
