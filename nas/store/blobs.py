"""Files named by their content: trained weights, packages, models, sales tables."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from nas.errors import ControllerFault, NotFound, RequestError

_SHA = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Blobs:
    """A folder of blobs, each under its SHA-256 (``ab/cdef…``); written once, never changed.

    A blob appears whole or not at all: it is written beside its place, flushed to the disk and
    then renamed. Any number of processes may put the same blob at once.
    """

    folder: Path

    def put(self, content: bytes) -> str:
        """Store ``content`` and return its SHA-256; storing the same again costs one look.

        Raises:
            ControllerFault: The disk refuses, for example because it is full.
        """
        sha = hashlib.sha256(content).hexdigest()
        place = self.place(sha)
        # A copy that went bad (cut short by a broken disk) is healed by the next put.
        if not _holds(place, sha):
            try:
                _write(place, content)
            except OSError as error:
                raise ControllerFault(
                    f"A file of {len(content)} bytes could not be stored in {self.folder}: {error.strerror}; "
                    "make room or check the folder's permissions."
                ) from error
        return sha

    @contextmanager
    def receive(self) -> Iterator[Incoming]:
        """Store what comes piece by piece, and is never whole in memory.

        Nothing is left of it unless ``keep`` was called before the context ends.

        Raises:
            ControllerFault: The disk refuses, for example because it is full.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.folder, prefix=".new-", delete=False) as file:
                try:
                    yield Incoming(self, cast("BinaryIO", file))
                finally:
                    Path(file.name).unlink(missing_ok=True)
        except OSError as error:
            raise ControllerFault(
                f"What was sent could not be stored in {self.folder}: {error.strerror}; "
                "make room or check the folder's permissions."
            ) from error

    def drop(self, sha: str) -> None:
        """Delete a blob that nothing names any more; one that is not there is fine."""
        self.place(sha).unlink(missing_ok=True)

    def get(self, sha: str) -> bytes:
        """Read a blob and verify it.

        Raises:
            NotFound: There is no such blob.
            ControllerFault: Its content is no longer what its name says.
        """
        content = self.path(sha).read_bytes()
        if hashlib.sha256(content).hexdigest() != sha:
            raise ControllerFault(
                f"The stored file {sha[:12]}… is damaged: its content does not match its SHA-256; "
                "restore it from a backup or run the work that made it again."
            )
        return content

    def path(self, sha: str) -> Path:
        """Where the blob lies, for tools that want a file; the content is not verified.

        Raises:
            NotFound: There is no such blob, or ``sha`` is no SHA-256.
        """
        if not _SHA.fullmatch(sha) or not self.place(sha).is_file():
            raise NotFound(f"There is no stored file {sha[:12]!r}…; it was deleted, or NAS_HOME is another folder now.")
        return self.place(sha)

    def place(self, sha: str) -> Path:
        """Where a blob of this name lies, or would lie."""
        return self.folder / sha[:2] / sha[2:]


class Incoming:
    """A blob on its way in; see :meth:`Blobs.receive`.

    Attributes:
        size: Bytes so far.
    """

    def __init__(self, blobs: Blobs, file: BinaryIO) -> None:
        self._blobs, self._file, self._sha = blobs, file, hashlib.sha256()
        self.size = 0

    def write(self, piece: bytes) -> None:
        """Add the next piece."""
        self._file.write(piece)
        self._sha.update(piece)
        self.size += len(piece)

    def keep(self) -> str:
        """Make it a blob and return its SHA-256."""
        sha = self._sha.hexdigest()
        place = self._blobs.place(sha)
        self._file.flush()
        os.fsync(self._file.fileno())
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        Path(self._file.name).replace(place)  # over one that is there already: the same bytes, or a damaged copy
        _sync_folder(place.parent)
        return sha


def digest_of(path: Path) -> tuple[str, int]:
    """SHA-256 and size of a file, read piece by piece.

    Raises:
        RequestError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest(), file.tell()
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror}; check its permissions.") from error


def _holds(place: Path, sha: str) -> bool:
    return place.is_file() and hashlib.sha256(place.read_bytes()).hexdigest() == sha


def _write(place: Path, content: bytes) -> None:
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=place.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(place)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    _sync_folder(place.parent)


def _sync_folder(folder: Path) -> None:
    """Flush the new name too: without it a power cut may forget the rename."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
