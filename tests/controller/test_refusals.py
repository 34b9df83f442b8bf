"""The controller refuses at the start what a device of the search cannot do, once it was asked."""

import threading
import time

import pytest
from homes import db, migrated, settings

from nas.controller import Controller
from nas.store import devices, searches

__all__ = ["db", "migrated", "settings"]
PATIENCE_S = 60


@pytest.fixture
def controller(settings, db):
    """A controller at work in a thread."""
    over = threading.Event()
    work = threading.Thread(target=Controller(settings, db, over).run)
    work.start()
    yield
    over.set()
    work.join()


def ended(db, search):
    end = time.monotonic() + PATIENCE_S
    while (found := searches.get(db, search.id)).state in ("queued", "running") and time.monotonic() < end:
        time.sleep(0.1)
    return found


def test_a_slice_that_the_data_do_not_have_fails_the_search_naming_those_that_exist(db, controller):
    devices.create(db, name="here", transport="local")
    request = {"devices": ["here"], "data": {"source": "synthetic"}, "constraints": {"wape[region=east]": 0.3}}
    search = searches.create(db, name="s", request=request, space={"name": "tiny", "parameters": {}})
    found = ended(db, search)
    assert found.state == "failed"
    assert "wape[region=east] names a slice that has nothing to judge" in found.reason
    assert "expected region= one of north, south" in found.reason


def test_a_runtime_that_turns_out_to_be_absent_fails_the_search_by_name(db, controller):
    devices.create(db, name="here", transport="local")
    space = {"name": "tiny", "parameters": {"runtime": ["onnxruntime", "onnxruntime-tensorrt"]}}
    search = searches.create(db, name="s", request={"devices": ["here"]}, space=space)
    found = ended(db, search)
    assert found.state == "failed"
    assert "the runtime onnxruntime-tensorrt, which is not on here" in found.reason
    assert "`nas devices install here --runtime onnxruntime-tensorrt`" in found.reason
