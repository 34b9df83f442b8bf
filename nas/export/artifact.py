"""What every exporter makes, and the promise that it computes what torch computes."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nas.architecture import Architecture
from nas.data.windows import INPUTS
from nas.errors import CandidateFault
from nas.models.forecaster import Forecaster, example_inputs

OUTPUT = "forecast"
FP32_TOLERANCE = 1e-4
"""Largest difference from torch that fp32 may show, relative to the mean forecast."""
ONE_AT_A_TIME = threading.Lock()
"""torch's exporter keeps global state: two threads that export at once break each other."""

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Artifact:
    """A model file in memory, and what is needed to measure it.

    Attributes:
        model: The file as the architecture's runtime reads it.
        inputs: One example request, batch 1.
        graph: SHA-256 of the graph with its shapes but without its weights; models that share it
            cost the same on a device.
        parity: Largest difference from torch over the example requests, relative to their mean
            forecast. For int8 it is the price of quantization, not an error.
        seconds: How long the export took.
    """

    architecture: Architecture
    model: bytes
    inputs: Arrays
    graph: str
    parity: float
    seconds: float


def example_request(model: Forecaster) -> dict[str, NDArray[Any]]:
    """One example request of a forecaster, batch 1."""
    return as_arrays(example_inputs(model.architecture, model.shape))


def as_arrays(tensors: tuple[torch.Tensor, ...]) -> dict[str, NDArray[Any]]:
    """Name the six input tensors and hand them over as numpy arrays."""
    return {name: tensor.numpy() for name, tensor in zip(INPUTS, tensors, strict=True)}


def parity(model: Forecaster, run: Callable[[Arrays], NDArray[np.float32]], batch: int = 16) -> float:
    """Largest absolute difference between torch and what ``run`` forecasts, relative to torch's mean forecast."""
    tensors = example_inputs(model.architecture, model.shape, batch)
    with torch.no_grad():
        expected = model(*tensors).numpy()
    found = run(as_arrays(tensors))
    return float(np.abs(found - expected).max() / max(float(np.abs(expected).mean()), 1e-9))


def rows(inputs: Arrays) -> Iterator[dict[str, NDArray[Any]]]:
    """Each request of a batch by itself, for what is compiled for batch 1."""
    for row in range(len(inputs[INPUTS[0]])):
        yield {name: array[row : row + 1] for name, array in inputs.items()}


def require_faithful(difference: float, architecture: Architecture) -> None:
    """Refuse an fp32 export that does not compute what torch computes.

    Raises:
        CandidateFault: The difference is larger than ``FP32_TOLERANCE``, or not a number.
    """
    if not difference <= FP32_TOLERANCE:
        raise CandidateFault(
            f"The exported model differs from torch by {difference:.1e} of the mean forecast, expected at most "
            f"{FP32_TOLERANCE:.0e}; this architecture cannot be exported faithfully ({architecture})."
        )


@contextmanager
def quiet() -> Iterator[None]:
    """The exporters and the quantizer chat on stderr about packages that nobody needs here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)
