"""What the routes share: the database, and the parameters that several of them take."""

from typing import Annotated

from fastapi import Depends, Path, Query, Request

from nas.store import Database

LARGEST = 2**31 - 1  # of an id on every database


async def _database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


async def _upload_bytes(request: Request) -> int:
    limit: int = request.app.state.upload_bytes
    return limit


Db = Annotated[Database, Depends(_database)]
UploadBytes = Annotated[int, Depends(_upload_bytes)]
Id = Annotated[int, Path(ge=1, le=LARGEST, description="Number of the search, student, teacher or data set.")]
Number = Annotated[int, Path(ge=0, le=LARGEST, description="Number of the trial in its search.")]
Limit = Annotated[int, Query(ge=1, le=500, description="At most so many.")]
Offset = Annotated[int, Query(ge=0, le=LARGEST, description="Leave out the first so many.")]
