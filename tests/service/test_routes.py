import io
import zipfile

import pytest

from nas import __version__
from nas.space import SearchSpace, builtin_spaces
from nas.store import TrialStage, WorkState, devices, jobs, leases, searches

SPACE = {"name": "tiny", "parameters": {"hidden": [8, 16]}}
SSH = {"name": "pi5", "transport": "ssh", "host": "10.0.0.5", "user": "pi", "key": "~/.ssh/id", "host_key": "ssh-x AAA"}
GATE = {
    "host": "gate",
    "port": 2222,
    "user": "ops",
    "key": "~/.ssh/gate",
    "host_key": "ssh-x BBB",
    "certificate": "~/c",
}
FAR = SSH | {"jump": [GATE], "certificate": "~/.ssh/id-cert.pub", "use_agent": True}
POOLED = {"name": "here", "transport": "local", "pool": "pi4-pool", "measure_between": "22:00-05:00"}


def test_health_tells_version_and_database(http):
    answer = http.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "version": __version__, "database": "ok"})


def test_a_database_that_went_away_is_a_problem(http, db):
    with db.write() as connection:
        connection.exec_driver_sql("DROP TABLE nas_version")
    answer = http.get("/healthz")
    assert answer.status_code == 500
    assert answer.json()["type"] == "urn:nas:problem:controller-fault"


def test_a_search_is_queued_with_its_space_resolved_and_its_defaults_filled_in(http, pi4):
    answer = http.post("/api/v1/searches", json={"devices": ["pi4"], "trials": 3})
    found = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (201, f"/api/v1/searches/{found['id']}")
    assert http.get(answer.headers["location"]).json() == found
    assert (found["state"], found["wants"], found["reason"], found["started_at"]) == ("queued", None, None, None)
    assert found["space"] == SearchSpace.load("lstm_compact").to_dict()
    assert (found["request"]["sampler"], found["request"]["data"]["horizon"]) == ("tpe", None)
    assert found["progress"] == {
        "asked": 3,
        "finished": 0,
        "stages": dict.fromkeys(TrialStage, 0),
        "best": {},
        "elapsed_seconds": None,
        "eta_seconds": None,
        "seconds_per_stage": {},
    }


def test_a_space_may_be_sent_inline(http, pi4):
    found = http.post("/api/v1/searches", json={"space": SPACE, "devices": ["pi4"]}).json()
    assert found["space"] == SearchSpace.from_mapping(SPACE).to_dict()


def test_limits_by_device_are_shown_by_name(http, pi4, db):
    devices.create(db, name="jetson", transport="local")
    limits = {"latency_p95_ms": {"pi4": 5, "jetson": 2}, "size_kb": 60}
    found = http.post("/api/v1/searches", json={"devices": ["pi4", "jetson"], "constraints": limits})
    assert found.status_code == 201
    named = {"latency_p95_ms@pi4": 5, "latency_p95_ms@jetson": 2, "size_kb": 60}
    assert found.json()["request"]["constraints"] == named


def test_a_pool_stands_for_its_members(http, db):
    for name in ("till-1", "till-2"):
        devices.create(db, name=name, transport="local", pool="till")
    found = http.post("/api/v1/searches", json={"devices": ["till"], "objectives": ["wape", "latency_p50_ms"]})
    assert (found.status_code, found.json()["request"]["devices"]) == (201, ["till"])


@pytest.mark.parametrize("named", ["pi4", "kitchen"])
def test_what_a_known_device_cannot_measure_is_refused_by_name(http, db, named):
    devices.create(db, name="pi4", transport="local", pool="kitchen")
    body = {"devices": [named], "objectives": ["wape", "energy_mj"]}
    assert http.post("/api/v1/searches", json=body).status_code == 201  # nobody knows it yet
    facts = {"runtimes": {"onnxruntime": "1.32"}, "sensors": {"energy": None}}
    devices.save(db, "pi4", facts=facts)
    answer = http.post("/api/v1/searches", json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("energy_mj cannot be an objective: pi4 has no energy sensor")
    space = {"name": "tiny", "parameters": {"runtime": ["openvino"]}}
    answer = http.post("/api/v1/searches", json={"devices": [named], "space": space})
    assert answer.status_code == 422
    assert "`nas devices install pi4 --runtime openvino`" in answer.json()["detail"]


def test_a_space_is_never_read_from_a_path(http, pi4, tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text("name: tiny\nparameters: {}\n")
    answer = http.post("/api/v1/searches", json={"space": str(path), "devices": ["pi4"]})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(f"There is no search space '{path}'; expected one of ")
    assert http.get("/api/v1/searches").json() == []


def test_progress_tells_stages_best_and_time(http, worked_on):
    progress = http.get(f"/api/v1/searches/{worked_on.id}").json()["progress"]
    stages = {"scored": 1, "turned_away": 1, "measured": 1, "failed": 1, "proposed": 0, "trained": 0}
    assert (progress["asked"], progress["finished"], progress["stages"]) == (4, 3, stages)
    assert progress["best"] == {
        "wape": {"trial": 0, "value": 0.25},
        "latency_p50_ms": {"trial": 0, "value": 1.5},
    }
    assert progress["seconds_per_stage"] == {"train": 12.0, "measure": 3.0, "wall": 9.0}
    assert progress["eta_seconds"] == pytest.approx(9.0 / 3)  # one trial is left


def test_time_stands_still_once_a_search_has_ended(http, completed):
    found = http.get(f"/api/v1/searches/{completed.id}").json()
    elapsed = (completed.finished_at - completed.started_at).total_seconds()
    assert found["progress"]["elapsed_seconds"] == elapsed
    assert found["progress"]["eta_seconds"] is None


def test_searches_are_listed_newest_first_and_paged(http, pi4):
    for name in "abc":
        http.post("/api/v1/searches", json={"name": name, "devices": ["pi4"], "trials": 7})
    found = http.get("/api/v1/searches").json()
    assert [search["name"] for search in found] == ["c", "b", "a"]
    assert (found[0]["asked"], found[0]["finished"]) == (7, 0)
    assert [search["name"] for search in http.get("/api/v1/searches?limit=1&offset=1").json()] == ["b"]


def test_a_queued_search_stops_resumes_and_is_cancelled_at_once(http, spring):
    path = f"/api/v1/searches/{spring['id']}"
    for verb, state in (("stop", "paused"), ("resume", "queued"), ("cancel", "cancelled")):
        answer = http.post(f"{path}/{verb}")
        assert (answer.status_code, answer.json()["state"]) == (200, state)
        assert http.get(path).json() == answer.json()


def test_a_running_search_is_asked_and_goes_on_until_its_controller_obeys(http, db, held):
    path = f"/api/v1/searches/{held.id}"
    for verb, wants in (("stop", "pause"), ("resume", None), ("stop", "pause"), ("cancel", "cancel")):
        found = http.post(f"{path}/{verb}").json()
        assert (found["state"], found["wants"]) == ("running", wants)
    assert http.post(f"{path}/stop").status_code == 409
    searches.save(db, held.id, token=held.token, state=WorkState.cancelled, reason="Cancelled by its user.")
    found = http.get(path).json()
    assert (found["state"], found["wants"], found["reason"]) == ("cancelled", None, "Cancelled by its user.")


def test_the_front_is_empty_at_first_and_then_as_stored(http, db, held):
    path = f"/api/v1/searches/{held.id}/front"
    empty = {"objectives": ["wape", "latency_p50_ms"], "points": []}
    unknown = {"hypervolume": None, "reference": None, "recommended": None}
    assert http.get(path).json() == empty | unknown
    point = {"number": 2, "architecture": {"hidden": 8}, "values": {"wape": float("inf"), "size_kb": 9.0}}
    known = {"hypervolume": 0.5, "reference": [1.0, 2.0], "recommended": 2}
    searches.save(db, held.id, token=held.token, front=empty | known | {"points": [point]})
    stored = point | {"values": {"wape": None, "size_kb": 9.0}}
    assert http.get(path).json() == empty | known | {"points": [stored]}


def test_trials_are_listed_filtered_and_shown(http, worked_on):
    path = f"/api/v1/searches/{worked_on.id}/trials"
    found = http.get(path).json()
    assert [trial["number"] for trial in found] == [0, 1, 2, 3]
    assert http.get(f"{path}?limit=2&offset=1").json() == found[1:3]
    assert http.get(f"{path}?stage=turned_away").json() == found[1:2]
    assert http.get(f"{path}/1").json() == found[1]
    assert (found[1]["values"], found[1]["feasible"]) == ({"wape": None, "latency_p50_ms": 0.5}, False)


@pytest.mark.parametrize(
    "body", [{"name": "here", "transport": "local"}, SSH, FAR, POOLED], ids=["local", "ssh", "behind a jump", "pooled"]
)
def test_a_device_is_enrolled_offline_shown_and_removed(http, body):
    answer = http.post("/api/v1/devices", json=body)
    path = f"/api/v1/devices/{body['name']}"
    assert (answer.status_code, answer.headers["location"]) == (201, path)
    assert answer.json().items() >= (body | {"state": "offline", "python": "python3"}).items()
    assert http.get(path).json() == answer.json()
    assert http.get("/api/v1/devices").json() == [answer.json()]
    again = http.post("/api/v1/devices", json=body)
    assert (again.status_code, again.json()["type"]) == (409, "urn:nas:problem:conflict")
    assert http.delete(path).status_code == 204
    assert http.get("/api/v1/devices").json() == []


def test_a_device_that_was_set_up_anew_keeps_its_name_and_its_searches(http, spring):
    body = {"name": "pi4", "transport": "ssh", "host": "h", "user": "u", "key": "k", "host_key": "ssh-ed25519 AAAA"}
    answer = http.put("/api/v1/devices/pi4", json=body)
    assert answer.status_code == 200
    assert answer.json().items() >= (body | {"state": "offline", "facts": None}).items()
    assert http.get(f"/api/v1/searches/{spring['id']}").status_code == 200
    assert http.put("/api/v1/devices/pi5", json=body).status_code == 422
    assert http.put("/api/v1/devices/pi5", json=body | {"name": "pi5"}).status_code == 404


def test_devices_and_pools_share_one_set_of_names(http, pi4):
    here = {"name": "here", "transport": "local"}

    def said(answer):
        assert answer.status_code == 409
        return answer.json()["detail"]

    assert "There is a device pi4" in said(http.post("/api/v1/devices", json=here | {"pool": "pi4"}))
    assert "There is a device here" in said(http.post("/api/v1/devices", json=here | {"pool": "here"}))
    assert http.post("/api/v1/devices", json=here | {"pool": "shops"}).status_code == 201
    assert "There is a pool shops" in said(http.post("/api/v1/devices", json=here | {"name": "shops"}))
    assert "There is a device pi4" in said(http.put("/api/v1/devices/here", json=here | {"pool": "pi4"}))
    assert http.get("/api/v1/devices/here").json()["pool"] == "shops"
    assert http.put("/api/v1/devices/here", json=here).json()["pool"] == ""
    assert http.post("/api/v1/devices", json=here | {"name": "shops"}).status_code == 201


def test_a_device_in_use_stays(http, spring):
    answer = http.delete("/api/v1/devices/pi4")
    assert answer.status_code == 409
    assert answer.json()["detail"].startswith(f"Device pi4 is used by search {spring['id']};")
    http.post(f"/api/v1/searches/{spring['id']}/cancel")
    assert http.delete("/api/v1/devices/pi4").status_code == 204


def test_the_built_in_spaces_are_listed_and_shown(http):
    found = http.get("/api/v1/search-spaces").json()
    assert [space["name"] for space in found] == list(builtin_spaces())
    for summary in found:
        shown = http.get(f"/api/v1/search-spaces/{summary['name']}").json()
        space = SearchSpace.load(summary["name"])
        assert shown == summary | {"space": space.to_dict()}
        assert (shown["size"], shown["description"]) == (space.size, space.description)


@pytest.mark.parametrize("trial", [0, None])
def test_a_student_is_queued_and_its_package_fetched_once_completed(http, db, completed, trial):
    answer = http.post("/api/v1/students", json={"search": completed.id, "trial": trial})
    found = answer.json()
    path = f"/api/v1/students/{found['id']}"
    assert (answer.status_code, answer.headers["location"]) == (202, path)
    assert (found["state"], found["search"], found["trial"], found["devices"]) == ("queued", completed.id, 0, ["pi4"])
    early = http.get(f"{path}/package")
    assert (early.status_code, early.json()["detail"]) == (
        409,
        f"Student {found['id']} is queued and has no package; it exists once completed.",
    )
    job = leases.claim_next(db, leases.Observer(ttl=10))
    sha = db.blobs.put(b"PK zip")
    jobs.save(db, job.id, token=job.token, state=WorkState.completed, package=sha, result={"equal": True})
    done = http.get(path).json()
    assert (done["state"], done["package"], done["result"]) == ("completed", sha, {"equal": True})
    assert http.get("/api/v1/students").json() == [done]
    package = http.get(f"{path}/package")
    assert (package.content, package.headers["content-type"]) == (b"PK zip", "application/zip")
    assert package.headers["content-disposition"] == f'attachment; filename="student-{completed.id}-0.zip"'


def test_a_students_report_is_read_from_its_package(http, db, completed):
    student = http.post("/api/v1/students", json={"search": completed.id, "trial": 0}).json()["id"]
    path = f"/api/v1/students/{student}/report"
    assert http.get(path).json()["detail"].startswith(f"Student {student} is queued and has no package")
    job = leases.claim_next(db, leases.Observer(ttl=10))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(f"student-{student}/report.html", "<p>WAPE")
        archive.writestr(f"student-{student}/report.json", '{"test": 1}')
    sha = db.blobs.put(packed.getvalue())
    jobs.save(db, job.id, token=job.token, state=WorkState.completed, package=sha, result={})
    page = http.get(path)
    assert (page.text, page.headers["content-type"]) == ("<p>WAPE", "text/html; charset=utf-8")
    assert http.get(path, params={"form": "json"}).json() == {"test": 1}
    assert http.get(path, params={"form": "pdf"}).status_code == 422


def test_a_student_of_an_earlier_version_has_no_report(http, db, completed):
    student = http.post("/api/v1/students", json={"search": completed.id, "trial": 0}).json()["id"]
    job = leases.claim_next(db, leases.Observer(ttl=10))
    packed = io.BytesIO()
    zipfile.ZipFile(packed, "w").close()
    sha = db.blobs.put(packed.getvalue())
    jobs.save(db, job.id, token=job.token, state=WorkState.completed, package=sha, result={})
    answer = http.get(f"/api/v1/students/{student}/report")
    assert answer.status_code == 409 and "export its trial again" in answer.json()["detail"]


def test_the_recommended_trial_becomes_the_student(http, db, worked_on):
    recommended = worked_on.front | {"recommended": 1}
    searches.save(db, worked_on.id, token=worked_on.token, front=recommended)
    answer = http.post("/api/v1/students", json={"search": worked_on.id})
    assert answer.json()["detail"].startswith(f"Trial 1 of search {worked_on.id} is turned_away;")


def test_a_failed_student_tells_why_there_is_no_package(http, db, completed):
    student = http.post("/api/v1/students", json={"search": completed.id, "trial": 0}).json()["id"]
    job = leases.claim_next(db, leases.Observer(ttl=10))
    jobs.save(db, job.id, token=job.token, state=WorkState.failed, reason="The outputs differ.")
    assert http.get(f"/api/v1/students/{student}/package").json()["detail"] == (
        f"Student {student} is failed and has no package: The outputs differ; it exists once completed."
    )


def test_the_documentation_is_there(http):
    assert http.get("/docs").headers["content-type"].startswith("text/html")


def test_a_device_is_drained_and_undrained(http, db):
    devices.create(db, name="pi4", transport="local")
    drained = http.post("/api/v1/devices/pi4/drain")
    assert (drained.status_code, drained.json()["state"]) == (200, "draining")
    assert "nas devices undrain pi4" in drained.json()["reason"]
    again = http.post("/api/v1/devices/pi4/undrain")
    assert (again.json()["state"], again.json()["reason"]) == ("offline", None)
    assert http.post("/api/v1/devices/pi4/undrain").status_code == 409
    assert http.post("/api/v1/devices/pi5/drain").status_code == 404
