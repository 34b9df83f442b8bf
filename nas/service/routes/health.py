"""Whether the service works."""

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from nas import __version__
from nas.service.context import Db

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """The service answers and so does its database; otherwise there is a problem instead."""

    status: Literal["ok"] = "ok"
    version: str = __version__
    database: Literal["ok"] = "ok"


@router.get("/healthz")
def healthz(db: Db) -> Health:
    """Whether the service and its database answer."""
    db.check()
    return Health()
