"""The look: what the device's sensors say at one moment, cheap enough to be taken between any two blocks."""

from __future__ import annotations

import os
import resource
import time
from typing import List, NamedTuple, Optional, Tuple

from device_agents.sensors import throttle
from device_agents.sysroot import Sysroot

NOT_THE_CPU = ("PMIC-Die", "iwlwifi")
"""Thermal zones left out: a Jetson Nano's PMIC always says 100 degrees, and a radio's heat is not the processor's."""
_HARDWARE_CLOCKS = ("cpuinfo_avg_freq", "cpuinfo_cur_freq")
_REQUESTED_CLOCK = "scaling_cur_freq"
_FIRMWARE_CLOCK = "vcgencmd measure_clock"
_CPU_CHIPS = ("coretemp", "k10temp", "zenpower", "cpu_thermal")


class Look(NamedTuple):
    """One moment. What a device does not tell is None; counters only ever rise."""

    at_ns: int
    """Monotonic clock."""
    throttled: Optional[str]
    """Why the processor is slowed down now."""
    events: int
    """Throttling events so far."""
    clock_khz: Optional[int]
    """Of the fastest core that this process may use: the others may idle."""
    clock_is_hardware: bool
    """Whether ``clock_khz`` is what the hardware does; if not, it is only what was asked of it."""
    temperature_c: Optional[float]
    psi_us: Optional[int]
    """Microseconds in which some runnable task waited for a CPU (PSI, ``some``)."""
    switches: int
    """Involuntary context switches of the calling process, all its threads together."""
    own_ns: int
    """CPU time of the calling process, all its threads together."""
    busy_ticks: int
    """Time that all CPUs together were busy, in ticks of 1/``TICKS`` seconds."""
    steal_ticks: int
    """Time that a hypervisor gave to others, likewise."""
    swap_out: int
    """Pages written to swap."""


TICKS = os.sysconf("SC_CLK_TCK")
"""Ticks a second in /proc/stat."""


class Senses:
    """The sensors of one device; finds them once, and then only reads.

    Args:
        sysroot: Prefix of /proc and /sys.
    """

    def __init__(self, sysroot: str = "/") -> None:
        self._sysroot = Sysroot(sysroot)
        self._throttle = throttle.find(self._sysroot)
        self._temperatures = _temperatures(self._sysroot)
        self.clock, self._clocks = _clocks(self._sysroot)

    @property
    def throttle(self) -> Optional[str]:
        """What tells of throttling here."""
        return self._throttle.name if self._throttle else None

    @property
    def psi(self) -> bool:
        """Whether the kernel accounts for CPU pressure; Raspberry Pi OS needs ``psi=1`` on its command line."""
        return self._psi() is not None

    def look(self) -> Look:
        """Read every sensor once: well below 1 ms, except where the Pi's firmware must be asked (some 10 ms)."""
        slowed = self._throttle.look() if self._throttle else throttle.Slowed(None, 0)
        busy, steal = self._ticks()
        return Look(
            at_ns=time.monotonic_ns(),
            throttled=slowed.reason,
            events=slowed.events,
            clock_khz=self._clock_khz(),
            clock_is_hardware=self.clock not in (None, _REQUESTED_CLOCK),
            temperature_c=self.temperature_c(),
            psi_us=self._psi(),
            switches=resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw,
            own_ns=time.process_time_ns(),
            busy_ticks=busy,
            steal_ticks=steal,
            swap_out=self._swap_out(),
        )

    def governor(self) -> Optional[str]:
        """Return the CPUs' frequency governor; several different ones are joined by commas."""
        paths = self._sysroot.find("sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor")
        return ",".join(sorted({self._sysroot.read(path) or "unknown" for path in paths})) or None

    def temperature_c(self) -> Optional[float]:
        """Return the hottest thermal zone of the processor, in degrees Celsius."""
        values = (self._sysroot.number(path) for path in self._temperatures)
        return max((value / 1000 for value in values if value is not None), default=None)

    def _clock_khz(self) -> Optional[int]:
        if self.clock == _FIRMWARE_CLOCK:
            return _firmware_khz(self._sysroot)
        values = (self._sysroot.number(path) for path in self._clocks)
        return max((value for value in values if value is not None), default=None)

    def _psi(self) -> Optional[int]:
        for line in (self._sysroot.read("proc/pressure/cpu") or "").splitlines():
            if line.startswith("some ") and line.rpartition("total=")[2].isdigit():
                return int(line.rpartition("total=")[2])
        return None

    def _ticks(self) -> Tuple[int, int]:
        """Return busy (user, nice, system, irq, softirq) and stolen ticks."""
        fields = (self._sysroot.read("proc/stat") or "").split("\n", 1)[0].split()[1:9]
        if len(fields) < 8 or not all(field.isdigit() for field in fields):
            return 0, 0
        user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields)
        return user + nice + system + irq + softirq, steal

    def _swap_out(self) -> int:
        text = self._sysroot.read("proc/vmstat") or ""
        value = text.partition("pswpout ")[2].split("\n", 1)[0]
        return int(value) if value.isdigit() else 0


def _clocks(sysroot: Sysroot) -> Tuple[Optional[str], List[str]]:
    """Return the best source of the clock that answers here, with its files: the hardware's before the requested."""
    own = os.sched_getaffinity(0) if sysroot.root == "/" else None
    policies = []
    for policy in sysroot.find("sys/devices/system/cpu/cpufreq/policy[0-9]*"):
        cpus = (sysroot.read(policy + "/affected_cpus") or "").split()
        if own is None or any(cpu.isdigit() and int(cpu) in own for cpu in cpus):
            policies.append(policy)
    for name in _HARDWARE_CLOCKS:
        paths = ["%s/%s" % (policy, name) for policy in policies]
        if any(sysroot.number(path) for path in paths):
            return name, paths
    if _firmware_khz(sysroot):
        return _FIRMWARE_CLOCK, []
    paths = ["%s/%s" % (policy, _REQUESTED_CLOCK) for policy in policies]
    return (_REQUESTED_CLOCK, paths) if any(sysroot.number(path) for path in paths) else (None, [])


def _firmware_khz(sysroot: Sysroot) -> Optional[int]:
    hertz = (sysroot.vcgencmd("measure_clock", "arm") or "").rpartition("=")[2]
    return int(hertz) // 1000 if hertz.isdigit() else None


def _temperatures(sysroot: Sysroot) -> List[str]:
    """Return the files with the processor's temperature.

    An x86's package sensor is enough where there is one (ACPI's zones take milliseconds to read);
    else all zones but ``NOT_THE_CPU``; else the chips that hwmon names as processors.
    """
    zones = {
        path[: -len("type")] + "temp": sysroot.read(path) for path in sysroot.find("sys/class/thermal/*zone*/type")
    }
    package = [path for path, kind in zones.items() if kind == "x86_pkg_temp"]
    if package:
        return package
    for path in sysroot.find("sys/class/thermal/thermal_zone*/temp"):
        zones.setdefault(path, None)
    kept = [path for path, kind in zones.items() if not (kind or "").startswith(NOT_THE_CPU)]
    if kept:
        return kept
    chips = [
        path[: -len("name")] for path in sysroot.find("sys/class/hwmon/hwmon*/name") if sysroot.read(path) in _CPU_CHIPS
    ]
    return [path for chip in chips for path in sysroot.find(chip + "temp[0-9]*_input")]
