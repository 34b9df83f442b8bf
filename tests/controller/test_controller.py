"""The whole controller in a thread: it greets a device of its own accord, pauses what waits, and lets go at its end."""

import threading

import pytest
from processes import wait_until

from nas.controller import Controller
from nas.request import SearchRequest
from nas.space import SearchSpace
from nas.store import DeviceState, devices, searches


@pytest.fixture
def controller(settings, db):
    over = threading.Event()
    thread = threading.Thread(target=Controller(settings, db, over).run)
    thread.start()
    yield
    over.set()
    thread.join()


def start(db, device):
    request = SearchRequest.model_validate({"devices": [device], "trials": 1, "data": {"source": "synthetic"}})
    space = SearchSpace.load(request.space or "lstm_compact")
    return searches.create(db, name="t", request=request.model_dump(mode="json"), space=space.to_dict())


def test_a_new_device_is_greeted_and_a_search_for_one_that_is_away_waits(db, controller):
    devices.create(db, name="here", transport="local")
    devices.create(db, name="gone", transport="local", python="/no/such/python")
    wait_until(lambda: devices.get(db, "here").state == DeviceState.online)
    assert devices.get(db, "here").facts["boot_id"]
    search = start(db, "gone")
    wait_until(lambda: searches.get(db, search.id).waiting)
    paused = searches.get(db, search.id)
    assert paused.state == "paused"
    assert "/no/such/python" in paused.reason
    assert paused.reason.endswith("It goes on by itself as soon as its devices can be used.")
