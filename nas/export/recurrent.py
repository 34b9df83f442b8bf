"""The recurrent layers as ONNX operators, placed into the graph by name.

Left to itself, torch's exporter runs an LSTM step by step while it traces (a window of 84 days took
it some ten seconds). Here each layer is handed to it as the one ``LSTM`` or ``GRU`` operator that it becomes anyway,
with its weights already in ONNX's order. Whether this is right is not a matter of belief: every
export is compared with torch.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from nas.models.forecaster import Forecaster

OPSET = 20
_GATES = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2)}
"""torch keeps an LSTM's gates as input, forget, cell, output, ONNX as input, output, forget, cell;
a GRU's as reset, update, new against update, reset, hidden."""


class RecurrentOperators(nn.Module):
    """Stands in for ``nn.LSTM`` or ``nn.GRU`` (batch first) while a model is traced for ONNX."""

    def __init__(self, layers: nn.LSTM | nn.GRU) -> None:
        super().__init__()
        self.operator = "LSTM" if isinstance(layers, nn.LSTM) else "GRU"
        self.hidden = layers.hidden_size
        self.input, self.recurrent, self.bias = (nn.ParameterList() for _ in range(3))
        for layer in range(layers.num_layers):
            named = {
                name: getattr(layers, f"{name}_l{layer}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            }
            ordered = {name: self._ordered(weights.detach()) for name, weights in named.items()}
            self.input.append(ordered["weight_ih"][None])
            self.recurrent.append(ordered["weight_hh"][None])
            self.bias.append(torch.cat([ordered["bias_ih"], ordered["bias_hh"]])[None])

    def forward(self, steps: Tensor) -> tuple[Tensor, None]:
        """Give the last state of the last layer, ``[batch, 1, hidden]``, for steps ``[batch, steps, features]``."""
        sequence = steps.transpose(0, 1)
        length, batch = sequence.shape[:2]
        shapes = [[length, 1, batch, self.hidden], [1, batch, self.hidden], [1, batch, self.hidden]]
        count = 3 if self.operator == "LSTM" else 2
        attributes: dict[str, Any] = {"hidden_size": self.hidden} | (
            {"linear_before_reset": 1} if self.operator == "GRU" else {}
        )
        last = sequence
        for weights in zip(self.input, self.recurrent, self.bias, strict=True):
            states = torch.onnx.ops.symbolic_multi_out(
                self.operator,
                (sequence, *weights),
                attributes,
                dtypes=[torch.float32] * count,
                shapes=shapes[:count],
                version=OPSET,
            )
            sequence, last = states[0].squeeze(1), states[1]
        return last.transpose(0, 1), None

    def _ordered(self, weights: Tensor) -> Tensor:
        """The same rows in ONNX's order of gates."""
        gates = weights.reshape(-1, self.hidden, *weights.shape[1:])
        return gates[list(_GATES[self.operator])].flatten(0, 1)


def with_operators(model: Forecaster) -> Forecaster:
    """A copy of the model, or of an ensemble of several, that can be traced for ONNX; it computes nothing by itself."""
    traced = copy.deepcopy(model)
    for holder in list(traced.modules()):
        for name, part in list(holder.named_children()):
            if isinstance(part, nn.LSTM | nn.GRU):
                setattr(holder, name, RecurrentOperators(part))
    return traced
