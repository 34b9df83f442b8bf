"""What training makes small: absolute errors (which is what WAPE sums) or squared ones, and pinball losses."""

from __future__ import annotations

import torch
from torch import Tensor

from nas.models.batches import Batch
from nas.models.forecaster import Forecaster
from nas.models.shape import MEDIAN


def loss_of(model: Forecaster, batch: Batch, kind: str) -> Tensor:
    """Mean loss over the steps that tell of demand: observed, available and open.

    Rows are weighted with the square root of what they sell: pure sales units let the largest series drown the
    others, pure ratios ignore what WAPE sums.

    Args:
        kind: ``absolute``, whose best answer is the median, or ``squared`` in sales units, whose best is the mean.
    """
    raw = model.raw(batch.inputs).float()
    weight = batch.mask * _open(model, batch)
    sales = batch.inputs.past[:, :, 0]
    level = (sales.sum(1, keepdim=True) / batch.inputs.past_mask.sum(1, keepdim=True).clamp(min=1.0)) + 1.0
    target = batch.target
    aim = torch.log1p(target) if model.logarithmic else target
    weight_of = weight * level.sqrt() if model.logarithmic else weight / level.sqrt()
    total = (weight_of if model.logarithmic else target * weight_of).sum().clamp(min=1e-6)
    quantiles = model.shape.quantiles
    if kind == "absolute":
        return (pinball(aim, raw, quantiles or (MEDIAN,)) * weight_of).sum() / total
    point = raw[..., model.shape.point]
    error = (torch.expm1(point) if model.logarithmic else point) - target
    loss = (error.square() * weight / level).sum() / (target * weight / level).sum().clamp(min=1e-6)
    if not quantiles:
        return loss
    # The point is the mean here, so the quantiles on its two sides are learned without moving it.
    beside = torch.cat([raw[..., : model.shape.point], raw[..., model.shape.point + 1 :]], -1)
    levels = tuple(level for level in quantiles if level != MEDIAN)
    return loss + (pinball(aim, beside, levels) * weight_of).sum() / total


def pinball(target: Tensor, forecast: Tensor, quantiles: tuple[float, ...]) -> Tensor:
    """Twice the mean pinball loss over the quantiles, ``[batch, horizon]``: the absolute error, for the median alone.

    Source: R. Koenker and G. Bassett, "Regression Quantiles", Econometrica 46 (1978), equation 3.1.
    """
    error = target.unsqueeze(-1) - forecast
    level = torch.tensor(quantiles, device=error.device)
    return 2 * torch.maximum(level * error, (level - 1) * error).mean(-1)


def _open(model: Forecaster, batch: Batch) -> Tensor:
    if model.shape.open is None:
        return torch.ones_like(batch.target)
    return (batch.inputs.future[:, :, model.shape.open] > 0).to(batch.target.dtype)
