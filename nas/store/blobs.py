"""Files named by their content: trained weights, packages, models."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from nas.errors import ControllerFault, NotFound

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
        place = self._place(sha)
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
        if not _SHA.fullmatch(sha) or not self._place(sha).is_file():
            raise NotFound(f"There is no stored file {sha[:12]!r}…; it was deleted, or NAS_HOME is another folder now.")
        return self._place(sha)

    def _place(self, sha: str) -> Path:
        return self.folder / sha[:2] / sha[2:]


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
