"""Distillation: the teacher's share of the loss, whom it is heard on, and a training that goes on where it was."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nas.architecture import Architecture
from nas.data.forecasts import Forecasts
from nas.data.load import load_panel
from nas.data.split import Split
from nas.data.windows import evaluation, sample, training_pairs
from nas.errors import CandidateFault, ControllerFault
from nas.models.distillation import Signal, blended
from nas.models.shape import Shape
from nas.models.teacher import Ensemble, foresee
from nas.models.training import predict, restore, train
from nas.request import DataSpec, Training

TINY = Architecture(hidden=4, window=14, features=("calendar",), embedding=0, head=4)
SHORT = Training(max_epochs=4, patience=4, steps_per_epoch=4, batch=16)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    panel = load_panel(DataSpec(source="synthetic", series=6), tmp_path_factory.mktemp("cache"))
    return panel, Split.of(panel)


def forecasts(panel, split, values, *, pairs=None, in_sample=False):
    """The same value for each of these pairs (all training pairs, where none are given)."""
    series, origin = training_pairs(panel, split.horizon, split.train_end, TINY.window) if pairs is None else pairs
    return Forecasts(
        panel=panel.digest,
        steps=panel.steps,
        levels=(0.5,),
        series=series.astype(np.int32),
        origin=origin.astype(np.int32),
        values=np.full((len(series), split.horizon, 1), values, np.float32),
        in_sample=np.full(len(series), in_sample),
    )


@given(alpha=st.floats(0, 1), sold=st.floats(0, 50), taught=st.floats(0, 50))
def test_the_loss_lies_between_the_sales_and_the_teacher(alpha, sold, taught):
    found = blended(torch.tensor([[sold]]), torch.tensor([[[taught]]]), torch.tensor([alpha]))
    torch.testing.assert_close(found, torch.tensor([[(1 - alpha) * sold + alpha * taught]]))


def test_where_the_teacher_says_nothing_the_sales_count_alone():
    forecast = torch.tensor([[[10.0], [20.0]]], requires_grad=True)
    apart = (forecast - torch.tensor([[[4.0], [torch.nan]]])).abs()
    found = blended((forecast - 1).abs().squeeze(-1), apart, torch.tensor([1.0]))
    assert found.tolist() == [[6.0, 19.0]]


def test_of_several_quantiles_those_that_the_teacher_knows_are_learned():
    apart = torch.tensor([[[torch.nan, 3.0, 1.0]]])
    assert blended(torch.zeros(1, 1), apart, torch.tensor([0.5])).tolist() == [[0.5 * (3 + 1) / 2]]


@pytest.mark.parametrize("loss", ["absolute", "squared"])
@pytest.mark.parametrize("quantiles", [(), (0.1, 0.9)])
def test_a_teacher_that_knows_only_some_steps_leaves_every_gradient_finite(data, loss, quantiles):
    panel, split = data
    known = forecasts(panel, split, 9.0)
    known.values[:, ::2] = np.nan
    levels = Shape.of(panel, split.horizon, quantiles).quantiles
    budget = SHORT.model_copy(update={"loss": loss, "quantiles": quantiles})
    found = train(TINY, panel, split, budget, 0, teacher=Signal(known, levels, 0.5, 1.0))
    assert all(np.isfinite(epoch.loss) for epoch in found.curve)
    assert all(torch.isfinite(weights).all() for weights in found.model().state_dict().values())


def test_a_student_follows_a_teacher_and_not_the_sales_when_it_is_told_to(data):
    """A teacher that always forecasts three times too much is heard or not, as alpha says."""
    panel, split = data
    series, origin = training_pairs(panel, split.horizon, split.train_end, TINY.window)
    windows = sample(panel, series, origin, TINY.window, split.horizon)
    loud = replace(forecasts(panel, split, 0), values=3 * windows.target[:, :, None])
    judge = evaluation(panel, split.validation_origins, TINY.window, split.horizon)
    budget = Training(max_epochs=1, steps_per_epoch=200, batch=64, learning_rate=0.03)
    level = {}
    for alpha in (0.0, 1.0):
        found = train(TINY, panel, split, budget, 0, teacher=Signal(loud, (), alpha, 1.0))
        level[alpha] = predict(found.model(), judge).mean() / judge.target.mean()
    assert level[0.0] < 1.4 and level[1.0] > 2.0


def test_a_muted_teacher_and_one_that_knows_everything_draw_the_batches_of_none(data):
    panel, split = data
    alone = train(TINY, panel, split, SHORT, 5)
    muted = Signal(forecasts(panel, split, 9.0), (), 0.5, 1.0).muted()
    assert train(TINY, panel, split, SHORT, 5, teacher=muted).weights == alone.weights
    assert train(TINY, panel, split, SHORT, 5, teacher=replace(muted, alpha=0.5)).weights != alone.weights


def test_half_of_a_batch_is_of_what_a_teacher_knows_where_that_is_little(data):
    panel, split = data
    series, origin = training_pairs(panel, split.horizon, split.train_end, TINY.window)
    asked = []

    class Listening(Signal):
        def forecast(self, series, origin):
            asked.append((series, self.covers(series, origin)))
            return super().forecast(series, origin)

    few = forecasts(panel, split, 9.0, pairs=(series[:20], origin[:20]))
    train(TINY, panel, split, SHORT, 0, teacher=Listening(few, (), 0.5, 1.0))
    assert all(known[:8].all() and len(known) == 16 for _, known in asked)
    assert any(len(set(series)) > 2 for series, _ in asked)


def test_in_sample_forecasts_count_less_and_unknown_pairs_not_at_all(data):
    panel, split = data
    series, origin = training_pairs(panel, split.horizon, split.train_end, TINY.window)
    known = forecasts(panel, split, 9.0, pairs=(series[:4], origin[:4]))
    known.in_sample[:2] = True
    values, weight = Signal(known, (), 0.8, 0.25).forecast(series[:6], origin[:6])
    np.testing.assert_allclose(weight, [0.2, 0.2, 0.8, 0.8, 0, 0], rtol=1e-6)
    assert np.isnan(values[4:]).all() and (values[:4] == 9).all() and values.shape == (6, split.horizon)


def test_a_student_of_quantiles_hears_the_levels_that_its_teacher_has(data):
    panel, split = data
    known = forecasts(panel, split, 9.0)
    levels = replace(known, levels=(0.5, 0.9), values=np.dstack([known.values, known.values + 3]))
    values, _ = Signal(levels, (0.1, 0.5, 0.9), 0.5, 1.0).forecast(known.series[:2], known.origin[:2])
    assert values.shape == (2, split.horizon, 3)
    assert np.isnan(values[..., 0]).all() and (values[..., 1] == 9).all() and (values[..., 2] == 12).all()


def test_a_training_done_epoch_by_epoch_is_the_one_done_in_one_go(data):
    whole = train(TINY, *data, SHORT, 3)
    part, rounds = train(TINY, *data, SHORT, 3, epochs=1), 1
    while not part.stopped:
        part, rounds = train(TINY, *data, SHORT, 3, begun=part.checkpoint, epochs=1), rounds + 1
    assert rounds == len(whole.curve) == 4
    assert part.curve == whole.curve and part.weights == whole.weights and part.checkpoint == b""


@pytest.mark.parametrize("spoil", [lambda _: b"half a file", lambda c: c[:-9]], ids=["nonsense", "cut short"])
def test_a_damaged_checkpoint_is_said_so(data, spoil):
    begun = train(TINY, *data, SHORT, 3, epochs=1).checkpoint
    with pytest.raises(CandidateFault, match="checkpoint of this training cannot be used"):
        train(TINY, *data, SHORT, 3, begun=spoil(begun))


def test_an_ensemble_is_the_mean_of_its_members_and_foresees_every_part_of_the_split(data):
    panel, split = data
    shape = Shape.of(panel, split.horizon)
    members = [restore(TINY, shape, train(TINY, panel, split, SHORT, seed).weights) for seed in (0, 1)]
    judge = evaluation(panel, split.validation_origins, TINY.window, split.horizon)
    mean = np.expm1(sum(np.log1p(predict(member, judge)) for member in members) / 2)
    found = foresee(Ensemble(members).eval(), panel, split, most=100, seed=0)
    np.testing.assert_allclose(found.points(panel, split.validation_origins), mean, rtol=1e-4, atol=1e-3)
    assert np.isfinite(found.points(panel, split.test_origins)).all()
    assert found.in_sample.sum() == 100 and found.levels == (0.5,)
    same = Forecasts.from_bytes(found.to_bytes())
    np.testing.assert_array_equal(same.values, found.values)
    assert (same.panel, same.steps, same.levels) == (panel.digest, panel.steps, (0.5,))
    with pytest.raises(ControllerFault, match="not a teacher's forecasts"):
        Forecasts.from_bytes(found.to_bytes()[:-20])
