"""A plain LSTM forecaster: scaled sales through an encoder, its last state through a linear or one-layer head."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.architecture import Architecture
from nas.models.calendar import weekday
from nas.models.forecaster import Forecaster, Inputs, recurrent, whole
from nas.models.shape import Shape


class PlainForecaster(Forecaster):
    """Encoder of the lookback window, then one head over every step of the horizon."""

    logarithmic = False

    def __init__(self, architecture: Architecture, shape: Shape) -> None:
        super().__init__(architecture, shape)
        groups = architecture.features
        self.calendar, self.profile = "calendar" in groups, "profile" in groups
        self.hist = shape.hist if "discount" in groups else 0
        self.futr = shape.futr if "promotion" in groups else 0
        step = self.futr + 7 * self.calendar + self.profile
        self.encoder = recurrent(architecture, 2 + self.hist + step)
        ids = shape.vocabulary if architecture.embedding else ()
        self.ids = nn.ModuleList(nn.Embedding(known + 1, architecture.embedding) for known in ids)
        context = architecture.hidden + architecture.embedding * len(ids)
        width = architecture.head or shape.outputs
        self.context, self.ahead = nn.Linear(context, width), nn.Linear(step, width) if step else None
        self.position = nn.Parameter(torch.zeros(shape.horizon, width))
        self.out = nn.Linear(width, shape.outputs) if architecture.head else nn.Identity()

    def raw(self, inputs: Inputs) -> Tensor:
        """Sales: the profile plus what the head adds, times the window's mean."""
        sales, mask = inputs.past[:, :, 0], self.observed(inputs)
        scale = (sales * mask).sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp(min=1.0)
        scale = torch.where(scale > 0, scale, torch.ones_like(scale))
        level = sales / scale * mask
        profile = _profile(level, mask, self.shape.clock.season)
        encoded = self._encode(inputs, level, mask, profile)
        context = [encoded, *(table(inputs.static[:, i]) for i, table in enumerate(self.ids))]
        hidden = self.context(torch.cat(context, -1)).unsqueeze(1) + self.position
        ahead = _repeat(profile, self.shape.horizon)
        if self.ahead is not None:
            hidden = hidden + self.ahead(self._step_features(inputs.future, inputs.future_time, ahead))
        if self.architecture.head:
            hidden = torch.relu(hidden)
        base = (ahead if self.profile else torch.ones_like(level[:, :1])).unsqueeze(-1)
        return (base + self.ordered(self.out(hidden))) * scale.unsqueeze(-1)

    def _encode(self, inputs: Inputs, level: Tensor, mask: Tensor, profile: Tensor) -> Tensor:
        past, window, season = inputs.past, self.architecture.window, profile.shape[1]
        weeks = _repeat(profile, window + -window % season)[:, -window:]
        futr = past[:, :, 1 + self.shape.hist :]
        columns = [torch.log1p(level).unsqueeze(-1), mask.unsqueeze(-1), past[:, :, 1 : 1 + self.hist]]
        return self.encoded(torch.cat([*columns, self._step_features(futr, inputs.past_time, weeks)], -1))

    def _step_features(self, futr: Tensor, time: Tensor, profile: Tensor) -> Tensor:
        """What is known of each step whether it lies behind or ahead: ``[batch, steps, features]``."""
        columns = [futr[:, :, : self.futr]]
        if self.calendar:
            columns.append((weekday(time).unsqueeze(-1) == torch.arange(7, device=time.device)).to(futr.dtype))
        if self.profile:
            columns.append(profile.unsqueeze(-1))
        return torch.cat(columns, -1)


def _profile(level: Tensor, mask: Tensor, season: int) -> Tensor:
    """Mean level at each step of the season over the window, ``[batch, season]``; the horizon begins a new one."""
    rows = -1, (level.shape[1] - 1) // season + 1, season
    by_season, observed = (whole(each.unsqueeze(-1), season).reshape(rows) for each in (level, mask))
    return (by_season * observed).sum(1) / observed.sum(1).clamp(min=1.0)


def _repeat(profile: Tensor, steps: int) -> Tensor:
    """The profile laid end to end over ``steps``."""
    return profile.repeat(1, -(-steps // profile.shape[1]))[:, :steps]
