"""What a measuring child does: load, warm up until stationary, and time every inference in paired rounds.

A round is A-B-B-A or B-A-A-B, drawn by chance: two blocks of the candidate around, or inside,
two blocks of the reference model, so that a drift of the device weighs on both alike.
"""

from __future__ import annotations

import gc
import io
import random
import time
from array import array
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from device_agents import inputs as inputs_
from device_agents.gate import disturbed
from device_agents.percentiles import quantile
from device_agents.protocol import Problem
from device_agents.runtimes import Loaded, Runtime
from device_agents.sensors import Senses

AGREE = 0.05
"""Two warm-up windows whose medians differ by less than this share, or by their MAD, are stationary."""
_WINDOW = 5
_WINDOW_S = 0.01
BLOCK_S = 0.008
REFERENCE_BLOCK_S = 0.004
LOOKING = 0.1
"""Share of a round that reading the sensors may take; where the Pi's firmware must be asked, blocks grow."""
_LEAST = 3
SETTLE = 2
"""Inferences at the start of a block that are not timed: the other model's data is still in the caches."""
_NULL_CALLS = 2001

Infer = Callable[[], Any]
Job = Dict[str, Any]


class Warmup(NamedTuple):
    """Whether the latency became stationary, after how many inferences and seconds, and its last median in ns."""

    stationary: bool
    inferences: int
    seconds: float
    median: float


class Model(NamedTuple):
    """A loaded model with its inputs, ready to infer."""

    loaded: Loaded
    inputs: Dict[str, Any]
    load_s: float

    def infer(self) -> Any:
        """Run once."""
        return self.loaded.run(self.inputs)


def prepare(runtime: Runtime) -> str:
    """Import in the fork server what every child needs, and return the runtime's version."""
    version = runtime.prepare()
    import numpy as np

    archive = io.BytesIO()
    np.savez(archive, x=np.zeros(1))
    archive.seek(0)
    with np.load(archive, allow_pickle=False) as loaded:  # numpy imports half of this on first use
        loaded["x"]
    gc.collect()
    gc.freeze()  # a child's own collection then passes over all that was imported: 0.1 s less on a fast machine
    return version


def open_model(runtime: Runtime, job: Job) -> Model:
    """Load ``job["model"]`` and read ``job["inputs"]``.

    Raises:
        Problem: ``model_failed``, ``bad_inputs`` or ``runtime_missing``.
    """
    started = time.perf_counter()
    loaded = blamed_on_model(lambda: runtime.load(job["model"], job["threads"]))
    return Model(loaded, inputs_.read_inputs(job["inputs"], loaded), time.perf_counter() - started)


def blamed_on_model(step: Callable[[], Any]) -> Any:
    """Return what ``step`` returns; what it raises is the model's fault."""
    try:
        return step()
    except Problem:
        raise
    except MemoryError:
        raise Problem("model_failed", "The model needs more memory than its limit; use a smaller one.") from None
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise Problem("model_failed", "The runtime cannot load or run the model: %s." % reason.rstrip(".")) from error


def launch(candidate: Model, reference: Optional[Model], job: Job, senses: Senses) -> Dict[str, Any]:
    """Carry out one launch: warm both up, then rounds until the time and the least samples are there.

    Args:
        job: ``seconds``, ``min_samples``, ``max_samples``, ``warmup_max_seconds``, ``seed``,
            ``beside_load`` and ``audit``.

    Returns:
        ``rounds``: ``samples`` (ns), ``reference`` (median ns or None) and ``disturbed`` (reasons) of each;
        ``disturbed`` of the launch as a whole, which sees what is too slow for a round; ``warmup`` and ``audit``.
    """
    gc.collect()
    gc.disable()
    models = [candidate] if reference is None else [candidate, reference]
    warmups = [warm_up(model.infer, job["warmup_max_seconds"]) for model in models]
    senses.look()  # the first one opens files
    counts = _block_sizes(warmups, senses)
    order, rounds, taken = random.Random(job["seed"]), [], 0
    opened, start = senses.look(), time.perf_counter()
    end = start + job["seconds"]
    while taken < job["max_samples"] and (taken < job["min_samples"] or time.perf_counter() < end):
        letters = order.choice(("ABBA", "BAAB")) if reference else "AA"
        rounds.append(_round(models, counts, letters, senses, job["beside_load"]))
        taken += len(rounds[-1]["samples"])
    whole = round((time.perf_counter() - start) * 1e9)
    return {
        "disturbed": disturbed(opened, senses.look(), inferences_ns=whole, beside_load=job["beside_load"]),
        "rounds": rounds,
        "warmup": [warmup._asdict() for warmup in warmups],
        "audit": audit(candidate, counts[0]) if job["audit"] else None,
    }


def _block_sizes(warmups: List[Warmup], senses: Senses) -> List[int]:
    """Inferences per block: so many that looking at the sensors in between takes a small share of a round."""
    began = time.perf_counter()
    senses.look()
    least_s = (time.perf_counter() - began) / (4 * LOOKING)
    lengths = (max(BLOCK_S, least_s), max(REFERENCE_BLOCK_S, least_s))
    return [
        max(_LEAST, int(seconds * 1e9 / max(warmup.median, 1.0)))
        for warmup, seconds in zip(warmups, lengths)  # noqa: B905 # strict is of Python 3.10
    ]


def _round(models: List[Model], counts: List[int], letters: str, senses: Senses, beside_load: bool) -> Dict[str, Any]:
    samples: List["array[int]"] = [array("q"), array("q")]
    before = senses.look()
    for letter in letters:
        which = "AB".index(letter)
        samples[which] += block(models[which].infer, counts[which])
    reasons = disturbed(before, senses.look(), inferences_ns=sum(map(sum, samples)), beside_load=beside_load)
    reference = quantile(sorted(samples[1]), 0.5) if samples[1] else None
    return {"samples": list(samples[0]), "reference": reference, "reference_ns": sum(samples[1]), "disturbed": reasons}


def block(infer: Infer, count: int) -> "array[int]":
    """Time ``count`` inferences one by one, in nanoseconds, after ``SETTLE`` that are not timed."""
    clock = time.perf_counter_ns
    samples = array("q", bytes(8 * count))
    for _ in range(SETTLE):
        infer()
    for i in range(count):
        begin = clock()
        infer()
        samples[i] = clock() - begin
    return samples


def warm_up(infer: Infer, max_seconds: float) -> Warmup:
    """Infer until two consecutive windows agree: their medians within 5 %, or within both windows' MAD.

    A window is at least 5 inferences and at least 10 ms. Two are always made; then
    ``max_seconds`` ends the waiting.
    """
    clock = time.perf_counter_ns
    started = clock()
    last: Optional[float] = None
    count = 0
    while True:
        window = array("q")
        opened = clock()
        while len(window) < _WINDOW or clock() - opened < _WINDOW_S * 1e9:
            begin = clock()
            infer()
            window.append(clock() - begin)
        count += len(window)
        median = quantile(sorted(window), 0.5)
        deviation = quantile(sorted(abs(one - round(median)) for one in window), 0.5)
        seconds = (clock() - started) / 1e9
        if last is not None:
            if abs(median - last) <= max(AGREE * last, deviation):
                return Warmup(True, count, seconds, median)
            if seconds >= max_seconds:
                return Warmup(False, count, seconds, median)
        last = median


def audit(candidate: Model, count: int) -> Dict[str, Any]:
    """Question the measuring itself: what timing nothing costs, and whether other numbers take other times.

    Returns:
        ``overhead_ns``: median of timing an empty function; ``varied_ratio``: the median with varied
        inputs over the median with the given ones, or None where the inputs hold no floats.
    """
    overhead = quantile(sorted(block(_nothing, _NULL_CALLS)), 0.5)
    other = inputs_.varied(candidate.inputs)
    if all(other[name] is candidate.inputs[name] for name in other):
        return {"overhead_ns": overhead, "varied_ratio": None}
    changed = Model(candidate.loaded, other, 0.0)
    given, varied = array("q"), array("q")
    for model, samples in ((candidate, given), (changed, varied), (changed, varied), (candidate, given)):
        samples.extend(block(model.infer, count))
    return {
        "overhead_ns": overhead,
        "varied_ratio": quantile(sorted(varied), 0.5) / quantile(sorted(given), 0.5),
    }


def _nothing() -> None:
    pass


def sustained(candidate: Model, seconds: float) -> "array[int]":
    """Infer without a pause for so long; heat is what is looked for here, so nothing is discarded."""
    clock = time.perf_counter_ns
    samples, end = array("q"), clock() + int(seconds * 1e9)
    while not samples or clock() < end:
        begin = clock()
        candidate.infer()
        samples.append(clock() - begin)
    return samples


def duty(candidate: Model, gap_s: float, requests: int) -> "array[int]":
    """Infer once every ``gap_s`` seconds: caches cool and clocks fall in between, as they do in a store."""
    clock = time.perf_counter_ns
    samples = array("q")
    for _ in range(requests):
        time.sleep(gap_s)
        begin = clock()
        candidate.infer()
        samples.append(clock() - begin)
    return samples
