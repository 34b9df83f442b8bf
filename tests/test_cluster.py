"""Where training runs: what a worker finds there."""

import os

from nas.cluster import Cluster
from nas.settings import Settings


def _environment():
    return dict(os.environ)


def test_a_worker_has_one_thread_and_keeps_its_memory_whatever_the_service_was_started_with(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    with Cluster(Settings(train_workers=1)) as cluster:
        found = cluster.call(_environment)
    assert found["OMP_NUM_THREADS"] == "1"
    assert int(found["MALLOC_TRIM_THRESHOLD_"]) >= 2**30  # Dask's own setting doubles the time of a training
    assert os.environ["OMP_NUM_THREADS"] == "2"
