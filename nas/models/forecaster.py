"""The forecaster: an Architecture made into a torch module that speaks natural units.

Sales go in and sales come out. Scaling, calendar, pooling and un-scaling are part of the module, so
they are part of the exported graph, and what is measured on a device is what runs in a store.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nas.architecture import Architecture
from nas.models.shape import Shape

MAX_LOG = 16.0
"""No forecast is above nine million units: a wild weight stays a number."""


class Inputs(NamedTuple):
    """One batch of ``nas.data.windows.Windows`` as tensors, in its order."""

    past: Tensor
    past_mask: Tensor
    past_time: Tensor
    future: Tensor
    future_time: Tensor
    static: Tensor


class Forecaster(nn.Module, ABC):
    """What every forecaster has: one recurrent encoder, and forecasts that are 0 where a store is closed.

    Attributes:
        logarithmic: Whether ``raw`` speaks of log(1 + sales) rather than of sales.
    """

    logarithmic: bool
    encoder: nn.LSTM | nn.GRU

    def __init__(self, architecture: Architecture, shape: Shape) -> None:
        super().__init__()
        self.architecture, self.shape = architecture, shape

    def forward(
        self, past: Tensor, past_mask: Tensor, past_time: Tensor, future: Tensor, future_time: Tensor, static: Tensor
    ) -> Tensor:
        """Forecast sales.

        Args:
            past: ``[batch, window, 1 + hist + futr]``; channel 0 is ``y`` in sales units.
            past_mask: ``[batch, window]``, 1 where ``y`` was observed and the article available.
            past_time: ``[batch, window]`` int64, hours since 1970, store-local.
            future: ``[batch, horizon, futr]``.
            future_time: ``[batch, horizon]`` int64.
            static: ``[batch, ids]`` int64; 0 is unseen.

        Returns:
            ``[batch, horizon]`` in sales units, never negative; with quantiles ``[batch, horizon, quantiles]``.
        """
        raw = self.raw(Inputs(past, past_mask, past_time, future, future_time, static))
        sales = torch.expm1(raw.clamp(max=MAX_LOG)) if self.logarithmic else raw
        sales = torch.relu(sales)
        if self.shape.open is not None:
            sales = sales * (future[:, :, self.shape.open : self.shape.open + 1] > 0).to(sales.dtype)
        return sales if self.shape.quantiles else sales.squeeze(-1)

    @abstractmethod
    def raw(self, inputs: Inputs) -> Tensor:
        """Before the clamp at zero, which would stop a gradient: ``[batch, horizon, outputs]``."""

    def ordered(self, outputs: Tensor) -> Tensor:
        """The last axis as quantiles that never cross: the median, and steps away from it on either side."""
        middle = self.shape.point
        median = outputs[..., middle : middle + 1]
        if not self.shape.quantiles:
            return median
        steps = nn.functional.softplus(outputs)
        parts = [median]
        for level in range(middle - 1, -1, -1):
            parts.insert(0, parts[0] - steps[..., level : level + 1])
        for level in range(middle + 1, self.shape.outputs):
            parts.append(parts[-1] + steps[..., level : level + 1])
        return torch.cat(parts, -1)

    def observed(self, inputs: Inputs) -> Tensor:
        """Past steps that tell of demand, ``[batch, window]``: observed, available and open."""
        if self.shape.open is None:
            return inputs.past_mask
        opened = inputs.past[:, :, 1 + self.shape.hist + self.shape.open] > 0
        return inputs.past_mask * opened.to(inputs.past_mask.dtype)

    def pooled(self, steps: Tensor) -> Tensor:
        """With a pooled history, means of the older steps and the recent ones as they are."""
        clock = self.shape.clock
        if self.architecture.history == "daily" or steps.shape[1] <= clock.recent:
            return steps
        old = whole(steps[:, : -clock.recent], clock.pool)
        means = old.reshape(-1, old.shape[1] // clock.pool, clock.pool, old.shape[2]).mean(2)
        return torch.cat([means, steps[:, -clock.recent :]], 1)

    def encoded(self, steps: Tensor) -> Tensor:
        """The encoder's last hidden state, ``[batch, hidden]``."""
        states: Tensor = self.encoder(self.pooled(steps))[0]
        return states[:, -1]


def build(architecture: Architecture, shape: Shape) -> Forecaster:
    """The module of an architecture, with random weights."""
    from nas.models.effects import EffectsForecaster  # noqa: PLC0415 - both stand on this module
    from nas.models.plain import PlainForecaster  # noqa: PLC0415 - likewise

    kinds: dict[str, type[Forecaster]] = {"effects": EffectsForecaster, "plain": PlainForecaster}
    return kinds[architecture.decoder](architecture, shape)


def recurrent(architecture: Architecture, features: int) -> nn.LSTM | nn.GRU:
    """The encoder over so many features per step."""
    cell = nn.LSTM if architecture.cell == "lstm" else nn.GRU
    return cell(features, architecture.hidden, architecture.layers, batch_first=True)


def whole(steps: Tensor, size: int) -> Tensor:
    """Steps ``[batch, steps, features]`` with zeros in front, so that they are whole groups of ``size``."""
    lacking = -steps.shape[1] % size
    return nn.functional.pad(steps, (0, 0, lacking, 0)) if lacking else steps


def example_inputs(architecture: Architecture, shape: Shape, batch: int = 1) -> Inputs:
    """Plausible inputs of the right shapes, the same at every call: for export, warm-up and parity."""
    draw = torch.Generator().manual_seed(batch)
    window, horizon = architecture.window, shape.horizon
    sales = torch.rand(batch, window, 1, generator=draw) * 20
    covariates = torch.rand(batch, window, shape.hist + shape.futr, generator=draw)
    monday = 17_000 * 24
    time = (torch.arange(window + horizon, dtype=torch.int64) * shape.clock.hours + monday).expand(batch, -1)
    static = [torch.randint(0, known + 1, (batch, 1), generator=draw) for known in shape.vocabulary]
    return Inputs(
        torch.cat([sales, covariates], -1),
        torch.ones(batch, window),
        time[:, :window].contiguous(),
        torch.rand(batch, horizon, shape.futr, generator=draw),
        time[:, window:].contiguous(),
        torch.cat(static, -1) if static else torch.zeros(batch, 0, dtype=torch.int64),
    )
