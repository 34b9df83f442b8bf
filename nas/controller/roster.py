"""The devices as the database knows them, and what is noted of them there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from nas.devices.device import Device
from nas.devices.local import at_home
from nas.devices.pool import deviating
from nas.devices.window import closed
from nas.errors import DeviceBusy, DeviceFault, DeviceUnreachable, HostKeyChanged, LoginRefused, NotFound, PythonMissing
from nas.settings import Settings
from nas.store import devices, health, tables
from nas.store.database import Database
from nas.store.rows import Device as Row
from nas.store.states import DeviceState

GONE = (DeviceBusy, DeviceUnreachable, LoginRefused, PythonMissing)
"""Faults after which there is nobody to talk to."""


def device_of(row: Row, settings: Settings) -> Device:
    """A row as the fleet takes it."""
    device = Device(**{key: getattr(row, key) for key in Device.__dataclass_fields__})
    return at_home(device, settings.folder) if row.transport == "local" else device


class Roster:
    """What a fleet asks and tells of its devices (``nas.devices.ledger.Register``), kept in the database.

    Args:
        limit: Faults in a row after which a device is quarantined.
        now: The time with a zone, for measuring windows.
    """

    def __init__(self, db: Database, limit: int, now: Callable[[], datetime] = tables.now) -> None:
        self._db, self._limit, self._now = db, limit, now

    def away(self, names: Sequence[str], *, pool: bool) -> dict[str, str]:
        """As in ``Register``."""
        rows = devices.named(self._db, names)
        strays = deviating({row.name: row.levels for row in rows}) if pool else {}
        away = {name: stray.reason for name, stray in strays.items()}
        return away | {row.name: reason for row in rows if (reason := self._reason(row))}

    def answered(self, name: str, facts: Mapping[str, Any]) -> None:
        """As in ``Register``."""
        health.answered(self._db, name, dict(facts))

    def worked(self, name: str, levels: Mapping[str, float]) -> None:
        """As in ``Register``."""
        health.worked(self._db, name, levels)

    def broke(self, name: str, fault: DeviceFault) -> None:
        """As in ``Register``."""
        met = health.Fault(
            str(fault),
            counts=not isinstance(fault, DeviceBusy),  # that is another agent's doing
            gone=isinstance(fault, GONE),
            bars=isinstance(fault, HostKeyChanged),
        )
        with suppress(NotFound):  # it was removed meanwhile
            health.broke(self._db, name, met, limit=self._limit)

    def _reason(self, row: Row) -> str | None:
        """Why a device is given no work now, as a part of a sentence."""
        if row.state != DeviceState.online:
            why = row.reason or "it has not answered yet"
            return f"it is {row.state}: {why.rstrip('.')}"
        return closed(row.measure_between, self._now(), (row.facts or {}).get("utc_offset_s"))
