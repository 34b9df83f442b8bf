"""The course of one measurement on the device: gate, memory, launches until sure, energy, verdict.

Each launch is a process of its own, so that the intervals know how much a fresh process changes
(its memory layout alone moves a latency by half a percent). What was disturbed is discarded in
whole rounds or launches and counted; single samples never are.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from device_agents import energy, estimate, memory
from device_agents.estimate import Estimate, Launch, Round
from device_agents.gate import Gate
from device_agents.levels import ALARM, Levels
from device_agents.sensors import Senses
from device_agents.verdict import Evidence, judge

SURE = {"p50": 0.02, "p95": 0.05}
"""Timing may stop when the interval of each lies within this share of it on both sides."""
DRIFT = 0.03
"""A round whose reference deviates by more than this from its launch is discarded, whatever the sensors say."""
KINDS = (
    *("throttled", "clock fell", "temperature", "swapping", "steal", "context switches", "CPU pressure"),
    *("drift", "slower", "faster"),
)
_IDLE_S = 0.5
_LEAST_KEPT = 0.5
CALIBRATION_LAUNCHES = 7

Child = Callable[[Dict[str, Any]], Dict[str, Any]]
"""Runs one job of ``device_agents.jobs`` in a process of its own."""


class Device(NamedTuple):
    """What a measurement is made with: the device's senses, its gate, its meter if any, its remembered levels."""

    senses: Senses
    gate: Gate
    meter: Optional[energy.Meter]
    levels: Levels
    emulated: bool


class Timed(NamedTuple):
    """All launches of one measurement, what was discarded of them, and how long it took."""

    launches: List[Launch]
    discarded: "Counter[str]"
    lost_rounds: int
    lost_launches: int
    warmups: List[Dict[str, Any]]
    seconds: Dict[str, float]
    audit: Optional[Dict[str, Any]]

    def kept(self) -> int:
        """Timed inferences that count."""
        return sum(len(round_.samples) for launch in self.launches for round_ in launch)


SECONDS = {"warmup": 0.0, "timed": 0.0, "reference": 0.0, "calibration": 0.0}
NOTHING = Timed([], Counter(), 0, 0, [], SECONDS, None)
MEMORY = ("peak_mb", "source", "cgroup_mb", "cgroup_source", "pss_mb")


def measure(request: Dict[str, Any], child: Child, device: Device, key: str) -> Dict[str, Any]:
    """Carry out a ``measure`` request whose blobs are paths already; PROTOCOL.md describes the reply.

    Args:
        key: What the remembered level of the reference depends on: runtime, version, threads, model.

    Raises:
        Problem: What a child raised.
    """
    took = peak(request, child)  # first: it needs no quiet, and a model that cannot run is told at once
    opened = device.gate.wait(request["budget"]["gate_max_seconds"], beside_load=request["beside_load"])
    mode = request["mode"]["kind"]
    if not opened.open:
        level, timed = None, NOTHING
    elif mode == "single":
        level, calibration_s = _level(request, child, device, key)
        timed = _launched(request, child, device, level)
        timed.seconds["calibration"] = calibration_s
        _note_level(timed, device, key)
    else:
        level, timed = None, _steady(request, child)
    reply = _report(request, timed, level, device)
    if not opened.open:
        waited = "; ".join(opened.reasons)
        reply["reasons"] = ["the device was not fit to be measured for %.1f s: %s" % (opened.waited_s, waited)]
    spent = _energy(request, child, device, reply)
    reply["energy"] = spent and dict(spent._asdict(), notes=list(spent.notes))
    reply["memory"] = {name: took[name] for name in MEMORY}
    reply["provider"] = took["provider"]
    reply["seconds"].update(gate=opened.waited_s, load=took["load_s"])
    reply["notes"] += opened.notes
    return reply


def peak(request: Dict[str, Any], child: Child) -> Dict[str, Any]:
    """Measure memory in a process that does nothing else, in a cgroup of its own where one may be made.

    The peak is the process's own (VmHWM). A cgroup is not charged for the pages that the process
    got from the fork server, which are the runtime's; so its peak stands beside, for what is new.
    """
    group = memory.own_cgroup()
    if group is None:
        found = child(dict(request, kind="memory", cgroup=None))
        return dict(found, source=memory.HWM, cgroup_mb=None, cgroup_source=None)
    with group:
        found = child(dict(request, kind="memory", cgroup=group.path))
        return dict(found, source=memory.HWM, cgroup_mb=group.peak_mb(), cgroup_source=group.source)


def _launched(request: Dict[str, Any], child: Child, device: Device, level: Optional[float]) -> Timed:
    """Launch until p50 and p95 are sure, or the launches or samples are used up."""
    budget = request["budget"]
    timed = NOTHING
    for number in range(budget["max_launches"]):
        job = dict(
            request,
            kind="launch",
            seed=number,
            seconds=budget["launch_seconds"],
            min_samples=math.ceil(budget["min_samples"] / budget["min_launches"]),
            max_samples=max(1, budget["max_samples"] // budget["max_launches"]),
            warmup_max_seconds=budget["warmup_max_seconds"],
            audit=budget["audit"] and number == 0,
        )
        reply = child(job)
        timed = _counted(timed, reply, level, request["beside_load"])
        if len(timed.launches) >= budget["min_launches"] and is_sure(timed.launches, tail=budget["tail"]):
            break
        if timed.lost_launches and not timed.launches and number + 1 >= budget["min_launches"]:
            opened = device.gate.wait(budget["gate_max_seconds"], beside_load=request["beside_load"])
            if not opened.open:
                timed.discarded.update(opened.reasons)
                break
    return timed


def _counted(timed: Timed, reply: Dict[str, Any], level: Optional[float], beside_load: bool) -> Timed:
    """Add a launch: its good rounds, or, when it was disturbed as a whole, only the count of it."""
    kept, discarded = _sifted(reply["rounds"], None if beside_load else DRIFT)
    reasons = reply["disturbed"] + ([] if beside_load else _off_level(kept, level))
    seconds = dict(timed.seconds)
    seconds["warmup"] += sum(warmup["seconds"] for warmup in reply["warmup"])
    seconds["timed"] += sum(sum(round_["samples"]) for round_ in reply["rounds"]) / 1e9
    seconds["reference"] += sum(round_["reference_ns"] for round_ in reply["rounds"]) / 1e9
    lost = bool(reasons) or len(kept) < _LEAST_KEPT * len(reply["rounds"])
    return Timed(
        timed.launches if lost else [*timed.launches, kept],
        timed.discarded + Counter(_kinds(discarded + reasons)),
        timed.lost_rounds + len(reply["rounds"]) - len(kept),
        timed.lost_launches + lost,
        timed.warmups + reply["warmup"],
        seconds,
        reply["audit"] or timed.audit,
    )


def _sifted(rounds: List[Dict[str, Any]], drift: Optional[float]) -> Tuple[Launch, List[str]]:
    """Return the rounds that count, and why the others do not: the sensors say so, or the reference drifted.

    Beside a load the reference is pushed about on purpose: then ``drift`` is None.
    """
    quiet = [one for one in rounds if not one["disturbed"]]
    reasons = [reason for one in rounds for reason in one["disturbed"]]
    references = [one["reference"] for one in quiet if one["reference"]]
    usual = estimate.median(references) if references else None
    kept = []
    for one in quiet:
        if drift and usual and one["reference"] and abs(one["reference"] / usual - 1) > drift:
            reasons.append("drift: the reference moved by more than 3 % within a launch")
        else:
            kept.append(Round(one["samples"], one["reference"]))
    return kept, reasons


def _note_level(timed: Timed, device: Device, key: str) -> None:
    """Tell the remembered level how this measurement went, so that a wrong one does not stay."""
    if timed.launches:
        device.levels.agreed(key)
    elif timed.discarded["slower"] or timed.discarded["faster"]:
        device.levels.missed(key, faster=bool(timed.discarded["faster"]))


def _off_level(kept: Launch, level: Optional[float]) -> List[str]:
    """Say so when the reference runs at another speed than this device's own usual one."""
    references = [round_.reference for round_ in kept if round_.reference]
    if level is None or not references:
        return []
    off = estimate.median(references) / level - 1
    if abs(off) <= ALARM:
        return []
    name = "slower" if off > 0 else "faster"
    return ["%s: the reference runs %+.0f %% off its usual time on this device" % (name, 100 * off)]


def _kinds(reasons: List[str]) -> List[str]:
    """What each reason is about, so that equal ones with other figures count together."""
    return [next((kind for kind in KINDS if kind in reason), reason) for reason in reasons]


def is_sure(launches: List[Launch], tail: bool) -> bool:
    """Tell whether the interval of p50 and, where the ``tail`` is asked for, p95 is as narrow as ``SURE`` asks."""
    known = estimate.ratio(launches) or estimate.percentile(launches, "p50")
    if known is None or known.half_width > SURE["p50"]:
        return False
    p95 = estimate.percentile(launches, "p95") if tail else None
    return p95 is None or p95.half_width <= SURE["p95"]


def _level(request: Dict[str, Any], child: Child, device: Device, key: str) -> Tuple[Optional[float], float]:
    """Return the reference's usual median on this device in ns, and the seconds that it took to find out.

    It is measured where it is not known yet.
    """
    if request["reference"] is None:
        return None, 0.0
    seconds = 0.0
    known = device.levels.get(key)
    if known is None:
        budget = request["budget"]
        job = dict(request, kind="launch", seconds=budget["launch_seconds"], min_samples=11, max_samples=100000)
        job.update(reference=None, warmup_max_seconds=budget["warmup_max_seconds"], audit=False, **request["reference"])
        medians = []
        for number in range(CALIBRATION_LAUNCHES):
            reply = child(dict(job, seed=number))
            rounds = reply["rounds"]
            seconds += reply["warmup"][0]["seconds"] + sum(sum(round_["samples"]) for round_ in rounds) / 1e9
            medians.append(estimate.median([one for round_ in rounds for one in round_["samples"]]))
        known = estimate.median(medians)
        device.levels.put(key, known)
    return known, seconds


def _steady(request: Dict[str, Any], child: Child) -> Timed:
    """One launch of the sustained or the duty-cycle mode: nothing is discarded, since heat and pauses are its point."""
    mode, budget = request["mode"], request["budget"]
    job = dict(request, warmup_max_seconds=budget["warmup_max_seconds"], **mode)
    reply = child(job)
    seconds = {"warmup": reply["warmup"][0]["seconds"], "timed": sum(reply["samples"]) / 1e9}
    chunk = max(1, len(reply["samples"]) // 20)
    rounds = [Round(reply["samples"][i : i + chunk], None) for i in range(0, len(reply["samples"]), chunk)]
    return Timed([rounds], Counter(), 0, 0, reply["warmup"], dict(SECONDS, **seconds), None)


def _energy(request: Dict[str, Any], child: Child, device: Device, reply: Dict[str, Any]) -> Optional[energy.Energy]:
    """Integrate the meter over a fixed number of inferences; None without a meter, or when nobody asked."""
    p50, seconds = reply["latency"]["p50"], request["budget"]["energy_seconds"]
    if device.meter is None or p50 is None or not seconds:
        return None
    count = max(1, round(seconds * 1e3 / p50["ms"]))
    sampler = energy.Sampler(device.meter)
    started = time.monotonic()
    sampler.start()
    try:
        found = child(dict(request, kind="energy", inferences=count, idle_s=_IDLE_S, warmup_max_seconds=1.0))
    finally:
        readings = sampler.stop()
    reply["seconds"]["energy"] = time.monotonic() - started
    begin, end, pause = found["begin_ns"], found["end_ns"], round(_IDLE_S * 1e9)
    before, after = energy.mean_watts(readings, begin - pause, begin), energy.mean_watts(readings, end, end + pause)
    return energy.integrate(readings, begin, end, before, after, count, device.meter)


def _report(request: Dict[str, Any], timed: Timed, level: Optional[float], device: Device) -> Dict[str, Any]:
    launches = timed.launches
    latency = {name: estimate.percentile(launches, name) for name in ("p50", "p90", "p95", "p99")}
    ratio = estimate.ratio(launches)
    evidence = Evidence(
        stationary=all(warmup["stationary"] for warmup in timed.warmups),
        p50=latency["p50"],
        ratio=ratio,
        samples=timed.kept(),
        lost=timed.lost_launches,
        launches=len(launches),
        discarded=dict(timed.discarded),
        audit=timed.audit,
        emulated=device.emulated,
    )
    verdict, reasons = judge(evidence)
    return {
        "latency": {name: estimate.to_ms(found) for name, found in latency.items()},
        "paired": _paired(ratio, launches, level),
        "sure": {name: bool(e and e.half_width <= SURE[name]) for name, e in latency.items() if name in SURE},
        "samples_ns": [sample for launch in launches for round_ in launch for sample in round_.samples],
        "counts": {
            "launches": len(launches),
            "lost_launches": timed.lost_launches,
            "rounds": sum(map(len, launches)),
            "lost_rounds": timed.lost_rounds,
            "timed": timed.kept(),
            "warmup": sum(warmup["inferences"] for warmup in timed.warmups),
        },
        "discarded": dict(timed.discarded),
        "seconds": dict(timed.seconds),
        "mode": dict(request["mode"], **_slowdown(request, launches)),
        "audit": timed.audit,
        "verdict": verdict,
        "reasons": reasons,
        "notes": [],
        "emulated": device.emulated,
    }


def _paired(ratio: Optional[Estimate], launches: List[Launch], level: Optional[float]) -> Optional[Dict[str, Any]]:
    if ratio is None or level is None:
        return None
    reference = estimate.median([round_.reference for launch in launches for round_ in launch if round_.reference])
    return {
        "ratio": ratio.value,
        "interval": [ratio.low, ratio.high],
        "reference_ms": reference / 1e6,
        "level_ms": level / 1e6,
    }


def _slowdown(request: Dict[str, Any], launches: List[Launch]) -> Dict[str, Any]:
    """Of a sustained run: the median of its first minute (or third, if shorter) against that of its last."""
    if request["mode"]["kind"] != "sustained":
        return {}
    samples = [sample for launch in launches for round_ in launch for sample in round_.samples]
    share = min(60.0, request["mode"]["seconds"] / 3) * 1e9
    first, last = _until(samples, share), _until(samples[::-1], share)
    return {"first_ms": estimate.median(first) / 1e6, "last_ms": estimate.median(last) / 1e6}


def _until(samples: List[int], nanoseconds: float) -> List[int]:
    total, count = 0, 0
    while count < len(samples) and (total < nanoseconds or count == 0):
        total += samples[count]
        count += 1
    return samples[:count]
