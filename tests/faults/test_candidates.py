"""A candidate that harms the device is the candidate's fault: it is stopped, blamed, and not tried again."""

import re

import onnx
import onnx_models
import pytest
from onnx import TensorProto, helper

from faults.rig import BedTrainer
from nas.store import trials


def hungry(megabytes):
    """A model of some bytes whose inference fills that much memory: x float32 [3] -> y."""
    rows = megabytes * 1_000_000 // 12
    nodes = [
        helper.make_node("Constant", [], ["shape"], value=helper.make_tensor("", TensorProto.INT64, [2], [rows, 3])),
        helper.make_node("Expand", ["x", "shape"], ["huge"]),
        helper.make_node("Exp", ["huge"], ["filled"]),
        helper.make_node("ReduceSum", ["filled"], ["y"], keepdims=0),
    ]
    given = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3])]
    found = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [])]
    graph = helper.make_graph(nodes, "hungry", given, found)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


HARMFUL = {
    "asks for 80 GB": (onnx_models.bomb(), r"memory|allocate|BFCArena"),
    "fills the board's memory": (hungry(1500), "killed by SIGKILL"),
    "never returns": (onnx_models.endless(), "did not finish within its deadline"),
}


@pytest.mark.parametrize("harm", HARMFUL)
def test_the_child_dies_and_the_agent_lives(site, beds, harm):
    board = beds.board("a", memory_mb=500, claims_mb=4000)
    model, reason = HARMFUL[harm]
    rig = site()
    rig.trainer = BedTrainer({8: model})
    search = rig.search(rig.enrol(board), trials=4, seed=1)
    rig.controller()
    rig.until(rig.attempts)
    agent = rig.until(board.agents)[0]
    rig.completed(search)
    assert agent in board.agents()
    found = trials.page(rig.db, search)
    bad = [trial for trial in found if trial.architecture["hidden"] == 8]
    assert 0 < len(bad) < len(found)
    for trial in found:
        own = [one for one in rig.attempts(search) if one.number == trial.number]
        assert [one.state for one in own] == ["candidate_fault" if trial in bad else "measured"]
        assert trial.stage == ("failed" if trial in bad else "scored")
    assert all(re.search(reason, trial.reason) for trial in bad), bad[0].reason
