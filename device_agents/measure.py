"""What the child does: load a model, warm it up, time every inference, read its peak memory."""

from __future__ import annotations

import base64
import gc
import io
import os
import time
from array import array
from typing import Any, Callable, Dict, List, NamedTuple, Sequence

from device_agents import percentiles
from device_agents.protocol import Problem
from device_agents.runtimes import Loaded, Runtime

AGREE = 0.05
"""Two warm-up windows whose medians differ by less than this share are stationary."""
SURE = 0.02
"""Timing may stop when the interval of p50 lies within this share on both sides."""
WIDEST = 0.05
"""A p50 whose interval is wider than this share of it makes the measurement degraded."""
_WINDOW = 5
_WINDOW_S = 0.02


class Warmup(NamedTuple):
    """Whether the latency became stationary, after how many inferences and seconds."""

    stationary: bool
    inferences: int
    seconds: float


def prepare(runtime: Runtime) -> str:
    """Import in the fork server what every child needs, and return the runtime's version."""
    version = runtime.prepare()
    import numpy as np

    archive = io.BytesIO()
    np.savez(archive, x=np.zeros(1))
    archive.seek(0)
    with np.load(archive, allow_pickle=False) as loaded:  # numpy imports half of this on first use
        loaded["x"]
    return version


def work(runtime: Runtime, job: Dict[str, Any]) -> Dict[str, Any]:
    """Carry out one job of the fork server: ``measure`` or, where the budget is None, ``run``.

    Raises:
        Problem: ``model_failed`` or ``bad_inputs``.
    """
    reset_peak()
    started = time.perf_counter()
    loaded = _blamed_on_model(lambda: runtime.load(job["model"], job["threads"]))
    load_s = time.perf_counter() - started
    inputs = read_inputs(job["inputs"], loaded)
    if job["budget"] is None:
        outputs = _blamed_on_model(lambda: loaded.run(inputs))
        return {"outputs": {name: tensor(name, value) for name, value in outputs.items()}}
    reply: Dict[str, Any] = _blamed_on_model(lambda: timed(lambda: loaded.run(inputs), job["budget"]))
    reply["seconds"]["load"] = load_s
    reply["file_size_kb"] = os.path.getsize(job["model"]) / 1000
    return reply


def _blamed_on_model(step: Callable[[], Any]) -> Any:
    try:
        return step()
    except Problem:
        raise
    except MemoryError:
        raise Problem("model_failed", "The model needs more memory than its limit; use a smaller one.") from None
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise Problem("model_failed", "The runtime cannot load or run the model: %s." % reason.rstrip(".")) from error


def timed(infer: Callable[[], Any], budget: Dict[str, Any]) -> Dict[str, Any]:
    """Warm up, time ``infer`` within ``budget`` (see PROTOCOL.md), and report on it."""
    gc.collect()
    gc.disable()
    warmup = warm_up(infer, budget["warmup_max_seconds"])
    peak = peak_mb()  # read before the samples, so that they do not count as the model's
    return report(warmup, sample(infer, budget), peak)


def report(warmup: Warmup, samples: Sequence[int], peak: float) -> Dict[str, Any]:
    """Return what the reply to ``measure`` says about samples in nanoseconds, with a verdict."""
    ordered = sorted(samples)
    latency = {name: percentiles.summary(ordered, name) for name in percentiles.FLOORS}
    reasons = []
    if not warmup.stationary:
        reasons.append("never stationary: warm-up windows did not agree in %.1f s" % warmup.seconds)
    if latency["p50"] is None:
        reasons.append("%d samples, fewer than the %d that p50 needs" % (len(samples), percentiles.FLOORS["p50"][1]))
    elif spread(latency["p50"]) > WIDEST:
        reasons.append("p50 interval wider than 5 %%: %.1f %%" % (100 * spread(latency["p50"])))
    return {
        "latency": latency,
        "samples_ns": list(samples),
        "counts": {"warmup": warmup.inferences, "timed": len(samples)},
        "seconds": {"warmup": warmup.seconds, "timed": sum(samples) / 1e9},
        "memory": {"peak_mb": peak},
        "verdict": "degraded" if reasons else "valid",
        "reasons": reasons,
    }


def warm_up(infer: Callable[[], Any], max_seconds: float) -> Warmup:
    """Infer until the medians of two consecutive windows agree within 5 %.

    A window is at least 5 inferences and at least 20 ms. Two are always made; then
    ``max_seconds`` ends the waiting.
    """
    clock = time.perf_counter_ns
    started = clock()
    medians: List[float] = []
    count = 0
    while True:
        window = array("q")
        opened = clock()
        while len(window) < _WINDOW or clock() - opened < _WINDOW_S * 1e9:
            begin = clock()
            infer()
            window.append(clock() - begin)
        count += len(window)
        medians.append(percentiles.quantile(sorted(window), 0.5))
        seconds = (clock() - started) / 1e9
        if len(medians) >= 2:
            if abs(medians[-1] - medians[-2]) <= AGREE * medians[-2]:
                return Warmup(True, count, seconds)
            if seconds >= max_seconds:
                return Warmup(False, count, seconds)


def sample(infer: Callable[[], Any], budget: Dict[str, Any]) -> "array[int]":
    """Time every inference, in nanoseconds, until p50 is sure or the budget ends.

    ``min_samples`` are taken in any case. After that ``max_samples`` and ``max_seconds`` end
    the timing; so does, once ``min_seconds`` have passed, a p50 known within 2 % on both sides.
    """
    clock = time.perf_counter_ns
    samples = array("q")
    started = clock()
    sure_after = started + budget["min_seconds"] * 1e9
    end = started + budget["max_seconds"] * 1e9
    look_at = budget["min_samples"]
    while len(samples) < max(budget["max_samples"], budget["min_samples"]):
        begin = clock()
        infer()
        now = clock()
        samples.append(now - begin)
        if len(samples) < budget["min_samples"]:
            continue
        if now >= end:
            break
        if now >= sure_after and len(samples) >= look_at:
            if is_sure(samples):
                break
            look_at = len(samples) * 5 // 4 + 1
    return samples


def is_sure(samples: "array[int]") -> bool:
    """Tell whether the 95 % interval of p50 lies within 2 % on both sides of it."""
    p50 = percentiles.summary(sorted(samples), "p50")
    if p50 is None:
        return False
    low, high = p50["interval"]
    return bool(max(p50["ms"] - low, high - p50["ms"]) <= SURE * p50["ms"])


def spread(percentile: Dict[str, Any]) -> float:
    """Return the width of a percentile's interval as a share of it."""
    low, high = percentile["interval"]
    return float((high - low) / percentile["ms"])


def reset_peak() -> None:
    """Forget the highest resident memory so far; without the right to, it counts from the fork on."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass


def peak_mb() -> float:
    """Return this process's highest resident memory since ``reset_peak``, in MB (10^6 bytes)."""
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    raise Problem("device_broken", "The kernel reports no VmHWM; expected a Linux with /proc mounted.")


def read_inputs(path: str, loaded: Loaded) -> Dict[str, Any]:
    """Read an npz archive and check it against what the model takes.

    Raises:
        Problem: ``bad_inputs``.
    """
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as archive:
            inputs = {name: archive[name] for name in archive.files}
    except Exception as error:
        raise Problem("bad_inputs", "The inputs are no npz archive of plain arrays; encode them again.") from error
    wanted = {spec.name: spec for spec in loaded.inputs}
    if set(inputs) != set(wanted) and wanted:
        raise Problem("bad_inputs", "The inputs are %s; the model takes %s." % (sorted(inputs), sorted(wanted)))
    for name, spec in wanted.items():
        shape, dtype = inputs[name].shape, inputs[name].dtype.name
        fits = len(shape) == len(spec.shape) and all(d in (None, shape[i]) for i, d in enumerate(spec.shape))
        if dtype != spec.dtype or not fits:
            raise Problem(
                "bad_inputs",
                "The input %s is %s %s; the model takes %s %s." % (name, dtype, shape, spec.dtype, spec.shape),
            )
    return inputs


def tensor(name: str, value: Any) -> Dict[str, Any]:
    """Return an array as JSON values: base64 of its little-endian bytes in C order."""
    if value.dtype.kind not in "biuf":
        raise Problem("model_failed", "The output %s is no tensor of numbers, but %s." % (name, value.dtype))
    little = value.astype(value.dtype.newbyteorder("<"))
    data = base64.b64encode(little.tobytes()).decode("ascii")
    return {"dtype": value.dtype.name, "shape": list(value.shape), "data": data}
