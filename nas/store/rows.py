"""What the store hands out: one frozen dataclass per kind of row, never a live database object.

JSON columns are plain dicts and lists. Times are UTC and for people to read: whatever time
*decides* (a lease, a deadline) runs on a monotonic clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, TypeVar

from nas.store.states import AttemptState, DeviceState, TrialStage, WorkState

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """One search as a user started it.

    Attributes:
        request: The ``SearchRequest`` as JSON.
        space: The resolved search space as JSON, so that the search outlives a changed file.
        waiting: Paused until its devices are back, and then queued again by itself.
        reason: Why it is paused or failed, in one sentence.
        front: The non-dominated trials, as the controller wrote them last.
        wants: ``pause`` or ``cancel``: asked by the user, not yet carried out by the controller.
        timings: Seconds of work per stage, summed over trials.
        token: Fencing token; rises each time a controller claims the search.
    """

    id: int
    name: str
    state: WorkState
    request: Json
    space: Json
    waiting: bool
    reason: str | None
    front: Json | None
    wants: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    timings: Json
    token: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One proposed architecture and all that became known of it.

    Attributes:
        number: From 0, the same as the sampler's.
        measurements: Device name -> what that device measured.
        values: Objective -> value; None where it was never found out (not trained, turned away).
        violations: Constrained metric -> how far beyond its bound; positive means violated.
        feasible: Whether all constraints hold; None until decided.
        training: How training went: curve, epochs, seconds.
        weights: SHA-256 of the blob with the trained weights.
        reason: Why it was turned away or failed, in one sentence.
        attempts: How often a device was asked to measure it.
        timings: Seconds per stage.
    """

    search_id: int
    number: int
    stage: TrialStage
    architecture: Json
    measurements: dict[str, Json]
    values: dict[str, float | None]
    violations: dict[str, float]
    feasible: bool | None
    scorecard: Json | None
    training: Json | None
    weights: str | None
    reason: str | None
    attempts: int
    timings: Json
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try at measuring one trial on one device; the tokens are its search's and its device's when it began."""

    search_id: int
    number: int
    attempt: int
    state: AttemptState
    device: str
    token: int
    device_token: int
    reason: str | None
    started_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One enrolled device; what a transport does not need is empty.

    Attributes:
        transport: ``local`` or ``ssh``.
        key: Path of the private key on the controller; the key itself is never stored.
        host_key: The pinned public host key, as in a ``known_hosts`` line without the host.
        python: Interpreter to start there.
        root: Folder there for the agent and its blobs.
        pool: Identical boards share the name of a pool; empty stands alone.
        measure_between: Window of the day in the device's own time; empty is always.
        jump: The machines on the way, first to last, each with its pinned host key.
        certificate: Path of the OpenSSH certificate that goes with ``key``.
        use_agent: Whether the keys of a running ssh-agent may be used.
        faults: How often in a row it broke.
        barred: Quarantined until a person enrols it anew, because it showed another host key.
        levels: ``RUNTIME/THREADS`` -> milliseconds that the reference model took there last.
        owner: The controller that holds it; None: nobody.
        queue: The controllers that wait for it, first to last.
        token: Fencing token; rises each time a controller takes the device.
        facts: What the last probe told: board, kernel, runtimes.
        reason: Why it is offline or quarantined, in one sentence.
        seen_at: When it last answered.
    """

    name: str
    transport: str
    host: str
    port: int
    user: str
    key: str
    host_key: str
    python: str
    root: str
    pool: str
    measure_between: str
    jump: list[Json]
    certificate: str
    use_agent: bool
    state: DeviceState
    facts: Json | None
    faults: int
    barred: bool
    levels: dict[str, float]
    owner: str | None
    token: int
    queue: list[str]
    reason: str | None
    created_at: datetime
    seen_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One piece of work besides a search, with the same states and leases.

    Attributes:
        kind: ``student``: export one trial as a package; ``teacher``: train or import one; ``profile``: look at a
            data set.
        search_id: The search that it belongs to; None for a profile, and for a teacher with data of its own.
        trial: The trial that becomes a student; None for the others.
        request: What was asked, as JSON.
        progress: What the worker tells about how far it is.
        result: What came out, once completed.
        waiting: As for a search.
        package: SHA-256 of the blob that was made: a student's zip file, a teacher's forecasts.
        token: Fencing token; rises each time a controller claims the job.
    """

    id: int
    kind: str
    state: WorkState
    search_id: int | None
    trial: int | None
    request: Json
    progress: Json
    result: Json | None
    package: str | None
    waiting: bool
    reason: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    token: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """One sales table that was uploaded, or named by its path.

    Attributes:
        name: What its user calls it, usually the name of the file.
        format: ``csv`` or ``parquet``.
        digest: SHA-256 of the file; names the blob of an uploaded one.
        size: Bytes.
        path: Where it lies on the service's computer; None: it was uploaded and is a blob.
        description: What its columns mean, as in a ``DataSpec``; only what was given.
        job: Number of the job that looks at it.
    """

    id: int
    name: str
    format: str
    digest: str
    size: int
    path: str | None
    description: Json
    job: int
    created_at: datetime


Row = TypeVar("Row", bound=Search | Trial | Attempt | Device | Job | Dataset)


def as_row(kind: type[Row], columns: Mapping[Any, Any]) -> Row:
    """Freeze the columns that ``kind`` shows; bookkeeping ones (owner, beat) stay behind."""
    return kind(**{field.name: columns[field.name] for field in fields(kind)})
