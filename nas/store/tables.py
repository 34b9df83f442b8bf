"""The tables. All names begin with ``nas_``: Optuna keeps its own ``trials`` in the same database."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Enum,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)

from nas.store.states import AttemptState, DeviceState, TrialStage, WorkState

metadata = MetaData(
    # Named constraints, so that later migrations can speak of them on every database.
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)


class Utc(TypeDecorator[datetime]):
    """Aware UTC times in and out, also on SQLite, which forgets the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - the base class's signature
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - the base class's signature
        return value.replace(tzinfo=UTC) if value and value.tzinfo is None else value


def now() -> datetime:
    """The wall clock in UTC: for people to read, never to decide anything by."""
    return datetime.now(UTC)


def _json(name: str, *, nullable: bool = False, default: type[list[Any] | dict[str, Any]] | None = None) -> Column[Any]:
    return Column(name, JSON(none_as_null=True), nullable=nullable, default=default)


def _enum(name: str, kind: type[WorkState | TrialStage | AttemptState | DeviceState]) -> Column[Any]:
    # Kept as text: a new state then needs no change of the database.
    return Column(name, Enum(kind, native_enum=False, length=20), nullable=False)


def _work() -> tuple[Column[Any], ...]:
    """What everything that a controller claims has in common: a state, its times and a lease."""
    return (
        _enum("state", WorkState),
        Column("waiting", Boolean, nullable=False, default=False),  # paused until its devices are back
        Column("reason", Text),
        Column("created_at", Utc, nullable=False),
        Column("started_at", Utc),
        Column("finished_at", Utc),
        Column("owner", String(100)),  # who holds the lease: for people; None: given back
        Column("beat", Integer, nullable=False, default=0),
        Column("token", Integer, nullable=False, default=0),
    )


searches = Table(
    "nas_searches",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(200), nullable=False),
    *_work(),
    Column("wants", String(20)),
    _json("request"),
    _json("space"),
    _json("front", nullable=True),
    _json("timings"),
    Index(None, "state"),
)

trials = Table(
    "nas_trials",
    metadata,
    Column("search_id", ForeignKey("nas_searches.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    _enum("stage", TrialStage),
    _json("architecture"),
    _json("measurements"),
    _json("values"),
    _json("violations"),
    Column("feasible", Boolean),
    _json("scorecard", nullable=True),
    _json("training", nullable=True),
    Column("weights", String(64)),
    Column("reason", Text),
    Column("attempts", Integer, nullable=False),
    _json("timings"),
    Column("created_at", Utc, nullable=False),
    Column("finished_at", Utc),
)

attempts = Table(
    "nas_attempts",
    metadata,
    Column("search_id", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    _enum("state", AttemptState),
    Column("device", String(63), nullable=False),  # no foreign key: the history outlives the device
    Column("token", Integer, nullable=False),
    Column("device_token", Integer, nullable=False, default=0),
    Column("reason", Text),
    Column("started_at", Utc, nullable=False),
    Column("ended_at", Utc),
    Index(None, "device", "state"),
    ForeignKeyConstraint(["search_id", "number"], ["nas_trials.search_id", "nas_trials.number"], ondelete="CASCADE"),
)

devices = Table(
    "nas_devices",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("transport", String(10), nullable=False),
    Column("host", String(255), nullable=False),
    Column("port", Integer, nullable=False),
    Column("user", String(100), nullable=False),
    Column("key", Text, nullable=False),
    Column("host_key", Text, nullable=False),
    Column("python", Text, nullable=False),
    Column("root", Text, nullable=False),
    Column("pool", String(63), nullable=False),
    Column("measure_between", String(20), nullable=False),
    _json("jump"),
    Column("certificate", Text, nullable=False),
    Column("use_agent", Boolean, nullable=False),
    _enum("state", DeviceState),
    _json("facts", nullable=True),
    Column("faults", Integer, nullable=False, default=0),  # in a row
    Column("barred", Boolean, nullable=False, default=False),  # quarantined until a person enrols it anew
    _json("levels", default=dict),
    Column("owner", String(100)),  # which controller holds it; None: free
    Column("beat", Integer, nullable=False, default=0),
    Column("token", Integer, nullable=False, default=0),
    _json("queue", default=list),  # the controllers that wait for it, first to last
    Column("reason", Text),
    Column("created_at", Utc, nullable=False),
    Column("seen_at", Utc),
)

jobs = Table(
    "nas_jobs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String(20), nullable=False),
    *_work(),
    Column("search_id", Integer),  # None, like the trial: the job is not about one
    Column("trial", Integer),
    _json("request"),
    _json("progress"),
    _json("result", nullable=True),
    Column("package", String(64)),
    Index(None, "state"),
    ForeignKeyConstraint(["search_id", "trial"], ["nas_trials.search_id", "nas_trials.number"], ondelete="CASCADE"),
)

datasets = Table(
    "nas_datasets",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(100), nullable=False),
    Column("format", String(10), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("path", Text),
    _json("description"),
    Column("job", ForeignKey("nas_jobs.id"), nullable=False),
    Column("created_at", Utc, nullable=False),
    Index(None, "digest"),
    sqlite_autoincrement=True,  # a number that was given once never means another table
)

commits = Table(
    # Marks of transactions on PostgreSQL, for those whose commit got no answer; see ``nas.store.outages``.
    "nas_commits",
    metadata,
    Column("mark", String(32), primary_key=True),
    Column("at", Utc, nullable=False),
)

measurements = Table(
    "nas_measurements",
    metadata,
    Column("key", String(64), primary_key=True),
    _json("measurement"),
    Column("created_at", Utc, nullable=False),
)
