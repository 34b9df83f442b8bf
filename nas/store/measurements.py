"""The cache of measurements: the same graph on the same device state is measured once."""

from __future__ import annotations

from contextlib import suppress

from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import IntegrityError

from nas.store import tables
from nas.store.database import Database
from nas.store.rows import Json

_table = tables.measurements


def get(db: Database, key: str) -> Json | None:
    """The measurement under this cache key, or None; the key is a SHA-256 in hexadecimal."""
    with db.read() as connection:
        return connection.execute(select(_table.c.measurement).where(_table.c.key == key)).scalar_one_or_none()


def put(db: Database, key: str, measurement: Json) -> None:
    """Keep a measurement. Nothing is ever overwritten: the first one under a key stays."""
    with db.write() as connection:
        keep(connection, key, measurement)


def keep(connection: Connection, key: str, measurement: Json) -> None:
    """Keep a measurement as part of a transaction."""
    row = insert(_table).values(key=key, measurement=measurement, created_at=tables.now())
    with suppress(IntegrityError), connection.begin_nested():
        connection.execute(row)  # fails where it is already, perhaps put by another controller a moment ago
