"""Teachers over REST: what a search leaves open is filled in, and what does not go together is refused."""

import pytest

from nas.request import DataSpec, Training
from nas.store import WorkState, devices, jobs, leases

DATA = {"source": "synthetic", "series": 5}


def test_a_teacher_takes_data_devices_and_schedule_from_its_search(http, spring):
    answer = http.post("/api/v1/teachers", json={"search": spring["id"], "members": 3})
    found = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (202, f"/api/v1/teachers/{found['id']}")
    assert http.get(answer.headers["location"]).json() == found
    assert (found["kind"], found["state"], found["search"], found["result"]) == (
        "trained",
        "queued",
        spring["id"],
        None,
    )
    asked = found["request"]
    assert (asked["data"], asked["training"]) == (spring["request"]["data"], spring["request"]["training"])
    assert (asked["devices"], asked["wanted"], asked["members"]) == (["pi4"], ["wape", "latency_p50_ms"], 3)
    assert http.get("/api/v1/teachers").json() == [found]
    assert http.get("/api/v1/students").json() == []


def test_a_teacher_with_data_of_its_own_is_measured_only_where_that_is_asked_for(http, pi4):
    found = http.post("/api/v1/teachers", json={"data": DATA, "architecture": {"hidden": 9}}).json()
    assert found["search"] is None
    assert found["request"]["data"] == DataSpec(**DATA).model_dump(mode="json")
    assert found["request"]["training"] == Training().model_dump(mode="json")
    assert found["request"]["architecture"]["hidden"] == 9 and found["request"]["devices"] == []
    found = http.post("/api/v1/teachers", json={"data": DATA, "devices": ["pi4"]}).json()
    assert found["request"]["devices"] == ["pi4"]


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({}, 422, "name one of the two"),
        ({"search": 1, "data": DATA}, 422, "name one of the two"),
        ({"search": 99}, 404, "There is no search 99"),
        ({"search": 2**40}, 422, "search: "),
        ({"search": 1, "kind": "imported"}, 422, "needs a path"),
        ({"search": 1, "path": "/x.parquet"}, 422, "path goes with kind imported"),
        ({"search": 1, "kind": "imported", "path": "/x", "members": 2}, 422, "are of a trained teacher"),
        ({"search": 1, "trained_until": "2024-01-01"}, 422, "trained_until is of an imported teacher"),
        ({"search": 1, "architecture": {"hidden": 0}}, 422, "hidden is 0, expected at least 1"),
        ({"search": 1, "architecture": {"units": 5}}, 422, "Unknown keys"),
        ({"search": 1, "devices": ["pi9"]}, 422, "There is no device pi9"),
        ({"search": 1, "members": 0}, 422, "members: "),
    ],
)
def test_what_does_not_go_together_is_said_so(http, spring, body, status, says):
    answer = http.post("/api/v1/teachers", json=body)
    assert answer.status_code == status and says in answer.json()["detail"]
    assert http.get("/api/v1/teachers").json() == []


@pytest.fixture
def teach(http, db, completed):
    """A teacher of these data that has come this far."""

    def teach(data, state):
        id_ = http.post("/api/v1/teachers", json={"data": data}).json()["id"]
        job = leases.claim_next(db, leases.Observer(ttl=10))
        reason = "The loss is not finite." if state == WorkState.failed else None
        jobs.save(db, id_, token=job.token, state=state, reason=reason)
        return id_

    return teach


def test_a_student_names_its_teacher_and_how_much_it_is_heard(http, completed, teach):
    id_ = teach(completed.request["data"], WorkState.completed)
    body = {"search": completed.id, "trial": 0, "teacher": id_, "alpha": 0.7}
    found = http.post("/api/v1/students", json=body).json()
    assert found["teacher"] == id_
    assert http.post("/api/v1/students", json={"search": completed.id, "trial": 0}).json()["teacher"] is None


def test_only_a_finished_teacher_of_the_same_data_can_teach(http, completed, teach):
    def refusal(teacher):
        answer = http.post("/api/v1/students", json={"search": completed.id, "trial": 0, "teacher": teacher})
        return answer.status_code, answer.json()["detail"]

    assert refusal(99) == (404, "There is no teacher 99; `nas teacher list` shows those that exist.")
    failed, other = teach(completed.request["data"], WorkState.failed), teach(DATA, WorkState.completed)
    status, says = refusal(failed)
    assert status == 409 and says.startswith(f"Teacher {failed} is failed: The loss is not finite; it can teach once")
    status, says = refusal(other)
    assert status == 409 and says.startswith(f"Teacher {other} learned other data than search {completed.id}")


def test_a_teacher_is_no_student_and_a_student_no_teacher(http, completed, teach):
    teacher = teach(DATA, WorkState.completed)
    student = http.post("/api/v1/students", json={"search": completed.id, "trial": 0}).json()["id"]
    assert http.get(f"/api/v1/students/{teacher}").status_code == 404
    assert http.get(f"/api/v1/teachers/{student}").status_code == 404


def test_a_device_that_a_teacher_needs_cannot_be_removed(http, db):
    devices.create(db, name="here", transport="local")
    id_ = http.post("/api/v1/teachers", json={"data": DATA, "devices": ["here"]}).json()["id"]
    assert f"teacher {id_}" in http.delete("/api/v1/devices/here").json()["detail"]
