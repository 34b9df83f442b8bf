"""Training windows: those that a panel's other readers cut, shortened and without ids where that is wanted."""

import numpy as np
import pytest

from nas.data.load import load_panel
from nas.data.split import Split
from nas.data.windows import sample
from nas.models import batches as module
from nas.models.batches import Batches
from nas.request import DataSpec


@pytest.fixture(scope="module")
def panel(tmp_path_factory):
    return load_panel(DataSpec(source="synthetic"), tmp_path_factory.mktemp("cache"))


def drawn(panel):
    split = Split.of(panel)
    return split, Batches(panel, split.horizon, split.train_end, 28, 256, 5).draw()


def test_every_window_is_the_one_that_sample_cuts(panel, monkeypatch):
    monkeypatch.setattr(module, "UNSEEN", 0.0)
    monkeypatch.setattr(module, "SHORT", 0.0)
    split, batch = drawn(panel)
    expected = sample(panel, batch.series, batch.origin, 28, split.horizon)
    for name, array in expected.inputs().items():
        np.testing.assert_array_equal(getattr(batch.inputs, name).numpy(), array, err_msg=name)
    np.testing.assert_array_equal(batch.target.numpy() * batch.mask.numpy(), expected.target)
    np.testing.assert_array_equal(batch.mask.numpy(), expected.target_mask)


def test_some_rows_lose_their_ids_and_some_their_older_history(panel, monkeypatch):
    monkeypatch.setattr(module, "UNSEEN", 0.5)
    monkeypatch.setattr(module, "SHORT", 0.5)
    _, batch = drawn(panel)
    assert 0.3 < (batch.inputs.static == 0).float().mean() < 0.7
    lengths = batch.inputs.past_mask.sum(1).numpy()
    assert 0.3 < (lengths < 28).mean() < 0.7 and lengths.min() == 0
    for row in np.flatnonzero(lengths < 28)[:20]:
        known = batch.inputs.past_mask[row].numpy()
        assert (np.diff(known) >= 0).all()  # the oldest steps are those that are forgotten
        assert (batch.inputs.past[row, :, :2].numpy()[known == 0] == 0).all()  # sales and the historic covariate


def test_the_same_seed_draws_the_same_windows(panel):
    first, second = drawn(panel)[1], drawn(panel)[1]
    np.testing.assert_array_equal(first.series, second.series)
    np.testing.assert_array_equal(first.origin, second.origin)
