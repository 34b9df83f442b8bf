import httpx
import pytest
from homes import db, in_process, migrated, settings

from nas.service.app import create_app
from nas.settings import Settings
from nas.store import TrialStage, WorkState, devices, leases, searches, trials

__all__ = ["db", "in_process", "migrated", "settings"]
SPACE = {"name": "tiny", "parameters": {"hidden": [8, 16]}}


@pytest.fixture(scope="session")
def app(tmp_path_factory):
    """Built once, because that is slow; each test puts its own database into it."""
    made = create_app(Settings(home=tmp_path_factory.mktemp("app"), database_url=""))
    made.state.database.close()
    return made


@pytest.fixture
def http(app, db, in_process):
    app.state.database = db
    with httpx.Client(transport=in_process(app), base_url="http://127.0.0.1:8765") as client:
        yield client


@pytest.fixture
def pi4(db):
    return devices.create(db, name="pi4", transport="local")


@pytest.fixture
def spring(http, pi4):
    """A queued search."""
    body = {"name": "spring", "space": SPACE, "devices": ["pi4"], "trials": 4}
    return http.post("/api/v1/searches", json=body).json()


@pytest.fixture
def held(db, spring):
    """The same search, running."""
    return leases.claim_next(db, leases.Observer(ttl=1000))


@pytest.fixture
def worked_on(db, held):
    """The same search with trial 0 scored, 1 turned away, 2 measured and 3 failed, and its front."""
    path = {
        0: (TrialStage.measured, TrialStage.trained, TrialStage.scored),
        1: (TrialStage.measured, TrialStage.turned_away),
        2: (TrialStage.measured,),
        3: (TrialStage.failed,),
    }
    for number, stages in path.items():
        trials.create(db, held.id, number, token=held.token, architecture={"hidden": 8})
        for stage in stages:
            trials.save(db, held.id, number, token=held.token, stage=stage)
    values = {"wape": 0.25, "latency_p50_ms": 1.5}
    trials.save(db, held.id, 0, token=held.token, values=values, feasible=True)
    trials.save(db, held.id, 1, token=held.token, values={"wape": None, "latency_p50_ms": 0.5}, feasible=False)
    point = {"number": 0, "architecture": {"hidden": 8}, "values": values}
    front = {"objectives": ["wape", "latency_p50_ms"], "points": [point]}
    return searches.save(
        db, held.id, token=held.token, front=front, timings={"train": 12.0, "measure": 3.0, "wall": 9.0}
    )


@pytest.fixture
def completed(db, worked_on):
    return searches.save(db, worked_on.id, token=worked_on.token, state=WorkState.completed)
