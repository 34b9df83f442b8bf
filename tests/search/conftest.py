"""A search on fakes: the real loop, store and sampler; a scripted device and a closed-form trainer."""

from contextlib import nullcontext
from dataclasses import dataclass, field

import pytest

from nas.devices.device import Device
from nas.devices.fake import FakeTransport
from nas.devices.fleet import Fleet
from nas.request import SearchRequest
from nas.search import meter as meters
from nas.search.fake import ClosedFormTrainer
from nas.search.loop import SearchRun, Tools
from nas.search.meter import Meter
from nas.search.study import Study
from nas.settings import Settings
from nas.space import SearchSpace
from nas.store import leases, searches, trials
from nas.store.database import open_database


@dataclass
class Bench:
    """Everything that one search needs; ``run`` may be called again after it was interrupted."""

    settings: Settings
    db: object
    transport: FakeTransport = field(default_factory=FakeTransport)
    trainer: ClosedFormTrainer = field(default_factory=ClosedFormTrainer)
    apart: bool = False
    search: object = None

    def start(self, **changes):
        request = SearchRequest.model_validate({"devices": ["fake"], "trials": 12, "sampler": "random", **changes})
        space = request.space if isinstance(request.space, SearchSpace) else SearchSpace.load(request.space)
        self.search = searches.create(self.db, name="t", request=request.model_dump(mode="json"), space=space.to_dict())
        return self

    def run(self):
        """Claim the search as a new controller would, its lease being long dead, and work on it."""
        held = leases.claim_next(self.db, leases.Observer(-1.0))
        request = SearchRequest.model_validate(held.request)
        study = Study(held.id, request, SearchSpace.from_mapping(held.space), self.settings.database)
        with Fleet([Device("fake", "local")], {"local": self.transport}) as fleet:
            meter = Meter(self.db, fleet, ["fake"], tries=3, token=held.token, alone=lambda _facts: nullcontext())
            tools = Tools(self.db, meter, self.trainer, 2, lambda: None, nullcontext, 3, boards=1, apart=self.apart)
            return SearchRun(held, request, study, tools).run()

    @property
    def trials(self):
        return trials.page(self.db, self.search.id)

    @property
    def front(self):
        return searches.get(self.db, self.search.id).front


@pytest.fixture
def bench(tmp_path, monkeypatch):
    monkeypatch.setattr(meters, "PAUSE_S", 0.0)
    made = []

    def make(name="home", **parts):
        settings = Settings(home=tmp_path / name)
        made.append(open_database(settings))
        return Bench(settings, made[-1], **parts)

    yield make
    for db in made:
        db.close()
