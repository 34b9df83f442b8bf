"""Data sets: sales tables that are uploaded, or lie on this computer; a controller looks at each."""

import json
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, cast

from fastapi import APIRouter, HTTPException, Query, Request, Response, status
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import ClientDisconnect

from nas.errors import RequestError
from nas.request import DataSpec
from nas.service.context import Db, Id, Limit, Offset, UploadBytes
from nas.service.problems import responses
from nas.service.views import DatasetSummary, DatasetView
from nas.store import Blobs, datasets
from nas.store.blobs import digest_of

router = APIRouter(prefix="/datasets", tags=["datasets"])
FORMATS = {"text/csv": "csv", "application/vnd.apache.parquet": "parquet"}
DESCRIBED = (
    *("columns", "hist", "futr", "stat", "ignore", "open", "available"),
    *("holidays", "timezone", "freq", "fill"),
)
"""What may be said of a table when it is added: the keys of a search's ``data`` that are about its columns."""
_NAME = r"[^\x00-\x1f\x7f/\\]{1,60}"
_PIECE = 1 << 20
Name = Annotated[
    str | None, Query(description="What to call it; by default the name of the file.", examples=["sales.csv"])
]


class ByPath(BaseModel):
    """A table that lies on the service's computer, and stays there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(description="Absolute path of a CSV or Parquet file.", examples=["/srv/sales/2024.parquet"])
    name: str | None = Field(None, description="What to call it; by default the name of the file.")
    description: dict[str, Any] = Field(
        default_factory=dict,
        description=f"What its columns mean, as under a search's `data`: {', '.join(DESCRIBED)}.",
        examples=[{"futr": ["promo"], "stat": ["store"], "fill": "zero"}],
    )


_BODY = {
    "required": True,
    "content": {
        "application/json": {"schema": ByPath.model_json_schema()},
        **{kind: {"schema": {"type": "string", "format": "binary"}} for kind in FORMATS},
    },
}


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    responses=responses(400, 413, 415, 422),
    openapi_extra={"requestBody": _BODY},
)
async def add_dataset(
    db: Db,
    limit: UploadBytes,
    request: Request,
    response: Response,
    name: Name = None,
    description: Annotated[str, Query(description="As in the JSON body, for an uploaded table.")] = "{}",
) -> DatasetView:
    """Add a sales table: the file itself as the body, or JSON with its path on this computer."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        wanted = _by_path(await request.body())
        file = _file(wanted.path)
        described = _description(wanted.description)
        format_, path, name = file.suffix[1:].lower(), str(file), wanted.name or file.name[-60:]
        _refuse_bad_name(name)
        digest, size = await run_in_threadpool(digest_of, file)
    elif kind in FORMATS:
        described = _description(_json(description, "query", "description"))
        format_, path = FORMATS[kind], None
        name = name or f"upload.{format_}"
        _refuse_bad_name(name)
        digest, size = await _receive(db.blobs, request, limit)
    else:
        raise HTTPException(
            415,
            f"The body is {kind or 'of no said type'}, expected {', '.join(FORMATS)} or application/json with a path",
        )
    add = partial(datasets.create, db, name=name, format_=format_, digest=digest, size=size, path=path)
    dataset = await run_in_threadpool(add, description=described)
    response.headers["Location"] = f"/api/v1/datasets/{dataset.id}"
    return DatasetView.of(*await run_in_threadpool(datasets.get, db, dataset.id))


@router.get("", responses=responses(422))
def list_datasets(db: Db, limit: Limit = 50, offset: Offset = 0) -> list[DatasetSummary]:
    """Data sets, newest first, without their profiles."""
    return [DatasetSummary.of(*found) for found in datasets.page(db, limit=limit, offset=offset)]


@router.get("/{id_}", responses=responses(404, 422))
def show_dataset(db: Db, id_: Id) -> DatasetView:
    """One data set: what is in it, and everything that is wrong with it by row and column."""
    return DatasetView.of(*datasets.get(db, id_))


@router.delete("/{id_}", status_code=status.HTTP_204_NO_CONTENT, responses=responses(404, 409, 422))
def remove_dataset(db: Db, id_: Id) -> None:
    """Forget a data set that no unfinished search or student needs; a table named by its path stays where it is."""
    datasets.remove(db, id_)


async def _receive(blobs: Blobs, request: Request, limit: int) -> tuple[str, int]:
    """Store the body as it comes in; returns its SHA-256 and size."""
    too_large = HTTPException(
        413, f"The table is larger than {limit / 1e6:g} MB; raise NAS_UPLOAD_MB, or send its path on this computer"
    )
    if int(request.headers.get("content-length", 0)) > limit:
        raise too_large
    with blobs.receive() as incoming:
        held = bytearray()
        try:
            async for piece in request.stream():
                held += piece
                if incoming.size + len(held) > limit:
                    raise too_large
                if len(held) >= _PIECE:
                    await run_in_threadpool(incoming.write, bytes(held))
                    held.clear()
        except ClientDisconnect:
            so_far = incoming.size + len(held)
            raise RequestError(f"The upload broke off after {so_far} bytes and was dropped; send it again.") from None
        await run_in_threadpool(incoming.write, bytes(held))
        if not incoming.size:
            raise RequestError("The body is empty, expected a sales table; send the file itself.")
        return await run_in_threadpool(incoming.keep), incoming.size


def _by_path(body: bytes) -> ByPath:
    try:
        return ByPath.model_validate(_json(body, "body"))
    except ValidationError as error:
        found = [{**one, "loc": ("body", *one["loc"])} for one in error.errors()]
        raise RequestValidationError(found) from None


def _json(text: str | bytes, *where: str) -> Any:
    """Parse JSON.

    Raises:
        RequestValidationError: It is none; shown like any other request that is none.
        HTTPException: It is not UTF-8, is nested too deeply, or has a number of thousands of digits.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        found = {"type": "json_invalid", "loc": (*where, error.pos), "msg": "", "ctx": {"error": error.msg}}
        raise RequestValidationError([found]) from None
    except (ValueError, RecursionError):
        raise HTTPException(400) from None


def _file(path: str) -> Path:
    file = Path(path)
    try:
        there = file.is_absolute() and file.is_file()
    except OSError:  # a name that is too long, or a folder that may not be entered
        there = False
    if not there:
        raise RequestError(f"There is no file {path!r:.200} on the service's computer; give the absolute path of one.")
    if file.suffix.lower() not in (".csv", ".parquet"):
        raise RequestError(f"{path} is neither .csv nor .parquet; give the sales table in one of these two formats.")
    return file


def _description(values: Any) -> dict[str, Any]:
    """What was said of the columns, checked; only what was said, so that a search may say the rest.

    Raises:
        RequestError: It is no JSON object, or what it says makes no sense.
    """
    if not isinstance(values, Mapping):
        raise RequestError('The description is no JSON object; send one such as {"futr": ["promo"]}.')
    if unknown := sorted(set(map(str, values)) - set(DESCRIBED)):
        raise RequestError(
            f"The description has {', '.join(unknown)[:200]}, expected only {', '.join(DESCRIBED)}; "
            "correct or remove it."
        )
    spec = DataSpec.checked({**cast("Mapping[str, Any]", values), "source": "dataset", "dataset": 1})
    return spec.model_dump(mode="json", exclude_unset=True, exclude={"source", "dataset"})


def _refuse_bad_name(name: str) -> None:
    if not re.fullmatch(_NAME, name):
        raise RequestError(
            f"{name!r:.100} is no name for a data set; give one of 1 to 60 characters without slashes and line breaks."
        )
