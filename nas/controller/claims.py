"""One controller: claims work, carries it out, and says how it ended."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from nas.cluster import Cluster
from nas.controller.profiles import carry_out_profile
from nas.controller.roster import Roster
from nas.controller.watch import Watch
from nas.controller.work import Interrupted, Place, alone, carry_out_search, carry_out_student, carry_out_teacher
from nas.devices.fleet import Fleet
from nas.errors import Conflict, ControllerFault, DataError, DeviceAway, DeviceFault, NasError, RuntimeMissing
from nas.settings import Settings
from nas.store import jobs, leases, searches
from nas.store.database import Database
from nas.store.device_leases import DeviceLeases
from nas.store.rows import Job, Search
from nas.store.states import WorkState

_log = structlog.get_logger()
POLL_S = 0.5
PROBLEMS_SHOWN = 3
"""Findings in a table that a failed search names; `nas data check` lists them all."""


class Controller:
    """One process that does the work.

    Args:
        over: Set when the process is asked to end: the work in hand is given back.
    """

    def __init__(self, settings: Settings, db: Database, over: threading.Event) -> None:
        self._settings, self._db, self._over = settings, db, over
        self._observer = leases.Observer(settings.lease_ttl)

    def run(self) -> None:
        """Claim and carry out work until asked to end."""
        settings, db, over = self._settings, self._db, self._over
        roster = Roster(db, settings.quarantine_after)
        with (
            Cluster(settings) as cluster,
            DeviceLeases(db, settings.lease_ttl) as held,
            Fleet(leases=held, register=roster, idle_s=settings.session_idle, over=over) as fleet,
        ):
            watch = threading.Thread(target=Watch(settings, db, fleet, roster, over, alone).run, name="watch")
            watch.start()
            place = Place(settings, db, cluster, fleet, over)
            try:
                while not over.is_set():
                    claimed = leases.claim_next(db, self._observer)
                    if claimed is None:
                        over.wait(POLL_S)
                        continue
                    with leases.Heartbeat(db, claimed, ttl=settings.lease_ttl) as heartbeat:
                        self._carry_out(place, claimed, heartbeat)
            finally:
                over.set()
                watch.join()

    def _carry_out(self, place: Place, work: Search | Job, heartbeat: leases.Heartbeat) -> None:
        name = f"{'search' if isinstance(work, Search) else work.kind} {work.id}"
        save: Callable[..., Any] = searches.save if isinstance(work, Search) else jobs.save
        _log.info("begin", work=name, token=work.token)
        try:
            if isinstance(work, Search):
                end = carry_out_search(place, work, heartbeat)
            elif work.kind == "profile":
                end = carry_out_profile(self._settings, self._db, work)
            else:
                end = (carry_out_teacher if work.kind == "teacher" else carry_out_student)(place, work)
        except Interrupted as stop:
            if stop.state is None:
                leases.release(self._db, work)
                _log.info("given back", work=name, reason=stop.reason)
                return
            end = {"state": stop.state, "reason": stop.reason}
        except Exception as error:  # noqa: BLE001 the outermost edge: one broken search must not take the others down
            end = _end_of(work, error)
            if not isinstance(error, NasError):
                _log.exception("failed", work=name)
        try:
            save(self._db, work.id, token=work.token, **end)
        except Conflict as stale:  # taken over meanwhile: the other controller's word counts
            _log.warning("not stored", work=name, reason=str(stale))
            return
        _log.info("end", work=name, **{key: str(value) for key, value in end.items() if key in ("state", "reason")})


def _end_of(work: Search | Job, error: Exception) -> Mapping[str, Any]:
    """How work ends that broke off.

    What waits for a device goes on by itself; a runtime that is not on a device is for a person to install,
    and a fault of this side for a person to mend.
    """
    if isinstance(error, DeviceAway) or (isinstance(error, DeviceFault) and isinstance(work, Search)):
        if isinstance(error, RuntimeMissing):
            return {"state": WorkState.paused, "reason": str(error)}
        reason = f"{error} It goes on by itself as soon as its devices can be used."
        return {"state": WorkState.paused, "waiting": True, "reason": reason}
    if isinstance(error, ControllerFault) and isinstance(work, Search):
        return {"state": WorkState.paused, "reason": str(error)}
    if isinstance(error, DataError):
        return {"state": WorkState.failed, "reason": "; ".join([str(error), *error.problems[:PROBLEMS_SHOWN]])}
    if isinstance(error, NasError):
        return {"state": WorkState.failed, "reason": str(error)}
    reason = f"Something unforeseen happened ({type(error).__name__}: {error}); the controller's log has the rest."
    return {"state": WorkState.failed, "reason": reason}
