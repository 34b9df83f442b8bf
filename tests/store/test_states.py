import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from nas.errors import Conflict
from nas.store import leases, searches
from nas.store.states import (
    ATTEMPT_MOVES,
    DEVICE_MOVES,
    TRIAL_MOVES,
    WORK_MOVES,
    AttemptState,
    DeviceState,
    TrialStage,
    WorkState,
    check_move,
)

TABLES = [
    (WorkState, WORK_MOVES),
    (TrialStage, TRIAL_MOVES),
    (AttemptState, ATTEMPT_MOVES),
    (DeviceState, DEVICE_MOVES),
]
ENDS = {"completed", "failed", "cancelled"}


@pytest.mark.parametrize(("states", "moves"), TABLES)
def test_each_table_names_every_state_of_its_kind(states, moves):
    assert set(moves) == set(states)
    assert all(new in states and new != old for old, found in moves.items() for new in found)


@pytest.mark.parametrize(("states", "moves"), TABLES)
def test_a_move_outside_the_table_names_the_object_and_its_state(states, moves):
    for old in states:
        for new in states:
            if new == old or new in moves[old]:
                check_move("Thing 7", old, new, moves)
            else:
                with pytest.raises(Conflict, match=f"^Thing 7 is {old} and cannot become {new}; .*\\.$"):
                    check_move("Thing 7", old, new, moves)


def test_the_moves_are_those_of_the_design():
    assert {old: set(new) for old, new in WORK_MOVES.items()} == {
        "queued": {"running", "paused", "cancelled"},
        "running": {"paused", *ENDS},
        "paused": {"queued", "cancelled"},
        **{end: set() for end in ENDS},
    }
    assert {old: set(new) for old, new in TRIAL_MOVES.items()} == {
        "proposed": {"measured", "failed"},
        "measured": {"turned_away", "trained", "failed"},
        "trained": {"scored", "failed"},
        **{end: set() for end in ("turned_away", "scored", "failed")},
    }


def test_every_open_state_of_work_can_still_reach_an_end():
    for state in set(WorkState) - ENDS:
        reached, before = {state}, set()
        while reached != before:
            before, reached = reached, reached.union(*(WORK_MOVES[found] for found in reached))
        assert reached >= ENDS


class Steering(RuleBasedStateMachine):
    """One search under a user and any number of controllers, beside what a reader of the docs expects of it."""

    def __init__(self, db):
        super().__init__()
        self.db, self.now = db, 0.0
        self.id = searches.create(db, name="spring", request={}, space={}).id
        self.state, self.wants, self.token, self.free = "queued", None, 0, True
        self.holders = []

    def expect(self, act, *, allowed, **after):
        if allowed:
            act(self.db, self.id)
            self.__dict__.update(after)
        else:
            with pytest.raises(Conflict, match=f"^Search {self.id} is "):
                act(self.db, self.id)

    @rule()
    def stop(self):
        if self.state == "running":
            self.expect(searches.stop, allowed=self.wants != "cancel", wants="pause")
        else:
            self.expect(searches.stop, allowed=self.state not in ENDS, state="paused")

    @rule()
    def resume(self):
        if self.state == "running":
            self.expect(searches.resume, allowed=self.wants == "pause", wants=None)
        else:
            self.expect(searches.resume, allowed=self.state == "paused", state="queued")

    @rule()
    def cancel(self):
        if self.state == "running":
            self.expect(searches.cancel, allowed=True, wants="cancel")
        else:
            self.expect(searches.cancel, allowed=self.state not in {"completed", "failed"}, state="cancelled")

    def claimed(self, work):
        self.state, self.token, self.free = "running", self.token + 1, False
        assert (work.id, work.token) == (self.id, self.token)
        self.holders.append(work)

    @rule()
    def claim(self):
        work = leases.claim_next(self.db, leases.Observer(ttl=10))
        if self.state == "queued" or (self.state == "running" and self.free):
            self.claimed(work)
        else:
            assert work is None

    @precondition(lambda self: self.state == "running" and not self.free)
    @rule()
    def take_over_from_the_dead(self):
        observer = leases.Observer(ttl=10, clock=lambda: self.now)
        assert leases.claim_next(self.db, observer) is None
        self.now += 10
        self.claimed(leases.claim_next(self.db, observer))

    @precondition(lambda self: self.state == "running" and not self.free)
    @rule(state=st.sampled_from(["paused", *sorted(ENDS)]))
    def finish(self, state):
        searches.save(self.db, self.id, token=self.token, state=WorkState(state), reason="so it is")
        self.state = "cancelled" if (state, self.wants) == ("paused", "cancel") else state
        self.wants = None

    @precondition(lambda self: self.holders)
    @rule(data=st.data())
    def give_back(self, data):
        holder = data.draw(st.sampled_from(self.holders))
        leases.release(self.db, holder)
        self.free = self.free or holder.token == self.token

    @precondition(lambda self: len(self.holders) > 1)
    @rule(data=st.data(), state=st.sampled_from(WorkState))
    def a_former_holder_is_refused(self, data, state):
        former = data.draw(st.sampled_from(self.holders[:-1]))
        assert not leases.beat(self.db, former)
        with pytest.raises(Conflict, match="is held by another controller now"):
            searches.save(self.db, self.id, token=former.token, state=state)

    @invariant()
    def it_stands_as_expected(self):
        row = searches.get(self.db, self.id)
        assert (row.state, row.wants, row.token) == (self.state, self.wants, self.token)
        assert (row.finished_at is not None) == (self.state in ENDS)
        assert (row.started_at is not None) == bool(self.holders)

    def teardown(self):
        if self.state == "running":
            searches.save(self.db, self.id, token=self.token, state=WorkState.failed)
        elif self.state not in ENDS:
            searches.cancel(self.db, self.id)


def test_whatever_users_and_controllers_do_a_search_moves_by_its_table(db):
    run_state_machine_as_test(
        lambda: Steering(db), settings=hypothesis_settings(max_examples=60, stateful_step_count=20)
    )
