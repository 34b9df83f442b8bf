"""What a job tells on its way, and what it keeps for the controller that may have to finish it."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nas.errors import ControllerFault
from nas.store import jobs
from nas.store.database import Database
from nas.store.rows import Job

KEPT = "kept"


@dataclass(slots=True)
class Notes:
    """The progress of one job: what is shown of it, and the blobs that outlive its controller.

    Checkpoints are files beside the database, each replaced by the next; on another machine they are not
    there, and that one training begins anew.
    """

    db: Database
    job: Job
    folder: Path
    kept: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.kept = dict(self.job.progress.get(KEPT, {}))

    def tell(self, step: str, **more: Any) -> None:
        """Store how far it is.

        Raises:
            Conflict: Another controller has the job now.
        """
        kept = {KEPT: self.kept} if self.kept else {}
        jobs.save(self.db, self.job.id, token=self.job.token, progress={"step": step, **more, **kept})

    def read(self, name: str) -> bytes | None:
        """What was written under a name; None where nothing was."""
        return self.db.blobs.get(self.kept[name]) if name in self.kept else None

    def write(self, name: str, content: bytes) -> None:
        """Keep it as a blob, and its name in the job's row."""
        self.kept[name] = self.db.blobs.put(content)
        self.tell(f"kept {name}")

    def checkpoint(self, name: str) -> bytes:
        """The latest checkpoint; empty where there is none."""
        place = self._place(name)
        return place.read_bytes() if place.is_file() else b""

    def save_checkpoint(self, name: str, content: bytes) -> None:
        """Replace the checkpoint, whole or not at all; an empty one removes it.

        Raises:
            ControllerFault: The disk refuses.
        """
        place = self._place(name)
        if not content:
            place.unlink(missing_ok=True)
            return
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, new = tempfile.mkstemp(dir=self.folder, prefix=".new-")
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(new).replace(place)
        except OSError as error:
            raise ControllerFault(
                f"A checkpoint of {len(content)} bytes could not be stored in {self.folder}: {error.strerror}; make "
                "room or check the folder's permissions."
            ) from error

    def _place(self, name: str) -> Path:
        return self.folder / f"job-{self.job.id}-{name}.safetensors"
