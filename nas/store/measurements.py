"""The cache of measurements: the same graph on the same device state is measured once."""

from __future__ import annotations

from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from nas.store import tables
from nas.store.database import Database
from nas.store.outages import retried
from nas.store.rows import Json

_table = tables.measurements


@retried
def get(db: Database, key: str) -> Json | None:
    """The measurement under this cache key, or None; the key is a SHA-256 in hexadecimal."""
    with db.read() as connection:
        return connection.execute(select(_table.c.measurement).where(_table.c.key == key)).scalar_one_or_none()


@retried
def put(db: Database, key: str, measurement: Json) -> None:
    """Keep a measurement. Nothing is ever overwritten: the first one under a key stays."""
    try:
        with db.write() as connection:
            connection.execute(insert(_table).values(key=key, measurement=measurement, created_at=tables.now()))
    except IntegrityError:
        return  # it was there already, perhaps put by another controller a moment ago
