import hashlib
import json

import pytest
from test_problems import problem

from nas.service.routes.datasets import DESCRIBED
from nas.store import WorkState, datasets, jobs, leases

URL = "/api/v1/datasets"
CONTENT = b"unique_id,ds,y,promo\na,2024-01-01,1,0\n"
CSV = {"content-type": "text/csv"}
SPACE = {"name": "tiny", "parameters": {"hidden": [8, 16]}}
SAID = {"columns": {"unique_id": ["store", "item"], "ds": "day", "y": "sold"}, "futr": ["promo"], "fill": "zero"}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "sales.csv"
    path.write_bytes(CONTENT)
    return path


def upload(http, content=CONTENT, kind="text/csv", **query):
    return http.post(URL, content=content, headers={"content-type": kind}, params=query)


def looked_at(db, **changes):
    held = leases.claim_next(db, leases.Observer(ttl=1000))
    jobs.save(db, held.id, token=held.token, **changes)


def test_an_uploaded_table_is_stored_and_queued_for_a_look(http, db):
    answer = upload(http, name="sales.csv", description=json.dumps(SAID))
    found = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (201, f"{URL}/1")
    assert http.get(f"{URL}/1").json() == found
    assert (found["name"], found["format"], found["size"], found["path"]) == ("sales.csv", "csv", len(CONTENT), None)
    assert found["digest"] == hashlib.sha256(CONTENT).hexdigest()
    assert found["description"] == SAID
    assert (found["state"], found["reason"], found["profile"]) == ("queued", None, None)
    assert db.blobs.get(found["digest"]) == CONTENT


def test_a_large_table_comes_in_pieces(http, db):
    pieces = [bytes([n]) * 700_000 for n in range(5)]
    found = http.post(URL, content=iter(pieces), headers={"content-type": "application/vnd.apache.parquet"}).json()
    assert (found["size"], found["format"], found["name"]) == (3_500_000, "parquet", "upload.parquet")
    assert db.blobs.get(found["digest"]) == b"".join(pieces)


def test_a_table_on_this_computer_stays_where_it_is(http, db, file):
    found = http.post(URL, json={"path": str(file), "description": {"stat": ["region"]}}).json()
    assert (found["name"], found["path"], found["size"]) == ("sales.csv", str(file), len(CONTENT))
    assert found["digest"] == hashlib.sha256(CONTENT).hexdigest()
    assert not db.blobs.folder.exists()
    assert http.delete(f"{URL}/1").status_code == 204
    assert file.exists()


def test_the_profile_is_shown_once_it_is_made(http, db):
    upload(http)
    looked_at(db, state=WorkState.completed, result={"series": 1, "problems": ["row 2, column y: …"]})
    found = http.get(f"{URL}/1").json()
    assert (found["state"], found["profile"]["problems"]) == ("completed", ["row 2, column y: …"])
    (listed,) = http.get(URL).json()
    assert listed == {key: value for key, value in found.items() if key not in ("profile", "description")}


def test_data_sets_are_listed_newest_first_and_paged(http):
    for name in ("a", "b", "c"):
        upload(http, name=name)
    assert [found["name"] for found in http.get(URL).json()] == ["c", "b", "a"]
    assert [found["name"] for found in http.get(URL, params={"limit": 1, "offset": 1}).json()] == ["b"]


def search(http, **data):
    body = {"devices": ["pi4"], "space": SPACE, "data": {"source": "dataset", **data}}
    return http.post("/api/v1/searches", json=body)


def test_what_was_said_of_a_data_set_holds_unless_the_search_says_otherwise(http, pi4):
    upload(http, description=json.dumps({"futr": ["promo"], "stat": ["region"], "fill": "zero"}))
    data = search(http, dataset=1, stat=[], fill="previous", horizon=7).json()["request"]["data"]
    assert (data["futr"], data["stat"], data["fill"], data["horizon"]) == (["promo"], [], "previous", 7)
    assert (data["source"], data["dataset"]) == ("dataset", 1)


def test_a_search_on_no_or_a_broken_data_set_is_refused(http, pi4, db):
    assert "There is no data set 7" in problem(search(http, dataset=7), 422)["detail"]
    upload(http)
    looked_at(db, state=WorkState.failed, reason="sales.csv is not UTF-8.")
    assert "(upload.csv) cannot be used: sales.csv is not UTF-8." in problem(search(http, dataset=1), 422)["detail"]


def test_what_does_not_fit_together_with_the_description_is_refused(http, pi4):
    upload(http, description='{"futr": ["promo"]}')
    assert "named once" in problem(search(http, dataset=1, hist=["promo"]), 422)["detail"]


def test_a_data_set_in_use_stays(http, pi4):
    upload(http)
    id_ = search(http, dataset=1).json()["id"]
    assert f"used by search {id_}" in problem(http.delete(f"{URL}/1"), 409)["detail"]
    http.post(f"/api/v1/searches/{id_}/cancel")
    assert http.delete(f"{URL}/1").status_code == 204
    assert problem(http.get(f"{URL}/1"), 404)["detail"].startswith("There is no data set 1")


def test_a_look_is_no_student(http):
    upload(http)
    assert http.get("/api/v1/students").json() == []
    assert problem(http.get("/api/v1/students/1"), 404)["detail"].startswith("There is no student 1")


@pytest.fixture
def two_megabytes(app):
    usual, app.state.upload_bytes = app.state.upload_bytes, 2_000_000
    yield
    app.state.upload_bytes = usual


@pytest.mark.usefixtures("two_megabytes")
@pytest.mark.parametrize("declared", [True, False])
def test_a_table_that_is_too_large_is_refused_and_leaves_nothing(http, db, declared):
    content = b"x" * 2_000_001
    answer = upload(http, content if declared else iter([content[:1_500_000], content[1_500_000:]]))
    assert "larger than 2 MB; raise NAS_UPLOAD_MB" in problem(answer, 413)["detail"]
    assert not db.blobs.folder.exists() or not list(db.blobs.folder.iterdir())
    assert datasets.page(db) == []
    assert upload(http, content[:-1]).status_code == 201


@pytest.mark.parametrize(
    ("kind", "content", "status", "says"),
    [
        ("text/csv", b"", 422, "The body is empty, expected a sales table"),
        ("text/plain", CONTENT, 415, "The body is text/plain, expected text/csv"),
        ("", CONTENT, 415, "of no said type"),
        ("multipart/form-data; boundary=x", CONTENT, 415, "multipart/form-data, expected text/csv"),
        ("application/json", b'{"path": ', 400, "The body is not JSON: Expecting value at character 9"),
        ("application/json", b"", 400, "The body is not JSON"),
        ("application/json", b"\xff", 400, "send JSON in UTF-8"),
        ("application/json", b"[" * 100_000, 400, "send JSON in UTF-8"),
        ("application/json", b"[]", 422, "body: "),
        ("application/json", b"{}", 422, "path: it is missing; add it"),
        ("application/json", b'{"path": 7}', 422, "path: it should be a valid string"),
        ("application/json", b'{"path": "sales.csv"}', 422, "There is no file 'sales.csv' on the service's computer"),
        ("application/json", b'{"path": "/absent.csv"}', 422, "There is no file '/absent.csv'"),
        ("application/json", b'{"path": "/\\u0000.csv"}', 422, "There is no file"),
        ("application/json", json.dumps({"path": "/" + "a" * 300}).encode(), 422, "There is no file"),
        ("application/json", b'{"path": "/etc/hostname"}', 422, "neither .csv nor .parquet"),
        ("application/json", b'{"path": "/tmp", "size": 3}', 422, "size: it is not known here"),
    ],
)
def test_what_cannot_be_read_as_a_table_or_a_path_is_refused(http, db, kind, content, status, says):
    assert says in problem(upload(http, content, kind), status)["detail"]
    assert datasets.page(db) == []


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [
        ({"description": "{"}, 400, "is not JSON"),
        ({"description": "[]"}, 422, "no JSON object"),
        ({"description": '{"horizon": 7}'}, 422, "has horizon, expected only columns"),
        ({"description": '{"source": "table"}'}, 422, "has source"),
        ({"description": '{"fill": "mean"}'}, 422, "fill: "),
        ({"description": '{"futr": ["y"]}'}, 422, "named once"),
        ({"name": "a/b"}, 422, "is no name for a data set"),
        ({"name": "a\nb"}, 422, "is no name for a data set"),
        ({"name": "n" * 61}, 422, "is no name for a data set"),
    ],
)
def test_what_is_said_of_a_table_is_checked_before_it_is_stored(http, db, query, status, says):
    assert says in problem(upload(http, **query), status)["detail"]
    assert not db.blobs.folder.exists()


def test_everything_about_columns_can_be_said(http):
    known = {"hist": ["price"], "stat": ["region"], "ignore": ["note"], "open": "open", "available": "stock"}
    whole = SAID | known | {"holidays": "DE", "timezone": "Europe/Berlin", "freq": "hourly"}
    assert set(whole) == set(DESCRIBED)
    assert upload(http, description=json.dumps(whole)).json()["description"] == whole
