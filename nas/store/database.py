"""One database: how it is opened, and the two kinds of transaction that it gives."""

from __future__ import annotations

import json
import math
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import ArgumentError, DBAPIError

from nas.errors import ControllerFault, RequestError
from nas.store import tables
from nas.store.blobs import Blobs
from nas.store.outages import first_line, is_away, was_committed

if TYPE_CHECKING:
    from nas.settings import Settings

_MIGRATIONS = Path(__file__).parent / "migrations"
_MIGRATING = threading.Lock()  # alembic keeps its context in a global
_ADVISORY_LOCK = 0x6E6173  # any number that all our processes agree on ("nas")


class Database:
    """Transactions on our tables, and the blobs that belong to them.

    Both kinds show one consistent snapshot. A write takes the lock when it begins, so that what
    it reads first is still true when it writes: on SQLite by ``BEGIN IMMEDIATE`` (which waits
    for its turn, where a read upgraded to a write fails at once), elsewhere by the row locks
    that the queries ask for. A context cannot run its block again: the store's verbs around it
    do, when a database server goes away (``nas.store.outages``).
    """

    def __init__(self, engine: Engine, blobs: Blobs) -> None:
        self.engine = engine
        self.blobs = blobs
        # SQLite lets waiting writers poll: threads of one process wait here, without a connection and in no hurry.
        self._writing = threading.Lock() if engine.dialect.name == "sqlite" else nullcontext()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads; it never waits for writers on SQLite."""
        with self.engine.connect() as connection:
            if connection.dialect.name == "postgresql":  # as SQLite does it: all queries see the same moment
                connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            _begin(connection, "BEGIN")
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is committed at its end, or rolled back by an exception."""
        with self._writing, self.engine.connect() as connection:
            _begin(connection, "BEGIN IMMEDIATE")
            yield connection
            _commit(connection)

    @contextmanager
    def rebuild(self) -> Iterator[Connection]:
        """A write transaction in which tables may be made anew, as migrations do on SQLite.

        There a table is altered by copying it and dropping the old one; and with foreign keys watched, dropping
        searches would delete the trials of all of them. They can be unwatched before a transaction begins only.
        """
        with self._writing, self.engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                connection.detach()  # closed at the end: no other use of it may go unwatched
                connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
            _begin(connection, "BEGIN IMMEDIATE")
            yield connection
            _commit(connection)

    def check(self) -> None:
        """Ask the database for an answer.

        Raises:
            ControllerFault: It gives none.
        """
        try:
            with self.read() as connection:
                connection.execute(text("SELECT version_num FROM nas_version"))  # a bare SELECT 1 would read nothing
        except DBAPIError as error:
            raise ControllerFault(
                f"The database {self.engine.url.render_as_string()} does not answer: {first_line(error.orig)}; "
                "check that it is running and may be read."
            ) from error

    def close(self) -> None:
        """Close the pooled connections."""
        self.engine.dispose()


def open_database(settings: Settings) -> Database:
    """Open the database of these settings and bring its tables up to date.

    Creates ``NAS_HOME`` (readable by its owner only) when it is missing. Any number of
    processes may start at once: one migrates, the others wait for it.

    Raises:
        RequestError: ``NAS_HOME`` or ``NAS_DATABASE_URL`` cannot be used as given.
        ControllerFault: The database does not open, or is newer than this program.
    """
    _make_home(settings.folder)
    try:
        engine = create_engine(settings.database, json_serializer=to_json)
    except (ArgumentError, ModuleNotFoundError) as error:
        raise RequestError(
            f"NAS_DATABASE_URL cannot be used: {first_line(error)}; expected a SQLAlchemy URL such as "
            "postgresql+psycopg://user@host/name with its driver installed, or nothing for SQLite."
        ) from error
    listen(engine)
    database = Database(engine, Blobs(settings.folder / "blobs"))
    try:
        _migrate(database)
        _forget_marks(database)
    except DBAPIError as error:
        database.close()
        raise ControllerFault(
            f"The database {engine.url.render_as_string()} cannot be opened: {first_line(error.orig)}; "
            "check that it exists, is a database and may be written."
        ) from error
    except ControllerFault:
        database.close()
        raise
    return database


def listen(engine: Engine) -> None:
    """Give every connection of a SQLite engine our settings; other databases are left alone.

    Meant for any engine on our database, Optuna's too: its tables lie in the same file.
    """
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _tune)
        engine.dispose()  # connections made before would go on without the settings


def _tune(connection: Any, _record: Any) -> None:
    # Where a library leaves BEGIN to the driver (Optuna does), it comes before its first write
    # and takes the lock at once; our own transactions say it themselves.
    connection.isolation_level = "IMMEDIATE"
    connection.execute("PRAGMA busy_timeout = 30000")
    _write_ahead(connection)
    connection.execute("PRAGMA synchronous = NORMAL")  # safe against kill -9; a power cut may cost the last moments
    connection.execute("PRAGMA foreign_keys = ON")


def _write_ahead(connection: Any, patience_s: float = 30.0) -> None:
    """Switch a new file to WAL; of processes that do so at once, SQLite refuses all but one without waiting."""
    end = time.monotonic() + patience_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(0.01)
        else:
            return


def _begin(connection: Connection, statement: str) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(statement)


def _commit(connection: Connection) -> None:
    """Commit; when the answer gets lost, find out whether it was done, so that nothing is done twice."""
    mark = _left_mark(connection)
    try:
        connection.commit()
    except DBAPIError as error:
        if mark is None or not is_away(error) or not was_committed(connection.engine, mark):
            raise


def _left_mark(connection: Connection) -> str | None:
    """Leave what tells later whether this transaction was committed; None where there is nothing to tell."""
    if connection.dialect.name != "postgresql":
        return None
    if connection.exec_driver_sql("SELECT pg_current_xact_id_if_assigned() IS NULL").scalar_one():
        return None
    mark = uuid.uuid4().hex
    connection.execute(tables.commits.insert().values(mark=mark, at=tables.now()))
    return mark


def _forget_marks(database: Database) -> None:
    """Delete the marks that nobody will ask after: a lost answer is looked into at once."""
    if database.engine.dialect.name == "postgresql":
        with database.engine.begin() as connection:
            old = tables.now() - timedelta(days=1)
            connection.execute(tables.commits.delete().where(tables.commits.c.at < old))


def _make_home(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(
            f"The folder {folder} cannot be created: {error.strerror}; set NAS_HOME to a folder that you may write."
        ) from error


def _migrate(database: Database) -> None:
    from alembic import command  # noqa: PLC0415 - a quarter of a second that only opening needs
    from alembic.config import Config  # noqa: PLC0415 - likewise
    from alembic.util import CommandError  # noqa: PLC0415 - likewise

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    # All in one write transaction: whoever starts second waits here, then finds nothing to do.
    with _MIGRATING, database.rebuild() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ADVISORY_LOCK})
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise ControllerFault(
                f"The database {connection.engine.url.render_as_string()} was written by a newer version of this "
                "program; upgrade the program, or set NAS_HOME to another folder."
            ) from error


def to_json(value: Any) -> str:
    """Encode for a JSON column; a number that is not finite becomes null, for JSON has none."""
    return json.dumps(_finite(value), allow_nan=False, separators=(",", ":"))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
