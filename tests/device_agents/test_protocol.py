"""The wire protocol: what is refused, how lines are cut, and that PROTOCOL.md tells the truth."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_agents import protocol
from device_agents.agent import Agent

DOCUMENT = (Path(protocol.__file__).parent / "PROTOCOL.md").read_text()
SHA = "ab" * 32
BUDGET = {
    "min_launches": 1,
    "max_launches": 2,
    "min_samples": 11,
    "max_samples": 20,
    "launch_seconds": 0.01,
    "warmup_max_seconds": 0.1,
    "gate_max_seconds": 0,
    "energy_seconds": 0,
    "tail": True,
    "audit": False,
}
RUN = {
    "id": 1,
    "verb": "run",
    "model": SHA,
    "inputs": SHA,
    "runtime": "identity",
    "threads": 1,
    "deadline_s": 5,
    "limits": {"memory_mb": None},
}
MEASURE = {
    **RUN,
    "verb": "measure",
    "budget": BUDGET,
    "reference": None,
    "mode": {"kind": "single"},
    "beside_load": True,
    "job": "ab" * 16,
}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def agent(tmp_path_factory):
    agent = Agent(str(tmp_path_factory.mktemp("agent")))
    assert agent.answer(b'{"id": 1, "verb": "hello", "protocol": 2}')["ok"]
    yield agent
    agent.close()


def code_of(reply):
    assert reply["ok"] is False
    assert reply["error"]["blame"] == protocol.BLAMES[reply["error"]["code"]]
    return reply["error"]["code"]


def test_complete_requests_are_accepted():
    assert protocol.check(MEASURE) == "measure"
    assert protocol.check(RUN) == "run"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"verb": "fly"}, "unknown_verb"),
        ({"verb": ["measure"]}, "unknown_verb"),
        ({"id": "1"}, "bad_request"),
        ({"id": True}, "bad_request"),
        ({"model": "../../etc/passwd"}, "bad_request"),
        ({"model": SHA.upper()}, "bad_request"),
        ({"model": SHA + "\n"}, "bad_request"),
        ({"threads": 0}, "bad_request"),
        ({"threads": True}, "bad_request"),
        ({"threads": 1.0}, "bad_request"),
        ({"deadline_s": -1}, "bad_request"),
        ({"deadline_s": 10**9}, "bad_request"),
        ({"limits": {}}, "bad_request"),
        ({"limits": {"memory_mb": "1"}}, "bad_request"),
        ({"budget": {**BUDGET, "max_samples": 10**9}}, "bad_request"),
        ({"budget": None}, "bad_request"),
        ({"budget": {**BUDGET, "audit": 1}}, "bad_request"),
        ({"mode": {"kind": "flight"}}, "bad_request"),
        ({"mode": {"kind": "duty", "gap_s": 1}}, "bad_request"),
        ({"mode": {"kind": ["single"]}}, "bad_request"),
        ({"reference": {"model": SHA}}, "bad_request"),
        ({"beside_load": None}, "bad_request"),
        ({"job": "../../etc/passwd"}, "bad_request"),
        ({"path": "/etc/passwd"}, "bad_request"),
        ({"runtime": "os.system"}, "bad_request"),
    ],
)
def test_a_wrong_field_is_refused(agent, change, code):
    assert code_of(agent.answer(json.dumps({**MEASURE, **change}).encode())) == code


@pytest.mark.parametrize("field", sorted(set(MEASURE) - {"id", "verb"}))
def test_a_missing_field_is_named(agent, field):
    request = {name: value for name, value in MEASURE.items() if name != field}
    reply = agent.answer(json.dumps(request).encode())
    assert code_of(reply) == "bad_request"
    assert field in reply["error"]["message"]


@pytest.mark.parametrize(
    "line",
    [b"", b"{", b"[]", b"1", b'"text"', b"\xff\xfe", b'{"id": NaN}', b"[" * 60000, b'{"id":' + b"9" * 60000 + b"}"],
)
def test_a_line_that_is_no_json_object_is_refused(agent, line):
    assert code_of(agent.answer(line)) in ("bad_json", "bad_request")


def test_another_version_is_refused(agent):
    assert code_of(agent.answer(b'{"id": 1, "verb": "hello", "protocol": 1}')) == "wrong_version"


@pytest.mark.parametrize("request_", [RUN, MEASURE, {"id": 1, "verb": "probe"}, {"id": 1, "verb": "bye"}])
def test_nothing_is_done_before_hello(tmp_path, request_):
    agent = Agent(str(tmp_path))
    assert code_of(agent.answer(json.dumps(request_).encode())) == "hello_first"
    assert not agent.ended


@given(st.binary(max_size=400) | st.text(max_size=200).map(str.encode))
def test_any_bytes_get_an_error_and_the_agent_lives(agent, line):
    code_of(agent.answer(line))
    assert not agent.ended


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(MEASURE, json_values)), st.booleans())
def test_any_values_in_any_field_get_an_error_and_the_agent_lives(agent, changes, whole):
    reply = agent.answer(json.dumps({**MEASURE, **changes} if whole else changes).encode())
    code_of(reply)
    assert not agent.ended
    protocol.encode(reply)


@given(st.lists(st.binary(max_size=30).filter(lambda line: b"\n" not in line), max_size=8), st.data())
def test_lines_are_the_same_however_the_stream_is_cut(lines, data):
    stream = b"".join(line + b"\n" for line in lines)
    cutter, found = protocol.Lines(limit=20), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += cutter.feed(stream[:size])
        stream = stream[size:]
    assert found == [line if len(line) <= 20 else None for line in lines]


def test_a_long_line_takes_no_memory():
    cutter = protocol.Lines(limit=10)
    for _ in range(100):
        assert cutter.feed(b"x" * 1000) == []
    assert len(cutter._rest) <= 10
    assert cutter.feed(b"\nshort\n") == [None, b"short"]


def test_every_verb_is_documented_and_every_documented_verb_exists():
    assert set(re.findall(r"^### `(\w+)`$", DOCUMENT, re.MULTILINE)) == set(protocol.VERBS)


def test_every_error_code_is_documented_with_its_blame():
    rows = re.findall(r"^\| `(\w+)` \| (controller|device|candidate) \|", DOCUMENT, re.MULTILINE)
    assert dict(rows) == protocol.BLAMES


def test_every_error_code_is_raised_somewhere():
    sources = "".join(path.read_text() for path in Path(protocol.__file__).parent.rglob("*.py"))
    raised = set(re.findall(r'(?:Problem\(|"code": )\s*"(\w+)"', sources))
    assert raised == set(protocol.BLAMES)


def test_every_field_of_a_request_is_documented():
    for fields in (*protocol.VERBS.values(), protocol.BUDGET, protocol.LIMITS, *protocol.MODES.values()):
        for field in fields:
            assert f"`{field}`" in DOCUMENT or f'"{field}"' in DOCUMENT, field


def test_the_version_and_the_line_limit_are_documented():
    assert f"version {protocol.VERSION}\n" in DOCUMENT
    assert f"{protocol.MAX_LINE:,}" in DOCUMENT


def test_the_worked_exchange_is_what_the_agent_answers(tmp_path):
    agent = Agent(str(tmp_path))
    exchange = re.findall(r"^-> (.+)\n<- (.+)$", DOCUMENT, re.MULTILINE)
    assert len(exchange) == 3
    for request, expected in exchange:
        reply = agent.answer(request.encode())
        assert {**reply, "pid": 0} == {**json.loads(expected), "pid": 0}
    assert agent.ended
