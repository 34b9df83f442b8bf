"""Search spaces that come with the project."""

from fastapi import APIRouter
from pydantic import BaseModel, Field

from nas.errors import NotFound
from nas.service.problems import responses
from nas.space import SearchSpace, builtin_spaces

router = APIRouter(prefix="/search-spaces", tags=["search spaces"])


class SpaceSummary(BaseModel):
    """One search space by name."""

    name: str = Field(examples=["lstm_compact"])
    description: str
    size: int = Field(description="How many different architectures it holds.")


class SpaceView(SpaceSummary):
    """A whole search space; `space` can be changed and sent inline with a search."""

    space: SearchSpace


@router.get("")
def list_spaces() -> list[SpaceSummary]:
    """All built-in search spaces by name."""
    return [SpaceSummary(**_summary(SearchSpace.load(name))) for name in builtin_spaces()]


@router.get("/{name}", responses=responses(404, 422))
def show_space(name: str) -> SpaceView:
    """One built-in search space."""
    space = load_builtin(name)
    return SpaceView(**_summary(space), space=space)


def load_builtin(name: str) -> SearchSpace:
    """Load a space by its name only: a caller over the network names no files here.

    Raises:
        NotFound: No built-in space has this name.
    """
    if name not in builtin_spaces():
        known = ", ".join(builtin_spaces())
        raise NotFound(f"There is no search space {name!r}; expected one of {known}, or a whole space inline.")
    return SearchSpace.load(name)


def _summary(space: SearchSpace) -> dict[str, object]:
    return {"name": space.name, "description": space.description, "size": space.size}
