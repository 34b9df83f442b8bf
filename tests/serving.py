"""The real thing: `nas serve` as a process with its controller, its workers and a database on disk."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from ports import free_port

from nas.client import Client
from nas.errors import NasError

SMALL = {
    "beside_load": True,  # the machine that runs the tests is never quiet
    "space": {
        "name": "small",
        "parameters": {
            "cell": ["lstm", "gru"],
            "hidden": [4, 8, 16, 128],
            "window": [28],
            "history": ["daily", "pooled"],
            "embedding": [0, 4],
            "head": [4, 8],
            "precision": ["fp32", "int8"],
        },
    },
    "data": {"source": "synthetic", "series": 12},
    "training": {"max_epochs": 2, "patience": 1, "steps_per_epoch": 4, "batch": 32},
}
"""A search whose every step is real, on little data and with little training."""
PATIENCE_S = 600.0
"""Bounds a broken run; no test's success depends on it."""
OVER = ("completed", "failed", "cancelled", "paused")


@dataclass
class Service:
    """One `nas serve`; it can be killed and started again on the same home."""

    home: Path
    environment: dict[str, str] = field(default_factory=dict, repr=False)
    process: subprocess.Popen | None = None

    def __post_init__(self):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        ours = {"NAS_HOME": str(self.home), "NAS_PORT": str(self.port), "NAS_URL": self.url, "NAS_LEASE_TTL": "3"}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.environment = {**os.environ, **ours, "PATH": path}

    def start(self):
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home.parent / "nas").mkdir(exist_ok=True)  # as where a clone of that name lies; it must not be imported
        command = [str(Path(sys.executable).with_name("nas")), "serve"]
        with (self.home / "service.log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.home.parent,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.until(self._healthy)
        return self

    def kill(self):
        """As a power cut would: no word of goodbye."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(PATIENCE_S)

    def until(self, done, seconds=PATIENCE_S):
        """Wait until ``done`` returns something true, and return that."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := done():
                return found
            time.sleep(0.2)
        raise AssertionError(f"not in {seconds} s; log: {(self.home / 'service.log').read_text()[-3000:]}")

    def ended(self, client, search):
        """Wait for a search to end or pause."""
        return self.until(lambda: (s := client.search(search))["state"] in OVER and s)

    def exported(self, client, student):
        """Wait for a student."""
        found = self.until(lambda: (s := client.student(student))["state"] in OVER and s)
        assert found["state"] == "completed", found["reason"]
        return found

    def _healthy(self):
        try:
            with Client(self.url) as client:
                return client.health()
        except NasError:
            return None


@pytest.fixture(scope="session")
def service(tmp_path_factory):
    running = Service(tmp_path_factory.mktemp("service") / "home").start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def client(service):
    with Client(service.url) as client:
        yield client


@pytest.fixture
def own_service(tmp_path):
    """A service that a test may kill."""
    running = Service(tmp_path / "home").start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def bare_python(tmp_path_factory):
    """A Python with numpy and onnxruntime, and without nas and torch: what a store has."""
    folder = tmp_path_factory.mktemp("bare")
    for package in (np, onnxruntime):
        for part in Path(package.__file__).parents[1].glob(f"{package.__name__}*"):
            if part.suffix != ".dist-info":
                (folder / part.name).symlink_to(part)

    def run(*arguments, cwd):
        clean = {"PYTHONPATH": str(folder), "PATH": os.environ["PATH"]}
        command = [sys.executable, "-S", *arguments]
        return subprocess.run(
            command, env=clean, cwd=cwd, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )

    absent = run("-c", "import torch", cwd=folder), run("-c", "import nas", cwd=folder)
    assert all("ModuleNotFoundError" in found.stderr for found in absent)
    return run
