"""A home with a database, and asking the service without a socket."""

import shutil

import anyio.from_thread
import httpx
import pytest

from nas.settings import Settings
from nas.store import open_database


@pytest.fixture(scope="session")
def migrated(tmp_path_factory):
    """A fresh database file; migrating once and copying is much quicker than migrating for every test."""
    home = tmp_path_factory.mktemp("migrated")
    open_database(Settings(home=home, database_url="")).close()
    return home / "nas.sqlite"


@pytest.fixture
def settings(tmp_path, migrated):
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    shutil.copy(migrated, home)
    return Settings(home=home, database_url="")


@pytest.fixture
def db(settings):
    database = open_database(settings)
    yield database
    database.close()


@pytest.fixture(scope="session")
def in_process():
    """app -> a transport that asks it without a socket; what the app raises becomes the answer that a user sees."""
    with anyio.from_thread.start_blocking_portal() as portal:
        yield lambda app: InProcess(app, portal)


class InProcess(httpx.BaseTransport):
    def __init__(self, app, portal):
        self._asgi, self._portal = httpx.ASGITransport(app, raise_app_exceptions=False), portal

    def handle_request(self, request):
        if not isinstance(request.stream, httpx.AsyncByteStream):
            request.stream = InPieces(request.stream)
        return self._portal.call(self._ask, request)

    async def _ask(self, request):
        answer = await self._asgi.handle_async_request(request)
        return httpx.Response(answer.status_code, headers=answer.headers, content=await answer.aread())


class InPieces(httpx.AsyncByteStream):
    """A file that is sent piece by piece."""

    def __init__(self, pieces):
        self._pieces = pieces

    async def __aiter__(self):
        for piece in self._pieces:
            yield piece
