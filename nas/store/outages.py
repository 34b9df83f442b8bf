"""A database server that goes away for a while: whole transactions are carried out again once it is back."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, OperationalError

from nas.errors import ControllerFault

PATIENCE_S = 60.0
"""Seconds that a database may be away, crash recovery included, before its absence becomes a fault."""
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0

P = ParamSpec("P")
R = TypeVar("R")


def retried(verb: Callable[P, R]) -> Callable[P, R]:
    """Carry a verb out again from its beginning while the database is away.

    Every verb of the store is one transaction: cut short it left nothing, and a commit whose answer got
    lost is asked after (``was_committed``), so that none is carried out twice.

    Raises:
        ControllerFault: The database stayed away for ``PATIENCE_S``.
    """

    @functools.wraps(verb)
    def patient(*given: P.args, **named: P.kwargs) -> R:
        return patiently(lambda: verb(*given, **named))

    return patient


def patiently(step: Callable[[], R]) -> R:
    """Call ``step`` until the database is not away any more; see ``retried``.

    For other libraries on our database too (Optuna): what they raise is judged by what it was raised from.

    Raises:
        ControllerFault: The database stayed away for ``PATIENCE_S``.
    """
    end, pause = time.monotonic() + PATIENCE_S, _FIRST_PAUSE_S
    while True:
        try:
            return step()
        except Exception as error:
            if (outage := _outage(error)) is None:
                raise
            if time.monotonic() >= end:
                raise ControllerFault(
                    f"The database did not answer for {PATIENCE_S:g} s: {first_line(outage.orig)}; "
                    "check that it is running and reachable."
                ) from error
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_S)


def is_away(error: DBAPIError) -> bool:
    """Whether the server broke off the connection or takes none, rather than refused a statement.

    SQLite's errors are never of this kind: its file waits for its turn (``busy_timeout``).
    """
    if error.connection_invalidated:
        return True
    # PostgreSQL's classes 08 (connection) and 57P (shutdown); no state at all: no server answered.
    state = getattr(error.orig, "sqlstate", "")
    return isinstance(error, OperationalError) and (state is None or state.startswith(("08", "57P")))


def was_committed(engine: Engine, mark: str) -> bool:
    """What became of a transaction whose commit got no answer (PostgreSQL), once the server can tell.

    A transaction's own number cannot tell: after a crash the server gives it to another one. So each
    leaves a mark of its own. To leave the same mark again waits for a transaction that is still under way.

    Args:
        engine: The database.
        mark: What the transaction left in ``nas_commits``.
    """

    def tried() -> bool:
        with engine.connect() as connection:
            again = text("INSERT INTO nas_commits (mark, at) VALUES (:mark, now()) ON CONFLICT DO NOTHING")
            left = connection.execute(again, {"mark": mark}).rowcount == 1
            connection.rollback()
            return not left

    return patiently(tried)


def _outage(error: BaseException | None) -> DBAPIError | None:
    """The absence of the database that an error comes from, if it does."""
    while error is not None:
        if isinstance(error, DBAPIError) and is_away(error):
            return error
        error = error.__cause__
    return None


def first_line(error: object) -> str:
    """The first line of what a driver says, without its full stop."""
    return str(error).partition("\n")[0].rstrip(".")
