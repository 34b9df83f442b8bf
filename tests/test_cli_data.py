"""`nas data add|list|show|remove` against the service's own application, without a socket."""

import json

import pytest
from homes import db, in_process, migrated, settings
from test_cli import nas
from test_client import client

from nas.cli import data, searches
from nas.store import WorkState, jobs, leases

__all__ = ["client", "db", "in_process", "migrated", "nas", "settings"]


@pytest.fixture
def service(client, monkeypatch):
    class Kept:
        def __enter__(self):
            return client

        def __exit__(self, *error):
            return None

    for module in (data, searches):
        monkeypatch.setattr(module, "service", Kept)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "sales.csv"
    path.write_text("store,item,day,y\n1,a,2024-01-01,3\n")
    return path


def test_a_table_is_added_with_what_its_columns_mean(nas, service, file):
    words = ("--unique-id", "store", "--unique-id", "item", "--ds", "day", "--open", "open", "--available", "stock")
    code, out, _ = nas("data", "add", file, *words, "--futr", "promo", "--fill", "zero", "--json")
    found = json.loads(out)
    assert (code, found["state"], found["path"]) == (0, "queued", None)
    assert found["description"] == {
        "columns": {"unique_id": ["store", "item"], "ds": "day"},
        "futr": ["promo"],
        "open": "open",
        "available": "stock",
        "fill": "zero",
    }
    _, out, _ = nas("data", "add", file, "--in-place", "--name", "mine")
    assert "data set 2 is mine: nas data show 2 --watch" in out
    _, out, _ = nas("data", "list")
    assert str(file)[:20] in out
    assert "queued" in out


def test_a_profile_is_shown_with_its_problems(nas, service, file, db):
    nas("data", "add", file)
    held = leases.claim_next(db, leases.Observer(ttl=1000))
    found = {"series": 7, "problems": ["row 2, column y: 'x' is not a number"]}
    jobs.save(db, held.id, token=held.token, state=WorkState.completed, result=found)
    code, out, _ = nas("data", "show", 1, "--watch")
    assert code == 0
    assert "• row 2, column y: 'x' is not a number" in out
    assert "7" in out
    _, out, _ = nas("data", "show", 1, "--json")
    assert json.loads(out)["profile"] == found


def test_a_table_that_cannot_be_read_says_why(nas, service, file, db):
    nas("data", "add", file)
    held = leases.claim_next(db, leases.Observer(ttl=1000))
    jobs.save(db, held.id, token=held.token, state=WorkState.failed, reason="It is not UTF-8.")
    code, _, err = nas("data", "show", 1, "--watch")
    assert (code, "Data set 1 failed: It is not UTF-8." in err) == (2, True)


def test_a_table_is_forgotten(nas, service, file):
    nas("data", "add", file)
    assert nas("data", "remove", 1)[0] == 0
    code, _, err = nas("data", "remove", 1)
    assert (code, "There is no data set 1" in err) == (2, True)


def test_wrong_words_are_one_sentence(nas, service, file):
    holidays = ("--holidays", "DE", "--futr", "holiday")
    for words, says in (
        (("--fill", "mean"), "fill"),
        (("--open", "y"), "named once"),
        (("--name", "a/b"), "no name"),
        (holidays, "of that name has to be ignored"),
    ):
        code, _, err = nas("data", "add", file, *words)
        assert (code, says in err) == (2, True), err


def test_a_search_on_a_data_set_says_only_what_is_said(nas, service, client, file):
    client.add_device({"name": "pi4", "transport": "local"})
    nas("data", "add", file, "--futr", "promo", "--fill", "zero")
    words = ("search", "start", "--device", "pi4", "--json")
    _, out, _ = nas(*words, "--dataset", 1, "--fill", "previous", "--horizon", 7)
    found = json.loads(out)["request"]["data"]
    assert (found["dataset"], found["futr"], found["fill"], found["horizon"]) == (1, ["promo"], "previous", 7)
    code, _, err = nas(*words, "--dataset", 1, "--data", file)
    assert (code, "name two tables" in err) == (2, True)
