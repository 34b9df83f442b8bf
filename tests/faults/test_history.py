"""The checker itself: each thing that must never happen is noticed when it does."""

from datetime import timedelta

import optuna
import pytest
from homes import db, migrated, settings

from faults.history import check
from nas.store import AttemptState, TrialStage, WorkState, attempts, devices, leases, searches, tables, trials

__all__ = ["db", "migrated", "settings"]


@pytest.fixture
def finished(settings, db):
    """A search of two trials, each measured once, and told to the sampler."""
    devices.create(db, name="a", transport="local")
    searches.create(db, name="spring", request={"trials": 2}, space={})
    held = leases.claim_next(db, leases.Observer(ttl=1000))
    study = optuna.create_study(storage=settings.database, study_name=f"search-{held.id}")
    for number in range(2):
        trials.create(db, held.id, number, token=held.token, architecture={"hidden": number})
        attempts.close(db, attempts.lease(db, held.id, number, token=held.token, device="a"), AttemptState.measured)
        for stage in (TrialStage.measured, TrialStage.turned_away):
            trials.save(db, held.id, number, token=held.token, stage=stage)
        study.tell(study.ask(), 1.0)
    study._storage._backend.engine.dispose()
    searches.save(db, held.id, token=held.token, state=WorkState.completed)
    return held.id


def spoil(db, statement, **values):
    with db.write() as connection:
        connection.execute(statement.values(**values))


def test_a_clean_history_is_told_in_figures(settings, db, finished):
    assert str(check(db, settings)) == "1 searches, 2 trials, attempts: 2 measured"


LATER = tables.now() + timedelta(hours=1)
FIRST = tables.attempts.update().where(tables.attempts.c.number == 0)
SECOND = tables.attempts.update().where(tables.attempts.c.number == 1)
LAST = tables.trials.update().where(tables.trials.c.number == 1)


@pytest.mark.parametrize(
    ("statement", "values", "says"),
    [
        (tables.searches.update(), {"state": WorkState.running}, "nobody has it"),
        (tables.devices.update(), {"owner": "a ghost"}, "still held"),
        (FIRST, {"state": AttemptState.leased}, "still open"),
        (FIRST, {"ended_at": LATER}, "at the same time"),
        (FIRST, {"device_token": 7}, "stale token"),
        (SECOND, {"token": 0}, "stale token of its search"),
        (
            tables.trials.update().where(tables.trials.c.number == 1),
            {"stage": TrialStage.measured},
            "trial 1 is measured",
        ),
        (tables.searches.update(), {"request": {"trials": 3}}, "2 of 3 trials"),
    ],
)
def test_what_must_not_happen_is_noticed(settings, db, finished, statement, values, says):
    spoil(db, statement, **values)
    with pytest.raises(AssertionError, match=says):
        check(db, settings)


def test_a_trial_that_the_sampler_was_not_told_is_noticed(settings, db, finished):
    with db.write() as connection:
        connection.exec_driver_sql("DELETE FROM trial_values")
        connection.exec_driver_sql("UPDATE trials SET state = 'RUNNING' WHERE number = 1")
    with pytest.raises(AssertionError, match="the sampler knows other trials"):
        check(db, settings)
