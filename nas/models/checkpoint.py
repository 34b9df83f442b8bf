"""A training in the middle, as safetensors: killed, it goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import nn

from nas.errors import CandidateFault

_NOTES = "notes"


def freeze(model: nn.Module, optimizer: torch.optim.Optimizer, best: bytes, notes: Mapping[str, Any]) -> bytes:
    """The whole state between two epochs.

    Args:
        best: The best epoch's weights.
        notes: What else there is to remember, as JSON values.
    """
    state = optimizer.state_dict()
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    for index, moments in state["state"].items():
        tensors |= {f"optimizer.{index}.{name}": tensor for name, tensor in moments.items()}
    groups = [{name: value for name, value in group.items() if name != "params"} for group in state["param_groups"]]
    tensors["best"] = _bytes(best)
    tensors[_NOTES] = _bytes(json.dumps({"notes": notes, "groups": groups}).encode())
    saved: bytes = save_safetensors({name: tensor.clone() for name, tensor in tensors.items()})
    return saved


def thaw(checkpoint: bytes, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[bytes, dict[str, Any]]:
    """Put a state back; returns the best epoch's weights and the notes.

    Raises:
        CandidateFault: The checkpoint is damaged, or of another network.
    """
    try:
        tensors = load_safetensors(checkpoint)
        told = json.loads(_text(tensors.pop(_NOTES)))
        best = _text(tensors.pop("best"))
        own = {name.removeprefix("model."): t for name, t in tensors.items() if name.startswith("model.")}
        model.load_state_dict(own)
        state = optimizer.state_dict()
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith("optimizer."):
                _, index, moment = name.split(".")
                moments.setdefault(int(index), {})[moment] = tensor
        groups = [{**ours, **theirs} for ours, theirs in zip(state["param_groups"], told["groups"], strict=True)]
        optimizer.load_state_dict({"state": moments, "param_groups": groups})
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise CandidateFault(
            f"The checkpoint of this training cannot be used ({type(error).__name__}); train this network again."
        ) from error
    return best, told["notes"]


def _bytes(content: bytes) -> torch.Tensor:
    return torch.frombuffer(bytearray(content), dtype=torch.uint8) if content else torch.zeros(0, dtype=torch.uint8)


def _text(tensor: torch.Tensor) -> bytes:
    return tensor.numpy().tobytes()
