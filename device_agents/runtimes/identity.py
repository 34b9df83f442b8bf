"""The fake: needs numpy only, keeps the model file in memory and returns its inputs."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from device_agents.runtimes import InputSpec, installed, missing

IDENTITY_MODEL = b"identity"


class Model:
    """Any file at all; the outputs are the inputs."""

    provider = "numpy"

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.provider = "identity"
        self.inputs: List[InputSpec] = []

    def run(self, inputs: Dict[str, Any]) -> Dict[str, Any]:
        return dict(inputs)


def version() -> Optional[str]:
    return installed("numpy")


def prepare() -> str:
    try:
        import numpy as np
    except ImportError as error:
        raise missing("numpy", error, "python3 -m pip install numpy") from None
    return str(np.__version__)


def load(path: str, threads: int) -> Model:  # noqa: ARG001 # the door is the same for every runtime
    with open(path, "rb") as file:
        return Model(file.read())
