"""Every setting once: name, default, help. Each is read from the environment as ``NAS_<NAME>``."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from nas.errors import RequestError


class Settings(BaseSettings):
    """Settings of one process, read once from the environment at start."""

    model_config = SettingsConfigDict(env_prefix="NAS_", frozen=True)

    home: Path = Field(Path("~/.local/share/nas"), description="Folder for the database, blobs and cached data sets.")
    database_url: str = Field("", description="SQLAlchemy URL; empty means SQLite in NAS_HOME.")
    host: str = Field("127.0.0.1", description="Address that `nas serve` binds; only loopback is allowed.")
    port: int = Field(8765, ge=0, le=65535, description="Port that `nas serve` binds.")
    url: str = Field("http://127.0.0.1:8765", description="Service that the command line talks to.")
    upload_mb: int = Field(4096, ge=1, description="Largest sales table that may be uploaded, in MB (10^6 bytes).")
    cluster: str = Field("", description="Dask scheduler for training (tls://…); empty starts a local cluster.")
    cluster_insecure: bool = Field(False, description="1 allows a plain tcp:// scheduler off loopback.")
    train_workers: int = Field(2, ge=1, description="Trainings at a time on the local cluster, one thread each.")
    lease_ttl: float = Field(10.0, gt=0, description="Seconds after which work without a heartbeat may be taken over.")
    quarantine_after: int = Field(3, ge=1, description="Faults in a row after which a device is given no more work.")
    session_idle: float = Field(
        10.0, gt=0, description="Seconds without a request after which a device's session is closed."
    )
    attempts: int = Field(3, ge=1, description="Attempts per trial when a device or the controller breaks.")
    key_passphrase_file: str = Field(
        "", description="File with the passphrase of SSH keys, readable by its owner only."
    )
    litert_python: str = Field(
        "", description="Python with LiteRT's converter; empty means `.venv-litert` beside this environment."
    )
    log_level: str = Field("INFO", description="Least level that is logged: DEBUG, INFO, WARNING or ERROR.")

    @classmethod
    def from_environment(cls) -> Settings:
        """Read the environment.

        Raises:
            RequestError: Naming each variable that cannot be used.
        """
        try:
            return cls()
        except ValidationError as error:
            found = [f"NAS_{str(e['loc'][0]).upper()} is {e['input']!r}: {e['msg']}" for e in error.errors()]
            raise RequestError(f"The settings cannot be used: {'; '.join(found)}; see the README's table.") from None

    @cached_property
    def folder(self) -> Path:
        """``NAS_HOME``, absolute."""
        return self.home.expanduser().absolute()

    @property
    def database(self) -> str:
        """The database URL that is really used."""
        path = str(self.folder / "nas.sqlite").replace("%", "%25").replace("?", "%3F")  # as SQLAlchemy 2.1 reads a URL
        return self.database_url or f"sqlite:///{path}"
