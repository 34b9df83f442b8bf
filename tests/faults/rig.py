"""A small site: real controllers, real boards over SSH and a real database; only the training is by closed form."""

from __future__ import annotations

import hashlib
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass, field

import numpy as np
import onnx_models

import nas.controller
from faults.history import History, check
from nas.architecture import Architecture
from nas.export.artifact import Artifact
from nas.request import SearchRequest
from nas.search.fake import ClosedFormTrainer
from nas.settings import Settings
from nas.space import SearchSpace
from nas.store import Attempt, Database, attempts, devices, open_database, searches, trials
from nas.store.states import AttemptState, WorkState, is_final

PATIENCE_S = 180.0
"""Bounds a broken run; no test's success depends on it."""
SPACE = {"name": "bed", "parameters": {"cell": ["lstm"], "hidden": [4, 8, 16], "window": [28], "precision": ["fp32"]}}
DATA = {"source": "synthetic", "series": 4}
FIELDS = ("host", "port", "user", "key", "host_key", "python", "root", "pool", "jump")


class BedTrainer(ClosedFormTrainer):
    """Exports real ONNX models, each with a graph of its own so that all are measured; trains by closed form.

    Args:
        models: Hidden size -> the model that is exported in its place.
    """

    def __init__(self, models: dict[int, bytes] | None = None) -> None:
        super().__init__()
        self._models, self._numbers = models or {}, itertools.count()

    def export(self, architecture: Architecture) -> Artifact:
        odd = self._models.get(architecture.hidden)
        inputs = {"x": np.zeros(3 if odd else (7, 1, 3), np.float32)}
        graph = hashlib.sha256(f"{os.getpid()}:{next(self._numbers)}".encode()).hexdigest()
        return Artifact(architecture, odd or onnx_models.lstm(architecture.hidden), inputs, graph, 0.0, 0.0)


@dataclass
class Rig:
    """Controllers run in threads of this process, or as processes of their own to be stopped or killed."""

    settings: Settings
    trainer: BedTrainer = field(default_factory=BedTrainer)
    _running: list[tuple[threading.Thread, threading.Event, Database]] = field(default_factory=list)
    _processes: list[subprocess.Popen] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.db: Database = open_database(self.settings)
        self.history: History | None = None

    def enrol(self, board, **changes) -> str:
        device = board.device(**changes)
        reach = {name: getattr(device, name) for name in FIELDS}
        reach["jump"] = [asdict(hop) for hop in device.jump]
        devices.create(self.db, name=device.name, transport="ssh", **reach)
        return device.name

    def enrol_anew(self, board) -> None:
        """Enrol a board under its name again, as it shows itself now."""
        device = board.device()
        reach = {name: getattr(device, name) for name in FIELDS}
        devices.replace(self.db, name=device.name, transport="ssh", **{**reach, "jump": []})

    def search(self, *names: str, trials: int = 4, **changes) -> int:
        """Queue a search, measured beside load: what breaks here is not the quiet of this computer."""
        body = {"devices": names, "trials": trials, "sampler": "random", "space": SPACE, "data": DATA}
        body |= {"beside_load": True, **changes}
        request = SearchRequest.model_validate(body)
        space = SearchSpace.from_mapping(body["space"])
        return searches.create(self.db, name="bed", request=request.model_dump(mode="json"), space=space.to_dict()).id

    def controller(self) -> None:
        """Start a controller in a thread."""
        over, db = threading.Event(), open_database(self.settings)
        run = nas.controller.Controller(self.settings, db, over).run
        self._running.append((threading.Thread(target=run, daemon=True), over, db))
        self._running[-1][0].start()

    def process(self) -> subprocess.Popen:
        """Start a controller as a process, the leader of a group of its own."""
        ours = {f"NAS_{name.upper()}": str(value) for name, value in self.settings.model_dump().items()}
        environment = {**os.environ, **ours, "PYTHONPATH": ":".join(sys.path), "PYTHONSAFEPATH": "1"}
        with (self.settings.folder / "controller.log").open("ab") as log:
            command = [sys.executable, "-m", "faults.rig"]
            self._processes.append(
                subprocess.Popen(command, env=environment, stdin=-3, stdout=log, stderr=log, start_new_session=True)
            )
        return self._processes[-1]

    def until(self, done, seconds: float = PATIENCE_S):
        """Wait until ``done`` returns something true, and return that."""
        end = time.monotonic() + seconds
        while not (found := done()):
            assert time.monotonic() < end, self.story()
            time.sleep(0.02)
        return found

    def measuring(self, board) -> None:
        """Wait until a board measures."""
        self.until(lambda: self.open_attempts(board.name) and len(board.agents()) > 2)

    def caught(self, board) -> Attempt:
        """Wait until a board measures, hold it there as ``pause`` does, and return what it is measuring for.

        While a test looks, what it is about to break would end by itself on a busy computer.
        """

        def held() -> Attempt | None:
            self.measuring(board)
            board.pause()
            for _ in range(100):  # what was measured just before is being closed
                found = self.open_attempts(board.name)
                if len(found) == 1 and len(board.agents()) > 2:
                    return found[0]
                time.sleep(0.01)
            board.resume()
            return None

        return self.until(held)

    def open_attempts(self, device: str) -> list[Attempt]:
        return [one for one in self.attempts() if one.device == device and one.state == AttemptState.leased]

    def attempts(self, search: int = 0) -> list:
        """All attempts, of one search or of all."""
        found = [search] if search else [row.id for row in searches.page(self.db, limit=1000)]
        return [
            one
            for id_ in found
            for trial in trials.page(self.db, id_)
            for one in attempts.of_trial(self.db, id_, trial.number)
        ]

    def ends(self, search: int) -> dict[int, list[str]]:
        """Trial -> how its attempts ended; those apart that a computer refused because it was busy just then."""
        found: dict[int, list[str]] = {}
        for one in self.attempts(search):
            ended = found.setdefault(one.number, [])
            if "was not fit to be measured" not in (one.reason or ""):
                ended.append(str(one.state))
        return found

    def state(self, search: int) -> WorkState:
        return searches.get(self.db, search).state

    def ended(self, search: int):
        """Wait until a search has come to its end, whatever that is."""
        return self.until(lambda: is_final((row := searches.get(self.db, search)).state) and row)

    def completed(self, search: int):
        """Wait until a search is completed."""
        row = self.ended(search)
        assert row.state == WorkState.completed, row.reason
        return row

    def close(self) -> History:
        """End every controller, and check what they left in the database; closing twice is fine."""
        if self.history is not None:
            return self.history
        for _, over, _ in self._running:
            over.set()
        for process in self._processes:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for thread, _, db in self._running:
            thread.join(PATIENCE_S)
            db.close()
        for process in self._processes:
            process.wait(PATIENCE_S)
        try:
            self.history = check(self.db, self.settings)
        finally:
            self.db.close()
        return self.history

    def story(self) -> str:
        """What a broken run looks like."""
        rows = [f"search {row.id} {row.state}: {row.reason}" for row in searches.page(self.db)]
        rows += [f"device {row.name} {row.state}: {row.reason}" for row in devices.enrolled(self.db)]
        rows += [f"{one.number}.{one.attempt} on {one.device} {one.state}: {one.reason}" for one in self.attempts()]
        return "waited in vain\n" + "\n".join(rows)


if __name__ == "__main__":
    import nas.controller.work

    nas.controller.work.ClusterTrainer = lambda *_: BedTrainer()
    nas.controller.main()
