"""The controller: claims searches and student jobs, carries them out, and gives them back.

Started by ``nas serve``, or alone and several times against one database; a lease says whose
work is whose.
"""

from __future__ import annotations

import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import structlog

from nas.abilities import boards_of, refuse_impossible
from nas.cluster import Cluster
from nas.data.load import load_panel
from nas.data.panel import Panel
from nas.data.split import Split
from nas.devices import host_lock
from nas.devices.device import Device
from nas.devices.fleet import Fleet
from nas.errors import Conflict, ControllerFault, DataError, DeviceFault, NasError
from nas.logs import configure
from nas.request import DataSpec, SearchRequest
from nas.search.loop import SearchRun, Tools
from nas.search.meter import Meter
from nas.search.student import Workshop, make_student, require_scored
from nas.search.study import Study
from nas.search.trainer import ClusterTrainer
from nas.settings import Settings
from nas.space import SearchSpace
from nas.store import devices, jobs, leases, searches, tables, trials
from nas.store.database import Database, open_database
from nas.store.rows import Job, Search
from nas.store.states import DeviceState, WorkState

_log = structlog.get_logger()
POLL_S = 0.5
PROBE_AGAIN_S = 60.0
LOCAL_ROOT = "agent"
PROBLEMS_SHOWN = 3
"""Findings in a table that a failed search names; `nas data check` lists them all."""


class Interrupted(NasError):
    """The work in hand ends here, without being finished."""

    def __init__(self, state: WorkState | None, reason: str) -> None:
        super().__init__(reason)
        self.state, self.reason = state, reason


class Controller:
    """One process that does the work.

    Args:
        over: Set when the process is asked to end: the work in hand is given back.
    """

    def __init__(self, settings: Settings, db: Database, over: threading.Event) -> None:
        self._settings, self._db, self._over = settings, db, over
        self._cluster = Cluster(settings)
        self._observer = leases.Observer(settings.lease_ttl)
        self._panel: tuple[DataSpec, Panel] | None = None
        self._probed: dict[str, float] = {}

    def run(self) -> None:
        """Claim and carry out work until asked to end."""
        with self._cluster:
            while not self._over.is_set():
                claimed = leases.claim_next(self._db, self._observer)
                if claimed is None:
                    self._probe_offline()
                    self._over.wait(POLL_S)
                    continue
                with leases.Heartbeat(self._db, claimed, ttl=self._settings.lease_ttl) as heartbeat:
                    self._carry_out(claimed, heartbeat)

    def _carry_out(self, work: Search | Job, heartbeat: leases.Heartbeat) -> None:
        name = f"{'search' if isinstance(work, Search) else 'student'} {work.id}"
        save: Callable[..., Any] = searches.save if isinstance(work, Search) else jobs.save
        _log.info("begin", work=name, token=work.token)
        end: Mapping[str, Any]
        try:
            end = self._search(work, heartbeat) if isinstance(work, Search) else self._student(work)
        except Interrupted as stop:
            if stop.state is None:
                leases.release(self._db, work)
                _log.info("given back", work=name, reason=stop.reason)
                return
            end = {"state": stop.state, "reason": stop.reason}
        except (DeviceFault, ControllerFault) as fault:
            end = {"state": WorkState.paused if isinstance(work, Search) else WorkState.failed, "reason": str(fault)}
        except DataError as error:
            end = {"state": WorkState.failed, "reason": "; ".join([str(error), *error.problems[:PROBLEMS_SHOWN]])}
        except NasError as error:
            end = {"state": WorkState.failed, "reason": str(error)}
        except Exception as error:  # noqa: BLE001 the outermost edge: one broken search must not take the others down
            _log.exception("failed", work=name)
            reason = (
                f"Something unforeseen happened ({type(error).__name__}: {error}); the controller's log has the rest."
            )
            end = {"state": WorkState.failed, "reason": reason}
        try:
            save(self._db, work.id, token=work.token, **end)
        except Conflict as stale:  # taken over meanwhile: the other controller's word counts
            _log.warning("not stored", work=name, reason=str(stale))
            return
        _log.info("end", work=name, **{key: str(value) for key, value in end.items() if key in ("state", "reason")})

    def _search(self, search: Search, heartbeat: leases.Heartbeat) -> Mapping[str, Any]:
        request = SearchRequest.model_validate(search.request)
        check = partial(self._check, search, heartbeat)
        check()
        with self._fleet(request.devices) as fleet:
            greeted = [self._greet(fleet, name) for name in request.devices]
            shared = any(greeted)
            space = SearchSpace.from_mapping(search.space)
            refuse_impossible(self._db, request, space)
            panel = self._load(request.data)
            split = _split(panel, request.data)
            meter = Meter(
                self._db,
                fleet,
                request.devices,
                tries=self._settings.attempts,
                token=search.token,
                alone=_alone,
            )
            trainer = ClusterTrainer(self._cluster, panel, split)
            working = host_lock.working if shared else nullcontext
            tools = Tools(
                self._db,
                meter,
                trainer,
                parallel=self._cluster.workers,
                check=check,
                working=working,
                attempts=self._settings.attempts,
                boards=sum(len(boards_of(self._db, name)) for name in request.devices),
                apart=shared,
            )
            study = Study(search.id, request, space, self._settings.database)
            return {"state": WorkState.completed, "reason": SearchRun(search, request, study, tools).run()}

    def _student(self, job: Job) -> Mapping[str, Any]:
        search, trial = searches.get(self._db, job.search_id), trials.get(self._db, job.search_id, job.trial)
        weights = self._db.blobs.get(require_scored(trial))
        request = SearchRequest.model_validate(search.request)
        named = tuple(job.request["devices"])
        with self._fleet(named) as fleet:
            greeted = [self._greet(fleet, name) for name in named]
            shared = any(greeted)
            panel = self._load(request.data)
            shop = Workshop(
                panel=panel,
                split=_split(panel, request.data),
                cluster=self._cluster,
                fleet=fleet,
                devices=named,
                alone=_alone,
                working=host_lock.working if shared else nullcontext,
                tell=partial(self._tell, job),
            )
            package, result = make_student(job, trial, weights, request, shop, self._plain_before(job, named))
        sha = self._db.blobs.put(package)
        return {"state": WorkState.completed, "package": sha, "result": result, "progress": {"step": "done"}}

    def _plain_before(self, job: Job, named: tuple[str, ...]) -> dict[str, Any] | None:
        """The plain LSTM's figures, if an earlier student of this search has them from these devices."""
        for other in jobs.page(self._db, "student"):
            if other.search_id == job.search_id and other.result and other.result["devices"] == list(named):
                found: dict[str, Any] = other.result["beside"]["plain_lstm"]
                return found
        return None

    def _tell(self, job: Job, step: str) -> None:
        if self._over.is_set():
            raise Interrupted(None, "the controller is asked to end")
        jobs.save(self._db, job.id, token=job.token, progress={"step": step})

    def _check(self, search: Search, heartbeat: leases.Heartbeat) -> None:
        """Between two steps: may this search go on?

        Raises:
            Interrupted: The user stopped it, another controller has it, or this process is asked to end.
        """
        if heartbeat.lost:
            raise Interrupted(None, "another controller has it")
        if self._over.is_set():
            raise Interrupted(None, "the controller is asked to end")
        wants = searches.get(self._db, search.id).wants
        if wants == "pause":
            raise Interrupted(WorkState.paused, f"Stopped by its user; `nas search resume {search.id}` goes on.")
        if wants == "cancel":
            raise Interrupted(WorkState.cancelled, "Cancelled by its user.")

    def _fleet(self, names: Any) -> Fleet:
        return Fleet([self._device(name) for name in names])

    def _device(self, name: str) -> Device:
        row = devices.get(self._db, name)
        fields = {key: getattr(row, key) for key in Device.__dataclass_fields__}
        if row.transport == "local":
            # This computer: our own interpreter has the runtime, and our own folder takes the agent.
            fields["root"] = str(self._settings.folder / LOCAL_ROOT)
            fields["python"] = sys.executable if row.python == "python3" else row.python
        return Device(**fields)

    def _greet(self, fleet: Fleet, name: str) -> bool:
        """Open the session and note the device's state; tells whether it is this computer."""
        try:
            facts = fleet.facts(name)
        except DeviceFault as fault:
            devices.save(self._db, name, state=DeviceState.offline, reason=str(fault))
            raise
        devices.save(self._db, name, state=DeviceState.online, reason=None, facts=facts, seen_at=tables.now())
        return host_lock.same_host(facts)

    def _probe_offline(self) -> None:
        """While idle: look at devices that were just added, or did not answer a while ago."""
        for row in devices.enrolled(self._db):
            due = time.monotonic() - self._probed.get(row.name, float("-inf")) > PROBE_AGAIN_S
            if row.state == DeviceState.offline and due:
                self._probed[row.name] = time.monotonic()
                try:
                    with self._fleet([row.name]) as fleet:
                        self._greet(fleet, row.name)
                except NasError as error:
                    _log.warning("device is offline", device=row.name, reason=str(error))

    def _load(self, spec: DataSpec) -> Panel:
        """The panel of a request; the last one is kept, because a student follows its search."""
        if self._panel is None or self._panel[0] != spec:
            self._cluster.forget()
            self._panel = (spec, load_panel(spec, self._settings.folder / "cache"))
        return self._panel[1]


def _split(panel: Panel, spec: DataSpec) -> Split:
    return Split.of(panel, spec.horizon, spec.validation_days, spec.test_days)


def _alone(facts: Mapping[str, Any]) -> AbstractContextManager[None]:
    """This computer is not measured while it trains; another one may be."""
    return host_lock.measuring() if host_lock.same_host(facts) else nullcontext()


def main() -> None:
    """Run one controller until SIGTERM, SIGINT, or the end of its parent."""
    try:
        settings = Settings.from_environment()
    except NasError as error:
        sys.exit(str(error))
    configure(settings.log_level)
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    if stat.S_ISFIFO(os.fstat(0).st_mode):
        threading.Thread(target=_watch_parent, args=(over,), daemon=True).start()
    db = open_database(settings)
    try:
        Controller(settings, db, over).run()
    except NasError as error:
        sys.exit(str(error))
    finally:
        db.close()


def _watch_parent(over: threading.Event) -> None:
    """``nas serve`` holds the other end of our stdin; when it ends, however it ends, so do we."""
    os.read(0, 1)
    over.set()


if __name__ == "__main__":
    main()
