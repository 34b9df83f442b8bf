"""Teachers: large networks trained here, or forecasts imported from any tool; students learn from them."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Response, status
from pydantic import Field

from nas.abilities import boards_of
from nas.architecture import Architecture
from nas.request import SearchRequest, TeacherRequest, Training
from nas.service.context import LARGEST, Db, Id, Limit, Offset
from nas.service.problems import responses
from nas.service.views import TeacherView
from nas.store import Database, jobs, searches

router = APIRouter(prefix="/teachers", tags=["teachers"])


class MakeRequest(TeacherRequest):
    """Which teacher is made; its numbers fit into the database."""

    search: int | None = Field(None, ge=1, le=LARGEST, description="Data, split, devices and schedule are its.")


@router.post("", status_code=status.HTTP_202_ACCEPTED, responses=responses(400, 404, 422))
def make_teacher(db: Db, request: Annotated[MakeRequest, Body()], response: Response) -> TeacherView:
    """Queue the training of a teacher, or the import of one; what a search leaves open is filled in now."""
    wanted = _resolved(db, request)
    for name in wanted["devices"]:
        boards_of(db, name)
    job = jobs.create(db, "teacher", search_id=request.search, trial=None, request=wanted)
    response.headers["Location"] = f"/api/v1/teachers/{job.id}"
    return TeacherView.of(job)


@router.get("", responses=responses(422))
def list_teachers(db: Db, limit: Limit = 50, offset: Offset = 0) -> list[TeacherView]:
    """Teachers, newest first."""
    return [TeacherView.of(job) for job in jobs.page(db, "teacher", limit=limit, offset=offset)]


@router.get("/{id_}", responses=responses(404, 422))
def show_teacher(db: Db, id_: Id) -> TeacherView:
    """One teacher: how far it is, how accurate it is, and what it costs."""
    return TeacherView.of(jobs.get(db, id_, "teacher"))


def _resolved(db: Database, request: TeacherRequest) -> dict[str, Any]:
    """The request with the search's data, devices and schedule where it names none."""
    wanted = request.model_dump(mode="json")
    if request.architecture is not None:
        wanted["architecture"] = Architecture.from_dict(request.architecture).to_dict()
    if request.search is None:
        usual: dict[str, Any] = {"training": Training().model_dump(mode="json"), "devices": []}
        found = {"data": wanted["data"], "wanted": [], "beside_load": False}
    else:
        asked = SearchRequest.model_validate(searches.get(db, request.search).request)
        shown = asked.model_dump(mode="json")
        usual = {"training": shown["training"], "devices": shown["devices"]}
        names = [*asked.objectives, *asked.constraints]
        found = {"data": shown["data"], "wanted": names, "beside_load": asked.beside_load}
    if request.kind == "imported":
        usual["devices"] = []  # there is nothing that a device could run
    chosen = {name: value if wanted[name] is None else wanted[name] for name, value in usual.items()}
    return {**wanted, **chosen, **found}
