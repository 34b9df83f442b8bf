"""A PostgreSQL server of the tests' own: Debian's package, a free port, a temporary folder, gone with the tests."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from ports import free_port
from processes import PATIENCE_S, wait_until

from beds.leftovers import fresh_folder

TEMPLATE = "migrated"


def programs() -> Path | None:
    """The folder with ``postgres`` and ``initdb``: that of the newest version installed."""
    on_path = shutil.which("initdb")
    found = [*Path("/usr/lib/postgresql").glob("*/bin"), *([Path(on_path).resolve().parent] if on_path else [])]
    usable = [folder for folder in found if (folder / "initdb").exists() and (folder / "postgres").exists()]
    return max(usable, key=lambda folder: int(folder.parent.name) if folder.parent.name.isdigit() else 0, default=None)


@dataclass
class Postgres:
    """One server; it can be killed and started again on the same data.

    It never syncs to the disk: that is the operating system's business, which no test takes down.
    """

    folder: Path
    bin: Path
    port: int = 0
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    databases: int = 0

    def create(self) -> None:
        """Lay out the data folder, once."""
        self.port = free_port()
        self.folder.chmod(0o711)
        data = self.folder / "data"
        data.mkdir(mode=0o700)
        if os.getuid() == 0:  # PostgreSQL refuses to run as root
            shutil.chown(data, "postgres", "postgres")
        command = [self.bin / "initdb", "-D", data, "-A", "trust", "-U", self.user, "-E", "UTF8", "--no-sync"]
        subprocess.run(self._as_postgres(*command, "--locale=C.UTF-8"), check=True, stdout=subprocess.DEVNULL, cwd="/")

    def start(self) -> None:
        listen = ["-c", "listen_addresses=127.0.0.1", "-p", str(self.port), "-c", "unix_socket_directories="]
        quick = ["-c", "fsync=off", "-c", "max_connections=200", "-c", "log_min_messages=fatal"]
        with (self.folder / "log").open("ab") as log:
            command = [self.bin / "postgres", "-D", self.folder / "data", *listen, *quick]
            self.process = subprocess.Popen(self._as_postgres(*command), stdout=log, stderr=log, cwd="/")
        ready = [self.bin / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        wait_until(lambda: self._lives() and subprocess.run(ready, check=False).returncode == 0)

    def _lives(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"PostgreSQL did not start: {(self.folder / 'log').read_text()}"
        return True

    def stop(self, number: int = signal.SIGINT) -> None:
        """End it: SIGINT breaks off every connection, SIGQUIT as a crash would (the next start has to recover)."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(PATIENCE_S)
            self.process = None

    @property
    def user(self) -> str:
        return "postgres" if os.getuid() == 0 else getpass.getuser()

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://{self.user}@127.0.0.1:{self.port}/{database}"

    @contextmanager
    def fresh(self, template: str) -> Iterator[str]:
        """Create a database as a copy of ``template``, give its URL, and drop it again."""
        self.databases += 1
        name = f"test_{self.databases}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template}")
        yield self.url(name)
        self.sql(f"DROP DATABASE {name} WITH (FORCE)")

    def sql(self, statement: str) -> None:
        """Carry out a statement that no transaction may contain."""
        import psycopg

        where = f"host=127.0.0.1 port={self.port} user={self.user} dbname=postgres"
        with psycopg.connect(where, autocommit=True) as connection:
            connection.execute(statement)

    def _as_postgres(self, *command: object) -> list[str]:
        """As a user who may run it, and only for as long as we live, however we end."""
        user = ["--reuid", "postgres", "--regid", "postgres", "--clear-groups"] if os.getuid() == 0 else []
        return ["setpriv", "--pdeathsig", "QUIT", *user, *map(str, command)]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server for the whole run, with the database ``TEMPLATE`` to copy from."""
    with served() as server:
        yield server


@contextmanager
def served() -> Iterator[Postgres]:
    """A server of one's own, to be killed at will."""
    folder = programs()
    if folder is None:
        pytest.skip("PostgreSQL's server is not installed; install it with `apt-get install postgresql`")
    from nas.settings import Settings
    from nas.store import open_database

    server = Postgres(fresh_folder(), folder)
    try:
        server.create()
        server.start()
        server.sql(f"CREATE DATABASE {TEMPLATE}")
        open_database(Settings(home=server.folder / "home", database_url=server.url(TEMPLATE))).close()
        yield server
    finally:
        server.stop(signal.SIGQUIT)
        shutil.rmtree(server.folder, ignore_errors=True)
