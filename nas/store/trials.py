"""Trials: what a user sees of each proposed architecture."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypedDict, Unpack

from sqlalchemy import Connection, RowMapping, Select, func, insert, select, update

from nas.errors import Conflict, NotFound
from nas.store import tables, work
from nas.store.database import Database
from nas.store.outages import retried
from nas.store.rows import Json, Search, Trial, as_row
from nas.store.states import TRIAL_MOVES, TrialStage, check_move

_table = tables.trials


class TrialChanges(TypedDict, total=False):
    """What a controller may store about a trial of the search it holds."""

    stage: TrialStage
    measurements: dict[str, Json]
    values: dict[str, float | None]
    violations: dict[str, float]
    feasible: bool | None
    scorecard: Json | None
    training: Json | None
    weights: str | None
    reason: str | None
    timings: Json


@retried
def create(db: Database, search_id: int, number: int, *, token: int, architecture: Json) -> Trial:
    """Record a proposal; the same one again is fine and returns the trial as it stands.

    Raises:
        NotFound: There is no such search.
        Conflict: The token is stale, or the number already stands for another architecture.
    """
    with db.write() as connection:
        work.find_held(connection, Search, search_id, token)
        known = _look(connection, search_id, number)
        if known is not None and known["architecture"] != architecture:
            raise Conflict(f"Trial {number} of search {search_id} already stands for another architecture.")
        if known is None:
            connection.execute(
                insert(_table).values(
                    search_id=search_id,
                    number=number,
                    stage=TrialStage.proposed,
                    architecture=architecture,
                    attempts=0,
                    created_at=tables.now(),
                    measurements={},
                    values={},
                    violations={},
                    timings={},
                )
            )
        return as_row(Trial, find(connection, search_id, number))


@retried
def get(db: Database, search_id: int, number: int) -> Trial:
    """Read one trial.

    Raises:
        NotFound: There is no such search, or no such trial in it.
    """
    with db.read() as connection:
        return as_row(Trial, find(connection, search_id, number))


@retried
def page(
    db: Database, search_id: int, *, stage: TrialStage | None = None, limit: int | None = None, offset: int = 0
) -> list[Trial]:
    """Trials of one search by number, all of them or those at one stage.

    Raises:
        NotFound: There is no such search.
    """
    rows = select(_table).where(_table.c.search_id == search_id).order_by(_table.c.number).limit(limit).offset(offset)
    if stage is not None:
        rows = rows.where(_table.c.stage == stage)
    with db.read() as connection:
        work.find(connection, Search, search_id)
        return [as_row(Trial, row) for row in connection.execute(rows).mappings()]


@retried
def counts(db: Database, search_id: int) -> dict[TrialStage, int]:
    """How many trials of a search stand at each stage; every stage is named."""
    rows = select(_table.c.stage, func.count()).where(_table.c.search_id == search_id).group_by(_table.c.stage)
    with db.read() as connection:
        found: dict[TrialStage, int] = dict(connection.execute(rows).all())
    return {stage: found.get(stage, 0) for stage in TrialStage}


@retried
def best(db: Database, search_id: int, metrics: Iterable[str]) -> dict[str, tuple[int, float]]:
    """Metric -> (trial number, value) of the smallest value among the feasible trials; the earliest wins a tie.

    A metric that no feasible trial has a value for is left out.
    """
    with db.read() as connection:
        found = {metric: connection.execute(_smallest(search_id, metric)).first() for metric in metrics}
    return {metric: (row.number, row.value) for metric, row in found.items() if row is not None}


@retried
def save(db: Database, search_id: int, number: int, *, token: int, **changes: Unpack[TrialChanges]) -> Trial:
    """Store what the controller that holds ``token`` found out, and move the trial on.

    Raises:
        NotFound: There is no such trial.
        Conflict: The token is stale, or the move is not allowed; nothing was stored.
    """
    with db.write() as connection:
        work.find_held(connection, Search, search_id, token)
        row = find(connection, search_id, number)
        values: dict[str, Any] = dict(changes)
        if "stage" in changes:
            stage = changes["stage"]
            check_move(f"Trial {number} of search {search_id}", row["stage"], stage, TRIAL_MOVES)
            if not TRIAL_MOVES[stage] and row["finished_at"] is None:
                values["finished_at"] = tables.now()
        if values:
            connection.execute(update(_table).where(*_is(search_id, number)).values(values))
        return as_row(Trial, find(connection, search_id, number))


def _smallest(search_id: int, metric: str) -> Select[int, float]:
    """The database looks into the JSON column, so that no row but the best one leaves it."""
    value = _table.c["values"][metric].as_float()
    return (
        select(_table.c.number, value.label("value"))
        .where(_table.c.search_id == search_id, _table.c.feasible.is_(True), value.is_not(None))
        .order_by(value, _table.c.number)
        .limit(1)
    )


def find(connection: Connection, search_id: int, number: int) -> RowMapping:
    """Read one row inside a transaction.

    Raises:
        NotFound: There is no such search, or no such trial in it.
    """
    row = _look(connection, search_id, number)
    if row is None:
        work.find(connection, Search, search_id)
        raise NotFound(
            f"There is no trial {number} in search {search_id}; `nas search show {search_id}` lists its trials."
        )
    return row


def _look(connection: Connection, search_id: int, number: int) -> RowMapping | None:
    return connection.execute(select(_table).where(*_is(search_id, number))).mappings().first()


def _is(search_id: int, number: int) -> tuple[Any, ...]:
    return _table.c.search_id == search_id, _table.c.number == number
