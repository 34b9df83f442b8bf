"""Power meters of the boards: INA3221 on a Jetson, the PMIC of a Raspberry Pi 5, RAPL on x86."""

from __future__ import annotations

import re
import time
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple, Union

from device_agents.sysroot import Sysroot

TOTALS = ("VDD_IN", "POM_5V_IN", "VIN")
"""Rails of a Jetson that carry everything else."""
CONTAINED = ("VDDQ_VDD2_1V8AO",)
"""Rails that others contain: on an AGX Orin this one hangs behind VIN_SYS_5V0."""


class Reading(NamedTuple):
    """One reading of all rails together: power in watts, or a counter of energy in joules."""

    at_ns: int
    watts: Optional[float]
    joules: Optional[float] = None


class Ina3221:
    """A Jetson's power monitor: volts times amperes of each rail that counts.

    Covers the kernel's hwmon driver (JetPack 5 and 6) and NVIDIA's older iio driver (JetPack 4).
    """

    name = "INA3221"
    relative = False

    def __init__(self, sysroot: Sysroot) -> None:
        self._sysroot = sysroot
        every = _hwmon_rails(sysroot) or _iio_rails(sysroot)
        found = {rail: factors for rail, factors in every.items() if _readable(sysroot, factors[0])}
        total = [rail for rail in found if rail in TOTALS][:1]
        self.rails = tuple(total or (rail for rail in found if rail not in CONTAINED))
        self._factors = [found[rail] for rail in self.rails]

    def sample(self) -> Reading:
        """Return the power now.

        Raises:
            OSError: A rail cannot be read.
        """
        at_ns, watts = time.monotonic_ns(), 0.0
        for paths, watts_per_unit in self._factors:
            product = watts_per_unit
            for path in paths:
                product *= _needed(self._sysroot, path)
            watts += product
        return Reading(at_ns, watts)


class Pmic:
    """A Raspberry Pi 5's power chip. Relative: it does not see the 5 V that goes past it, as to USB.

    Asking it takes a process and some 10 ms of one core, which is a part of what it then sees;
    idle and work carry it alike.
    """

    name = "PMIC"
    relative = True

    def __init__(self, sysroot: Sysroot) -> None:
        self._sysroot = sysroot
        self.rails = tuple(sorted(self._watts()))

    def _watts(self) -> Dict[str, float]:
        found = re.findall(r"(\w+)_([AV]) \w+\(\d+\)=([0-9.]+)[AV]", self._sysroot.vcgencmd("pmic_read_adc") or "")
        values = {(rail, unit): float(value) for rail, unit, value in found}
        rails = [rail for rail, unit in values if unit == "A" and (rail, "V") in values]
        return {rail: values[rail, "A"] * values[rail, "V"] for rail in rails}

    def sample(self) -> Reading:
        """Return the power now.

        Raises:
            OSError: The firmware does not answer.
        """
        watts = self._watts()
        if not watts:
            raise OSError("vcgencmd pmic_read_adc gave no rails")
        return Reading(time.monotonic_ns(), sum(watts.values()))


class Rapl:
    """An x86's running average power limit counters: packages and, where separate, their memory."""

    name = "RAPL"
    relative = False

    def __init__(self, sysroot: Sysroot) -> None:
        self._sysroot = sysroot
        self._zones = [zone for zone in _rapl_zones(sysroot) if sysroot.number(zone + "/energy_uj") is not None]
        self.rails = tuple(sysroot.read(zone + "/name") or zone for zone in self._zones)
        self._ranges = [sysroot.number(zone + "/max_energy_range_uj") or 0 for zone in self._zones]
        self._last = [sysroot.number(zone + "/energy_uj") or 0 for zone in self._zones]
        self._total_uj = 0

    def sample(self) -> Reading:
        """Return the energy since this meter was made; a counter that wrapped goes on.

        Raises:
            OSError: A counter cannot be read.
        """
        at_ns = time.monotonic_ns()
        for index, zone in enumerate(self._zones):
            value = int(_needed(self._sysroot, zone + "/energy_uj"))
            rise = value - self._last[index]
            self._total_uj += rise if rise >= 0 else rise + self._ranges[index]
            self._last[index] = value
        return Reading(at_ns, None, self._total_uj / 1e6)


Meter = Union[Ina3221, Pmic, Rapl]


def find(sysroot: str = "/") -> Optional[Meter]:
    """Return this device's power meter; None where it has none that may be read."""
    root = Sysroot(sysroot)
    meters: Tuple[Callable[[Sysroot], Meter], ...] = (Ina3221, Pmic, Rapl)
    return next((meter for meter in (kind(root) for kind in meters) if meter.rails), None)


def missing(sysroot: str = "/") -> Optional[str]:
    """Return why there is no meter, where more can be said than that the board has none."""
    if _rapl_zones(Sysroot(sysroot)):
        return (
            "RAPL is there, but only root may read it; allow reading /sys/class/powercap/*/energy_uj, or run as root."
        )
    return None


def _needed(sysroot: Sysroot, path: str) -> float:
    value = sysroot.number(path)
    if value is None:
        raise OSError("%s gives no number" % path)
    return value


def _readable(sysroot: Sysroot, paths: List[str]) -> bool:
    """Tell whether all files give a number; a channel that is switched off does not."""
    return all(sysroot.number(path) is not None for path in paths)


Rails = Dict[str, Tuple[List[str], float]]


def _hwmon_rails(sysroot: Sysroot) -> Rails:
    """Return rails by label: files whose product, scaled, is watts (mV x mA, or uW of newer chips)."""
    rails = {}
    for name in sysroot.find("sys/class/hwmon/hwmon*/name"):
        if not re.match(r"ina\d+", sysroot.read(name) or ""):
            continue
        chip = name[: -len("name")]
        for channel in "123":
            label = sysroot.read("%sin%s_label" % (chip, channel))
            if label is None or label == "NC":
                continue
            power = "%spower%s_input" % (chip, channel)
            pair = ["%sin%s_input" % (chip, channel), "%scurr%s_input" % (chip, channel)]
            rails[label] = ([power], 1e-6) if sysroot.number(power) is not None else (pair, 1e-6)
    return rails


def _iio_rails(sysroot: Sysroot) -> Rails:
    """Return rails by name, in mW."""
    rails = {}
    for path in sysroot.find("sys/bus/i2c/drivers/ina3221x/*/iio:device*/rail_name_[0-9]"):
        folder, _, channel = path.rpartition("/rail_name_")
        label = sysroot.read(path)
        if label and label != "NC":
            rails[label] = (["%s/in_power%s_input" % (folder, channel)], 1e-3)
    return rails


def _rapl_zones(sysroot: Sysroot) -> List[str]:
    """Return packages and separate memory; cores are a part of the package, and psys contains everything."""
    zones = [path[: -len("/name")] for path in sysroot.find("sys/class/powercap/intel-rapl:*/name")]
    return [zone for zone in zones if (sysroot.read(zone + "/name") or "").startswith(("package", "dram"))]
