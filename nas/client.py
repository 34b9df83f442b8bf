"""The service's client: every route as a method, every problem as one of our errors."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self
from urllib.parse import quote

import httpx

from nas import errors

Json = dict[str, Any]
_KINDS = {".csv": "text/csv", ".parquet": "application/vnd.apache.parquet"}
_TIMEOUT = httpx.Timeout(60.0, connect=5.0)


class Client:
    """A connection to one service; also a context manager.

    Every method returns the service's JSON as plain dicts (the OpenAPI document at ``/docs`` says
    what is in them) and raises:

    * ``NotFound``, ``Conflict``, ``RequestError``, …: what the service answered;
    * ``ControllerFault``: no service answers at this URL, or not in time.

    Args:
        url: Where the service listens, for example ``http://127.0.0.1:8765``.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        # The service is on this computer: a proxy from the environment must not come between.
        try:
            self._http = httpx.Client(base_url=self.url, timeout=_TIMEOUT, trust_env=False)
        except (httpx.InvalidURL, ValueError) as error:
            raise errors.RequestError(f"{url!r} is not a URL: {error}; set NAS_URL to http://HOST:PORT.") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def health(self) -> Json:
        """Ask whether the service and its database answer."""
        return self._json("GET", "/healthz")

    def start_search(self, request: Mapping[str, Any]) -> Json:
        """Queue a search; ``request`` is a ``SearchRequest`` as JSON."""
        return self._json("POST", "/api/v1/searches", request)

    def searches(self, *, limit: int = 50, offset: int = 0) -> list[Json]:
        """Searches, newest first."""
        return self._list("/api/v1/searches", limit=limit, offset=offset)

    def search(self, search: int) -> Json:
        """One search with its progress."""
        return self._json("GET", f"/api/v1/searches/{search}")

    def stop_search(self, search: int) -> Json:
        """Pause as soon as the step in hand ends."""
        return self._json("POST", f"/api/v1/searches/{search}/stop")

    def resume_search(self, search: int) -> Json:
        """Queue a paused search again."""
        return self._json("POST", f"/api/v1/searches/{search}/resume")

    def cancel_search(self, search: int) -> Json:
        """End a search for good."""
        return self._json("POST", f"/api/v1/searches/{search}/cancel")

    def front(self, search: int) -> Json:
        """The non-dominated trials: ``points``, and which one is ``recommended``."""
        return self._json("GET", f"/api/v1/searches/{search}/front")

    def trials(self, search: int, *, stage: str | None = None) -> Iterator[Json]:
        """All trials of a search by number, or those at one stage; fetched page by page."""
        size, offset = 100, 0
        only = {} if stage is None else {"stage": stage}
        while page := self._list(f"/api/v1/searches/{search}/trials", limit=size, offset=offset, **only):
            yield from page
            offset += size

    def trial(self, search: int, number: int) -> Json:
        """One trial."""
        return self._json("GET", f"/api/v1/searches/{search}/trials/{number}")

    def add_dataset(
        self,
        path: str | PathLike[str],
        description: Mapping[str, Any] | None = None,
        *,
        name: str | None = None,
        in_place: bool = False,
    ) -> Json:
        """Add a sales table, ``.csv`` or ``.parquet``, and queue the look at it.

        Args:
            path: The file here; it is sent piece by piece.
            description: What its columns mean, as under a search's ``data``.
            name: What to call it; by default the name of the file.
            in_place: The file lies on the service's computer and stays there: only its path is sent.

        Raises:
            RequestError: The file cannot be read, or is neither CSV nor Parquet.
        """
        file = Path(path).expanduser().absolute()
        if in_place:
            whole = {"path": str(file), "name": name, "description": dict(description or {})}
            return self._json("POST", "/api/v1/datasets", whole)
        kind = _KINDS.get(file.suffix.lower())
        if kind is None:
            raise errors.RequestError(f"{file} is neither .csv nor .parquet; give a table in one of these two formats.")
        query = {"name": name or file.name[-60:], "description": json.dumps(dict(description or {}))}
        try:
            with file.open("rb") as content:
                return self._upload("/api/v1/datasets", content, kind, query)
        except OSError as error:
            raise errors.RequestError(f"{file} cannot be read: {error.strerror}; give the path of a table.") from error

    def datasets(self, *, limit: int = 50, offset: int = 0) -> list[Json]:
        """Data sets, newest first, without their profiles."""
        return self._list("/api/v1/datasets", limit=limit, offset=offset)

    def dataset(self, dataset: int) -> Json:
        """One data set with its ``profile``, once that is completed."""
        return self._json("GET", f"/api/v1/datasets/{dataset}")

    def remove_dataset(self, dataset: int) -> None:
        """Forget a data set that nothing unfinished needs."""
        self._send("DELETE", f"/api/v1/datasets/{dataset}")

    def add_device(self, device: Mapping[str, Any]) -> Json:
        """Enrol a device: ``name``, ``transport`` and what the transport needs."""
        return self._json("POST", "/api/v1/devices", device)

    def devices(self) -> list[Json]:
        """All devices by name."""
        return self._list("/api/v1/devices")

    def device(self, name: str) -> Json:
        """One device."""
        return self._json("GET", f"/api/v1/devices/{quote(name, safe='')}")

    def replace_device(self, device: Mapping[str, Any]) -> Json:
        """Enrol a device anew under its name; searches that use it can go on."""
        return self._json("PUT", f"/api/v1/devices/{quote(str(device['name']), safe='')}", device)

    def drain_device(self, name: str) -> Json:
        """Give a device no more work; what runs on it ends."""
        return self._json("POST", f"/api/v1/devices/{quote(name, safe='')}/drain")

    def undrain_device(self, name: str) -> Json:
        """Give a drained device work again."""
        return self._json("POST", f"/api/v1/devices/{quote(name, safe='')}/undrain")

    def remove_device(self, name: str) -> None:
        """Forget a device."""
        self._send("DELETE", f"/api/v1/devices/{quote(name, safe='')}")

    def search_spaces(self) -> list[Json]:
        """The built-in search spaces by name."""
        return self._list("/api/v1/search-spaces")

    def search_space(self, name: str) -> Json:
        """One built-in search space."""
        return self._json("GET", f"/api/v1/search-spaces/{quote(name, safe='')}")

    def export_student(  # noqa: PLR0913 - all but the trial are keywords
        self,
        search: int,
        trial: int | None = None,
        device: str | None = None,
        *,
        teacher: int | None = None,
        alpha: float = 0.5,
        max_epochs: int | None = None,
        refit: bool = False,
        store: str | None = None,
    ) -> Json:
        """Queue the export of a trial (of the front's recommended one, if none is named).

        Args:
            teacher: Distil it from this teacher.
            alpha: The teacher's share of the loss.
            max_epochs: Train the network anew for so long; by default it is what the search trained.
            refit: Then train it once more on all weeks before the test.
            store: Pack this store's rows only.
        """
        body = {"search": search, "trial": trial, "device": device, "teacher": teacher, "alpha": alpha}
        body |= {"max_epochs": max_epochs, "refit": refit, "store": store}
        return self._json("POST", "/api/v1/students", body)

    def students(self, *, limit: int = 50, offset: int = 0) -> list[Json]:
        """Students, newest first."""
        return self._list("/api/v1/students", limit=limit, offset=offset)

    def student(self, student: int) -> Json:
        """One student."""
        return self._json("GET", f"/api/v1/students/{student}")

    def make_teacher(self, request: Mapping[str, Any]) -> Json:
        """Queue the making of a teacher; ``request`` is a ``TeacherRequest`` as JSON."""
        return self._json("POST", "/api/v1/teachers", request)

    def teachers(self, *, limit: int = 50, offset: int = 0) -> list[Json]:
        """Teachers, newest first."""
        return self._list("/api/v1/teachers", limit=limit, offset=offset)

    def teacher(self, teacher: int) -> Json:
        """One teacher with its progress."""
        return self._json("GET", f"/api/v1/teachers/{teacher}")

    def package(self, student: int) -> bytes:
        """The finished package, a zip file."""
        return self._send("GET", f"/api/v1/students/{student}/package").content

    def report(self, student: int) -> Json:
        """How accurate a finished student is: its scorecards, and what it stands beside."""
        found: Json = self._send("GET", f"/api/v1/students/{student}/report", query={"form": "json"}).json()
        return found

    def report_page(self, student: int) -> bytes:
        """The same as a page to read, HTML."""
        return self._send("GET", f"/api/v1/students/{student}/report").content

    def _json(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Json:
        found: Json = self._send(method, path, body).json()
        return found

    def _upload(self, path: str, content: BinaryIO, kind: str, query: Mapping[str, str]) -> Json:
        found: Json = self._send("POST", path, query=query, file=(content, kind)).json()
        return found

    def _list(self, path: str, **query: str | int) -> list[Json]:
        found: list[Json] = self._send("GET", path, query=query).json()
        return found

    def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str | int] | None = None,
        file: tuple[BinaryIO, str] | None = None,
    ) -> httpx.Response:
        content, headers = (file[0], {"Content-Type": file[1]}) if file else (None, None)
        try:
            response = self._http.request(method, path, json=body, params=query, content=content, headers=headers)
        except httpx.TimeoutException as error:
            raise errors.ControllerFault(
                f"The service at {self.url} did not answer in time; look at its log."
            ) from error
        except (httpx.TransportError, httpx.UnsupportedProtocol) as error:
            raise errors.ControllerFault(f"No service answers at {self.url}; start it with `nas serve`.") from error
        if response.is_error:
            raise _error(response, self.url)
        return response


def _error(response: httpx.Response, url: str) -> errors.NasError:
    """The error that a problem stands for; its type names the class."""
    try:
        problem = response.json()
        name = "".join(word.capitalize() for word in problem["type"].rpartition(":")[2].split("-"))
        detail = str(problem["detail"])
    except (ValueError, KeyError, TypeError, AttributeError):
        status = response.status_code
        return errors.ControllerFault(f"What answers at {url} (status {status}) is not this service; check NAS_URL.")
    kind = getattr(errors, name, None)
    if not (isinstance(kind, type) and issubclass(kind, errors.NasError)):
        kind = errors.RequestError if response.is_client_error else errors.ControllerFault
    if kind is errors.DataError:
        return errors.DataError(detail, [finding["message"] for finding in problem.get("errors", [])])
    return kind(detail)
