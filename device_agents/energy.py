"""Energy of an inference: power or energy counters of the board, read beside the work, less what it takes when idle."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

from device_agents.sysroot import Sysroot

HZ = 50.0
"""Readings a second; an INA3221 averages over some ms, a RAPL counter moves each ms, the Pi's firmware takes 10 ms."""
FEWEST = 10
"""Readings that a stretch of work must have; at ``HZ`` that is 0.2 s."""
DRIFT = 0.10
"""The idle power before and after the work may differ by this share of the work's net power."""
TOTALS = ("VDD_IN", "POM_5V_IN", "VIN")
"""Rails of a Jetson that carry everything else."""
CONTAINED = ("VDDQ_VDD2_1V8AO",)
"""Rails that others contain: on an AGX Orin this one hangs behind VIN_SYS_5V0."""


class Reading(NamedTuple):
    """One reading of all rails together: power in watts, or a counter of energy in joules."""

    at_ns: int
    watts: Optional[float]
    joules: Optional[float] = None


class Energy(NamedTuple):
    """What a fixed number of inferences took. Null where the readings do not carry it; ``notes`` say why."""

    energy_mj: Optional[float]
    """Millijoules per inference, idle subtracted."""
    mean_power_w: Optional[float]
    """Mean power during the work, idle included."""
    idle_power_w: float
    sensor: str
    rails: Tuple[str, ...]
    relative: bool
    """True where the sensor misses a part of the board: such numbers compare only with those of the same board."""
    inferences: int
    seconds: float
    samples: int
    """Readings during the work."""
    notes: Tuple[str, ...]


class Ina3221:
    """A Jetson's power monitor: volts times amperes of each rail that counts.

    Covers the kernel's hwmon driver (JetPack 5 and 6) and NVIDIA's older iio driver (JetPack 4).
    """

    name = "INA3221"
    relative = False

    def __init__(self, sysroot: Sysroot) -> None:
        self._sysroot = sysroot
        found = _hwmon_rails(sysroot) or _iio_rails(sysroot)
        total = [rail for rail in found if rail in TOTALS][:1]
        self.rails = tuple(total or (rail for rail in found if rail not in CONTAINED))
        self._factors = [found[rail] for rail in self.rails]

    def sample(self) -> Reading:
        """Return the power now.

        Raises:
            OSError: A rail cannot be read.
        """
        at_ns, watts = time.monotonic_ns(), 0.0
        for paths, scale in self._factors:
            for path in paths:
                scale *= _needed(self._sysroot, path)
            watts += scale
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


class Sampler:
    """Reads a meter at a steady rate in a thread of its own, while something else works.

    A reading that fails is left out; too few of them are then said by ``integrate``.
    """

    def __init__(self, meter: Meter, hz: float = HZ) -> None:
        self._meter = meter
        self._period_s = 1 / hz
        self._readings: List[Reading] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="energy", daemon=True)

    def start(self) -> "Sampler":
        """Begin to read; the first reading is taken before this returns."""
        self._read()
        self._thread.start()
        return self

    def stop(self) -> List[Reading]:
        """End with a last reading, and return all of them in order of time."""
        self._ended.set()
        self._thread.join()
        self._read()
        return self._readings

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            self._readings.append(self._meter.sample())

    def _run(self) -> None:
        while not self._ended.wait(self._period_s):
            self._read()


def measure(meter: Optional[Meter], work: Callable[[], int], idle_s: float = 1.0) -> Optional[Energy]:
    """Return the energy of ``work``, which runs and returns a fixed number of inferences; None without a meter.

    Args:
        idle_s: Seconds of idling before and after, to be subtracted.
    """
    if meter is None:
        return None
    sampler = Sampler(meter).start()
    marks = [time.monotonic_ns()]
    try:
        time.sleep(idle_s)
        marks.append(time.monotonic_ns())
        inferences = work()
        marks.append(time.monotonic_ns())
        time.sleep(idle_s)
        marks.append(time.monotonic_ns())
    finally:
        readings = sampler.stop()
    before, after = mean_watts(readings, marks[0], marks[1]), mean_watts(readings, marks[2], marks[3])
    return integrate(readings, marks[1], marks[2], before, after, inferences, meter)


def integrate(
    readings: Sequence[Reading],
    start_ns: int,
    end_ns: int,
    idle_before: Optional[float],
    idle_after: Optional[float],
    inferences: int,
    meter: Meter,
) -> Energy:
    """Return the energy between two moments of the monotonic clock, less what idling would have taken.

    Power is integrated by the trapezoid rule over the readings' own timestamps, cut at both
    moments; an energy counter is read off at both.

    Args:
        readings: In order of time; from before ``start_ns`` to after ``end_ns``.
        idle_before: Mean watts before the work, see ``mean_watts``; None where they are not known.
        idle_after: Mean watts after it.
        inferences: How many were run between the two moments.
        meter: The one that was read.
    """
    notes = []
    seconds = (end_ns - start_ns) / 1e9
    samples = sum(start_ns <= reading.at_ns <= end_ns for reading in readings)
    gross = mean_watts(readings, start_ns, end_ns)
    idles = [idle for idle in (idle_before, idle_after) if idle is not None]
    idle = sum(idles) / len(idles) if idles else 0.0
    net: Optional[float] = None
    if inferences < 1:
        notes.append("no inference was run")
    elif samples < FEWEST or gross is None:
        notes.append("%d power readings during the work, fewer than %d" % (samples, FEWEST))
        gross = None
    elif len(idles) < 2:
        notes.append("the idle power could not be read before and after the work")
    elif gross <= idle:
        notes.append("the work's %.3g W do not stand out of the idle %.3g W" % (gross, idle))
    else:
        net = gross - idle
        drift = abs(idles[0] - idles[1])
        if drift > DRIFT * net:
            notes.append("the idle power drifted by %.0f %% of the work's net power" % (100 * drift / net))
    return Energy(
        energy_mj=None if net is None else 1000 * net * seconds / inferences,
        mean_power_w=gross,
        idle_power_w=idle,
        sensor=meter.name,
        rails=meter.rails,
        relative=meter.relative,
        inferences=inferences,
        seconds=seconds,
        samples=samples,
        notes=tuple(notes),
    )


def mean_watts(readings: Sequence[Reading], start_ns: int, end_ns: int) -> Optional[float]:
    """Return the mean power between two moments; None where the readings do not reach over both."""
    joules = 0.0
    if end_ns <= start_ns or not readings or readings[0].at_ns > start_ns or readings[-1].at_ns < end_ns:
        return None
    for left, right in zip(readings, readings[1:]):
        begin, end = max(left.at_ns, start_ns), min(right.at_ns, end_ns)
        if begin < end:
            joules += _joules(left, right, begin, end)
    return joules / ((end_ns - start_ns) / 1e9)


def _joules(left: Reading, right: Reading, begin: int, end: int) -> float:
    """Return the energy of a part of the stretch between two readings, both of the same kind."""
    whole = right.at_ns - left.at_ns
    if left.joules is not None and right.joules is not None:
        return (right.joules - left.joules) * (end - begin) / whole
    low, high = left.watts or 0.0, right.watts or 0.0
    middle = low + (high - low) * ((begin + end) / 2 - left.at_ns) / whole
    return middle * (end - begin) / 1e9
