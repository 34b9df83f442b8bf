"""Searches that a device could never carry out are refused by name."""

import pytest

from nas.abilities import refuse_unable
from nas.errors import RequestError
from nas.request import SearchRequest
from nas.space import SearchSpace

RELATIVE = {"sensor": "pmic", "rails": ["core"], "relative": True}
ABSOLUTE = {"sensor": "ina3221", "rails": ["in"], "relative": False}


def facts(energy):
    return {"runtimes": {"onnxruntime": "1.32"}, "sensors": {"energy": energy}}


def refused(energy=None, runtimes=("onnxruntime",), board=None, **changes):
    """The sentence with which a request is refused, or None."""
    wanted = SearchRequest.model_validate({"devices": ["pi4", "jetson"], **changes})
    space = SearchSpace.from_mapping({"name": "tiny", "parameters": {"runtime": list(runtimes)}})
    try:
        refuse_unable(wanted, space, "pi4", facts(energy), board=board)
    except RequestError as error:
        return str(error)
    return None


@pytest.mark.parametrize("metric", ["energy_mj", "mean_power_w"])
def test_energy_needs_a_sensor(metric):
    as_objective = refused(objectives=["wape", metric])
    assert as_objective.startswith(f"{metric} cannot be an objective: pi4 has no energy sensor")
    assert refused(constraints={metric: 5}).startswith(f"{metric} cannot be a constraint: pi4 has no energy sensor")
    assert refused(constraints={metric: {"pi4": 5}}).startswith(f"{metric}@pi4 cannot be a constraint: pi4 has no")
    assert refused(ABSOLUTE, objectives=["wape", metric], constraints={metric: 5}) is None


def test_energy_of_another_device_is_its_own_affair():
    assert refused(objectives=["wape", "energy_mj@jetson"], constraints={"mean_power_w": {"jetson": 9}}) is None


def test_a_sensor_that_only_compares_may_rank_but_not_limit():
    assert refused(RELATIVE, objectives=["wape", "energy_mj"]) is None
    assert "cannot be a constraint: the sensor pmic of pi4" in refused(RELATIVE, constraints={"energy_mj": 5})


def test_the_store_sweep_is_measurable_everywhere():
    assert refused(objectives=["wape", "sweep_seconds"], constraints={"sweep_peak_mb": 200}) is None


def test_a_runtime_that_is_not_on_the_device_says_how_to_install_it():
    said = refused(runtimes=["onnxruntime", "openvino"])
    assert said.startswith("The space offers the runtime openvino, which is not on pi4")
    assert "`nas devices install pi4 --runtime openvino`" in said


def test_the_member_of_a_pool_is_named():
    assert "till-3 has no energy sensor" in refused(objectives=["energy_mj"], board="till-3")
