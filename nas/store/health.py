"""How a device does: what a controller met when it spoke to it, and what follows for its state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, RowMapping, update

from nas.store import tables
from nas.store.database import Database
from nas.store.devices import find
from nas.store.rows import Json
from nas.store.states import DeviceState

_table = tables.devices


def answered(db: Database, name: str, facts: Json) -> None:
    """It told its facts: one that was offline is online; a quarantine or a drain goes on.

    Raises:
        NotFound: No device has this name.
    """
    with db.write() as connection:
        row = find(connection, name, hold=True)
        back = {"state": DeviceState.online, "reason": None} if row["state"] == DeviceState.offline else {}
        _change(connection, name, {**back, "facts": facts, "seen_at": tables.now()})


def worked(db: Database, name: str, levels: Mapping[str, float]) -> None:
    """It carried something out: its faults are forgotten, and a quarantine ends, unless a person must end it.

    Args:
        db: The database.
        name: The device.
        levels: What the reference model took there, as ``Device.levels`` keeps it.

    Raises:
        NotFound: No device has this name.
    """
    with db.read() as connection:
        row = find(connection, name)
        if not levels and not row["faults"] and row["state"] in (DeviceState.online, DeviceState.draining):
            return  # nothing to write down, as nearly always
    with db.write() as connection:
        row = find(connection, name, hold=True)
        well = not row["barred"] and row["state"] != DeviceState.draining
        back = {"state": DeviceState.online, "reason": None} if well else {}
        _change(connection, name, {**back, "faults": 0, "levels": {**row["levels"], **levels}, "seen_at": tables.now()})


def broke(db: Database, name: str, reason: str, *, limit: int, gone: bool, bar: bool) -> None:
    """It broke once more: gone it is offline, and after ``limit`` faults in a row it is quarantined.

    Args:
        db: The database.
        name: The device.
        reason: What happened, in one sentence.
        limit: Faults in a row that are too many.
        gone: It does not answer at all.
        bar: Only a person can mend it, by enrolling it anew.

    Raises:
        NotFound: No device has this name.
    """
    with db.write() as connection:
        row = find(connection, name, hold=True)
        faults = row["faults"] + 1
        _change(connection, name, {"faults": faults, "barred": row["barred"] or bar})
        if row["state"] != DeviceState.draining:
            _change(connection, name, _verdict(row, faults, reason, limit=limit, gone=gone, bar=bar))


def _verdict(row: RowMapping, faults: int, reason: str, *, limit: int, gone: bool, bar: bool) -> dict[str, Any]:
    if bar or row["barred"]:
        return {"state": DeviceState.quarantined, "reason": reason if bar else row["reason"]}
    if faults >= limit or row["state"] == DeviceState.quarantined:
        return {
            "state": DeviceState.quarantined,
            "reason": f"It broke {faults} times in a row and gets no work until it has answered again; {reason}",
        }
    if gone:
        return {"state": DeviceState.offline, "reason": reason}
    return {}


def _change(connection: Connection, name: str, values: Mapping[str, Any]) -> None:
    if values:
        connection.execute(update(_table).where(_table.c.name == name).values(values))
