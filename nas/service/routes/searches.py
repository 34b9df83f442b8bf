"""Searches and their trials."""

from typing import Annotated

from fastapi import APIRouter, Query, Response, status

from nas.abilities import refuse_impossible
from nas.errors import NotFound, RequestError
from nas.frequency import FREQUENCIES
from nas.request import DataSpec, SearchRequest
from nas.service.context import Db, Id, Limit, Number, Offset
from nas.service.problems import responses
from nas.service.routes.spaces import load_builtin
from nas.service.views import FrontView, SearchSummary, SearchView, TrialView
from nas.space import SearchSpace
from nas.store import Database, Search, TrialStage, WorkState, datasets, searches, trials

router = APIRouter(prefix="/searches", tags=["searches"])


@router.post("", status_code=status.HTTP_201_CREATED, responses=responses(400, 422))
def start_search(db: Db, request: SearchRequest, response: Response) -> SearchView:
    """Queue a search; the space is resolved now, so that later changes of its file do not matter.

    What was said of a data set when it was added holds where the request does not say otherwise.
    """
    data, freq = _described(db, request.data)
    space = _resolve(request.space or FREQUENCIES[freq or "daily"].space)
    if freq is not None and space.frequency != freq:
        raise RequestError(
            f"{space.name} is a space for {space.frequency} sales, but the data are {freq}; leave it out."
        )
    request = request.model_copy(update={"data": data})
    refuse_impossible(db, request, space)
    search = searches.create(db, name=request.name, request=request.model_dump(mode="json"), space=space.to_dict())
    response.headers["Location"] = f"/api/v1/searches/{search.id}"
    return _view(db, search)


@router.get("", responses=responses(422))
def list_searches(db: Db, limit: Limit = 50, offset: Offset = 0) -> list[SearchSummary]:
    """Searches, newest first."""
    found = searches.page(db, limit=limit, offset=offset)
    return [SearchSummary.of(search, trials.counts(db, search.id)) for search in found]


@router.get("/{id_}", responses=responses(404, 422))
def show_search(db: Db, id_: Id) -> SearchView:
    """One search: its state, its request, and how far it is."""
    return _view(db, searches.get(db, id_))


@router.get("/{id_}/front", responses=responses(404, 422))
def show_front(db: Db, id_: Id) -> FrontView:
    """The trials that no other beats in every objective, all measured; empty until there are some."""
    return FrontView.of(searches.get(db, id_))


@router.get("/{id_}/trials", responses=responses(404, 422))
def list_trials(
    db: Db,
    id_: Id,
    stage: Annotated[TrialStage | None, Query(description="Only those at this stage.")] = None,
    limit: Limit = 100,
    offset: Offset = 0,
) -> list[TrialView]:
    """Trials of one search by number."""
    found = trials.page(db, id_, stage=stage, limit=limit, offset=offset)
    return [TrialView.model_validate(trial) for trial in found]


@router.get("/{id_}/trials/{number}", responses=responses(404, 422))
def show_trial(db: Db, id_: Id, number: Number) -> TrialView:
    """One trial with all that is known of it."""
    return TrialView.model_validate(trials.get(db, id_, number))


@router.post("/{id_}/stop", responses=responses(404, 409, 422))
def stop_search(db: Db, id_: Id) -> SearchView:
    """Pause: at once if nobody works on the search, else as soon as the step in hand ends."""
    return _view(db, searches.stop(db, id_))


@router.post("/{id_}/resume", responses=responses(404, 409, 422))
def resume_search(db: Db, id_: Id) -> SearchView:
    """Queue a paused search again; it goes on as if it had never stopped."""
    return _view(db, searches.resume(db, id_))


@router.post("/{id_}/cancel", responses=responses(404, 409, 422))
def cancel_search(db: Db, id_: Id) -> SearchView:
    """End a search for good; what it found stays."""
    return _view(db, searches.cancel(db, id_))


def _resolve(space: str | SearchSpace) -> SearchSpace:
    if isinstance(space, SearchSpace):
        return space
    try:
        return load_builtin(space)
    except NotFound as error:  # it is the body that is wrong, not the path
        raise RequestError(str(error)) from error


def _described(db: Database, data: DataSpec) -> tuple[DataSpec, str | None]:
    """The data, and their frequency where it is known by now.

    What was said of a data set when it was added holds, where the search does not say otherwise.
    """
    if data.dataset is None:
        return data, data.freq or (None if data.source == "table" else "daily")
    try:
        dataset, look = datasets.get(db, data.dataset)
    except NotFound as error:  # it is the body that is wrong, not the path
        raise RequestError(str(error)) from error
    if look.state == WorkState.failed:
        raise RequestError(f"Data set {dataset.id} ({dataset.name}) cannot be used: {look.reason}")
    found = DataSpec.checked({**dataset.description, **data.model_dump(exclude_unset=True)})
    return found, found.freq or (look.result or {}).get("frequency")


def _view(db: Database, search: Search) -> SearchView:
    best = trials.best(db, search.id, search.request["objectives"])
    return SearchView.of(search, trials.counts(db, search.id), best)
