"""What the agent keeps between requests: results, levels, and its turn on the device."""

import json
import os

import pytest

from device_agents.levels import Levels
from device_agents.protocol import Problem
from device_agents.results import KEPT, Results
from device_agents.turn import turn

JOB = "0" * 32


def test_a_result_is_read_again(tmp_path):
    results = Results(str(tmp_path / "results"))
    results.put(JOB, {"verdict": "valid"})
    assert results.get(JOB) == {"verdict": "valid"}


def test_a_result_that_is_not_there_says_so(tmp_path):
    with pytest.raises(Problem) as missing:
        Results(str(tmp_path / "results")).get(JOB)
    assert missing.value.code == "result_missing"


def test_only_the_newest_results_are_kept(tmp_path):
    results = Results(str(tmp_path))
    for number in range(KEPT + 5):
        results.put(f"{number:032x}", {"number": number})
        os.utime(tmp_path / (f"{number:032x}"), ns=(number, number))
    assert len(list(tmp_path.iterdir())) == KEPT
    assert results.get(f"{KEPT + 4:032x}") == {"number": KEPT + 4}


def test_levels_belong_to_a_state_of_the_device(tmp_path):
    path = str(tmp_path / "levels.json")
    Levels(path, "boot 1").put("key", 5.0)
    assert Levels(path, "boot 1").get("key") == 5.0
    assert Levels(path, "boot 2").get("key") is None


def test_a_damaged_file_of_levels_is_no_obstacle(tmp_path):
    (tmp_path / "levels.json").write_text("{")
    levels = Levels(str(tmp_path / "levels.json"), "boot")
    assert levels.get("key") is None
    levels.put("key", 5.0)
    assert levels.get("key") == 5.0


def test_agreement_takes_the_strikes_back(tmp_path):
    levels = Levels(str(tmp_path / "levels.json"), "boot")
    levels.put("key", 5.0)
    for _ in range(5):
        levels.missed("key", faster=False)
        levels.missed("key", faster=False)
        levels.agreed("key")
    assert levels.get("key") == 5.0


def test_levels_do_not_grow_for_ever(tmp_path):
    levels = Levels(str(tmp_path / "levels.json"), "boot")
    for number in range(100):
        levels.put(str(number), 1.0)
    assert len(json.loads((tmp_path / "levels.json").read_text())) == 64


def test_one_measures_at_a_time_whatever_the_folder(tmp_path):
    (tmp_path / "run/lock").mkdir(parents=True)
    with turn(str(tmp_path), 1.0):
        with pytest.raises(Problem) as busy, turn(str(tmp_path), 0.05):
            pass
        assert busy.value.code == "device_busy"
    with turn(str(tmp_path), 0.0):
        pass
