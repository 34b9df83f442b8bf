"""What a controller carries out: a search, or the making of a student or a teacher."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from nas.abilities import boards_of, refuse_impossible
from nas.architecture import Architecture
from nas.cluster import Cluster
from nas.controller.notes import Notes
from nas.controller.roster import device_of
from nas.controller.teachers import lesson_of, make_teacher
from nas.controller.watch import AT_A_TIME
from nas.data.load import load_panel
from nas.data.panel import Panel
from nas.data.slices import require_slices
from nas.data.sources import dataset
from nas.data.split import Split
from nas.devices import host_lock
from nas.devices.fleet import Fleet
from nas.errors import DataError, NasError
from nas.request import DataSpec, SearchRequest
from nas.search.distil import distil
from nas.search.finish import Finish, Finished, finish
from nas.search.loop import SearchRun, Tools
from nas.search.meter import Meter
from nas.search.night import nights_of
from nas.search.student import make_student, require_scored
from nas.search.study import Study, trial_seed
from nas.search.trainer import ClusterTrainer
from nas.search.workshop import Workshop
from nas.settings import Settings
from nas.space import SearchSpace
from nas.store import datasets, devices, jobs, searches, trials
from nas.store.database import Database
from nas.store.leases import Heartbeat
from nas.store.rows import Job, Search
from nas.store.states import WorkState

End = Mapping[str, Any]
"""What is stored of work that has ended."""


class Interrupted(NasError):
    """The work in hand ends here, without being finished."""

    def __init__(self, state: WorkState | None, reason: str) -> None:
        super().__init__(reason)
        self.state, self.reason = state, reason


@dataclass(slots=True)
class Place:
    """Where the work is done; the last panel is kept, because a student follows its search.

    Attributes:
        over: Set when the process is asked to end.
    """

    settings: Settings
    db: Database
    cluster: Cluster
    fleet: Fleet
    over: threading.Event
    _panel: tuple[DataSpec, Panel] | None = field(default=None, init=False)

    def load(self, spec: DataSpec) -> Panel:
        """The panel of a request."""
        if self._panel is None or self._panel[0] != spec:
            self.cluster.forget()
            cache = self.settings.folder / "cache"
            if spec.dataset is not None:
                dataset.fetch(datasets.get(self.db, spec.dataset)[0], self.db.blobs, cache)
            self._panel = (spec, load_panel(spec, cache))
        return self._panel[1]

    def greet(self, names: Sequence[str]) -> bool:
        """Open the devices, several at once; tells whether this computer may be among them.

        Raises:
            NotFound: There is no such device or pool.
            DeviceFault: One of them cannot be used.
        """
        self.fleet.adopt(device_of(row, self.settings) for row in devices.enrolled(self.db))
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            list(pool.map(self.fleet.facts, names))
        rows = [row for row in devices.enrolled(self.db) if row.name in names or row.pool in names]
        return any(row.transport == "local" or host_lock.same_host(row.facts or {}) for row in rows)


def carry_out_search(place: Place, search: Search, heartbeat: Heartbeat) -> End:
    """Work on a search until it ends.

    Raises:
        Interrupted: It was stopped, is another controller's now, or this process is asked to end.
        NasError: It cannot go on.
    """
    request = SearchRequest.model_validate(search.request)
    check = partial(_check, place, search, heartbeat)
    check()
    shared = place.greet(request.devices)
    space = SearchSpace.from_mapping(search.space)
    refuse_impossible(place.db, request, space)
    panel = place.load(request.data)
    _expect_frequency(space, panel)
    split = _split(panel, request.data)
    asked = (*request.objectives, *request.constraints)
    require_slices(asked, panel, split.validation_origins, split.horizon)
    tries = place.settings.attempts
    meter = Meter(
        place.db,
        place.fleet,
        request.devices,
        tries=tries,
        token=search.token,
        alone=alone,
        beside_load=request.beside_load,
        nights=nights_of(asked, panel, split, request.data, request.training.quantiles),
    )
    trainer = ClusterTrainer(place.cluster, panel, split, request.training.quantiles)
    working = host_lock.working if shared else nullcontext
    tools = Tools(
        place.db,
        meter,
        trainer,
        parallel=place.cluster.workers,
        check=check,
        working=working,
        attempts=tries,
        boards=sum(len(boards_of(place.db, name)) for name in request.devices),
        apart=shared,
    )
    study = Study(search.id, request, space, place.settings.database)
    return {"state": WorkState.completed, "reason": SearchRun(search, request, study, tools).run()}


def carry_out_student(place: Place, job: Job) -> End:
    """Make a student.

    Raises:
        Interrupted: This process is asked to end.
        NasError: It cannot be made.
    """
    number = job.request["search"]
    search, trial = searches.get(place.db, number), trials.get(place.db, number, job.request["trial"])
    weights = place.db.blobs.get(require_scored(trial))
    request = SearchRequest.model_validate(search.request)
    named, notes = tuple(job.request["devices"]), _notes(place, job)
    lesson = lesson_of(place.db, job)
    wanted = (*request.objectives, *request.constraints)
    shop = _workshop(place, named, request.data, wanted, notes, beside_load=request.beside_load)
    architecture, longer = Architecture.from_dict(trial.architecture), job.request.get("max_epochs")
    plan = Finish.of(request.training, longer, refit=job.request.get("refit", False))
    training, distilled = trial.training or {}, None
    made = Finished(plan, weights, None, training.get("best_epoch", 0), training.get("parameters", 0))
    if lesson is not None:
        shop.tell("train with the teacher and without it")
        distilled = distil(architecture, weights, plan.budget, trial_seed(request.seed, 0), lesson, shop, notes)
        made = replace(made, weights=distilled.weights, epochs=0)
    elif longer is not None or plan.refit:
        shop.tell("train to the end")
        known = None if longer is not None else made
        made = finish(architecture, plan, trial_seed(request.seed, trial.number), shop, known)
    shop = replace(shop, store=job.request.get("store"))
    before = _plain_before(place.db, job, named)
    package, result = make_student(job, trial, made, request, shop, before, distilled)
    sha = place.db.blobs.put(package)
    return {"state": WorkState.completed, "package": sha, "result": result, "progress": {"step": "done"}}


def carry_out_teacher(place: Place, job: Job) -> End:
    """Make a teacher.

    Raises:
        Interrupted: This process is asked to end.
        NasError: It cannot be made.
    """
    spec, asked, notes = DataSpec.model_validate(job.request["data"]), job.request, _notes(place, job)
    shop = _workshop(place, tuple(asked["devices"]), spec, asked["wanted"], notes, beside_load=asked["beside_load"])
    return make_teacher(job, shop, notes)


def _workshop(  # where, with what, for what
    place: Place, named: tuple[str, ...], spec: DataSpec, wanted: Sequence[str], notes: Notes, *, beside_load: bool
) -> Workshop:
    """Greet the devices, load the data, and put both side by side."""
    shared = place.greet(named)
    panel = place.load(spec)
    split = _split(panel, spec)
    return Workshop(
        panel=panel,
        split=split,
        cluster=place.cluster,
        fleet=place.fleet,
        devices=named,
        alone=alone,
        working=host_lock.working if shared else nullcontext,
        tell=partial(_tell, place, notes),
        beside_load=beside_load,
        nights=nights_of(wanted, panel, split, spec),
    )


def _notes(place: Place, job: Job) -> Notes:
    return Notes(place.db, job, place.settings.folder / "checkpoints")


def alone(facts: Mapping[str, Any]) -> AbstractContextManager[None]:
    """This computer is not measured while it trains; another one may be."""
    return host_lock.measuring() if host_lock.same_host(facts) else nullcontext()


def _plain_before(db: Database, job: Job, named: tuple[str, ...]) -> dict[str, Any] | None:
    """The plain LSTM's figures, if an earlier student of this search, made alike, has them from these devices."""

    def made(request: Mapping[str, Any]) -> tuple[Any, ...]:
        return request.get("store"), request.get("max_epochs"), request.get("refit", False)

    for other in jobs.page(db, "student"):
        result = other.result if other.search_id == job.search_id else None
        if result and result["devices"] == list(named) and made(other.request) == made(job.request):
            found: dict[str, Any] = result["beside"]["plain_lstm"]
            return found
    return None


def _tell(place: Place, notes: Notes, step: str, **more: Any) -> None:
    if place.over.is_set():
        raise Interrupted(None, "the controller is asked to end")
    notes.tell(step, **more)


def _check(place: Place, search: Search, heartbeat: Heartbeat) -> None:
    """Between two steps: may this search go on?

    Raises:
        Interrupted: The user stopped it, another controller has it, or this process is asked to end.
    """
    if heartbeat.lost:
        raise Interrupted(None, "another controller has it")
    if place.over.is_set():
        raise Interrupted(None, "the controller is asked to end")
    wants = searches.get(place.db, search.id).wants
    if wants == "pause":
        raise Interrupted(WorkState.paused, f"Stopped by its user; `nas search resume {search.id}` goes on.")
    if wants == "cancel":
        raise Interrupted(WorkState.cancelled, "Cancelled by its user.")


def _expect_frequency(space: SearchSpace, panel: Panel) -> None:
    if space.frequency != panel.frequency:
        raise DataError(
            f"The table is {panel.frequency}, the space {space.name} is for {space.frequency} sales; search again with "
            f"the space {panel.clock.space}, or say frequency: {panel.frequency} in your own."
        )


def _split(panel: Panel, spec: DataSpec) -> Split:
    return Split.of(panel, *spec.split_steps(panel.clock))
