"""Teachers as a controller carries them out: made as jobs, and heard by students."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from nas.architecture import Architecture
from nas.controller.notes import Notes
from nas.data.forecasts import Forecasts
from nas.errors import Conflict
from nas.request import Training
from nas.search.distil import Lesson
from nas.search.teacher import LARGE, import_teacher, train_teacher
from nas.search.workshop import Workshop
from nas.store import jobs
from nas.store.database import Database
from nas.store.rows import Job
from nas.store.states import WorkState


def make_teacher(job: Job, shop: Workshop, notes: Notes) -> dict[str, Any]:
    """Make what was asked for; returns how the job ends.

    Raises:
        NasError: It cannot be made.
    """
    asked = job.request
    if asked["kind"] == "imported":
        until = asked["trained_until"] and date.fromisoformat(asked["trained_until"])
        taught = import_teacher(Path(asked["path"]), until, shop)
    else:
        architecture = Architecture.from_dict(asked["architecture"]) if asked["architecture"] else LARGE
        training = Training.model_validate(asked["training"])
        taught = train_teacher(architecture, asked["members"], training, asked["seed"], shop, notes)
    sha = notes.db.blobs.put(taught.forecasts.to_bytes())
    weights = {name: sha for name, sha in notes.kept.items() if name.startswith("member-")}
    result = {"kind": asked["kind"], **taught.result, "weights": weights}
    return {"state": WorkState.completed, "package": sha, "result": result, "progress": {"step": "done"}}


def lesson_of(db: Database, student: Job) -> Lesson | None:
    """The teacher that a student asks for, ready to be heard; None where it asks for none.

    Raises:
        NotFound: There is no such teacher.
        Conflict: It is not finished.
    """
    if not (number := student.request.get("teacher")):
        return None
    teacher = require_ready(jobs.get(db, number, "teacher"))
    imported = teacher.request["kind"] == "imported"
    return Lesson(
        id=teacher.id,
        kind=teacher.request["kind"],
        forecasts=Forecasts.from_bytes(db.blobs.get(str(teacher.package))),
        alpha=student.request["alpha"],
        in_sample=student.request["in_sample"] if imported else 1.0,
        cost=(teacher.result or {}).get("cost"),
    )


def require_ready(teacher: Job) -> Job:
    """The same teacher, once it can teach.

    Raises:
        Conflict: It is not finished, or failed.
    """
    if teacher.state != WorkState.completed:
        why = f": {teacher.reason}" if teacher.reason else ""
        raise Conflict(
            f"Teacher {teacher.id} is {teacher.state} and cannot teach yet{why}; wait until it is completed."
        )
    return teacher
