"""A search on fakes: the real loop, store and sampler; scripted devices and a closed-form trainer."""

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
    """Everything that one search needs; ``run`` may be called again after it was interrupted.

    ``transport`` is the device named fake; ``transports`` are one or two others, by name, instead of it.
    Without ``lasting`` the sampler's memory is not stored, which is quicker.
    """

    settings: Settings
    db: object
    transport: FakeTransport = field(default_factory=FakeTransport)
    trainer: ClosedFormTrainer = field(default_factory=ClosedFormTrainer)
    transports: dict[str, FakeTransport] = field(default_factory=dict)
    check: object = staticmethod(lambda: None)
    apart: bool = False
    lasting: bool = True
    search: object = None

    def start(self, **changes):
        usual = {"devices": list(self.transports or ["fake"]), "trials": 12, "sampler": "random"}
        request = SearchRequest.model_validate({**usual, **changes})
        space = (
            request.space
            if isinstance(request.space, SearchSpace)
            else SearchSpace.load(request.space or "lstm_compact")
        )
        self.search = searches.create(self.db, name="t", request=request.model_dump(mode="json"), space=space.to_dict())
        return self

    def run(self):
        """Claim the search as a new controller would, its lease being long dead, and work on it."""
        held = leases.claim_next(self.db, leases.Observer(-1.0))
        request = SearchRequest.model_validate(held.request)
        url = self.settings.database if self.lasting else None
        study = Study(held.id, request, SearchSpace.from_mapping(held.space), url)
        # Each device behaves in its own way, and a fleet knows ways by the kind of transport.
        kinds = dict(zip(("local", "ssh"), (self.transports or {"fake": self.transport}).items(), strict=False))
        devices = [Device(name, kind, host="h", user="u") for kind, (name, _) in kinds.items()]
        with Fleet(devices, {kind: transport for kind, (_, transport) in kinds.items()}) as fleet:
            meter = Meter(
                self.db, fleet, request.devices, tries=3, token=held.token, alone=lambda _facts: nullcontext()
            )
            tools = Tools(
                self.db,
                meter,
                self.trainer,
                parallel=2,
                check=self.check,
                working=nullcontext,
                attempts=3,
                boards=len(request.devices),
                apart=self.apart,
            )
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
