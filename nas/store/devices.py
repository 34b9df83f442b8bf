"""Devices: enrolled by a user, probed by a controller."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, TypedDict, Unpack

from sqlalchemy import Connection, RowMapping, delete, insert, literal, select, update
from sqlalchemy.exc import IntegrityError

from nas.errors import Conflict, NotFound
from nas.store import tables
from nas.store.database import Database
from nas.store.outages import retried
from nas.store.rows import Device, Json, as_row
from nas.store.states import DEVICE_MOVES, DeviceState, WorkState, check_move

_table = tables.devices


class Reach(TypedDict, total=False):
    """How a device is reached; what its transport does not need stays empty."""

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


_REACH: Reach = {
    "host": "",
    "port": 22,
    "user": "",
    "key": "",
    "host_key": "",
    "python": "python3",
    "root": ".nas-agent",
    "pool": "",
    "measure_between": "",
    "jump": [],
    "certificate": "",
    "use_agent": False,
}


class DeviceChanges(TypedDict, total=False):
    """What a controller may store about a device it spoke to."""

    state: DeviceState
    facts: Json | None
    reason: str | None
    seen_at: datetime


@retried
def create(db: Database, *, name: str, transport: str, **reach: Unpack[Reach]) -> Device:
    """Enrol a device; it is offline until a controller has probed it.

    Raises:
        Conflict: The name is taken, or its name or pool means something else already.
    """
    row: dict[str, Any] = {**_REACH, **reach, "name": name, "transport": transport}
    try:
        with db.write() as connection:
            _expect_own_names(connection, name, row["pool"])
            connection.execute(insert(_table).values(**row, state=DeviceState.offline, created_at=tables.now()))
            return as_row(Device, find(connection, name))
    except IntegrityError as error:
        raise Conflict(
            f"There is already a device {name}; choose another name, or enrol it anew with "
            f"`nas devices add {name} … --replace`."
        ) from error


@retried
def replace(db: Database, *, name: str, transport: str, **reach: Unpack[Reach]) -> Device:
    """Enrol a device anew under its name: another address, key or host key; searches that use it go on.

    Raises:
        NotFound: No device has this name.
        Conflict: Its pool has the name of a device.
    """
    fresh = {"state": DeviceState.offline, "reason": None, "facts": None, "faults": 0, "barred": False}
    row: dict[str, Any] = {**_REACH, **reach, "transport": transport, **fresh, "levels": {}}
    with db.write() as connection:
        find(connection, name, hold=True)
        _expect_own_names(connection, name, row["pool"])
        connection.execute(update(_table).where(_table.c.name == name).values(**row))
        return as_row(Device, find(connection, name))


@retried
def get(db: Database, name: str) -> Device:
    """Read one device.

    Raises:
        NotFound: No device has this name.
    """
    with db.read() as connection:
        return as_row(Device, find(connection, name))


@retried
def enrolled(db: Database) -> list[Device]:
    """All devices, by name."""
    with db.read() as connection:
        rows = connection.execute(select(_table).order_by(_table.c.name)).mappings()
        return [as_row(Device, row) for row in rows]


@retried
def named(db: Database, names: Collection[str]) -> list[Device]:
    """Those of these names that are enrolled, in any order."""
    with db.read() as connection:
        rows = connection.execute(select(_table).where(_table.c.name.in_(names))).mappings()
        return [as_row(Device, row) for row in rows]


@retried
def save(db: Database, name: str, **changes: Unpack[DeviceChanges]) -> Device:
    """Store what was learned about a device, and move it to another state.

    Raises:
        NotFound: No device has this name.
        Conflict: The move is not allowed.
    """
    with db.write() as connection:
        row = find(connection, name, hold=True)
        if "state" in changes:
            check_move(f"Device {name}", row["state"], changes["state"], DEVICE_MOVES)
        values: dict[str, Any] = dict(changes)
        if values:
            connection.execute(update(_table).where(_table.c.name == name).values(values))
        return as_row(Device, find(connection, name))


@retried
def drain(db: Database, name: str) -> Device:
    """Give a device no more work; what runs on it ends.

    Raises:
        NotFound: No device has this name.
        Conflict: It is quarantined, so it gets no work anyway.
    """
    reason = f"Drained by its user; `nas devices undrain {name}` gives it work again."
    return save(db, name, state=DeviceState.draining, reason=reason)


@retried
def undrain(db: Database, name: str) -> Device:
    """Give a drained device work again, as soon as it has answered.

    Raises:
        NotFound: No device has this name.
        Conflict: It is not draining.
    """
    with db.write() as connection:
        if (state := find(connection, name, hold=True)["state"]) != DeviceState.draining:
            raise Conflict(f"Device {name} is {state}; only a draining device can be undrained.")
        values = {"state": DeviceState.offline, "reason": None, "faults": 0}
        connection.execute(update(_table).where(_table.c.name == name).values(values))
        return as_row(Device, find(connection, name))


@retried
def remove(db: Database, name: str) -> None:
    """Forget a device; what it measured stays.

    Raises:
        NotFound: No device has this name.
        Conflict: A search or student export that has not ended needs it.
    """
    with db.write() as connection:
        find(connection, name, hold=True)
        if users := _users(connection, name):
            raise Conflict(
                f"Device {name} is used by {' and '.join(users)}; wait for the end or cancel, then remove it."
            )
        connection.execute(delete(_table).where(_table.c.name == name))


def _expect_own_names(connection: Connection, name: str, pool: str) -> None:
    """A search asks for a device or a pool by one word, so that no word may mean both."""
    others = _table.c.name != name
    if pool and (pool == name or connection.scalar(select(_table.c.name).where(_table.c.name == pool))):
        raise Conflict(f"There is a device {pool}, so that no pool can have this name; choose another for the pool.")
    if connection.scalar(select(_table.c.name).where(others, _table.c.pool == name).limit(1)):
        raise Conflict(f"There is a pool {name}, so that no device can have this name; choose another for the device.")


def _users(connection: Connection, name: str) -> list[str]:
    unfinished = (WorkState.queued, WorkState.running, WorkState.paused)
    found = []
    for word, table in ((literal("search"), tables.searches), (tables.jobs.c.kind, tables.jobs)):
        rows = connection.execute(select(word, table.c.id, table.c.request).where(table.c.state.in_(unfinished)))
        found += [f"{kind} {id_}" for kind, id_, request in rows if name in _devices_of(request)]
    return found


def _devices_of(request: Json) -> list[str]:
    """The devices that a search (a list) or an export (one) asks for."""
    return [*request.get("devices", []), *filter(None, [request.get("device")])]


def find(connection: Connection, name: str, *, hold: bool = False) -> RowMapping:
    """Read one row inside a transaction; ``hold`` keeps others from changing it until the transaction ends.

    Raises:
        NotFound: No device has this name.
    """
    query = select(_table).where(_table.c.name == name)
    row = connection.execute(query.with_for_update() if hold else query).mappings().first()
    if row is None:
        raise NotFound(f"There is no device {name}; `nas devices list` shows those that are enrolled.")
    return row
