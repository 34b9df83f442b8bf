import shutil
import subprocess
import sys
import time

import pytest
from beds.postgres import TEMPLATE
from homes import db, migrated

from nas.settings import Settings
from nas.store import leases, searches, trials

__all__ = ["db", "migrated"]


def pytest_generate_tests(metafunc):
    """Every test of this room that asks for a database runs on both, unless it is about one's own ways."""
    if "engine" in metafunc.fixturenames:
        own = metafunc.definition.get_closest_marker("only_on")
        metafunc.parametrize("engine", own.args if own else ["sqlite", "postgresql"])


@pytest.fixture
def settings(engine, tmp_path, request):
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    if engine == "sqlite":
        shutil.copy(request.getfixturevalue("migrated"), home)
        yield Settings(home=home, database_url="")
    else:
        with request.getfixturevalue("postgres").fresh(TEMPLATE) as url:
            yield Settings(home=home, database_url=url)


@pytest.fixture
def unmigrated(engine, tmp_path, request):
    """Settings of a home and a database that nothing was ever written to."""
    if engine == "sqlite":
        yield Settings(home=tmp_path / "new", database_url="")
    else:
        with request.getfixturevalue("postgres").fresh("template1") as url:
            yield Settings(home=tmp_path / "new", database_url=url)


@pytest.fixture
def claim(db):
    """Queue a search and hold it."""

    def claim(name="spring", **request):
        searches.create(db, name=name, request=request, space={})
        return leases.claim_next(db, leases.Observer(ttl=1000))

    return claim


@pytest.fixture
def held(claim):
    return claim()


@pytest.fixture
def propose(db):
    """Record a trial and bring it through these stages."""

    def propose(search, number=0, *stages, **changes):
        trials.create(db, search.id, number, token=search.token, architecture={"hidden": number})
        for stage in stages:
            trials.save(db, search.id, number, token=search.token, stage=stage)
        return trials.save(db, search.id, number, token=search.token, **changes)

    return propose


class Clock:
    """Seconds that pass only when a test says so."""

    now = 0.0

    def __call__(self):
        return self.now

    def tick(self, seconds):
        self.now += seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def start(settings):
    """Start Python code in a process of its own, with ``settings`` in its environment."""
    started = []

    def start(code, settings=settings):
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", code],
            env={
                "NAS_HOME": str(settings.folder),
                "NAS_DATABASE_URL": settings.database_url,
                "PYTHONPATH": ":".join(sys.path),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def until():
    """Wait for another thread; a minute only bounds a broken run."""

    def until(condition):
        end = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.002)

    return until
