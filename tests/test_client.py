import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest
from homes import db, in_process, migrated, settings
from ports import free_port

from nas.client import Client
from nas.errors import Conflict, ControllerFault, DataError, NotFound, RequestError
from nas.service.app import create_app
from nas.store import TrialStage, WorkState, jobs, leases, searches, trials

__all__ = ["db", "in_process", "migrated", "settings"]


def connected(transport):
    client = Client("http://127.0.0.1:8765/")
    client.close()
    client._http = httpx.Client(transport=transport, base_url=client.url)
    return client


@pytest.fixture
def client(settings, in_process):
    app = create_app(settings)
    with connected(in_process(app)) as client:
        yield client
    app.state.database.close()


def answering(status, content):
    return connected(httpx.MockTransport(lambda _: httpx.Response(status, content=content)))


def test_the_whole_way_from_a_device_to_a_package(client, db):
    assert client.health()["status"] == "ok"
    device = client.add_device({"name": "pi4", "transport": "local"})
    assert client.devices() == [client.device("pi4")] == [device]
    assert [space["name"] for space in client.search_spaces()] == ["lstm_compact", "lstm_hourly", "lstm_weekly"]
    space = client.search_space("lstm_compact")["space"]
    search = client.start_search({"name": "spring", "space": space, "devices": ["pi4"], "trials": 2})
    id_ = search["id"]
    assert client.search(id_) == search
    assert [found["id"] for found in client.searches()] == [id_]
    assert client.searches(offset=1) == client.searches(limit=1, offset=1) == []
    assert client.stop_search(id_)["state"] == "paused"
    assert client.resume_search(id_)["state"] == "queued"

    held = leases.claim_next(db, leases.Observer(ttl=10))
    trials.create(db, id_, 0, token=held.token, architecture={"hidden": 8})
    for stage in (TrialStage.measured, TrialStage.trained, TrialStage.scored):
        trials.save(db, id_, 0, token=held.token, stage=stage)
    point = {"number": 0, "architecture": {"hidden": 8}, "values": {"wape": 0.25}}
    front = {"objectives": ["wape"], "points": [point], "recommended": 0}
    searches.save(db, id_, token=held.token, state=WorkState.completed, front=front)
    assert client.front(id_)["points"] == [point]
    assert client.trial(id_, 0)["stage"] == "scored"

    student = client.export_student(id_)
    assert client.student(student["id"]) == student
    assert client.students() == [student]
    with pytest.raises(Conflict, match="has no package"):
        client.package(student["id"])
    job = leases.claim_next(db, leases.Observer(ttl=10))
    jobs.save(db, job.id, token=job.token, state=WorkState.completed, package=db.blobs.put(b"PK zip"))
    assert client.package(student["id"]) == b"PK zip"
    assert client.remove_device("pi4") is None
    assert client.devices() == []


def test_trials_come_page_by_page_and_all_of_them(client, db):
    client.add_device({"name": "pi4", "transport": "local"})
    id_ = client.start_search({"devices": ["pi4"]})["id"]
    held = leases.claim_next(db, leases.Observer(ttl=10))
    for number in range(103):
        trials.create(db, id_, number, token=held.token, architecture={})
    trials.save(db, id_, 50, token=held.token, stage=TrialStage.measured)
    assert [trial["number"] for trial in client.trials(id_)] == list(range(103))
    assert [trial["number"] for trial in client.trials(id_, stage="measured")] == [50]
    assert client.cancel_search(id_)["wants"] == "cancel"


@pytest.mark.parametrize(
    ("ask", "kind", "sentence"),
    [
        (lambda c: c.search(99), NotFound, "There is no search 99; `nas search list` shows those that exist."),
        (lambda c: c.device("../searches"), NotFound, "There is nothing at"),
        (lambda c: c.device("nobody"), NotFound, "There is no device nobody"),
        (lambda c: c.start_search({}), RequestError, "devices: it is missing; add it."),
        (lambda c: c.start_search({"devices": ["nobody"]}), RequestError, "There is no device nobody"),
        (lambda c: c.searches(limit=0), RequestError, "limit: it should be greater than or equal to 1"),
        (lambda c: list(c.trials(99)), NotFound, "There is no search 99"),
        (lambda c: c.package(3), NotFound, "There is no student 3"),
    ],
)
def test_a_problem_becomes_the_error_that_it_was(client, ask, kind, sentence):
    with pytest.raises(kind) as refused:
        ask(client)
    assert type(refused.value) is kind
    assert str(refused.value).startswith(sentence)


def test_a_conflict_is_a_conflict(client):
    client.add_device({"name": "pi4", "transport": "local"})
    with pytest.raises(Conflict, match="There is already a device pi4"):
        client.add_device({"name": "pi4", "transport": "local"})


def test_the_findings_of_a_data_error_come_along():
    problem = b"""{"type": "urn:nas:problem:data-error", "detail": "2 rows are wrong.",
        "errors": [{"field": "data", "message": "row 3: no date"}, {"field": "data", "message": "row 4: no date"}]}"""
    with answering(422, problem) as client, pytest.raises(DataError, match="2 rows are wrong") as refused:
        client.health()
    assert refused.value.problems == ("row 3: no date", "row 4: no date")


@pytest.mark.parametrize(("status", "kind"), [(418, RequestError), (503, ControllerFault)])
def test_a_problem_of_a_newer_service_is_still_told(status, kind):
    problem = b'{"type": "urn:nas:problem:not-yet-known", "detail": "Something new."}'
    with answering(status, problem) as client, pytest.raises(kind, match=r"^Something new\.$"):
        client.health()


@pytest.mark.parametrize("content", [b"<html>", b"[]", b'"text"', b"{}", b'{"type": 3, "detail": "x"}'])
def test_something_else_at_the_url_is_noticed(content):
    with answering(404, content) as client, pytest.raises(ControllerFault, match=r"\(status 404\) is not this service"):
        client.health()


def test_a_service_that_is_too_slow_is_told_from_none():
    def slow(request):
        raise httpx.ReadTimeout("slow", request=request)

    with (
        connected(httpx.MockTransport(slow)) as client,
        pytest.raises(ControllerFault, match="did not answer in time"),
    ):
        client.health()


def test_no_service_is_one_clear_sentence():
    url = f"http://127.0.0.1:{free_port()}"
    with Client(url) as client, pytest.raises(ControllerFault) as refused:
        client.health()
    assert str(refused.value) == f"No service answers at {url}; start it with `nas serve`."


def test_a_proxy_of_the_environment_does_not_come_between(monkeypatch):
    class Service(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"status": "ok"}')

        def log_message(self, *_):
            """Keep stderr quiet."""

    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")  # nobody listens there
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with HTTPServer(("127.0.0.1", 0), Service) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with Client(f"http://127.0.0.1:{server.server_port}") as client:
            assert client.health() == {"status": "ok"}
        thread.join()


@pytest.mark.parametrize("url", ["", "127.0.0.1:8765", "ftp://127.0.0.1", "http://[::1"])
def test_a_url_that_is_none_is_one_clear_sentence(url):
    with (
        pytest.raises((RequestError, ControllerFault), match=r"NAS_URL|start it with `nas serve`"),
        Client(url) as client,
    ):
        client.health()


def test_a_table_is_sent_listed_and_forgotten(client, db, tmp_path):
    file = tmp_path / "sales.csv"
    file.write_text("unique_id,ds,y\n" + "a,2024-01-01,1\n" * 100_000)
    sent = client.add_dataset(file, {"fill": "zero"})
    assert (sent["name"], sent["size"], sent["description"]) == ("sales.csv", file.stat().st_size, {"fill": "zero"})
    assert db.blobs.get(sent["digest"]) == file.read_bytes()
    left = client.add_dataset(str(file), name="left", in_place=True)
    assert (left["name"], left["path"], left["digest"]) == ("left", str(file), sent["digest"])
    assert client.dataset(sent["id"]) == sent
    assert [found["id"] for found in client.datasets()] == [left["id"], sent["id"]]
    assert client.datasets(limit=1, offset=2) == []
    client.remove_dataset(sent["id"])
    with pytest.raises(NotFound, match="There is no data set 1"):
        client.dataset(sent["id"])


@pytest.mark.parametrize("name", ["absent.csv", "folder.csv", "sales.xlsx"])
def test_what_cannot_be_sent_is_named(client, tmp_path, name):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(RequestError, match=name):
        client.add_dataset(tmp_path / name)
