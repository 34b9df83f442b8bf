"""What the first release wrote is still there once today's program has opened its database."""

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

from nas.store import attempts, jobs, open_database, searches, trials
from nas.store.database import _MIGRATIONS

AT = {"sqlite": "'2024-05-01 12:00:00.000000'", "postgresql": "'2024-05-01 12:00:00+00'"}
"""One moment, as SQLAlchemy writes it there."""
WRITTEN = """
INSERT INTO nas_searches (id, name, state, created_at, beat, token, request, space, timings)
VALUES (1, 'spring', 'paused', {at}, 0, 2, '{{"devices": ["pi4"]}}', '{{"name": "tiny"}}', '{{}}');
INSERT INTO nas_trials (search_id, number, stage, architecture, measurements, "values", violations, attempts, timings,
created_at) VALUES (1, 0, 'measured', '{{"hidden": 8}}', '{{}}', '{{"wape": 0.25}}', '{{}}', 1, '{{}}', {at});
INSERT INTO nas_attempts (search_id, number, attempt, state, device, token, started_at)
VALUES (1, 0, 1, 'measured', 'pi4', 2, {at});
INSERT INTO nas_jobs (id, kind, state, created_at, beat, token, search_id, trial, request, progress)
VALUES (1, 'student', 'queued', {at}, 0, 0, 1, 0, '{{"search": 1}}', '{{}}');
"""


@pytest.fixture
def first_release(unmigrated):
    """Its settings; its database holds a search, a trial, an attempt and a student."""
    unmigrated.folder.mkdir(mode=0o700)
    engine, config = create_engine(unmigrated.database), Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "1")
        for statement in WRITTEN.format(at=AT[connection.dialect.name]).split(";\n")[:-1]:
            connection.exec_driver_sql(statement)
    engine.dispose()
    return unmigrated


def test_an_upgrade_loses_no_trial_no_attempt_and_no_student(first_release):
    db = open_database(first_release)
    try:
        assert searches.get(db, 1).name == "spring"
        assert trials.get(db, 1, 0).values == {"wape": 0.25}
        assert [one.device for one in attempts.of_trial(db, 1, 0)] == ["pi4"]
        assert jobs.get(db, 1, "student").trial == 0
    finally:
        db.close()
