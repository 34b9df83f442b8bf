"""A small LSTM that is left only what cannot be known: the rest of a day's sales is laid down as effects.

What a series sells on a day is, in log(1 + sales), the sum of

- its *level*: learned for its static ids, moved by what it sold of late (the latest counts most),
- the *effect of the day*: weekday, pay days, time of the year, promotions and closures of the day and of its
  neighbours, each as strong as the static ids make it,
- what *days like this one* lately sold beyond that: those of the same weekday, of the same promotion, of both,
- and what the LSTM reads out of the remaining errors of the window.

Sums of effects with shrunken group means are those of mixed models (D. Bates et al., "Fitting Linear Mixed-Effects
Models Using lme4", 2015, section 2); a network on top of them as in S. Smyl, "A hybrid method of exponential
smoothing and recurrent neural networks", International Journal of Forecasting 36 (2020).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.architecture import Architecture
from nas.models.calendar import HOURS_PER_DAY, PayDays, TimeOfYear, day_of_year, weekday
from nas.models.forecaster import Forecaster, Inputs, recurrent
from nas.models.shape import Shape

MIXES = 4
"""Ways in which static ids may differ in their pay days, their time of the year, and their plans."""
NEAR = 3
"""Steps on either side whose plans bear upon a step: the day before a holiday, the third day of a promotion."""
_RESIDUAL = 4.0
"""Errors of log sales are some tenths; the encoder likes them nearer to one."""


class EffectsForecaster(Forecaster):
    """Effects of the day, the level of late, days alike, and an encoder for what remains."""

    logarithmic = True

    def __init__(self, architecture: Architecture, shape: Shape) -> None:
        super().__init__(architecture, shape)
        groups, width, emb = architecture.features, architecture.head, architecture.embedding
        self.calendar, self.alike = "calendar" in groups, "profile" in groups
        self.hist = shape.hist if "discount" in groups else 0
        self.futr = shape.futr if "promotion" in groups else 0
        ids = shape.vocabulary if emb else ()
        self.ids = nn.ModuleList(_table(known, emb, std=0.3) for known in ids)
        self.level = nn.ModuleList(_table(known, 1, std=0.0) for known in ids)
        self.usual = nn.Parameter(torch.zeros(1))
        self.day = _DayEffect(architecture, shape, self.futr)
        self.decay, self.strength = nn.Parameter(torch.tensor(3.0)), nn.Parameter(torch.tensor(0.0))
        self.encoder = recurrent(architecture, 2 + self.hist + self.futr + 7 * self.calendar)
        self.cells = 0
        if self.alike:
            seasonal, promoted = shape.clock.season > 1, bool(shape.promotions) and self.futr > 0
            self.cells = seasonal + promoted + (seasonal and promoted)
            self.skip = nn.Linear(self.cells, 1, bias=False)
            nn.init.constant_(self.skip.weight, 0.1)
        self.context = nn.Linear(architecture.hidden + (emb if ids else 0), width)
        self.ahead = nn.Linear(width + 2 * self.cells, width, bias=False)
        self.position = nn.Parameter(torch.zeros(shape.horizon, width))
        self.out = nn.Linear(width, shape.outputs)
        nn.init.normal_(self.out.weight, std=0.05)  # not zero: an untrained export must show what the encoder does
        with torch.no_grad():  # quantiles begin a factor of 1.4 apart
            self.out.bias.copy_(torch.tensor([-0.9 * (i != shape.point) for i in range(shape.outputs)]))

    def raw(self, inputs: Inputs) -> Tensor:
        """log(1 + sales)."""
        window, sales = self.architecture.window, torch.log1p(inputs.past[:, :, 0])
        seen = self.observed(inputs)
        known = torch.cat([inputs.past[:, :, 1 + self.shape.hist :], inputs.future], 1)
        time = torch.cat([inputs.past_time, inputs.future_time], 1)
        who = self._sum(self.ids, inputs.static)
        effect, hidden = self.day(known[:, :, : self.futr], time, who)
        usual = self._sum(self.level, inputs.static)
        effect = effect + self.usual + (0.0 if usual is None else usual)
        error = (sales - effect[:, :window]) * seen
        level = self._recent(error, seen)
        error = (error - level) * seen
        columns, forecast = [hidden[:, window:]], effect[:, window:] + level
        if self.cells:
            alike, counts = self._days_alike(error, seen, known, time)
            forecast = forecast + self.skip(alike).squeeze(-1)
            columns += [alike * _RESIDUAL, counts]
        context = [self._encode(inputs, error, seen), *(() if who is None else (who,))]
        head = self.context(torch.cat(context, -1)).unsqueeze(1) + self.ahead(torch.cat(columns, -1)) + self.position
        found: Tensor = forecast.unsqueeze(-1) + self.ordered(self.out(torch.relu(head)))
        return found

    def _sum(self, tables: nn.ModuleList, static: Tensor) -> Tensor | None:
        """What the static ids' tables hold of a row, added up, ``[batch, width]``."""
        found: Tensor | None = None
        for column, table in enumerate(tables):
            one = table(static[:, column])
            found = one if found is None else found + one
        return found

    def _recent(self, error: Tensor, seen: Tensor) -> Tensor:
        """How far the level of late lies above the usual one, ``[batch, 1]``; shrunken where little was seen."""
        age = torch.arange(self.architecture.window - 1, -1, -1, dtype=error.dtype, device=error.device)
        weight = torch.exp(-age / torch.exp(self.decay) * (7 / self.shape.clock.pool)) * seen
        return (weight * error).sum(1, keepdim=True) / (weight.sum(1, keepdim=True) + torch.exp(self.strength))

    def _days_alike(self, error: Tensor, seen: Tensor, known: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """Shrunken mean errors of the past steps alike, and their numbers; ``[batch, horizon, cells]`` each."""
        window, alike = self.architecture.window, []
        season = self.shape.clock.season
        if season > 1:
            place = torch.div(time, self.shape.clock.hours, rounding_mode="floor") % season
            same = place[:, window:].unsqueeze(2) == place[:, :window].unsqueeze(1)
            alike.append(same.to(error.dtype))
        if self.shape.promotions and self.futr:
            promoted = sum(known[:, :, i] for i in self.shape.promotions).clamp(max=1.0)  # type: ignore[union-attr]
            alike.append(1 - (promoted[:, window:].unsqueeze(2) - promoted[:, :window].unsqueeze(1)).abs())
        if len(alike) > 1:
            alike.append(alike[0] * alike[1])
        weights = torch.stack(alike, -1) * seen[:, None, :, None]
        count = weights.sum(2)
        return (weights * error[:, None, :, None]).sum(2) / (count + 2.0), count / 8

    def _encode(self, inputs: Inputs, error: Tensor, seen: Tensor) -> Tensor:
        past, first = inputs.past, 1 + self.shape.hist
        columns = [(error * _RESIDUAL).unsqueeze(-1), seen.unsqueeze(-1), past[:, :, first : first + self.futr]]
        if self.hist:
            of_log = torch.log1p(past[:, :, 1:first].abs()) * torch.sign(past[:, :, 1:first])
            observed = inputs.past_mask.unsqueeze(-1)
            mean = (of_log * observed).sum(1, keepdim=True) / observed.sum(1, keepdim=True).clamp(min=1.0)
            columns.append((of_log - mean) * observed * _RESIDUAL)
        if self.calendar:
            days = torch.arange(7, device=past.device)
            columns.append((weekday(inputs.past_time).unsqueeze(-1) == days).to(past.dtype))
        return self.encoded(torch.cat(columns, -1))


class _DayEffect(nn.Module):
    """What a row's ids sell on a day beyond their level: of every step behind and ahead, ``[batch, steps]``."""

    def __init__(self, architecture: Architecture, shape: Shape, futr: int) -> None:
        super().__init__()
        width, ids = architecture.head, bool(shape.vocabulary) and architecture.embedding
        self.near = nn.Conv1d(futr, width, 3, padding=1) if futr else None
        # Rare days (the day before Christmas) must not wait until a hidden unit is free for them.
        self.plans = nn.Conv1d(futr, 1 + MIXES, 2 * NEAR + 1, padding=NEAR, bias=False) if futr else None
        calendar, hours = "calendar" in architecture.features, shape.clock.hours
        self.weekday = nn.Embedding(7, width) if calendar and hours <= HOURS_PER_DAY else None
        self.hour = nn.Embedding(HOURS_PER_DAY, width) if calendar and hours < HOURS_PER_DAY else None
        self.pay = PayDays(1 + MIXES) if calendar and hours <= HOURS_PER_DAY else None
        daily = hours <= HOURS_PER_DAY
        self.year = TimeOfYear(1 + MIXES, daily=daily) if calendar and shape.yearly else None
        self.who = nn.Linear(architecture.embedding, width, bias=False) if ids else None
        self.strength = nn.Linear(architecture.embedding, width) if ids else None
        self.mix = nn.Linear(architecture.embedding, 3 * MIXES, bias=False) if ids else None
        self.bias = nn.Parameter(torch.zeros(width))
        self.hidden, self.out = nn.Linear(width, width), nn.Linear(width, 1)
        for table in (self.weekday, self.hour):
            if table is not None:
                nn.init.normal_(table.weight, std=0.05)
        if self.plans is not None:
            nn.init.zeros_(self.plans.weight)
        if self.strength is not None:
            nn.init.zeros_(self.strength.weight)
            nn.init.zeros_(self.strength.bias)

    def forward(self, futr: Tensor, time: Tensor, who: Tensor | None) -> tuple[Tensor, Tensor]:
        """Effect ``[batch, steps]``, and the hidden layer behind it, ``[batch, steps, width]``."""
        hidden = self.bias.expand(*time.shape, -1)
        if self.near is not None:
            hidden = hidden + self.near(futr.transpose(1, 2)).transpose(1, 2)
        if self.weekday is not None:
            hidden = hidden + self.weekday(weekday(time))
        if self.hour is not None:
            hidden = hidden + self.hour(time % HOURS_PER_DAY)
        if self.who is not None and who is not None:
            hidden = hidden + self.who(who).unsqueeze(1)
        hidden = torch.relu(self.hidden(torch.relu(hidden)))
        scaled = hidden
        if self.strength is not None and who is not None:
            scaled = hidden * (1 + self.strength(who).unsqueeze(1))
        effect = self.out(scaled).squeeze(-1)
        of_year = day_of_year(time) if self.pay is not None or self.year is not None else None
        if self.pay is not None and of_year is not None:
            effect = effect + self._mixed(self.pay(of_year, weekday(time)), who, 0)
        if self.year is not None and of_year is not None:
            effect = effect + self._mixed(self.year(of_year), who, 1)
        if self.plans is not None:
            effect = effect + self._mixed(self.plans(futr.transpose(1, 2)).transpose(1, 2), who, 2)
        return effect, hidden

    def _mixed(self, parts: Tensor, who: Tensor | None, place: int) -> Tensor:
        """What is common to all, and as much of the ways to differ as the ids make it: ``[batch, steps]``."""
        common = parts[:, :, 0]
        if self.mix is None or who is None:
            return common
        mix: Tensor = self.mix(who)[:, None, place * MIXES : (place + 1) * MIXES]
        return common + (parts[:, :, 1:] * mix).sum(-1)


def _table(known: int, width: int, std: float) -> nn.Embedding:
    """One row for each known value, and one for any other."""
    table = nn.Embedding(known + 1, width)
    nn.init.normal_(table.weight, std=std)
    return table
