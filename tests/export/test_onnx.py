"""Exports: the same forecasts as torch, at any batch, without a trace of this computer."""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from torch.onnx import OnnxExporterError

from nas.architecture import Architecture
from nas.errors import CandidateFault, ControllerFault
from nas.export import onnx as exporting
from nas.export.artifact import as_arrays
from nas.export.onnx import forecast, graph_digest
from nas.export.targets import export, export_untrained
from nas.models.forecaster import build, example_inputs
from nas.models.shape import Shape

SHAPE = Shape(horizon=14, hist=1, futr=2, vocabulary=(5, 3))
WIDE = [
    Architecture(hidden=8),
    Architecture(hidden=64, layers=2, history="pooled", head=0, decoder="plain"),
    Architecture(cell="gru", hidden=16, window=28, features=("calendar",), embedding=0),
    Architecture(hidden=8, features=(), embedding=0, head=0, decoder="plain", window=14),
]


@pytest.fixture(scope="module")
def artifacts():
    return {architecture: export_untrained(architecture, SHAPE) for architecture in WIDE}


@pytest.mark.parametrize("architecture", WIDE, ids=str)
@pytest.mark.parametrize("batch", [1, 7])
def test_onnxruntime_computes_what_torch_computes(artifacts, architecture, batch):
    torch.manual_seed(0)
    model = build(architecture, SHAPE).eval()
    inputs = example_inputs(architecture, SHAPE, batch)
    with torch.no_grad():
        expected = model(*inputs).numpy()
    found = forecast(artifacts[architecture].model, as_arrays(inputs))
    assert found.shape == (batch, SHAPE.horizon)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * expected.mean())


@pytest.mark.parametrize("architecture", WIDE, ids=str)
def test_the_recurrent_layers_are_real_operators_with_plain_weights(artifacts, architecture):
    graph = onnx.load_from_string(artifacts[architecture].model).graph
    cells = [node for node in graph.node if node.op_type == architecture.cell.upper()]
    assert len(cells) == architecture.layers
    weights = {tensor.name for tensor in graph.initializer}
    assert all(set(node.input[1:4]) <= weights for node in cells)


def test_nothing_in_it_tells_of_the_computer_it_was_made_on(artifacts):
    for artifact in artifacts.values():
        assert not re.search(rb"/[a-z]+/|\.py\b", artifact.model)
        model = onnx.load_from_string(artifact.model)
        assert not model.doc_string and not any(n.doc_string or n.metadata_props for n in model.graph.node)
        assert {note.key for note in model.metadata_props} == {"nas.architecture", "nas.shape", "nas.digest"}


def test_the_graph_digest_is_of_the_graph_and_not_of_the_weights(artifacts):
    first = artifacts[WIDE[0]]
    torch.manual_seed(99)
    other = export(build(WIDE[0], SHAPE))
    assert other.model != first.model
    assert other.graph == first.graph == graph_digest(first.model)
    assert len({artifact.graph for artifact in artifacts.values()}) == len(WIDE)


def test_int8_quantizes_the_lstm_and_stays_near(artifacts):
    int8 = export_untrained(replace(WIDE[1], precision="int8"), SHAPE)
    operators = {node.op_type for node in onnx.load_from_string(int8.model).graph.node}
    assert "DynamicQuantizeLSTM" in operators and "LSTM" not in operators
    assert len(int8.model) < 0.45 * len(artifacts[WIDE[1]].model)
    assert 0 < int8.parity < 0.1
    assert int8.graph != artifacts[WIDE[1]].graph
    assert onnx.load_from_string(int8.model).ir_version <= 10


def test_the_oldest_runtime_on_a_device_reads_it(artifacts):
    for artifact in artifacts.values():
        model = onnx.load_from_string(artifact.model)
        assert model.ir_version <= 10
        assert all(opset.version <= 21 for opset in model.opset_import)


def test_a_model_that_does_not_compute_what_torch_does_is_refused(monkeypatch):
    monkeypatch.setattr(exporting, "forecast", lambda _model, inputs: np.full((len(inputs["past"]), 14), 5.0))
    with pytest.raises(CandidateFault, match="differs from torch"):
        export_untrained(WIDE[3], SHAPE)


def test_several_threads_may_export_at_once():
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda architecture: export_untrained(architecture, SHAPE), WIDE[2:]))
    assert all(artifact.parity < 1e-5 for artifact in found)


def test_an_exporter_that_breaks_is_worth_another_attempt(monkeypatch):
    def breaks(*_given, **_named):
        raise OnnxExporterError("fake tensor in the constants")

    monkeypatch.setattr(torch.onnx, "export", breaks)
    with pytest.raises(ControllerFault, match="fake tensor"):
        export_untrained(WIDE[3], SHAPE)


def test_an_exporter_that_breaks_once_is_asked_again(monkeypatch):
    real, broken = torch.onnx.export, iter([True])

    def fails_once(*arguments, **options):
        if next(broken, False):
            raise OnnxExporterError("a fake tensor was left behind")
        return real(*arguments, **options)

    monkeypatch.setattr(torch.onnx, "export", fails_once)
    assert export_untrained(WIDE[3], SHAPE).model
