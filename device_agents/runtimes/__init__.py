"""Inference runtimes behind one door: ``load(path, threads)``, then ``run(inputs)``."""

from __future__ import annotations

import importlib
import io
import struct
import zipfile
from typing import Any, Dict, List, NamedTuple, Optional, Protocol, Tuple, cast

from device_agents.protocol import RUNTIMES, Problem


class InputSpec(NamedTuple):
    """An input of a model; None in ``shape`` is an open dimension."""

    name: str
    dtype: str
    shape: Tuple[Optional[int], ...]


class Loaded(Protocol):
    """A model that is ready to run."""

    inputs: List[InputSpec]
    """What ``run`` takes; empty when any arrays will do."""
    provider: str
    """What really executes the model, in the runtime's own words: never just what was asked for."""

    def run(self, inputs: Dict[str, Any]) -> Dict[str, Any]:
        """Return the outputs by name for input arrays by name."""
        ...


class Runtime(Protocol):
    """A module of this package. Only ``prepare`` and ``load`` import the runtime itself."""

    IDENTITY_MODEL: bytes
    """A model that returns its input, for the memory that the runtime takes by itself."""

    def version(self) -> Optional[str]:
        """Return the version that is installed, without importing it; None when there is none."""
        ...

    def prepare(self) -> str:
        """Import the runtime and return its version; raise ``Problem`` (``runtime_missing``) without it."""
        ...

    def load(self, path: str, threads: int) -> Loaded:
        """Load the model file at ``path`` for that many threads.

        Raises:
            Problem: ``runtime_missing`` where the device cannot execute it the way this runtime promises.
            Exception: Anything else means that the model is to blame.
        """
        ...


def identity_inputs() -> bytes:
    """Return the npz archive that goes with every ``IDENTITY_MODEL``: x, a float32 zero of shape [1, 1]."""
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1), }".ljust(117) + b"\n"
    start = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(zipfile.ZipInfo("x.npy"), start + header + bytes(4))
    return archive.getvalue()


def find(name: str) -> Runtime:
    """Return the runtime called ``name``, one of ``RUNTIMES``."""
    return cast("Runtime", importlib.import_module("device_agents.runtimes." + name.replace("-", "_")))


def versions() -> Dict[str, str]:
    """Return the version of every runtime that is installed, by name."""
    found = {name: find(name).version() for name in RUNTIMES}
    return {name: version for name, version in found.items() if version is not None}


def missing(runtime: str, reason: object, install: str) -> Problem:
    """Return what to raise when the device does not have ``runtime``, with the command that brings it."""
    text = "%s is not on this device (%.200s); install it there with `%s`." % (runtime, reason, install)
    return Problem("runtime_missing", " ".join(text.split()))


def installed(distribution: str) -> Optional[str]:
    """Return the version of an installed distribution without importing it."""
    from importlib import metadata

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
