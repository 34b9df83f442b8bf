import subprocess
import sys
import time

import pytest
from homes import db, migrated, settings

from nas.store import leases, searches, trials

__all__ = ["db", "migrated", "settings"]


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

    def start(code, home=settings.folder):
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", code],
            env={"NAS_HOME": str(home), "PYTHONPATH": ":".join(sys.path)},
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
