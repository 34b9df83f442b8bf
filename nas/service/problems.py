"""The one shape of every error: ``application/problem+json`` (RFC 9457)."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from nas.errors import Conflict, DataError, DeviceFault, Fault, InputError, MissingExtra, NasError, NotFound

MEDIA_TYPE = "application/problem+json"
_STATUS: Mapping[type[NasError], int] = {
    InputError: 422,
    NotFound: 404,
    Conflict: 409,
    MissingExtra: 501,
    DeviceFault: 502,
    Fault: 500,
}
_log = structlog.get_logger(__name__)


class Finding(BaseModel):
    """One thing that is wrong with a request."""

    field: str = Field(description="Where: the key in the body, or the parameter; parts are joined by dots.")
    message: str = Field(description="What was found and what was expected.")


class Problem(BaseModel):
    """Why a request was not carried out."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:nas:problem:not-found",
                    "title": "Not found",
                    "status": 404,
                    "detail": "There is no search 7; `nas search list` shows those that exist.",
                    "instance": "/api/v1/searches/7",
                    "errors": [],
                }
            ]
        }
    )

    type: str = Field(description="`urn:nas:problem:` and the kind of error; stable, for programs.")
    title: str = Field(description="The kind of error in words.")
    status: int = Field(description="The HTTP status, again.")
    detail: str = Field(description="One sentence: what happened, what was expected, what to do.")
    instance: str = Field(description="The path that was asked for.")
    errors: list[Finding] = Field([], description="Every finding, if there are several or one names a field.")


def respond(path: str, kind: str, status: int, detail: str, errors: Iterable[Finding] = ()) -> JSONResponse:
    """Build the answer; ``kind`` is in the style of a class name, such as ``NotFound``."""
    words = re.findall(r"[A-Z][a-z]+", kind)
    problem = Problem(
        type=f"urn:nas:problem:{'-'.join(words).lower()}",
        title=" ".join(words).capitalize(),
        status=status,
        detail=detail,
        instance=path,
        errors=list(errors),
    )
    return JSONResponse(problem.model_dump(), status, media_type=MEDIA_TYPE)


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems that a route may answer with, for its documentation."""
    return {status: {"model": Problem} for status in statuses}


def install(app: FastAPI) -> None:
    """Turn every exception of ``app`` into a problem."""

    @app.exception_handler(NasError)
    async def _ours(request: Request, error: NasError) -> JSONResponse:
        status = next(status for kind, status in _STATUS.items() if isinstance(error, kind))
        findings = error.problems if isinstance(error, DataError) else ()
        errors = [Finding(field="data", message=finding) for finding in findings]
        return respond(request.url.path, type(error).__name__, status, str(error), errors)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        findings = [_finding(found) for found in error.errors()]
        if any(found["type"] == "json_invalid" for found in error.errors()):
            return respond(request.url.path, "MalformedJson", 400, f"The body is not JSON: {findings[0].message}.")
        sentence = "; ".join(f"{found.field}: {found.message}" for found in findings)
        return respond(request.url.path, "RequestError", 422, f"{sentence}.", findings)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        kind, detail = _describe(request, error)
        response = respond(request.url.path, kind, error.status_code, detail)
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(Exception)
    async def _unexpected(request: Request, error: Exception) -> JSONResponse:
        _log.error("request failed", path=request.url.path, error=repr(error))
        detail = "Something broke inside the service; its log says what. Report it together with that part of the log."
        return respond(request.url.path, "Unexpected", 500, detail)


def _describe(request: Request, error: HTTPException) -> tuple[str, str]:
    match error.status_code:
        case 404:
            return "NotFound", f"There is nothing at {request.url.path}; /docs lists every path."
        case 405:
            allowed = (error.headers or {}).get("Allow", "another method")
            return "MethodNotAllowed", f"{request.method} is not possible at {request.url.path}; use {allowed}."
        case 400:
            return "MalformedJson", "The body cannot be read; send JSON in UTF-8."
        case 413:
            return "TooLarge", f"{error.detail}."
        case 415:
            return "UnsupportedMediaType", f"{error.detail}."
        case _:
            return "HttpError", f"{error.detail}."


def _finding(found: Mapping[str, Any]) -> Finding:
    """One of pydantic's findings in our words."""
    where = ".".join(str(part) for part in found["loc"][1:]) or "body"
    match found["type"]:
        case "json_invalid":
            message = f"{found['ctx']['error']} at character {found['loc'][-1]}"
        case "missing" if where == "body":
            message = "it is missing; send a JSON object"
        case "missing":
            message = "it is missing; add it"
        case "extra_forbidden":
            message = "it is not known here; correct or remove it"
        case "value_error":
            message = str(found["ctx"]["error"]).rstrip(".")
        case "model_attributes_type":
            message = "expected a JSON object, sent with the header Content-Type: application/json"
        case _:
            expected = found["msg"].replace("Input should", "it should", 1)
            expected = expected.replace("Tuple", "the list").replace("valid tuple", "list")
            message = f"{expected[:1].lower()}{expected[1:]}, found {found['input']!r:.60}"
    return Finding(field=where, message=message)
