"""The forecaster: natural units in and out, and what its inputs may and may not change."""

import pytest
import torch

from nas.architecture import FEATURES, Architecture
from nas.models.forecaster import build, example_inputs
from nas.models.shape import Shape

SHAPE = Shape(horizon=14, hist=1, futr=2, vocabulary=(5, 3))
SOME = [
    Architecture(hidden=8),
    Architecture(hidden=8, features=("promotion", "profile"), history="pooled", window=84),
    Architecture(cell="gru", hidden=8, features=(), embedding=0, window=10),
    Architecture(cell="gru", layers=2, hidden=8, window=28, history="pooled", head=0, decoder="plain"),
    Architecture(hidden=8, features=(), embedding=0, head=0, window=7, decoder="plain"),
    Architecture(hidden=8, decoder="plain"),
]
STORES = Shape(14, 1, 2, (5, 3), open=0, promotions=(1,), yearly=True)
SHAPES = {
    "covariates": SHAPE,
    "sales only": Shape(5, 0, 0, ()),
    "stores": STORES,
    "hourly": Shape(24, 1, 2, (5,), frequency="hourly", yearly=True),
    "weekly": Shape(4, 0, 1, (5,), frequency="weekly", promotions=(0,), yearly=True),
    "quantiles": Shape(14, 1, 2, (5, 3), quantiles=(0.1, 0.5, 0.9)),
}


def built(architecture, shape=SHAPE):
    torch.manual_seed(1)
    return build(architecture, shape).eval()


@pytest.mark.parametrize("architecture", SOME, ids=str)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_it_forecasts_every_step_of_the_horizon_and_never_below_zero(architecture, shape):
    with torch.no_grad():
        found = built(architecture, shape)(*example_inputs(architecture, shape, 4))
    assert found.shape == (4, shape.horizon, *((3,) if shape.quantiles else ()))
    assert torch.isfinite(found).all() and (found >= 0).all()


@pytest.mark.parametrize("architecture", SOME, ids=str)
def test_quantiles_never_cross(architecture):
    shape = SHAPES["quantiles"]
    model = built(architecture, shape)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    with torch.no_grad():
        found = model(*example_inputs(architecture, shape, 16))
    assert (found.diff(dim=-1) >= 0).all() and (found.diff(dim=-1) > 0).any()


@pytest.mark.parametrize("architecture", SOME, ids=str)
def test_a_closed_store_is_forecast_to_sell_nothing(architecture):
    inputs = example_inputs(architecture, STORES, 2)
    inputs.future[:, 3, 0] = 0.0
    with torch.no_grad():
        found = built(architecture, STORES)(*inputs)
    assert (found[:, 3] == 0).all() and (found[:, :3] > 0).all()


@pytest.mark.parametrize("architecture", SOME, ids=str)
def test_what_was_sold_while_closed_says_nothing_of_demand(architecture):
    inputs = example_inputs(architecture, STORES, 2)
    first = architecture.window - 5
    inputs.past[:, first, 2] = 0.0  # one historic covariate stands before it
    model = built(architecture, STORES)
    with torch.no_grad():
        before = model(*inputs)
        inputs.past[:, first, 0] = 0.0
        torch.testing.assert_close(model(*inputs), before)


@pytest.mark.parametrize("architecture", [a for a in SOME if a.decoder == "plain"], ids=str)
def test_ten_times_the_sales_are_ten_times_the_forecast(architecture):
    past, *others = example_inputs(architecture, SHAPE, 3)
    model = built(architecture)
    large = past.clone()
    large[:, :, 0] *= 10
    with torch.no_grad():
        torch.testing.assert_close(model(large, *others), 10 * model(past, *others), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("architecture", SOME, ids=str)
def test_sales_under_the_mask_change_nothing(architecture):
    past, mask, *others = example_inputs(architecture, SHAPE, 3)
    mask[:, 3] = 0.0
    model, other = built(architecture), past.clone()
    other[:, 3, 0] = 1000.0
    with torch.no_grad():
        torch.testing.assert_close(model(other, mask, *others), model(past, mask, *others))


def test_a_series_that_sold_nothing_is_still_finite():
    past, *others = example_inputs(SOME[0], SHAPE, 2)
    with torch.no_grad():
        assert torch.isfinite(built(SOME[0])(torch.zeros_like(past), *others)).all()


@pytest.mark.parametrize(("group", "changes"), [("discount", "past"), ("promotion", "future"), ("calendar", "time")])
def test_a_feature_group_is_seen_only_where_it_is_chosen(group, changes):
    def moved(architecture):
        inputs = list(example_inputs(architecture, SHAPE, 2))
        before = built(architecture)(*inputs)
        if changes == "past":
            inputs[0] = inputs[0].clone()
            inputs[0][:, :, 1] += 1.0  # the one historic covariate
        elif changes == "future":
            inputs[3] = inputs[3] + 1.0
        else:
            inputs[2], inputs[4] = inputs[2] + 24, inputs[4] + 24
        return not torch.allclose(before, built(architecture)(*inputs))

    with torch.no_grad():
        assert moved(Architecture(hidden=8, features=(group,)))
        assert not moved(Architecture(hidden=8, features=tuple(set(FEATURES) - {group})))


def test_the_weekday_is_that_of_the_calendar():
    """Whole weeks later the graph sees the same weekday, a day later another."""
    architecture = Architecture(hidden=8, features=("calendar",))
    model, inputs = built(architecture), list(example_inputs(architecture, SHAPE, 1))

    def at(first_day):
        days = (torch.arange(architecture.window + SHAPE.horizon) + first_day) * 24
        inputs[2], inputs[4] = days[None, : architecture.window], days[None, architecture.window :]
        with torch.no_grad():
            return model(*inputs)

    torch.testing.assert_close(at(4), at(4 + 7 * 2000))
    assert not torch.allclose(at(4), at(5))


def test_the_profile_keeps_its_phase_where_the_horizon_is_no_whole_weeks():
    """A strict weekly pattern is continued by the profile alone, whatever the horizon."""
    shape = Shape(horizon=10, hist=0, futr=0, vocabulary=())
    architecture = Architecture(hidden=4, features=("profile",), embedding=0, head=0, window=28, decoder="plain")
    model = built(architecture, shape)
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    inputs = list(example_inputs(architecture, shape, 1))
    week = torch.tensor([1.0, 2, 3, 4, 5, 6, 7])
    inputs[0] = week.repeat(4).reshape(1, 28, 1)
    with torch.no_grad():
        torch.testing.assert_close(model(*inputs)[0], week.repeat(2)[:10])
