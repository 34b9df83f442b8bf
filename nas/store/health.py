"""How a device does: what a controller met when it spoke to it, and what follows for its state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Fault:
    """What a device did wrong.

    Attributes:
        reason: One sentence.
        counts: Whether too many of its kind end in quarantine.
        gone: It cannot be talked to at all.
        bars: Only a person can mend it, by enrolling the device anew.
    """

    reason: str
    counts: bool = True
    gone: bool = False
    bars: bool = False


def broke(db: Database, name: str, met: Fault, *, limit: int) -> None:
    """It broke once more: gone it is offline, and after ``limit`` faults in a row it is quarantined.

    Raises:
        NotFound: No device has this name.
    """
    with db.write() as connection:
        row = find(connection, name, hold=True)
        faults = row["faults"] + met.counts
        _change(
            connection, name, {**_after(row, met, faults, limit), "faults": faults, "barred": row["barred"] or met.bars}
        )


def _after(row: RowMapping, met: Fault, faults: int, limit: int) -> dict[str, Any]:
    """State and reason after a fault."""
    if met.bars:
        return {"state": DeviceState.quarantined, "reason": met.reason}
    if row["barred"] or row["state"] == DeviceState.draining:
        return {}
    if faults >= limit or row["state"] == DeviceState.quarantined:
        reason = f"It broke {faults} times in a row and gets no work until it has answered again; {met.reason}"
        return {"state": DeviceState.quarantined, "reason": reason}
    return {"state": DeviceState.offline, "reason": met.reason} if met.gone else {}


def _change(connection: Connection, name: str, values: Mapping[str, Any]) -> None:
    connection.execute(update(_table).where(_table.c.name == name).values(values))
