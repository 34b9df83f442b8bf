"""Energy of an inference: power or energy counters of the board, read beside the work, less what it takes when idle."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Callable, List, NamedTuple, Optional, Sequence, Tuple

from device_agents.energy_meters import Meter, Reading, find, missing

__all__ = ["Energy", "Meter", "Reading", "Sampler", "find", "integrate", "mean_watts", "measure", "missing"]

HZ = 50.0
"""Readings a second; an INA3221 averages over some ms, a RAPL counter moves each ms, the Pi's firmware takes 10 ms."""
FEWEST = 10
"""Readings that a stretch of work must have; at ``HZ`` that is 0.2 s."""
DRIFT = 0.10
"""The idle power before and after the work may differ by this share of the work's net power."""


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
    for left, right in zip(readings, readings[1:]):  # noqa: B905, RUF007 # Python 3.8 has neither
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
