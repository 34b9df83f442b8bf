"""Students: trials exported as packages that run without this project."""

import io
import zipfile
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Query, Response, status
from pydantic import Field

from nas.abilities import boards_of
from nas.errors import Conflict
from nas.request import StudentRequest
from nas.service.context import LARGEST, Db, Id, Limit, Offset
from nas.service.problems import responses
from nas.service.views import FrontView, StudentView
from nas.store import Job, Search, TrialStage, WorkState, jobs, searches, trials

router = APIRouter(prefix="/students", tags=["students"])


class ExportRequest(StudentRequest):
    """Which trial becomes a student; its numbers fit into the database, which would choke on larger ones."""

    search: int = Field(ge=1, le=LARGEST)
    trial: int | None = Field(None, ge=0, le=LARGEST, description="None takes the front's recommended one.")
    teacher: int | None = Field(None, ge=1, le=LARGEST, description="A teacher to learn from, by number.")


@router.post("", status_code=status.HTTP_202_ACCEPTED, responses=responses(400, 404, 409, 422))
def export_student(db: Db, request: Annotated[ExportRequest, Body()], response: Response) -> StudentView:
    """Queue the export of a scored trial, verified on the devices: outputs there against the trainer's."""
    search = searches.get(db, request.search)
    number = _recommended(search) if request.trial is None else request.trial
    trial = trials.get(db, search.id, number)
    if trial.stage != TrialStage.scored:
        raise Conflict(
            f"Trial {number} of search {search.id} is {trial.stage}; only a scored trial can be exported, "
            f"`nas front {search.id}` shows the best ones."
        )
    named = [request.device] if request.device else search.request["devices"]
    for name in named:
        boards_of(db, name)
    wanted: dict[str, Any] = {"search": search.id, "trial": number, "devices": named}
    wanted |= request.model_dump(include={"store", "max_epochs", "refit"})
    if request.teacher is not None:
        _expect_teacher(jobs.get(db, request.teacher, "teacher"), search)
        wanted |= request.model_dump(include={"teacher", "alpha", "in_sample"})
    job = jobs.create(db, "student", search_id=search.id, trial=number, request=wanted)
    response.headers["Location"] = f"/api/v1/students/{job.id}"
    return StudentView.of(job)


@router.get("", responses=responses(422))
def list_students(db: Db, limit: Limit = 50, offset: Offset = 0) -> list[StudentView]:
    """Students, newest first."""
    return [StudentView.of(job) for job in jobs.page(db, "student", limit=limit, offset=offset)]


@router.get("/{id_}", responses=responses(404, 422))
def show_student(db: Db, id_: Id) -> StudentView:
    """One student: how far its export is, and what the verification found."""
    return StudentView.of(jobs.get(db, id_, "student"))


@router.get(
    "/{id_}/package",
    response_class=Response,
    responses={
        200: {"description": "The package.", "content": {"application/zip": {"schema": {"type": "string"}}}},
        **responses(404, 409, 422),
    },
)
def fetch_package(db: Db, id_: Id) -> Response:
    """The finished package as a zip file."""
    job = _completed(db, id_)
    name = f"student-{job.search_id}-{job.trial}.zip"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "ETag": f'"{job.package}"'}
    return Response(db.blobs.get(str(job.package)), media_type="application/zip", headers=headers)


@router.get(
    "/{id_}/report",
    response_class=Response,
    responses={
        200: {
            "description": "The report, as a page or as JSON.",
            "content": {
                "text/html": {"schema": {"type": "string"}},
                "application/json": {"schema": {"type": "object"}},
            },
        },
        **responses(404, 409, 422),
    },
)
def fetch_report(
    db: Db, id_: Id, form: Annotated[Literal["html", "json"], Query(description="A page to read, or figures.")] = "html"
) -> Response:
    """How accurate a finished student is: overall, by slice and by step, with intervals and what it stands beside."""
    job = _completed(db, id_)
    try:
        with zipfile.ZipFile(io.BytesIO(db.blobs.get(str(job.package)))) as archive:
            content = archive.read(f"student-{id_}/report.{form}")
    except (KeyError, zipfile.BadZipFile):
        raise Conflict(
            f"Student {id_} was made by an earlier version and has no report; export its trial again."
        ) from None
    return Response(content, media_type="text/html" if form == "html" else "application/json")


def _completed(db: Db, id_: int) -> Job:
    job = jobs.get(db, id_, "student")
    if job.state != WorkState.completed or job.package is None:
        why = f": {job.reason}" if job.reason else ""
        raise Conflict(f"Student {id_} is {job.state} and has no package{why.rstrip('.')}; it exists once completed.")
    return job


def _expect_teacher(teacher: Job, search: Search) -> None:
    if teacher.state != WorkState.completed:
        why = f": {teacher.reason.rstrip('.')}" if teacher.reason else ""
        raise Conflict(
            f"Teacher {teacher.id} is {teacher.state}{why}; it can teach once it is completed, "
            f"`nas teacher show {teacher.id}` tells."
        )
    if teacher.request["data"] != search.request["data"]:
        raise Conflict(
            f"Teacher {teacher.id} learned other data than search {search.id}, or another split of them; train or "
            f"import one with --search {search.id}."
        )


def _recommended(search: Search) -> int:
    front = FrontView.of(search)
    if front.recommended is not None:
        return front.recommended
    if not front.points and search.reason:
        raise Conflict(f"Search {search.id} is {search.state} without a front: {search.reason}")
    if not front.points:
        raise Conflict(
            f"Search {search.id} is {search.state} and has no front yet; wait for its first scored trial, "
            "or name a trial."
        )
    return front.points[0].number
