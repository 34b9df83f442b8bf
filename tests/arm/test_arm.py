"""An Arm board from bare Python to equal outputs: all is real there but the time that an inference takes."""

import numpy as np
import pytest
import torch

from arm import root as arm_root
from nas.architecture import Architecture
from nas.devices import wheels
from nas.devices.fleet import Fleet
from nas.devices.install import install, uninstall
from nas.devices.install_platform import Platform
from nas.export.artifact import as_arrays
from nas.export.onnx import forecast
from nas.export.targets import export_untrained
from nas.models.forecaster import build, example_inputs
from nas.models.shape import Shape

pytestmark = pytest.mark.arm
SHAPE = Shape(horizon=14, hist=1, futr=2, vocabulary=(5, 3))
MODELS = [Architecture(hidden=16, precision=precision) for precision in ("fp32", "int8")]
BOOKWORM = Platform("arm", "aarch64", 64, "CPython", "3.11.2", "glibc 2.36")
"""What the board says of itself; a test below asks it."""


@pytest.fixture(scope="module")
def cache():
    """A folder with the board's wheels, so that it can be installed with the network forbidden."""
    folder = arm_root.FOLDER / "wheels"
    wheels.fetch(BOOKWORM, wheels.requirements(BOOKWORM, "onnxruntime"), folder)
    return folder


@pytest.fixture(scope="module")
def installed(arm_board, cache):
    return install(arm_board.board(), "onnxruntime", cache, offline=True)


@pytest.fixture(scope="module")
def fleet(installed):
    with Fleet([installed.device]) as fleet:
        yield fleet


@pytest.fixture(scope="module")
def artifacts():
    return {model.precision: export_untrained(model, SHAPE) for model in MODELS}


def test_a_bare_board_has_no_runtime_and_then_it_has(arm_board, cache):
    board = arm_board.board()
    home = arm_board.path(board).parent
    before = set(home.iterdir())
    with Fleet([board]) as fleet:
        assert fleet.facts(board.name)["runtimes"] == {}
    done = install(board, "onnxruntime", cache, offline=True)
    assert all("aarch64" in wheel for wheel in done.wheels)
    assert done.facts["runtimes"]["onnxruntime"] == "1.32.0"
    assert uninstall(done.device) == []
    assert set(home.iterdir()) == before


def test_it_is_known_for_what_it_is(fleet):
    facts = fleet.facts("arm")
    assert facts["machine"] == "aarch64"
    assert facts["board"].startswith("Raspberry Pi 4")
    assert facts["python"].startswith("3.11.")
    assert facts["emulated"] is True


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_its_measurement_is_complete_and_never_valid(fleet, artifacts, precision):
    artifact = artifacts[precision]  # other work of this computer is not what is tested here
    measured = fleet.measure("arm", artifact.model, artifact.inputs, beside_load=True)
    assert measured.p50.ms > 0
    assert measured.peak_memory_mb > 0
    assert measured.emulated
    assert measured.verdict != "valid"
    assert any("emulated" in reason for reason in measured.reasons)


@pytest.mark.parametrize("row", range(3))
def test_fp32_computes_there_what_torch_computes_here(fleet, artifacts, row):
    model = _forecaster(MODELS[0])
    inputs = example_inputs(MODELS[0], SHAPE, 3)
    with torch.no_grad():
        expected = model(*inputs).numpy()[row : row + 1]
    found = fleet.run("arm", artifacts["fp32"].model, as_arrays(tuple(part[row : row + 1] for part in inputs)))
    assert np.abs(found["forecast"] - expected).max() <= 1e-4 * np.abs(expected).mean()


@pytest.mark.parametrize("row", range(3))
def test_int8_is_as_close_to_torch_there_as_it_may_be_and_near_to_here(fleet, artifacts, row):
    inputs = tuple(part[row : row + 1] for part in example_inputs(MODELS[1], SHAPE, 3))
    with torch.no_grad():
        expected = _forecaster(MODELS[1])(*inputs).numpy()
    here = forecast(artifacts["int8"].model, as_arrays(inputs))
    there = fleet.run("arm", artifacts["int8"].model, as_arrays(inputs))["forecast"]
    assert np.abs(there - expected).max() <= 0.05 * np.abs(expected).mean()
    assert np.abs(there - here).max() <= 0.05 * np.abs(here).mean()


def test_the_board_runs_as_an_ordinary_user_within_its_folder(arm_board, installed):
    owners = {path.stat().st_uid for path in arm_board.path(installed.device).rglob("*")}
    assert owners == {arm_root.USER.pw_uid}


def _forecaster(architecture):
    torch.manual_seed(0)
    return build(architecture, SHAPE).eval()
