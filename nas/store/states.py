"""What each kind of object can be, and one table per kind of the moves it may make."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum, auto
from typing import TypeVar

from nas.errors import Conflict


class WorkState(StrEnum):
    """A search, or a job: anything that a controller claims by a lease and works on."""

    queued = auto()
    running = auto()
    paused = auto()
    completed = auto()
    failed = auto()
    cancelled = auto()


class TrialStage(StrEnum):
    """How far one trial of a search has come."""

    proposed = auto()
    measured = auto()
    turned_away = auto()
    trained = auto()
    scored = auto()
    failed = auto()


class AttemptState(StrEnum):
    """One try at measuring a trial on one device, and who is to blame if it failed."""

    leased = auto()
    measured = auto()
    candidate_fault = auto()
    device_fault = auto()
    controller_fault = auto()
    expired = auto()


class DeviceState(StrEnum):
    """Whether a device may be given work; a new one is offline until it was probed."""

    online = auto()
    offline = auto()
    quarantined = auto()
    draining = auto()


WORK_MOVES: Mapping[WorkState, frozenset[WorkState]] = {
    # Paused work does not go straight back to running: resuming queues it, and the next free
    # controller claims it like any other, so that a pause outlives the controller that made it.
    WorkState.queued: frozenset({WorkState.running, WorkState.paused, WorkState.cancelled}),
    WorkState.running: frozenset({WorkState.paused, WorkState.completed, WorkState.failed, WorkState.cancelled}),
    WorkState.paused: frozenset({WorkState.queued, WorkState.cancelled}),
    WorkState.completed: frozenset(),
    WorkState.failed: frozenset(),
    WorkState.cancelled: frozenset(),
}

TRIAL_MOVES: Mapping[TrialStage, frozenset[TrialStage]] = {
    TrialStage.proposed: frozenset({TrialStage.measured, TrialStage.failed}),
    TrialStage.measured: frozenset({TrialStage.turned_away, TrialStage.trained, TrialStage.failed}),
    TrialStage.turned_away: frozenset(),
    TrialStage.trained: frozenset({TrialStage.scored, TrialStage.failed}),
    TrialStage.scored: frozenset(),
    TrialStage.failed: frozenset(),
}

ATTEMPT_MOVES: Mapping[AttemptState, frozenset[AttemptState]] = {
    AttemptState.leased: frozenset(AttemptState) - {AttemptState.leased},
    **{state: frozenset() for state in AttemptState if state != AttemptState.leased},
}

DEVICE_MOVES: Mapping[DeviceState, frozenset[DeviceState]] = {
    DeviceState.offline: frozenset({DeviceState.online, DeviceState.quarantined, DeviceState.draining}),
    DeviceState.online: frozenset({DeviceState.offline, DeviceState.quarantined, DeviceState.draining}),
    DeviceState.quarantined: frozenset({DeviceState.online, DeviceState.offline}),
    DeviceState.draining: frozenset({DeviceState.online, DeviceState.offline, DeviceState.quarantined}),
}

S = TypeVar("S", bound=StrEnum)


def check_move(name: str, old: S, new: S, moves: Mapping[S, frozenset[S]]) -> None:
    """Let a move pass if the table allows it; staying where it is is no move, and always passes.

    Args:
        name: What moves, as the user knows it: ``Search 7``.
        old: Its state now.
        new: The state asked for.
        moves: The table of its kind.

    Raises:
        Conflict: The table has no such move; the message names the object and its state.
    """
    if new == old or new in moves[old]:
        return
    possible = " or ".join(sorted(moves[old]))
    remedy = f"from there it can only become {possible}" if possible else "that is final"
    raise Conflict(f"{name} is {old} and cannot become {new}; {remedy}.")


def is_final(state: WorkState) -> bool:
    """Whether the work has come to its end."""
    return not WORK_MOVES[state]
