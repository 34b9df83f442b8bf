"""Search spaces: what a user writes, and what the message says when it is wrong."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nas.architecture import Architecture
from nas.errors import NotFound, RequestError, SpaceError
from nas.space import SearchSpace, builtin_spaces, schema

FOLDER = Path(__file__).parents[1] / "search_spaces"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["low", "high", "step"]), inner),
    max_leaves=8,
)


class Draws:
    """A sampler that draws what Hypothesis says."""

    def __init__(self, data):
        self.data = data

    def suggest_categorical(self, name, choices):
        return self.data.draw(st.sampled_from(list(choices)), label=name)

    def suggest_int(self, name, low, high, *, step=1, log=False):
        return self.data.draw(st.sampled_from(range(low, high + 1, step)), label=name)


@given(st.data())
def test_whatever_is_drawn_is_an_architecture_of_the_space(data):
    space = SearchSpace.load("lstm_compact")
    found = space.suggest(Draws(data))
    assert found.hidden in space.parameters.hidden
    assert found.features in {tuple(sorted(groups)) for groups in space.parameters.features}
    assert not (found.cell == "gru" and found.precision == "int8")
    assert Architecture.from_dict(json.loads(json.dumps(found.to_dict()))) == found


@pytest.mark.parametrize("name", builtin_spaces())
def test_a_builtin_space_fits_the_schema_and_survives_the_round_trip(name):
    jsonschema.validate(yaml.safe_load((FOLDER / f"{name}.yaml").read_text()), schema())
    space = SearchSpace.load(name)
    assert SearchSpace.from_mapping(json.loads(json.dumps(space.to_dict()))) == space


def test_the_committed_schema_is_the_one_of_the_types():
    assert json.loads((FOLDER / "schema.json").read_text()) == schema(), "run `make schema`"


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("name: x\nparameters:\n  hiden: [8]\n", 3, "parameters.hiden: unknown key; expected one of cell, layers"),
        ("name: x\nparameters:\n  cell: [lstm]\n  hidden: {low: 9, high: 3}\n", 4, "the range is empty: low 9"),
        ("name: x\nparameters:\n  cell: []\n", 3, "the range is empty"),
        ("name: x\nparameters:\n  layers: {low: 1, hihg: 2}\n", 3, "layers.hihg: unknown key; expected one of low"),
        ("name: x\nparameters:\n  hidden:\n    - 8\n    - many\n", 5, "expected a valid integer, found 'many'"),
        ("name: x\nparameters:\n  cell: [lstm, rnn]\n", 3, "found 'rnn'"),
        ("name: x\nparameters: {window: [1]}\n", 2, "window offers 1, expected at least 2"),
        ("name: x\nparameters:\n  cell: [gru]\n  precision: [int8]\n", 2, "cannot run gru in int8"),
        ("name: x\nparameters:\n  window: [14]\n  history: [pooled]\n", 1, "longer than 14 days"),
        ("name: x\nparameters:\n  hidden: [8, 8]\n", 2, "twice"),
        ("name: x\nname: y\nparameters: {}\n", 2, "name: stands here twice"),
        ("name: x\nparameters:\n  hidden: [0]\n", 2, "at least 1"),
        ("name: x\nparameters: {}\nfirst: [{hidden: 31}]\n", 1, "number 1 of first has hidden 31, which parameters"),
        ("name: x\nparameters: {}\nfirst:\n  - {features: [profile]}\n", 1, "expected one of calendar+discount"),
        ("name: x\nparameters: {}\nfirst:\n  - {hiden: 32}\n", 4, "unknown key"),
        (
            "name: x\nparameters: {cell: [gru], precision: [fp32, int8]}\nfirst: [{cell: gru, precision: int8}]\n",
            1,
            "a gru in int8",
        ),
        ("parameters: {}\n", 1, "name: is missing"),
        ("name: X Y\nparameters: {}\n", 1, "name: "),
        ("name: [\n", 2, "not YAML"),
        ("just words", 1, "expected the keys name and parameters"),
        ("", 1, "expected the keys name and parameters"),
    ],
)
def test_a_wrong_space_is_refused_with_its_line(text, line, says):
    with pytest.raises(SpaceError) as caught:
        SearchSpace.parse(text, "mine.yaml")
    assert f"mine.yaml:{line}: " in str(caught.value)
    assert says in str(caught.value)


@given(st.dictionaries(st.sampled_from(["cell", "hidden", "window", "features", "threads"]) | st.text(), JSON))
def test_no_yaml_whatsoever_gives_anything_but_a_space_error(parameters):
    text = yaml.safe_dump({"name": "x", "parameters": parameters})
    try:
        assert SearchSpace.parse(text).size >= 1
    except SpaceError as error:
        assert "space.yaml:" in str(error)


def test_all_findings_are_reported_at_once():
    with pytest.raises(SpaceError) as caught:
        SearchSpace.parse("name: x\nparameters:\n  hiden: [8]\n  cell: []\n")
    assert len(str(caught.value).splitlines()) == 2


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(NotFound, match="lstm_compact"):
        SearchSpace.load("lstm_kompact")


def test_an_absent_file_is_one_sentence(tmp_path):
    with pytest.raises(SpaceError, match="No such file"):
        SearchSpace.load(tmp_path / "absent.yaml")


def test_the_size_counts_what_can_be_drawn():
    text = (
        "name: x\nparameters:\n  cell: [lstm, gru]\n  precision: [fp32, int8]\n  hidden: {low: 8, high: 24, step: 8}\n"
    )
    assert SearchSpace.parse(text).size == 9  # int8 only for the lstm


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"cell": "rnn"}, "cell is 'rnn'"),
        ({"window": 1}, "at least 2"),
        ({"hidden": 0}, "at least 1"),
        ({"cell": "gru", "precision": "int8"}, "no int8 GRU"),
        ({"features": ["weather"]}, "weather"),
        ({"depth": 3}, "Unknown keys"),
    ],
)
def test_an_impossible_architecture_is_refused(values, says):
    with pytest.raises(RequestError, match=says):
        Architecture.from_dict(values)


def test_the_digest_is_of_what_it_is_and_not_of_the_order_of_words():
    one = Architecture(features=("calendar", "profile"))
    assert one.digest == Architecture(features=("profile", "calendar")).digest
    assert one.digest != Architecture(features=("calendar",)).digest
    assert Architecture(precision="int8", threads=2).network == Architecture().network
