"""Exporters by runtime: the right one is found, and what is missing or breaks is said in one sentence."""

import sys
from dataclasses import replace

import pytest

from nas.architecture import RUNTIMES, Architecture
from nas.errors import CandidateFault, MissingExtra
from nas.export import executorch, litert, onnx, targets
from nas.export.artifact import require_faithful
from nas.export.targets import export_untrained, exporter_for
from nas.models.shape import Shape

SHAPE = Shape(horizon=7, hist=0, futr=0, vocabulary=())
TINY = Architecture(hidden=4, window=7, features=(), embedding=0, head=0, decoder="plain")


def on(runtime):
    return replace(TINY, runtime=runtime)


def test_every_runtime_has_an_exporter_and_onnxruntime_s_providers_share_theirs():
    assert all(callable(exporter_for(runtime)) for runtime in RUNTIMES)
    assert {runtime for runtime in RUNTIMES if exporter_for(runtime) is onnx.export} == {
        "onnxruntime",
        "onnxruntime-cuda",
        "onnxruntime-tensorrt",
    }
    assert {runtime for runtime in RUNTIMES if not targets.is_onnx(runtime)} == {"executorch", "litert"}


def test_inputs_that_the_features_leave_out_are_no_obstacle_to_openvino():
    wide = Shape(horizon=7, hist=1, futr=2, vocabulary=(5, 3))
    assert export_untrained(on("openvino"), wide).parity < 1e-4


@pytest.mark.parametrize(
    ("runtime", "module", "hint"),
    [
        ("openvino", "openvino", r"pip install 'edge-nas\[openvino\]'"),
        ("executorch", "executorch.exir", r"pip install 'edge-nas\[executorch\]'"),
        ("litert", "ai_edge_litert.interpreter", r"pip install 'edge-nas\[litert\]'"),
    ],
)
def test_a_missing_package_comes_with_its_install_command(monkeypatch, runtime, module, hint):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=hint):
        export_untrained(on(runtime), SHAPE)


@pytest.mark.parametrize(("python", "words"), [("/nowhere/python", "there is no"), (sys.executable, "no litert-torch")])
def test_a_missing_converter_comes_with_its_make_target(monkeypatch, python, words):
    monkeypatch.setenv("NAS_LITERT_PYTHON", python)
    with pytest.raises(MissingExtra, match=rf"{words}.*make litert"):
        export_untrained(on("litert"), SHAPE)


@pytest.fixture
def converter(tmp_path, monkeypatch):
    """A stand-in for the converter's Python that does what a line of shell says."""

    def say(line):
        script = tmp_path / "python"
        script.write_text(f"#!/bin/sh\n{line}\n")
        script.chmod(0o755)
        monkeypatch.setenv("NAS_LITERT_PYTHON", str(script))

    return say


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("echo chatter >&2; echo 'ValueError: no such operator' >&2; exit 1", "cannot convert .*: ValueError: no such"),
        ("exit 3", "it said nothing"),
        ("exec sleep 30", "did not finish within 0.2 s"),
    ],
)
def test_a_converter_that_fails_or_hangs_is_the_candidate_s_fault(converter, monkeypatch, line, words):
    converter(line)
    if "sleep" in line:
        monkeypatch.setattr(litert, "DEADLINE_S", 0.2)
    with pytest.raises(CandidateFault, match=words):
        export_untrained(on("litert"), SHAPE)


def test_a_program_that_does_not_compile_is_the_candidate_s_fault(monkeypatch):
    def compile_program(_program):
        raise RuntimeError("no kernel for this\nand a long story")

    monkeypatch.setattr(executorch, "_compiler", lambda: compile_program)
    with pytest.raises(CandidateFault, match=r"ExecuTorch cannot compile .*: no kernel for this$"):
        export_untrained(on("executorch"), SHAPE)


@pytest.mark.parametrize("difference", [1.1e-4, float("nan"), float("inf")])
def test_an_unfaithful_export_is_refused(difference):
    require_faithful(9e-5, TINY)
    with pytest.raises(CandidateFault, match="differs from torch"):
        require_faithful(difference, TINY)
