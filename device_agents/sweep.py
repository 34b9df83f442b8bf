"""The course of a store sweep: gate, the nightly job in a cold process, memory, energy, verdict."""

from __future__ import annotations

import contextlib
import os
import resource
import tempfile
import time
from collections import Counter
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from device_agents import energy, jobs, memory
from device_agents.cold import Cold, Finished
from device_agents.measure import Device
from device_agents.sensors.senses import Look

STAGES = ("start", "load", "read", "features", "infer", "write")
TRIES = 3
"""Runs that are made at most until one was not disturbed."""
IDLE_S = 0.5


class Place(NamedTuple):
    """Where a sweep runs: the agent's folder, the descriptors to watch and to keep, and the time it may take."""

    root: str
    hangup: Optional[int]
    keep: Tuple[int, ...]
    deadline_s: float


class Night(NamedTuple):
    """One run of the job: what it reported, its cgroup's peak, its energy, and what disturbed it."""

    done: Finished
    cgroup_mb: Optional[float]
    cgroup_source: Optional[str]
    energy: Optional[energy.Energy]
    disturbed: List[str]


def sweep(request: Dict[str, Any], device: Device, place: Place) -> Dict[str, Any]:
    """Carry out a ``sweep`` request whose blobs are paths already; PROTOCOL.md describes the reply.

    Raises:
        Problem: What the job raised; ``deadline``, ``crashed``.
        Hangup: The controller has gone.
    """
    opened = device.gate.wait(request["gate_max_seconds"], beside_load=request["beside_load"])
    if not opened.open:
        reason = "the device was not fit to be measured for %.1f s: %s" % (opened.waited_s, "; ".join(opened.reasons))
        return dict(_NOTHING, verdict="rejected", reasons=[reason], notes=opened.notes, emulated=device.emulated)
    end = time.monotonic() + place.deadline_s
    disturbed: "Counter[str]" = Counter()
    for _ in range(TRIES):
        night = _night(request, device, place, end)
        disturbed.update(reason.split(":", 1)[0] for reason in night.disturbed)
        if not night.disturbed or end - time.monotonic() < 2 * _seconds(night):
            break
    return _report(night, disturbed, opened.notes, device)


_NOTHING: Dict[str, Any] = {
    **dict.fromkeys(("seconds", "stages", "peak_mb", "series", "provider", "memory", "energy")),
    "disturbed": {},
}
"""The reply's figures when the gate stayed shut."""


def _night(request: Dict[str, Any], device: Device, place: Place, end: float) -> Night:
    with contextlib.ExitStack() as stack:
        group = memory.own_cgroup()
        if group is not None:
            stack.enter_context(group)
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="sweep-", dir=place.root))
        job = {name: request[name] for name in ("model", "table", "recipe", "runtime", "threads")}
        job.update(output=os.path.join(folder, "forecast.csv"), memory_mb=request["limits"]["memory_mb"])

        def before() -> None:
            jobs.pin(request["threads"])
            if group is not None:
                group.join(os.getpid())

        looked = _look(device)
        cold = Cold(before, max(1.0, end - time.monotonic()), place.keep)
        done, spent = _metered(cold, job, device.meter, place.hangup)
        disturbed = device.gate.disturbed(
            looked, _look(device), inferences_ns=done.end_ns - done.begin_ns, beside_load=request["beside_load"]
        )
        peak = (group.peak_mb(), group.source) if group else (None, None)
        return Night(done, peak[0], peak[1], spent, disturbed)


def _look(device: Device) -> Look:
    """A look that counts the cold process, which has ended and been waited for, as our own."""
    look = device.senses.look()
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = round((children.ru_utime + children.ru_stime) * 1e9)
    return look._replace(own_ns=look.own_ns + used, switches=look.switches + children.ru_nivcsw)


def _metered(
    cold: Cold, job: Dict[str, Any], meter: Optional[energy.Meter], hangup: Optional[int]
) -> Tuple[Finished, Optional[energy.Energy]]:
    """Run the job between two idle pauses, reading the meter where there is one."""
    if meter is None:
        return cold.run(job, hangup), None
    sampler = energy.Sampler(meter).start()
    try:
        time.sleep(IDLE_S)
        done = cold.run(job, hangup)
        time.sleep(IDLE_S)
    finally:
        readings = sampler.stop()
    begin, end, pause = done.begin_ns, done.end_ns, round(IDLE_S * 1e9)
    before, after = energy.mean_watts(readings, begin - pause, begin), energy.mean_watts(readings, end, end + pause)
    return done, energy.integrate(readings, begin, end, before, after, 1, meter)


def _seconds(night: Night) -> float:
    return (night.done.end_ns - night.done.begin_ns) / 1e9


def _report(night: Night, disturbed: "Counter[str]", notes: List[str], device: Device) -> Dict[str, Any]:
    result, spent = night.done.result, night.energy
    marks = [night.done.begin_ns, *(result["marks_ns"][stage] for stage in STAGES)]
    reasons = list(night.disturbed)
    if device.emulated:
        reasons.insert(0, "emulated: this processor is imitated by another one, so its time says nothing")
    return {
        "seconds": _seconds(night),
        "stages": {stage: (marks[i + 1] - marks[i]) / 1e9 for i, stage in enumerate(STAGES)},
        "peak_mb": result["peak_mb"],
        "series": result["series"],
        "provider": result["provider"],
        "memory": {"source": memory.HWM, "cgroup_mb": night.cgroup_mb, "cgroup_source": night.cgroup_source},
        "energy": spent and dict(spent._asdict(), notes=list(spent.notes)),
        "disturbed": dict(disturbed),
        "verdict": "degraded" if reasons else "valid",
        "reasons": reasons,
        "notes": list(notes),
        "emulated": device.emulated,
    }
