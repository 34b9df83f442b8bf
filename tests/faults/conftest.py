"""A site with boards; after every test the history in its database is checked."""

from dataclasses import replace

import pytest

from faults.rig import Rig
from nas.devices import tiers
from nas.search import meter
from nas.settings import Settings


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A rig on SQLite, or on the database of ``url``; controllers are started by the test."""
    quick = {"min_launches": 1, "max_launches": 2, "launch_seconds": 0.3, "energy_seconds": 0.0, "deadline_s": 60.0}
    monkeypatch.setitem(tiers.TIERS, "screening", replace(tiers.TIERS["screening"], **quick))
    monkeypatch.setattr(meter, "PAUSE_S", 0.2)
    made = []

    def site(url="", **changes):
        given = {"lease_ttl": 10.0, "session_idle": 2.0, "log_level": "WARNING", **changes}
        made.append(Rig(Settings(home=tmp_path / "home", database_url=url, **given)))
        monkeypatch.setattr("nas.controller.work.ClusterTrainer", lambda *_: made[-1].trainer)
        return made[-1]

    yield site
    for rig in made:
        print(rig.close())
