"""Sold-out shelves: what a forecaster learns of demand where the sales were censored."""

from dataclasses import replace

import numpy as np
import pytest

from nas.architecture import Architecture
from nas.data.check import check
from nas.data.dense import to_panel
from nas.data.sources import synthetic
from nas.data.split import Split
from nas.data.windows import evaluation
from nas.models.training import point, train
from nas.request import Training

NETWORK = Architecture(hidden=8, window=28, embedding=4, head=16)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_availability_column_halves_the_bias_against_the_true_demand(seed):
    table, demand = synthetic.generate_with_truth(12, 1000, seed, stockouts=0.3, levels=(20.0, 80.0))

    def bias(known):
        panel = to_panel(check(known), known.hist, known.planned)
        split = Split.of(panel)
        budget = Training(max_epochs=8, steps_per_epoch=40, batch=128)
        windows = evaluation(panel, split.test_origins, NETWORK.window, split.horizon)
        found = point(train(NETWORK, panel, split, budget, seed).model(), windows)
        ahead = np.concatenate([demand[:, o : o + split.horizon] for o in split.test_origins])
        return abs(found.sum() / ahead.sum() - 1)

    # Nearly three years: one year leaves a bias of its own, since it does not tell the season of the test weeks.
    blind = replace(table, available=None, ignore=("available",))
    assert bias(table) <= 0.5 * bias(blind), "bias without the column, then with it"
