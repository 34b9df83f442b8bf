import json

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from nas import errors
from nas.service import problems
from nas.service.local_only import is_loopback
from nas.store import searches

POSTS = [f"/api/v1/{name}" for name in ("searches", "devices", "students", "teachers", "datasets")]
HUGE = 10**30
HOP = {"host": "gate", "user": "ops", "key": "k", "host_key": "ssh-x AAA"}
SSH = {"name": "pi5", "transport": "ssh", "host": "10.0.0.5", "user": "pi", "key": "~/.ssh/id", "host_key": "ssh-x AAA"}


def problem(answer, status):
    """Check that the answer is a problem in our one shape, and return it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found = answer.json()
    assert set(found) == {"type", "title", "status", "detail", "instance", "errors"}
    assert found["type"].startswith("urn:nas:problem:")
    assert found["status"] == status
    assert found["detail"].endswith(".")
    assert "Traceback" not in answer.text
    assert all(set(finding) == {"field", "message"} for finding in found["errors"])
    return found


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/api/v1/nothing", 404),
        ("PUT", "/api/v1/searches", 405),
        ("DELETE", "/api/v1/search-spaces/lstm_compact", 405),
        ("GET", "/api/v1/searches/99", 404),
        ("GET", "/api/v1/searches/99/front", 404),
        ("GET", "/api/v1/searches/99/trials", 404),
        ("GET", "/api/v1/searches/99/trials/0", 404),
        ("GET", "/api/v1/searches/1/trials/99", 404),
        ("POST", "/api/v1/searches/99/stop", 404),
        ("POST", "/api/v1/searches/99/resume", 404),
        ("POST", "/api/v1/searches/99/cancel", 404),
        ("POST", "/api/v1/searches/1/resume", 409),
        ("GET", "/api/v1/searches/0", 422),
        ("GET", "/api/v1/searches/abc", 422),
        ("GET", f"/api/v1/searches/{HUGE}", 422),
        ("GET", "/api/v1/searches/0/front", 422),
        ("GET", f"/api/v1/searches/{HUGE}/trials", 422),
        ("GET", "/api/v1/searches/1/trials/-1", 422),
        ("GET", f"/api/v1/searches/1/trials/{HUGE}", 422),
        ("GET", "/api/v1/searches/1/trials?stage=half", 422),
        ("GET", "/api/v1/searches/1/trials?limit=0", 422),
        ("POST", "/api/v1/searches/x/stop", 422),
        ("POST", "/api/v1/searches/0/resume", 422),
        ("POST", f"/api/v1/searches/{HUGE}/cancel", 422),
        ("GET", "/api/v1/searches?limit=0", 422),
        ("GET", "/api/v1/searches?limit=501", 422),
        ("GET", f"/api/v1/searches?offset={HUGE}", 422),
        ("GET", "/api/v1/devices/nobody", 404),
        ("GET", "/api/v1/devices/%00%27%3B%2e%2e", 404),
        ("DELETE", "/api/v1/devices/nobody", 404),
        ("DELETE", "/api/v1/devices/pi4", 409),
        ("GET", "/api/v1/search-spaces/nowhere", 404),
        ("GET", "/api/v1/search-spaces/..%2f..%2fetc%2fpasswd", 404),
        ("GET", "/api/v1/students/99", 404),
        ("GET", "/api/v1/students/99/package", 404),
        ("GET", "/api/v1/students/x", 422),
        ("GET", "/api/v1/students/0/package", 422),
        ("GET", "/api/v1/students?limit=x", 422),
        ("POST", "/healthz", 405),
    ],
)
def test_a_wrong_path_or_parameter_is_refused(http, spring, method, path, status):
    found = problem(http.request(method, path), status)
    kind = {404: "not-found", 405: "method-not-allowed", 409: "conflict", 422: "request-error"}[status]
    assert found["type"] == f"urn:nas:problem:{kind}"
    assert (status == 422) == bool(found["errors"])


def test_a_wrong_method_tells_the_right_one(http):
    answer = http.put("/healthz")
    assert answer.headers["allow"] == "GET"
    assert answer.json()["detail"] == "PUT is not possible at /healthz; use GET."


@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        ("/api/v1/searches", {}, "devices: it is missing; add it"),
        ("/api/v1/searches", {"devices": []}, "devices: "),
        ("/api/v1/searches", {"devices": ["pi5"]}, "There is no device pi5; enrol it with `nas devices add pi5`"),
        ("/api/v1/searches", {"devices": ["pi5"]}, ", or use one of: pi4."),
        ("/api/v1/searches", {"devices": ["pi4", "pi4"]}, "devices: the same device stands here twice; remove one"),
        ("/api/v1/searches", {"devices": ["../x"]}, "devices.0: "),
        ("/api/v1/searches", {"devices": ["pi4"], "trails": 3}, "trails: it is not known here; correct or remove it"),
        (
            "/api/v1/searches",
            {"devices": ["pi4"], "trials": 0},
            "trials: it should be greater than or equal to 1, found 0",
        ),
        ("/api/v1/searches", {"devices": ["pi4"], "trials": "many"}, "trials: it should be a valid integer"),
        ("/api/v1/searches", {"devices": ["pi4"], "trials": HUGE}, "trials: "),
        ("/api/v1/searches", {"devices": ["pi4"], "seed": -1}, "seed: "),
        ("/api/v1/searches", {"devices": ["pi4"], "space": "nowhere"}, "There is no search space 'nowhere'; expected"),
        ("/api/v1/searches", {"devices": ["pi4"], "space": "/etc/passwd"}, "There is no search space '/etc/passwd'"),
        (
            "/api/v1/searches",
            {"devices": ["pi4"], "space": {"name": "tiny", "parameters": {"hiden": [8]}}},
            "hiden: it is not known",
        ),
        (
            "/api/v1/searches",
            {"devices": ["pi4"], "objectives": ["speed"]},
            "objectives: 'speed' is no metric; expected one of wape",
        ),
        (
            "/api/v1/searches",
            {"devices": ["pi4"], "objectives": ["size_kb@pi5"]},
            "size_kb@pi5 is of pi5, which is not",
        ),
        ("/api/v1/searches", {"devices": ["pi4"], "constraints": {"wape": 0}}, "constraints.wape: "),
        (
            "/api/v1/searches",
            {"devices": ["pi4"], "constraints": {"speed": 1}},
            "constraints: 'speed' is no metric; expected one of wape",
        ),
        ("/api/v1/searches", {"devices": ["pi4"], "constraints": {"size_kb": {"pi5": 1}}}, "size_kb@pi5 is of pi5"),
        ("/api/v1/searches", {"devices": ["pi4"], "constraints": {"wape": "low"}}, "constraints.wape: "),
        ("/api/v1/searches", {"devices": ["pi4"], "name": ""}, "name: "),
        ("/api/v1/searches", {"devices": ["pi4"], "data": {"source": "table"}}, "and these need a path"),
        ("/api/v1/searches", [], "body: "),
        ("/api/v1/searches", None, "body: "),
        ("/api/v1/devices", {"name": "here"}, "transport"),
        ("/api/v1/devices", {"name": "here", "transport": "pigeon"}, "'local', 'ssh'"),
        ("/api/v1/devices", {"name": "Pi 5", "transport": "local"}, "name: "),
        ("/api/v1/devices", {"name": "-rf", "transport": "local"}, "name: "),
        ("/api/v1/devices", {"name": "here", "transport": "local", "host": "x"}, "host: it is not known"),
        ("/api/v1/devices", SSH | {"host_key": ""}, "run `nas devices add pi5 --host 10.0.0.5 --user pi`"),
        ("/api/v1/devices", SSH | {"host_key": "nonsense"}, "host_key should be a line"),
        ("/api/v1/devices", SSH | {"host_key": "ssh-x A\nB"}, "host_key should be a line"),
        ("/api/v1/devices", SSH | {"host": "-oProxyCommand=x"}, "host: "),
        ("/api/v1/devices", SSH | {"user": "pi\x00"}, "user: "),
        ("/api/v1/devices", SSH | {"port": 70_000}, "port: "),
        ("/api/v1/devices", SSH | {"key": ""}, "key: "),
        ("/api/v1/devices", SSH | {"user": "u" * 101}, "user: "),
        ("/api/v1/devices", SSH | {"pool": "Pi 4"}, "pool: "),
        ("/api/v1/devices", SSH | {"measure_between": "22-5"}, "measure_between: "),
        ("/api/v1/devices", SSH | {"measure_between": "24:00-05:00"}, "measure_between: "),
        ("/api/v1/devices", SSH | {"measure_between": "05:00-05:00"}, "two different times"),
        ("/api/v1/devices", SSH | {"certificate": "-x"}, "certificate: "),
        ("/api/v1/devices", SSH | {"jump": [{"host": "gate", "user": "ops", "key": "k"}]}, "host_key: it is missing"),
        ("/api/v1/devices", SSH | {"jump": [HOP | {"host_key": "x"}]}, "host_key should be a line"),
        ("/api/v1/devices", SSH | {"jump": [HOP | {"key": ""}]}, "key: it is missing"),
        ("/api/v1/devices", SSH | {"jump": [HOP | {"port": 0}]}, "port: "),
        ("/api/v1/devices", SSH | {"jump": [HOP] * 9}, "jump: "),
        ("/api/v1/students", {}, "search: it is missing"),
        ("/api/v1/students", {"search": "spring"}, "search: "),
        ("/api/v1/students", {"search": 1, "trial": -1}, "trial: "),
        ("/api/v1/students", {"search": 1, "trial": 0, "device": "pi5"}, "There is no device pi5"),
    ],
)
def test_a_wrong_body_is_refused_naming_the_field(http, worked_on, path, body, sentence):
    found = problem(http.post(path, json=body), 422)
    assert found["type"] == "urn:nas:problem:request-error"
    assert sentence in found["detail"]
    assert found["instance"] == path


def test_every_finding_is_told(http, pi4):
    found = problem(http.post("/api/v1/searches", json={"devices": ["pi4"], "trials": 0, "seed": -1}), 422)
    assert [finding["field"] for finding in found["errors"]] == ["trials", "seed"]
    assert found["detail"].count("; ") == 1


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    "content", ["{", "-", "{'a': 1}", '{"a": 1}}', b"\xff\xfe", b'{"a": "\xff"}', "[" * 100_000, "9" * 5000]
)
def test_a_body_that_is_no_json_is_refused(http, path, content):
    found = problem(http.post(path, content=content, headers={"content-type": "application/json"}), 400)
    assert found["type"] == "urn:nas:problem:malformed-json"


def test_a_body_that_does_not_say_that_it_is_json_is_refused_with_the_remedy(http, pi4):
    """A form on a foreign page can only send bodies like this one."""
    answer = http.post("/api/v1/searches", content='{"devices": ["pi4"]}', headers={"content-type": "text/plain"})
    assert "Content-Type: application/json" in problem(answer, 422)["detail"]


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        ({"search": 99}, 404, "There is no search 99"),
        ({"search": 1, "trial": 99}, 404, "There is no trial 99 in search 1"),
        ({"search": 1, "trial": 1}, 409, "Trial 1 of search 1 is turned_away; only a scored trial can be exported"),
        ({"search": HUGE}, 422, "search: "),
        ({"search": 1, "trial": HUGE}, 422, "trial: "),
    ],
)
def test_a_student_needs_a_scored_trial(http, worked_on, body, status, sentence):
    assert problem(http.post("/api/v1/students", json=body), status)["detail"].startswith(sentence)


def test_a_student_of_a_search_without_a_front_has_to_wait(http, spring):
    found = problem(http.post("/api/v1/students", json={"search": spring["id"]}), 409)
    assert found["detail"].startswith(f"Search {spring['id']} is queued and has no front yet; wait for its first")


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "evil.example:8765"},
        {"host": "127.0.0.1.evil.example"},
        {"host": "192.168.1.5"},
        {"host": "127.0.0.1@evil.example"},
        {"host": ""},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost.evil.example"},
    ],
)
@pytest.mark.parametrize(("method", "path"), [("GET", "/healthz"), ("POST", "/api/v1/searches"), ("GET", "/nothing")])
def test_a_foreign_name_or_page_is_refused(http, headers, method, path):
    found = problem(http.request(method, path, headers=headers), 403)
    assert found["type"] == "urn:nas:problem:forbidden"
    assert found["detail"].startswith("This service answers local requests only")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8765", "[::1]:8765", "127.8.8.8"])
def test_every_name_of_this_computer_is_answered(http, host):
    assert http.get("/healthz", headers={"host": host, "origin": f"http://{host}"}).status_code == 200


def test_loopback_is_told_from_everything_else():
    assert all(map(is_loopback, ["//127.0.0.1", "//localhost", "//[::1]", "//LOCALHOST:80", "http://127.0.0.2:9/x"]))
    assert not any(map(is_loopback, ["", "//", "//0.0.0.0", "//[::]", "//[", "//10.0.0.1", "localhost", "null"]))


def test_what_nobody_expected_is_a_500_without_its_insides(http, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr(searches, "page", broken)
    found = problem(http.get("/api/v1/searches"), 500)
    assert found["type"] == "urn:nas:problem:unexpected"
    assert "secret" not in str(found)


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (errors.SpaceError("Wrong."), 422, "space-error"),
        (errors.DataError("Wrong.", ["row 3: no date", "row 4: no date"]), 422, "data-error"),
        (errors.NotFound("Wrong."), 404, "not-found"),
        (errors.Conflict("Wrong."), 409, "conflict"),
        (errors.MissingExtra("Wrong."), 501, "missing-extra"),
        (errors.DeviceUnreachable("Wrong."), 502, "device-unreachable"),
        (errors.HostKeyChanged("Wrong."), 502, "host-key-changed"),
        (errors.CandidateFault("Wrong."), 500, "candidate-fault"),
        (errors.BlobLost("Wrong."), 500, "blob-lost"),
    ],
)
def test_each_of_our_errors_has_its_status_and_type(http, monkeypatch, error, status, kind):
    def broken(*_, **__):
        raise error

    monkeypatch.setattr(searches, "page", broken)
    found = problem(http.get("/api/v1/searches"), status)
    assert (found["type"], found["detail"]) == (f"urn:nas:problem:{kind}", "Wrong.")
    assert [finding["message"] for finding in found["errors"]] == list(getattr(error, "problems", ()))


def test_every_error_has_a_status():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.NasError)]
    assert all(issubclass(kind, tuple(problems._STATUS)) for kind in kinds if kind is not errors.NasError)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3) | st.just(["pi4"])
    ),
    max_leaves=6,
)
FIELDS = ("name", "space", "data", "devices", "objectives", "constraints", "trials", "seed", "training")
FIELDS += ("transport", "host", "port", "user", "key", "host_key", "python", "search", "trial", "device")
FIELDS += ("pool", "measure_between", "jump", "certificate", "use_agent")
FIELDS += ("path", "description")
BODIES = JSON | st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=8)


@hypothesis_settings(
    max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(path=st.sampled_from(POSTS), body=BODIES)
def test_no_body_whatever_breaks_the_service(http, worked_on, path, body):
    content = json.dumps(body)  # with NaN and Infinity, which are no JSON and may be sent all the same
    answer = http.post(path, content=content, headers={"content-type": "application/json"})
    if answer.is_error:
        problem(answer, answer.status_code)
    assert answer.status_code in {201, 202, 400, 404, 409, 422}
