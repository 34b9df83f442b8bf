import stat
import threading

import pytest
from sqlalchemy import create_engine, text

from nas.errors import ControllerFault, RequestError
from nas.settings import Settings
from nas.store import attempts, leases, listen, open_database, searches, tables, trials


def scalar(db, statement):
    with db.read() as connection:
        return connection.exec_driver_sql(statement).scalar_one()


def test_the_home_is_made_for_its_owner_only(tmp_path):
    settings = Settings(home=tmp_path / "a" / "b", database_url="")
    open_database(settings).close()
    assert stat.S_IMODE(settings.folder.stat().st_mode) == 0o700


def test_a_home_with_any_name_will_do(tmp_path):
    settings = Settings(home=tmp_path / "100% mine? #1", database_url="")
    open_database(settings).close()
    assert [path.name for path in settings.folder.iterdir()] == ["nas.sqlite"]


def test_opening_again_changes_nothing(settings, db, held):
    version = scalar(db, "SELECT version_num FROM nas_version")
    again = open_database(settings)
    assert searches.page(again) == [held]
    assert scalar(again, "SELECT version_num FROM nas_version") == version
    again.close()


@pytest.mark.only_on("sqlite")
def test_every_connection_has_our_settings(db):
    assert scalar(db, "PRAGMA journal_mode") == "wal"
    assert scalar(db, "PRAGMA foreign_keys") == 1
    assert scalar(db, "PRAGMA busy_timeout") == 30_000


def test_the_migrations_lead_to_exactly_the_tables(db):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with db.read() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": "nas_version", "compare_type": True})
        assert compare_metadata(context, tables.metadata) == []
    assert all(name.startswith("nas_") for name in tables.metadata.tables)


def test_any_number_of_processes_may_start_at_once(start, unmigrated):
    code = """
from nas.settings import Settings
from nas.store import open_database, searches
import alembic.command  # the slow part, before all begin together
print("ready", flush=True)
input()
database = open_database(Settings())
searches.create(database, name="mine", request={}, space={})
database.close()
"""
    processes = [start(code, unmigrated) for _ in range(4)]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 4
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.communicate()[1] for process in processes] == [""] * 4
    database = open_database(unmigrated)
    assert len(searches.page(database)) == 4
    assert scalar(database, "SELECT count(*) FROM nas_version") == 1
    database.close()


def test_eight_writers_wait_for_each_other(settings, db, held, propose):
    """Each transaction reads before it writes: with a deferred BEGIN that fails at once as locked."""
    propose(held)
    failures = []

    def write():
        mine = open_database(settings)
        try:
            for _ in range(300):
                attempts.lease(mine, held.id, 0, token=held.token, device="pi4")
        except Exception as error:  # noqa: BLE001 - whatever it is, the test is to see it
            failures.append(error)
        finally:
            mine.close()

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert trials.get(db, held.id, 0).attempts == 2400
    assert [attempt.attempt for attempt in attempts.of_trial(db, held.id, 0)] == list(range(1, 2401))


def test_a_read_sees_one_moment_while_others_write(db, held):
    with db.read() as connection:
        beat = text("SELECT beat FROM nas_searches")
        assert connection.execute(beat).scalar_one() == 0
        assert leases.beat(db, held)  # the writer does not wait for the reader
        assert connection.execute(beat).scalar_one() == 0
    assert scalar(db, "SELECT beat FROM nas_searches") == 1


def test_a_failed_write_leaves_nothing(db, held):
    def halfway():
        with db.write() as connection:
            connection.exec_driver_sql("UPDATE nas_searches SET name = 'half'")
            raise KeyError

    with pytest.raises(KeyError):
        halfway()
    assert searches.get(db, held.id) == held


def test_deleting_a_search_takes_its_trials_along(db, held, propose):
    propose(held)
    attempts.lease(db, held.id, 0, token=held.token, device="pi4")
    with db.write() as connection:
        connection.execute(tables.searches.delete())
    assert scalar(db, "SELECT count(*) FROM nas_trials") == scalar(db, "SELECT count(*) FROM nas_attempts") == 0


def test_a_kill_in_the_middle_of_writing_loses_no_finished_trial(start, settings, db, held):
    code = f"""
from nas.settings import Settings
from nas.store import open_database, trials
database = open_database(Settings())
for number in range(1_000_000):
    trials.create(database, {held.id}, number, token={held.token}, architecture={{"hidden": number}})
    trials.save(database, {held.id}, number, token={held.token}, values={{"wape": float(number)}})
    print(number, flush=True)
"""
    process = start(code)
    told = [int(process.stdout.readline()) for _ in range(40)]
    process.kill()
    told += [int(line) for line in process.communicate()[0].splitlines()]
    if db.engine.dialect.name == "sqlite":
        assert scalar(db, "PRAGMA integrity_check") == "ok"
    found = trials.page(db, held.id)
    assert [trial.number for trial in found] == list(range(len(found)))
    assert len(told) <= len(found) <= len(told) + 1
    assert [found[number].values for number in told] == [{"wape": float(number)} for number in told]
    assert trials.create(db, held.id, len(found), token=held.token, architecture={}).number == len(found)


def test_optuna_lives_in_the_same_database(settings, db, held, propose):
    import optuna

    propose(held)
    storage = optuna.storages.RDBStorage(settings.database)
    listen(storage.engine)
    study = optuna.create_study(storage=storage, study_name="spring")
    study.tell(study.ask(), 1.5)
    if storage.engine.dialect.name == "sqlite":
        with storage.engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one() == 30_000
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar_one() == 1
    again = open_database(settings)  # migrates beside Optuna's tables and its own version table
    assert trials.get(again, held.id, 0).architecture == {"hidden": 0}
    assert scalar(again, "SELECT count(*) FROM trials") == 1
    assert scalar(again, "SELECT count(*) FROM alembic_version") == 1
    again.close()
    assert optuna.load_study(storage=storage, study_name="spring").best_value == 1.5
    storage.engine.dispose()


def test_optuna_may_come_first(unmigrated):
    import optuna

    unmigrated.folder.mkdir()
    storage = optuna.storages.RDBStorage(unmigrated.database)
    optuna.create_study(storage=storage, study_name="spring")
    database = open_database(unmigrated)
    assert searches.page(database) == []
    database.close()
    assert optuna.load_study(storage=storage, study_name="spring").trials == []
    storage.engine.dispose()


def test_other_databases_are_left_alone():
    class Elsewhere:
        dialect = type("Dialect", (), {"name": "postgresql"})

    listen(Elsewhere())  # anything but a look at its name would fail


@pytest.mark.only_on("sqlite")
def test_listening_reaches_connections_that_were_made_before(settings):
    engine = create_engine(settings.database)
    engine.connect().close()  # stays in the pool
    listen(engine)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one() == 30_000
    engine.dispose()


@pytest.mark.only_on("sqlite")
def test_a_database_that_went_away_is_noticed(settings, db):
    db.check()
    db.close()
    (settings.folder / "nas.sqlite").write_bytes(b"no database, though it is here" * 1000)
    with pytest.raises(ControllerFault, match=r"^The database sqlite://.* does not answer: file is not a database; "):
        db.check()


def test_a_database_without_its_tables_is_noticed(db):
    with db.write() as connection:
        connection.exec_driver_sql("DROP TABLE nas_version")
    with pytest.raises(ControllerFault, match=r"does not answer: .*nas_version"):
        db.check()


def test_a_database_of_a_newer_version_is_left_alone(settings, db):
    with db.write() as connection:
        connection.exec_driver_sql("UPDATE nas_version SET version_num = '999'")
    with pytest.raises(ControllerFault, match=r"was written by a newer version of this program; upgrade the program"):
        open_database(settings)
    assert scalar(db, "SELECT version_num FROM nas_version") == "999"


def test_a_file_that_is_no_database_is_one_clear_sentence(tmp_path):
    (tmp_path / "nas.sqlite").write_text("no database" * 1000)
    with pytest.raises(ControllerFault, match=r"cannot be opened: file is not a database; check that it exists"):
        open_database(Settings(home=tmp_path, database_url=""))


def test_a_home_that_cannot_be_made_is_one_clear_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RequestError, match=r"cannot be created: .*; set NAS_HOME to a folder that you may write"):
        open_database(Settings(home=tmp_path / "file" / "home", database_url=""))


@pytest.mark.parametrize("url", ["nonsense", "nosuch://host/name", "sqlite://user@host/x"])
def test_an_unusable_url_is_one_clear_sentence(tmp_path, url):
    with pytest.raises(RequestError, match=r"^NAS_DATABASE_URL cannot be used: .*; expected a SQLAlchemy URL such as"):
        open_database(Settings(home=tmp_path, database_url=url))
