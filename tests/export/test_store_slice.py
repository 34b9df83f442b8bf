"""A package for one store: its rows and no other's, and the same forecasts for it."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from panels import sales, split_of

from nas.architecture import Architecture
from nas.data.windows import evaluation
from nas.errors import RequestError
from nas.export.embeddings import bytes_of_tables, tables
from nas.export.onnx import forecast
from nas.export.store_slice import StoreSlice
from nas.export.targets import export
from nas.models.forecaster import build
from nas.models.shape import Shape
from nas.models.training import predict

ARCHITECTURE = Architecture(hidden=8, window=28, embedding=8, head=16)
STORES = tuple(f"store-{number:02d}" for number in range(40))


@pytest.fixture(scope="module")
def panel():
    return sales(series=60, stores=STORES)


@pytest.fixture(scope="module")
def model(panel):
    torch.manual_seed(3)
    made = build(ARCHITECTURE, Shape.of(panel, 14)).eval()
    for table in made.level:  # they begin as zeros, and equal tables are stored once
        torch.nn.init.normal_(table.weight)
    return made


@pytest.fixture(scope="module")
def store(panel):
    return StoreSlice.of(panel, "store-07")


def windows_of(panel, chosen=slice(None)):
    windows = evaluation(panel, split_of(panel).test_origins[-1:], 28, 14)
    return type(windows)(**{name: getattr(windows, name)[chosen] for name in windows.__dataclass_fields__})


def own_of(panel):
    return np.flatnonzero(panel.stat[:, 0] == STORES.index("store-07") + 1)


def test_it_keeps_its_series_and_what_its_codes_stand_for(panel, store):
    own = own_of(panel)
    assert len(own) >= 1 and store.panel.ids == tuple(panel.ids[s] for s in own)
    assert store.panel.stat_vocab[0] == ("store-07",)
    for row, s in enumerate(own):
        for k, words in enumerate(store.panel.stat_vocab):
            assert words[store.panel.stat[row, k] - 1] == panel.stat_vocab[k][panel.stat[s, k] - 1]
    np.testing.assert_array_equal(store.panel.y, panel.y[own])


def test_the_trained_network_forecasts_the_same_for_this_store(panel, model, store):
    small = store.forecaster(model)
    assert small.shape == Shape.of(store.panel, 14)
    expected = predict(model, windows_of(panel, own_of(panel)))
    np.testing.assert_allclose(predict(small, windows_of(store.panel)), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_so_does_its_exported_file_and_it_is_smaller(panel, model, store, precision):
    whole = build(replace(ARCHITECTURE, precision=precision), model.shape).eval()
    whole.load_state_dict(model.state_dict())
    everything, own = export(whole), store.export(whole)
    expected = forecast(everything.model, windows_of(panel, own_of(panel)).inputs())
    found = forecast(own.model, windows_of(store.panel).inputs())
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * expected.mean())
    stored = onnx.load_from_string(own.model).graph.initializer
    rows = {t.name: t.dims[0] for t in stored if t.dims and t.name.startswith("ids.0")}
    assert 2 in rows.values() and not {41} & set(rows.values())
    assert len(everything.model) - len(own.model) >= 39 * 8 * (1 if precision == "int8" else 4)
    assert own.parity < 0.1 and own.graph != everything.graph
    assert forecast(own.model, own.inputs).shape == (1, 14)


def test_the_bytes_of_tables_are_told_apart(model, store):
    small = store.forecaster(model)
    data = export(small).model
    articles = len(store.panel.stat_vocab[1]) + 1
    assert bytes_of_tables(data, tables(small)) == (2 + articles) * (8 + 1) * 4  # embedding and level


def test_an_unseen_name_is_row_0_there_too(panel, model, store):
    whole, own = windows_of(panel, own_of(panel)), windows_of(store.panel)
    for windows in (whole, own):
        windows.static[:] = 0
    np.testing.assert_allclose(predict(store.forecaster(model), own), predict(model, whole), rtol=0, atol=1e-6)


def test_what_is_no_store_is_refused_by_name(panel):
    with pytest.raises(RequestError, match=r"no store 'store-99'.*store-00, store-01"):
        StoreSlice.of(panel, "store-99")
    with pytest.raises(RequestError, match=r"no static column store \(they have article\)"):
        StoreSlice.of(
            replace(panel, stat=panel.stat[:, 1:], stat_names=("article",), stat_vocab=panel.stat_vocab[1:]), "x"
        )
