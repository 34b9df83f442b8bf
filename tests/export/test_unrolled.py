"""The recurrence laid out step by step: the same states as torch's layers, and a digest without weights."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from nas.architecture import Architecture
from nas.export.unrolled import UnrolledCells, captured, program_digest
from nas.models.forecaster import build
from nas.models.shape import Shape

SHAPE = Shape(horizon=7, hist=0, futr=0, vocabulary=())
TINY = Architecture(hidden=4, window=7, features=(), embedding=0, head=0, decoder="plain")


@settings(max_examples=30)
@given(
    cell=st.sampled_from([nn.LSTM, nn.GRU]),
    layers=st.integers(1, 3),
    hidden=st.integers(1, 9),
    features=st.integers(1, 5),
    steps=st.integers(1, 12),
    batch=st.integers(1, 3),
    seed=st.integers(0, 10),
)
def test_the_last_state_is_torch_s(cell, layers, hidden, features, steps, batch, seed):
    torch.manual_seed(seed)
    recurrent = cell(features, hidden, layers, batch_first=True)
    sequence = torch.randn(batch, steps, features)
    with torch.no_grad():
        expected = recurrent(sequence)[0][:, -1:]
        found = UnrolledCells(recurrent)(sequence)[0]
    np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=1e-6)


def program(architecture=TINY, seed=0):
    torch.manual_seed(seed)
    return captured(build(architecture, SHAPE))


def test_the_digest_is_of_the_graph_and_its_compiler_and_not_of_the_weights():
    digest = program_digest(program(seed=0), "compiler 1")
    assert program_digest(program(seed=1), "compiler 1") == digest
    assert program_digest(program(seed=0), "compiler 2") != digest


@pytest.mark.parametrize("change", [{"hidden": 5}, {"window": 14}, {"cell": "gru"}, {"layers": 2}], ids=str)
def test_another_network_has_another_digest(change):
    other = Architecture.from_dict({**TINY.to_dict(), **change})
    assert program_digest(program(other), "any") != program_digest(program(), "any")


def test_capturing_leaves_the_model_as_it_was():
    model = build(TINY, SHAPE)
    captured(model)
    assert isinstance(model.encoder, nn.LSTM)
