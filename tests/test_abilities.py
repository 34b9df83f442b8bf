"""Searches that a device could never carry out are refused by name."""

import pytest
from homes import db, migrated, settings

from nas.abilities import refuse_impossible
from nas.errors import RequestError
from nas.request import SearchRequest
from nas.space import SearchSpace
from nas.store import devices

__all__ = ["db", "migrated", "settings"]

RELATIVE = {"sensor": "pmic", "rails": ["core"], "relative": True}
ABSOLUTE = {"sensor": "ina3221", "rails": ["in"], "relative": False}


def facts(energy):
    return {"runtimes": {"onnxruntime": "1.32"}, "sensors": {"energy": energy}}


@pytest.fixture
def refused(db):
    """The sentence with which a search on pi4 and jetson is refused, or None."""

    def refused(energy=None, runtimes=("onnxruntime",), **changes):
        devices.save(db, "pi4", facts=facts(energy))
        wanted = SearchRequest.model_validate({"devices": ["pi4", "jetson"], **changes})
        space = SearchSpace.from_mapping({"name": "tiny", "parameters": {"runtime": list(runtimes)}})
        try:
            refuse_impossible(db, wanted, space)
        except RequestError as error:
            return str(error)
        return None

    devices.create(db, name="pi4", transport="local")
    devices.create(db, name="jetson", transport="local")  # never probed: nothing is known of it
    return refused


@pytest.mark.parametrize("metric", ["energy_mj", "mean_power_w"])
def test_energy_needs_a_sensor(refused, metric):
    as_objective = refused(objectives=["wape", metric])
    assert as_objective.startswith(f"{metric} cannot be an objective: pi4 has no energy sensor")
    assert refused(constraints={metric: 5}).startswith(f"{metric} cannot be a constraint: pi4 has no energy sensor")
    assert refused(constraints={metric: {"pi4": 5}}).startswith(f"{metric}@pi4 cannot be a constraint: pi4 has no")
    assert refused(ABSOLUTE, objectives=["wape", metric], constraints={metric: 5}) is None


def test_energy_of_another_device_is_its_own_affair(refused):
    assert refused(objectives=["wape", "energy_mj@jetson"], constraints={"mean_power_w": {"jetson": 9}}) is None


def test_a_sensor_that_only_compares_may_rank_but_not_limit(refused):
    assert refused(RELATIVE, objectives=["wape", "energy_mj"]) is None
    assert "cannot be a constraint: the sensor pmic of pi4" in refused(RELATIVE, constraints={"energy_mj": 5})


def test_the_store_sweep_is_measurable_everywhere(refused):
    assert refused(objectives=["wape", "sweep_seconds"], constraints={"sweep_peak_mb": 200}) is None


def test_a_runtime_that_is_not_on_the_device_says_how_to_install_it(refused):
    said = refused(runtimes=["onnxruntime", "openvino"])
    assert said.startswith("The space offers the runtime openvino, which is not on pi4")
    assert "`nas devices install pi4 --runtime openvino`" in said


def test_every_member_of_a_pool_must_be_able(db):
    space = SearchSpace.from_mapping({"name": "tiny", "parameters": {}})
    wanted = SearchRequest.model_validate({"devices": ["till"], "objectives": ["energy_mj"]})
    for name, energy in (("till-1", ABSOLUTE), ("till-2", None)):
        devices.create(db, name=name, transport="local", pool="till")
        devices.save(db, name, facts=facts(energy))
    with pytest.raises(RequestError, match="till-2 has no energy sensor"):
        refuse_impossible(db, wanted, space)


def test_facts_of_an_agent_that_knew_no_sensors_refuse_nothing(db):
    space = SearchSpace.from_mapping({"name": "tiny", "parameters": {}})
    wanted = SearchRequest.model_validate({"devices": ["pi4"], "objectives": ["energy_mj"]})
    devices.create(db, name="pi4", transport="local")
    devices.save(db, "pi4", facts={"runtimes": {"onnxruntime": "1.32"}})
    refuse_impossible(db, wanted, space)


def test_a_board_is_not_asked_for_by_its_name_and_by_its_pool(db):
    space = SearchSpace.from_mapping({"name": "tiny", "parameters": {}})
    devices.create(db, name="till-1", transport="local", pool="till")
    wanted = SearchRequest.model_validate({"devices": ["till", "till-1"]})
    with pytest.raises(RequestError, match="till-1 is named twice, as till and as till-1"):
        refuse_impossible(db, wanted, space)
