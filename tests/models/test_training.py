"""Training: better than not learning, repeatable, stopped early, and honest about what goes wrong."""

from dataclasses import replace

import numpy as np
import pytest

from nas.architecture import Architecture
from nas.data.baselines import day_of_week_mean
from nas.data.load import load_panel
from nas.data.metrics import wape
from nas.data.split import Split
from nas.data.windows import evaluation
from nas.errors import CandidateFault
from nas.models.training import point, predict, refit, restore, train
from nas.request import DataSpec, Training

QUICK = Training(max_epochs=12, patience=3, steps_per_epoch=25, batch=128)
SMALL = Architecture(hidden=12, window=28, history="pooled", embedding=4, head=16)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    panel = load_panel(DataSpec(source="synthetic", series=40), tmp_path_factory.mktemp("cache"))
    return panel, Split.of(panel)


@pytest.fixture(scope="module")
def trained(data):
    return train(SMALL, *data, QUICK, 3)


def test_it_beats_the_day_of_week_mean_where_promotions_drive_sales(data, trained):
    panel, split = data
    windows = evaluation(panel, split.test_origins, 56, split.horizon)
    own = evaluation(panel, split.test_origins, SMALL.window, split.horizon)
    rival = wape(windows.target, day_of_week_mean(windows), windows.target_mask)
    assert wape(own.target, predict(trained.model(), own), own.target_mask) < 0.8 * rival


def test_the_same_seed_gives_the_same_weights_and_another_does_not(data, trained):
    again = train(SMALL, *data, QUICK, 3)
    assert again.weights == trained.weights and again.curve == trained.curve
    assert train(SMALL, *data, QUICK, 4).weights != trained.weights


def test_it_stops_early_and_keeps_the_best_epoch(data):
    panel, split = data
    found = train(SMALL, panel, split, Training(max_epochs=500, patience=2, steps_per_epoch=10, batch=64), 0)
    summary = found.summary()
    assert found.stopped == "early"
    assert summary["epochs"] == summary["best_epoch"] + 2
    windows = evaluation(panel, split.validation_origins, SMALL.window, split.horizon)
    error = wape(windows.target, predict(found.model(), windows), windows.target_mask)
    assert error == pytest.approx(min(epoch.wape for epoch in found.curve), abs=1e-5)


def test_a_budget_that_runs_out_says_so(data):
    assert train(SMALL, *data, Training(max_epochs=1, steps_per_epoch=1), 0).stopped == "budget"


def test_a_loss_that_explodes_is_the_candidates_fault(data):
    with pytest.raises(CandidateFault, match="finite number; lower the learning rate"):
        train(SMALL, *data, Training(learning_rate=1e30, steps_per_epoch=20), 0)


def test_a_refit_takes_the_validation_weeks_as_well_and_still_no_test_week(data, trained):
    panel, split = data
    first = refit(SMALL, panel, split, QUICK, 3, trained.best)
    assert first.weights != trained.weights and len(first.curve) == trained.best
    y = panel.y.copy()
    y[:, -split.test :] *= 3
    assert refit(SMALL, replace(panel, y=y), split, QUICK, 3, trained.best).weights == first.weights
    y[:, split.train_end :] *= 3
    assert refit(SMALL, replace(panel, y=y), split, QUICK, 3, trained.best).weights != first.weights


@pytest.mark.parametrize("kind", ["absolute", "squared"])
def test_quantiles_cover_what_they_say(data, kind):
    panel, split = data
    budget = Training(max_epochs=10, steps_per_epoch=40, batch=128, quantiles=(0.1, 0.9), loss=kind)
    found = train(SMALL, panel, split, budget, 0)
    windows = evaluation(panel, split.validation_origins, SMALL.window, split.horizon)
    low, middle, high = np.moveaxis(predict(found.model(), windows), -1, 0)
    np.testing.assert_array_equal(point(found.model(), windows), middle)
    assert 0.7 < ((low <= windows.target) & (windows.target <= high)).mean() < 0.9


def test_the_squared_loss_forecasts_the_mean_where_sales_are_rare(data):
    panel, split = data
    rare = np.random.default_rng(0).poisson(0.3, panel.y.shape).astype(np.float32)
    panel = replace(panel, y=rare)
    windows = evaluation(panel, split.validation_origins, SMALL.window, split.horizon)
    found = {
        kind: point(train(SMALL, panel, split, QUICK.model_copy(update={"loss": kind}), 0).model(), windows).mean()
        for kind in ("absolute", "squared")
    }
    assert found["absolute"] < 0.1 and found["squared"] == pytest.approx(0.3, abs=0.06)


def test_weights_of_another_network_are_refused(trained):
    with pytest.raises(CandidateFault, match="do not fit"):
        restore(Architecture(hidden=99), trained.shape, trained.weights)


def test_days_after_the_training_weeks_change_no_weight(data, trained):
    """Validation decides when to stop, so only the first epoch is compared; the test weeks decide nothing at all."""
    panel, split = data
    y = panel.y.copy()
    y[:, -split.test :] = np.random.default_rng(0).random(y[:, -split.test :].shape) * 99
    assert train(SMALL, replace(panel, y=y), split, QUICK, 3).weights == trained.weights
    y[:, split.train_end :] *= 3
    one = Training(max_epochs=1, steps_per_epoch=25, batch=128)
    assert train(SMALL, replace(panel, y=y), split, one, 3).weights == train(SMALL, panel, split, one, 3).weights
