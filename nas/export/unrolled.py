"""A forecaster as a ``torch.export`` program, its recurrence laid out step by step.

ExecuTorch and LiteRT have no recurrent operator that their converters use, so a compiled program
holds every step. What all steps share is taken out of them: the input's part of the gates is one
matrix product over the whole window. Left to torch's own unrolling, an LSTM of 64 units over 56
days took ExecuTorch's compiler 76 s and ran in 1.3 ms; laid out like this 28 s and 0.26 ms.
A loop (``scan``) compiles faster still, but runs ten times slower.
"""

from __future__ import annotations

import copy
import hashlib

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.nn.functional import linear

from nas.data.windows import INPUTS
from nas.export.artifact import ONE_AT_A_TIME, OUTPUT, quiet
from nas.models.forecaster import Forecaster, example_inputs


class UnrolledCells(nn.Module):
    """Stands in for ``nn.LSTM`` or ``nn.GRU`` (batch first) while a model is captured."""

    def __init__(self, layers: nn.LSTM | nn.GRU) -> None:
        super().__init__()
        self.layers = layers
        self.step = _lstm_step if isinstance(layers, nn.LSTM) else _gru_step

    def forward(self, steps: Tensor) -> tuple[Tensor, None]:
        """Give the last state of the last layer, ``[batch, 1, hidden]``, for steps ``[batch, steps, features]``."""
        for layer in range(self.layers.num_layers):
            names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            of_input, of_state, bias, state_bias = (getattr(self.layers, f"{name}_l{layer}") for name in names)
            gates = linear(steps, of_input, bias)
            hidden = cell = steps.new_zeros(len(steps), self.layers.hidden_size)
            states = []
            for day in range(gates.shape[1]):
                hidden, cell = self.step(gates[:, day], linear(hidden, of_state, state_bias), hidden, cell)
                states.append(hidden)
            steps = torch.stack(states, 1) if layer + 1 < self.layers.num_layers else hidden.unsqueeze(1)
        return steps, None


class _Named(nn.Module):
    """The forecaster with its output under the contract's name."""

    def __init__(self, model: Forecaster) -> None:
        super().__init__()
        self.model = model

    def forward(  # the contract has six inputs
        self, past: Tensor, past_mask: Tensor, past_time: Tensor, future: Tensor, future_time: Tensor, static: Tensor
    ) -> dict[str, Tensor]:
        return {OUTPUT: self.model(past, past_mask, past_time, future, future_time, static)}


def captured(model: Forecaster) -> ExportedProgram:
    """Capture a forecaster for batch 1 with its inputs and its output by name."""
    unrolled = copy.deepcopy(model).eval()
    unrolled.encoder = UnrolledCells(unrolled.encoder)  # type: ignore[assignment]  # its stand-in, for capturing only
    example = dict(zip(INPUTS, example_inputs(model.architecture, model.shape), strict=True))
    with ONE_AT_A_TIME, quiet(), torch.no_grad():
        return torch.export.export(_Named(unrolled), (), example)


def program_digest(program: ExportedProgram, compiler: str) -> str:
    """SHA-256 over the captured graph, its shapes and types, and what compiles it; weights are left out."""
    lines = [compiler]
    for node in program.graph.nodes:
        value = node.meta.get("val")
        shape = f"{value.dtype} {tuple(value.shape)}" if isinstance(value, Tensor) else ""
        lines.append(f"{node.op} {node.name} {node.target} {node.args} {node.kwargs} {shape}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _lstm_step(gates: Tensor, recurrent: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """One step of an LSTM; ``gates`` holds the input's part, in torch's order: input, forget, cell, output."""
    enter, forget, new, leave = _split(gates + recurrent, hidden)
    cell = torch.sigmoid(forget) * cell + torch.sigmoid(enter) * torch.tanh(new)
    return torch.sigmoid(leave) * torch.tanh(cell), cell


def _gru_step(gates: Tensor, recurrent: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """One step of a GRU, in torch's order: reset, update, new; there is no cell."""
    resets, updates, news = zip(_split(gates, hidden), _split(recurrent, hidden), strict=True)
    reset, update = torch.sigmoid(resets[0] + resets[1]), torch.sigmoid(updates[0] + updates[1])
    new = torch.tanh(news[0] + reset * news[1])
    return new + update * (hidden - new), cell


def _split(gates: Tensor, hidden: Tensor) -> list[Tensor]:
    """The gates as slices: unlike ``chunk``, every delegate takes them."""
    width = hidden.shape[1]
    return [gates[:, start : start + width] for start in range(0, gates.shape[1], width)]
