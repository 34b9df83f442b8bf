"""One forecaster: an Architecture made into a torch module that speaks natural units.

Sales go in and sales come out. Scaling, calendar, pooling and un-scaling are part of the module, so
they are part of the exported graph, and what is measured on a device is what runs in a store.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nas.architecture import Architecture
from nas.data.panel import Panel
from nas.frequency import FREQUENCIES, Frequency, FrequencyName

HOURS_PER_DAY = 24
MEDIAN = 0.5
THURSDAY = 3
"""1970-01-01 was a Thursday; Monday is 0."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What the data ask of a forecaster.

    Attributes:
        horizon: Steps ahead.
        hist: Historic covariates.
        futr: Future-known covariates.
        vocabulary: Known values of each static id; 0 stands for an unseen one beside them.
        frequency: What one step is.
        quantiles: Levels that are forecast, ascending, 0.5 among them; none: the point forecast alone.
        open: Which future-known covariate is 0 where a store is closed; None: never closed.
        promotions: Which future-known covariates are promotions.
    """

    horizon: int
    hist: int
    futr: int
    vocabulary: tuple[int, ...]
    frequency: FrequencyName = "daily"
    quantiles: tuple[float, ...] = ()
    open: int | None = None
    promotions: tuple[int, ...] = ()

    @classmethod
    def of(cls, panel: Panel, horizon: int, quantiles: tuple[float, ...] = ()) -> Shape:
        """The shape that a panel asks for; the median belongs to every set of quantiles."""
        return cls(
            horizon=horizon,
            hist=len(panel.hist_names),
            futr=len(panel.futr_names),
            vocabulary=tuple(map(len, panel.stat_vocab)),
            frequency=panel.frequency,
            quantiles=tuple(sorted({*quantiles, MEDIAN})) if quantiles else (),
            open=None if panel.open is None else panel.futr_names.index(panel.open),
            promotions=panel.promotions,
        )

    @property
    def clock(self) -> Frequency:
        """What one step is."""
        return FREQUENCIES[self.frequency]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        lists = {name: list(getattr(self, name)) for name in ("vocabulary", "quantiles", "promotions")}
        return {**asdict(self), **lists}


class Forecaster(nn.Module):
    """Encoder of the lookback window, then one head over every day of the horizon.

    The inputs are those of ``nas.data.windows.Windows``, in its order.
    """

    def __init__(self, architecture: Architecture, shape: Shape) -> None:
        super().__init__()
        self.architecture, self.shape = architecture, shape
        groups = architecture.features
        self.calendar, self.profile = "calendar" in groups, "profile" in groups
        hist = shape.hist if "discount" in groups else 0
        futr = shape.futr if "promotion" in groups else 0
        self.hist, self.futr = hist, futr
        step = futr + 7 * self.calendar + self.profile
        cell = nn.LSTM if architecture.cell == "lstm" else nn.GRU
        self.encoder = cell(2 + hist + step, architecture.hidden, architecture.layers, batch_first=True)
        ids = shape.vocabulary if architecture.embedding else ()
        self.ids = nn.ModuleList(nn.Embedding(known + 1, architecture.embedding) for known in ids)
        context = architecture.hidden + architecture.embedding * len(ids)
        width = architecture.head or 1
        self.context, self.ahead = nn.Linear(context, width), nn.Linear(step, width) if step else None
        self.position = nn.Parameter(torch.zeros(shape.horizon, width))
        self.out = nn.Linear(width, 1) if architecture.head else nn.Identity()

    def forward(
        self, past: Tensor, past_mask: Tensor, past_time: Tensor, future: Tensor, future_time: Tensor, static: Tensor
    ) -> Tensor:
        """Forecast sales.

        Args:
            past: ``[batch, window, 1 + hist + futr]``; channel 0 is ``y`` in sales units.
            past_mask: ``[batch, window]``, 1 where ``y`` was observed.
            past_time: ``[batch, window]`` int64, hours since 1970, store-local.
            future: ``[batch, horizon, futr]``.
            future_time: ``[batch, horizon]`` int64.
            static: ``[batch, ids]`` int64; 0 is unseen.

        Returns:
            ``[batch, horizon]`` in sales units, never negative.
        """
        return torch.relu(self.unclamped(past, past_mask, past_time, future, future_time, static))

    def unclamped(
        self, past: Tensor, past_mask: Tensor, past_time: Tensor, future: Tensor, future_time: Tensor, static: Tensor
    ) -> Tensor:
        """As ``forward``, but without the clamp at zero, which would stop the gradient of a forecast below it."""
        scale = _mean_where(past[:, :, 0], past_mask, dim=1)
        scale = torch.where(scale > 0, scale, torch.ones_like(scale))
        level = past[:, :, 0] / scale * past_mask
        profile = _profile(level, past_mask, self.shape.clock.season)
        encoded = self._encode(past, past_mask, past_time, level, profile)
        context = [encoded, *(table(static[:, i]) for i, table in enumerate(self.ids))]
        hidden = self.context(torch.cat(context, -1)).unsqueeze(1) + self.position
        if self.ahead is not None:
            days = self._day_features(future, future_time, _repeat(profile, self.shape.horizon))
            hidden = hidden + self.ahead(days)
        if self.architecture.head:
            hidden = torch.relu(hidden)
        base = _repeat(profile, self.shape.horizon) if self.profile else torch.ones_like(level[:, :1])
        forecast: Tensor = (base + self.out(hidden).squeeze(-1)) * scale
        return forecast

    def _encode(self, past: Tensor, mask: Tensor, time: Tensor, level: Tensor, profile: Tensor) -> Tensor:
        """The encoder's last hidden state, ``[batch, hidden]``."""
        columns = [torch.log1p(level).unsqueeze(-1), mask.unsqueeze(-1), past[:, :, 1 : 1 + self.hist]]
        first = past.shape[2] - self.shape.futr
        weeks = _repeat(profile, _seasons(self.architecture.window, profile))[:, -self.architecture.window :]
        steps = torch.cat([*columns, self._day_features(past[:, :, first:], time, weeks)], -1)
        if self.architecture.history == "pooled":
            clock = self.shape.clock
            old = _whole(steps[:, : -clock.recent], clock.pool)
            means = old.reshape(-1, old.shape[1] // clock.pool, clock.pool, old.shape[2]).mean(2)
            steps = torch.cat([means, steps[:, -clock.recent :]], 1)
        states: Tensor = self.encoder(steps)[0]
        return states[:, -1]

    def _day_features(self, futr: Tensor, time: Tensor, profile: Tensor) -> Tensor:
        """What is known of each day whether it lies behind or ahead: ``[batch, days, features]``."""
        columns = [futr[:, :, : self.futr]]
        if self.calendar:
            weekday = (torch.div(time, HOURS_PER_DAY, rounding_mode="floor") + THURSDAY) % 7
            columns.append((weekday.unsqueeze(-1) == torch.arange(7)).to(futr.dtype))
        if self.profile:
            columns.append(profile.unsqueeze(-1))
        return torch.cat(columns, -1)


def example_inputs(architecture: Architecture, shape: Shape, batch: int = 1) -> tuple[Tensor, ...]:
    """Plausible inputs of the right shapes, the same at every call: for export, warm-up and parity.

    Returns:
        The six tensors of ``Forecaster.forward``, in its order.
    """
    draw = torch.Generator().manual_seed(batch)
    window, horizon = architecture.window, shape.horizon
    sales = torch.rand(batch, window, 1, generator=draw) * 20
    covariates = torch.rand(batch, window, shape.hist + shape.futr, generator=draw)
    monday = 17_000 * HOURS_PER_DAY
    time = (torch.arange(window + horizon, dtype=torch.int64) * shape.clock.hours + monday).expand(batch, -1)
    static = [torch.randint(0, known + 1, (batch, 1), generator=draw) for known in shape.vocabulary]
    return (
        torch.cat([sales, covariates], -1),
        torch.ones(batch, window),
        time[:, :window].contiguous(),
        torch.rand(batch, horizon, shape.futr, generator=draw),
        time[:, window:].contiguous(),
        torch.cat(static, -1) if static else torch.zeros(batch, 0, dtype=torch.int64),
    )


def _mean_where(values: Tensor, mask: Tensor, dim: int) -> Tensor:
    return (values * mask).sum(dim, keepdim=True) / mask.sum(dim, keepdim=True).clamp(min=1.0)


def _profile(level: Tensor, mask: Tensor, season: int) -> Tensor:
    """Mean level at each step of the season over the window, ``[batch, season]``; the horizon begins a new one."""
    rows = -1, (level.shape[1] - 1) // season + 1, season
    by_season, observed = (_whole(each.unsqueeze(-1), season).reshape(rows) for each in (level, mask))
    return (by_season * observed).sum(1) / observed.sum(1).clamp(min=1.0)


def _whole(steps: Tensor, size: int) -> Tensor:
    """Steps ``[batch, steps, features]`` with zeros in front, so that they are whole groups of ``size``."""
    lacking = -steps.shape[1] % size
    return torch.nn.functional.pad(steps, (0, 0, lacking, 0)) if lacking else steps


def _seasons(window: int, profile: Tensor) -> int:
    """The window's length rounded up to whole seasons."""
    return window + -window % profile.shape[1]


def _repeat(profile: Tensor, steps: int) -> Tensor:
    """The profile laid end to end over ``steps``."""
    return profile.repeat(1, -(-steps // profile.shape[1]))[:, :steps]
