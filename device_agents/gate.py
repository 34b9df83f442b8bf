"""The gate before a measurement, and the judgement after each block: was the device in a state to be measured?"""

from __future__ import annotations

import time
from typing import Any, List, NamedTuple, Optional

from device_agents.sensors.senses import TICKS, Look, Senses

LOOK_S = 0.05
"""The shortest look at CPU pressure: five ticks of /proc/stat, so that one busy neighbour is told from a wake-up."""
_LONGEST_S = 1.0
"""Heat goes slowly: no need to look more often than this."""
TEMPERATURE_C = 80.0
"""A Pi throttles at 80 to 85 degrees, a Jetson and most x86 above."""
PRESSURE = 0.10
"""Share of the time in which some task waited for a CPU; an idle machine has far below 1 %."""
PRESSURE_GRACE_S = 0.001
"""A daemon that wakes once costs up to a millisecond; in a short block that alone is no pressure."""
BUSY = 0.25
"""CPUs that others may keep busy. PSI does not see a neighbour with a core of its own, which shares caches, memory
and, with two threads to a core, the core; ticks do."""
TICK_GRACE = 2
"""Ticks are samples: a counter of them is off by one at either end."""
SWITCH_S = 0.025
"""An involuntary switch for every so many seconds of inference means a rival on the same core: the scheduler swaps
two rivals every 3 to 10 ms."""
SWITCHES = 4
"""So many are always forgiven: a timer or a kernel thread must not cost a block. Where those come 10 a second at
random, as on a lively but idle machine, fewer than 1 % of blocks of any length have more than both limits allow."""
STEAL = 0.02
"""Share of one CPU's time that a hypervisor may take."""
CLOCK_FALL = 0.10
"""A hardware clock may fall by this share: turbo steps are smaller, a throttled clock falls further."""
STEADY_GOVERNOR = "performance"


class Limits(NamedTuple):
    """What may be set for a device."""

    temperature_c: float = TEMPERATURE_C
    pressure: float = PRESSURE


class Opened(NamedTuple):
    """How the wait ended: open, or closed for ``reasons``. ``notes`` are kept but refuse nothing."""

    open: bool
    waited_s: float
    reasons: List[str]
    notes: List[str]


class Gate:
    """Lets a measurement begin once the device is cool, at its full clock and undisturbed.

    Args:
        senses: The device's sensors.
        temperature_limit_c: No measurement begins, and no block counts, above this.
        pressure_limit: Share of the time in which tasks may wait for a CPU.
    """

    def __init__(
        self, senses: Senses, temperature_limit_c: float = TEMPERATURE_C, pressure_limit: float = PRESSURE
    ) -> None:
        self._senses = senses
        self.limits = Limits(temperature_limit_c, pressure_limit)

    def wait(self, max_seconds: float, beside_load: bool = False, clock: Any = time) -> Opened:
        """Wait until nothing speaks against measuring, for ``max_seconds`` at most.

        An idle device is let through after a single look of ``LOOK_S``.

        Args:
            max_seconds: 0 allows one look.
            beside_load: The device is to be measured beside its usual load: CPU pressure is no reason.
            clock: Has ``monotonic`` and ``sleep``.
        """
        started = clock.monotonic()
        pause = LOOK_S
        waited_for: List[str] = []
        while True:
            before = self._senses.look()
            clock.sleep(pause)
            reasons = _closed(before, self._senses.look(), self.limits, beside_load)
            waited = clock.monotonic() - started
            if not reasons or waited >= max_seconds:
                return Opened(not reasons, waited, reasons, self._notes() + _told(waited, waited_for))
            waited_for = reasons
            pause = max(LOOK_S, min(2 * pause, _LONGEST_S, max_seconds - waited))

    def disturbed(self, before: Look, after: Look, *, inferences_ns: int, beside_load: bool = False) -> List[str]:
        """Return ``disturbed`` of the two looks with this gate's limits."""
        return disturbed(before, after, inferences_ns=inferences_ns, beside_load=beside_load, limits=self.limits)

    def _notes(self) -> List[str]:
        governor = self._senses.governor()
        if governor in (None, STEADY_GOVERNOR):
            return []
        return ["the governor is %s: the clock may change between runs; %s is steady" % (governor, STEADY_GOVERNOR)]


def _told(waited_s: float, reasons: List[str]) -> List[str]:
    return ["waited %.1f s, last for: %s" % (waited_s, "; ".join(reasons))] if reasons else []


def _closed(before: Look, after: Look, limits: Limits, beside_load: bool) -> List[str]:
    """Return what speaks against beginning to measure now."""
    reasons = [_throttled(before, after), _hot(after, limits), _swapping(before, after)]
    if not beside_load:
        reasons += [_pressed(before, after, limits), _crowded(before, after)]
    return [reason for reason in reasons if reason]


def disturbed(
    before: Look, after: Look, *, inferences_ns: int, beside_load: bool = False, limits: Optional[Limits] = None
) -> List[str]:
    """Return why the block between two looks must be discarded; an empty list if it counts.

    Both looks must be taken by the process that runs the inferences: what it used itself is
    subtracted from what the CPUs did.

    Args:
        before: Right before the block.
        after: Right after it.
        inferences_ns: Time that the inferences between the looks took.
        beside_load: A load is wanted: CPU pressure, busy neighbours and involuntary switches are its effect.
        limits: Temperature and pressure; by default those of the module.
    """
    limits = limits or Limits()
    reasons = [_throttled(before, after), _slower(before, after), _hot(after, limits), _swapping(before, after)]
    reasons.append(_stolen(before, after))
    if not beside_load:
        switches = after.switches - before.switches
        reasons += [_pressed(before, after, limits), _crowded(before, after)]
        if switches > max(SWITCHES, inferences_ns / 1e9 / SWITCH_S):
            reasons.append("%d involuntary context switches in %.0f ms" % (switches, inferences_ns / 1e6))
    return [reason for reason in reasons if reason]


def _seconds(before: Look, after: Look) -> float:
    return max(1e-9, (after.at_ns - before.at_ns) / 1e9)


def _throttled(before: Look, after: Look) -> Optional[str]:
    reason = after.throttled or before.throttled
    if reason is None and after.events > before.events:
        reason = "%d events" % (after.events - before.events)
    return reason and "throttled: %s" % reason


def _slower(before: Look, after: Look) -> Optional[str]:
    """Judge the hardware's clock only: a requested one says nothing about the core."""
    if not (before.clock_khz and after.clock_khz and after.clock_is_hardware):
        return None
    if after.clock_khz >= before.clock_khz * (1 - CLOCK_FALL):
        return None
    return "clock fell from %.0f to %.0f MHz" % (before.clock_khz / 1000, after.clock_khz / 1000)


def _hot(after: Look, limits: Limits) -> Optional[str]:
    if after.temperature_c is None or after.temperature_c <= limits.temperature_c:
        return None
    return "temperature over limit: %.1f °C, limit %.0f °C" % (after.temperature_c, limits.temperature_c)


def _swapping(before: Look, after: Look) -> Optional[str]:
    pages = after.swap_out - before.swap_out
    return "swapping: %d pages written" % pages if pages > 0 else None


def _pressed(before: Look, after: Look, limits: Limits) -> Optional[str]:
    """Judge what PSI says, where the kernel has it."""
    if before.psi_us is None or after.psi_us is None:
        return None
    waited, seconds = (after.psi_us - before.psi_us) / 1e6, _seconds(before, after)
    if waited <= limits.pressure * seconds + PRESSURE_GRACE_S:
        return None
    return "CPU pressure %.0f %%, limit %.0f %%" % (min(100.0, 100 * waited / seconds), 100 * limits.pressure)


def _crowded(before: Look, after: Look) -> Optional[str]:
    """Judge how busy others kept the CPUs."""
    seconds = _seconds(before, after)
    others = (after.busy_ticks - before.busy_ticks) / TICKS - (after.own_ns - before.own_ns) / 1e9
    if others <= BUSY * seconds + TICK_GRACE / TICKS:
        return None
    return "CPU pressure: other processes keep %.1f CPUs busy" % (others / seconds)


def _stolen(before: Look, after: Look) -> Optional[str]:
    stolen, seconds = (after.steal_ticks - before.steal_ticks) / TICKS, _seconds(before, after)
    if stolen <= STEAL * seconds + 1 / TICKS:
        return None
    return "steal: the hypervisor took %.0f %% of a CPU" % (100 * stolen / seconds)
