"""The jobs of a measuring child, by kind; each gets plain JSON values and returns plain JSON values."""

from __future__ import annotations

import contextlib
import os
import time
from typing import Any, Callable, Dict, Optional

from device_agents import inputs, memory, timing
from device_agents.runtimes import Runtime
from device_agents.sensors import Senses

Job = Dict[str, Any]
MEMORY_RUNS = 3


def work(runtime: Runtime, sysroot: str, job: Job) -> Dict[str, Any]:
    """Carry out one job in this process, which exists for nothing else.

    Raises:
        Problem: ``model_failed``, ``bad_inputs`` or ``runtime_missing``.
    """
    kinds: Dict[str, Callable[[Runtime, str, Job], Dict[str, Any]]] = {
        "run": _run,
        "memory": _memory,
        "launch": _launch,
        "sustained": _sustained,
        "duty": _duty,
        "energy": _energy,
    }
    pin(job["threads"])
    return kinds[job["kind"]](runtime, sysroot, job)


def pin(threads: int) -> None:
    """Keep this process on as many cores as it has threads: the last ones, since interrupts go to the first."""
    cores = sorted(os.sched_getaffinity(0))
    if threads < len(cores):
        os.sched_setaffinity(0, cores[-threads:])


def _run(runtime: Runtime, _sysroot: str, job: Job) -> Dict[str, Any]:
    model = timing.open_model(runtime, job)
    outputs = timing.blamed_on_model(model.infer)
    return {"outputs": {name: inputs.tensor(name, value) for name, value in outputs.items()}}


def _memory(runtime: Runtime, _sysroot: str, job: Job) -> Dict[str, Any]:
    """Load, infer a few times, and read this process's peak: nothing else has ever run in it."""
    _join(job["cgroup"])
    _reset_peak()
    model = timing.open_model(runtime, job)
    for _ in range(MEMORY_RUNS):
        timing.blamed_on_model(model.infer)
    found = {"peak_mb": memory.hwm_mb(), "pss_mb": memory.pss_mb()}
    return dict(found, load_s=model.load_s, provider=model.loaded.provider)


def _join(cgroup: Optional[str]) -> None:
    if cgroup is not None:
        memory.Cgroup(cgroup, "").join(os.getpid())


def _reset_peak() -> None:
    """Forget the highest resident memory so far; without the right to, it counts from the fork on."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def _launch(runtime: Runtime, sysroot: str, job: Job) -> Dict[str, Any]:
    candidate = timing.open_model(runtime, job)
    reference = timing.open_model(runtime, dict(job, **job["reference"])) if job["reference"] else None
    reply: Dict[str, Any] = timing.blamed_on_model(lambda: timing.launch(candidate, reference, job, Senses(sysroot)))
    load_s = candidate.load_s + (reference.load_s if reference else 0.0)
    return dict(reply, load_s=load_s, provider=candidate.loaded.provider)


def _sustained(runtime: Runtime, _sysroot: str, job: Job) -> Dict[str, Any]:
    return _steady(runtime, job, lambda model: timing.sustained(model, job["seconds"]))


def _duty(runtime: Runtime, _sysroot: str, job: Job) -> Dict[str, Any]:
    return _steady(runtime, job, lambda model: timing.duty(model, job["gap_s"], job["requests"]))


def _steady(runtime: Runtime, job: Job, timed: Callable[[timing.Model], Any]) -> Dict[str, Any]:
    model = timing.open_model(runtime, job)
    warmup = timing.blamed_on_model(lambda: timing.warm_up(model.infer, job["warmup_max_seconds"]))
    samples = timing.blamed_on_model(lambda: timed(model))
    named = {"samples": list(samples), "warmup": [warmup._asdict()], "load_s": model.load_s}
    return dict(named, provider=model.loaded.provider)


def _energy(runtime: Runtime, _sysroot: str, job: Job) -> Dict[str, Any]:
    """Infer a fixed number of times between two idle pauses; the agent reads the meter meanwhile."""
    model = timing.open_model(runtime, job)
    timing.blamed_on_model(lambda: timing.warm_up(model.infer, job["warmup_max_seconds"]))
    time.sleep(job["idle_s"])
    begin = time.monotonic_ns()
    for _ in range(job["inferences"]):
        timing.blamed_on_model(model.infer)
    end = time.monotonic_ns()
    time.sleep(job["idle_s"])
    return {"begin_ns": begin, "end_ns": end}
