"""What is remembered: searches, trials, devices, data sets, jobs, cached measurements and blobs.

The only importer of sqlalchemy. Functions take a ``Database`` and return frozen dataclasses::

    db = open_database(Settings())
    search = searches.create(db, name="stores", request={...}, space={...})
    work = leases.claim_next(db, leases.Observer(ttl=10))
    with leases.Heartbeat(db, work, ttl=10):
        trials.create(db, work.id, 0, token=work.token, architecture={...})
"""

from nas.store import attempts, datasets, devices, health, jobs, leases, measurements, searches, trials, waiting
from nas.store.blobs import Blobs
from nas.store.database import Database, listen, open_database
from nas.store.device_leases import DeviceLeases
from nas.store.rows import Attempt, Dataset, Device, Job, Search, Trial
from nas.store.states import AttemptState, DeviceState, TrialStage, WorkState

__all__ = [
    "Attempt",
    "AttemptState",
    "Blobs",
    "Database",
    "Dataset",
    "Device",
    "DeviceLeases",
    "DeviceState",
    "Job",
    "Search",
    "Trial",
    "TrialStage",
    "WorkState",
    "attempts",
    "datasets",
    "devices",
    "health",
    "jobs",
    "leases",
    "listen",
    "measurements",
    "open_database",
    "searches",
    "trials",
    "waiting",
]
