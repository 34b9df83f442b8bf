"""The application: routes, error shape and documentation put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from nas import __version__
from nas.service import problems
from nas.service.local_only import LocalOnly
from nas.service.routes import datasets, devices, health, searches, spaces, students, teachers
from nas.settings import Settings
from nas.store import open_database


def create_app(settings: Settings) -> FastAPI:
    """Open the database of these settings and build the application on it.

    Raises:
        RequestError: ``NAS_HOME`` or ``NAS_DATABASE_URL`` cannot be used as given.
        ControllerFault: The database does not open.
    """
    database = open_database(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        database.close()

    app = _Documented(
        title="nas",
        summary="Finds compact LSTM forecasters that are really fast on the device where they will run.",
        version=__version__,
        lifespan=lifespan,
        redoc_url=None,
        responses=problems.responses(403, 500),
    )
    app.state.database = database
    app.state.upload_bytes = settings.upload_mb * 1_000_000
    app.add_middleware(LocalOnly)
    problems.install(app)
    app.include_router(health.router)
    for resource in (searches, students, teachers, datasets, devices, spaces):
        app.include_router(resource.router, prefix="/api/v1")
    return app


class _Documented(FastAPI):
    """FastAPI, whose OpenAPI document gives problems the media type that they really have."""

    def openapi(self) -> dict[str, Any]:
        document = super().openapi()
        for path in document["paths"].values():
            for operation in path.values():
                for status, response in operation["responses"].items():
                    content = response.get("content", {})
                    if status >= "400" and "application/json" in content:
                        content[problems.MEDIA_TYPE] = content.pop("application/json")
        return document
