"""A candidate that harms the device is the candidate's fault: it is stopped, blamed, and not tried again."""

import re
from dataclasses import replace

import onnx
import onnx_models
from onnx import TensorProto, helper

from faults.rig import SPACE, BedTrainer
from nas.devices import tiers
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
    8: ("asks for 80 GB", onnx_models.bomb(), r"memory|allocate"),
    16: ("fills the board's memory", hungry(1500), "killed by SIGKILL"),
    32: ("never returns", onnx_models.endless(), "did not finish within its deadline"),
}
"""Hidden size -> what the model in its place does, and what is said of it."""


def test_the_child_dies_and_the_agent_lives(site, beds, monkeypatch):
    monkeypatch.setitem(tiers.TIERS, "screening", replace(tiers.TIERS["screening"], deadline_s=8.0))
    board = beds.board("a", memory_mb=500, claims_mb=4000)
    rig = site()
    rig.trainer = BedTrainer({hidden: model for hidden, (_, model, _) in HARMFUL.items()})
    device, searches = rig.enrol(board), []
    for hidden in (4, *HARMFUL):
        space = {**SPACE, "parameters": {**SPACE["parameters"], "hidden": [hidden]}}
        searches.append(rig.search(device, trials=1, space=space))
    rig.controller()
    rig.until(rig.attempts)
    agent = rig.until(board.agents)[0]
    for search in searches:
        rig.completed(search)
    assert agent in board.agents()
    found = [trial for search in searches for trial in trials.page(rig.db, search)]
    assert [trial.architecture["hidden"] for trial in found] == [4, *HARMFUL]
    for trial in found:
        states = rig.ends(trial.search_id)[trial.number]
        if harm := HARMFUL.get(trial.architecture["hidden"]):
            assert (trial.stage, states) == ("failed", ["candidate_fault"]), harm[0]
            assert re.search(harm[2], trial.reason)
        else:
            assert (trial.stage, states) == ("scored", ["measured"])
