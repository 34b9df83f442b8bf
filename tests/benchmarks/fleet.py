"""A thousand devices on one controller: real OpenSSH for a tenth of them, and a server that dies on the way."""

from __future__ import annotations

import hashlib
import itertools
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import structlog
from sshd import Sshd

from benchmarks.report import Figure, write
from nas.controller.roster import Roster
from nas.controller.watch import Watch
from nas.devices.device import Device
from nas.devices.fake import FakeTransport
from nas.devices.fleet import Fleet
from nas.devices.ssh import SshTransport
from nas.devices.tiers import TIERS, Tier
from nas.errors import DeviceFault
from nas.search.meter import Meter
from nas.settings import Settings
from nas.store import attempts, devices, leases, searches, trials
from nas.store.database import Database, open_database
from nas.store.device_leases import DeviceLeases

DEVICES, BOARDS, SERVERS, REQUESTS, WORKERS = 1000, 100, 4, 3, 128
OPENERS = 8
DOWN_S = 2.0
INTRODUCTION = f"""One controller process has {DEVICES} devices: {BOARDS} agents behind {SERVERS} real OpenSSH servers
on loopback, each in a folder and with sensors of its own, and fakes in memory. Each device gets {REQUESTS} measurements
(runtime `identity`, tiny budgets) from {WORKERS} threads, with everything that a search does for one: device lease,
attempt, tokens, cache, blame. Half-way one server is killed with all its connections and started again {DOWN_S:g} s
later. Memory is that of the controller's process alone; the agents are processes of their own."""
INPUTS: Mapping[str, Any] = {"x": np.zeros((1, 4), np.float32)}


class Crowded(SshTransport):
    """The agents share this computer's cores, so that none of them may insist on a quiet device."""

    def open(self, device: Device) -> Any:
        session: Any = super().open(device)
        call = session.call

        def beside_the_others(message: Mapping[str, Any], deadline_s: float) -> Any:
            anyway = {"beside_load": True} if message["verb"] == "measure" else {}
            return call({**message, **anyway}, deadline_s)

        session.call = beside_the_others
        return session


@dataclass
class Run:
    """What is being done, and what came of it."""

    db: Database
    fleet: Fleet
    search: Any
    boards: frozenset[str]
    completed: Counter[str]
    again: int = 0


def main() -> None:
    """Enrol, open, drive, count, report."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    TIERS["screening"] = Tier(1, 1, 11, 11, 0.0, 0.0, 0.0, 0.0, tail=False, audit=False, deadline_s=60.0)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        servers = [stack.enter_context(_served(Path(folder) / f"sshd{number}")) for number in range(SERVERS)]
        known = [_board(Path(folder), number, servers[number % SERVERS]) for number in range(BOARDS)]
        known += [Device(f"fake-{number}", "local") for number in range(DEVICES - BOARDS)]
        settings = Settings(home=Path(folder) / "home", database_url="")
        db = open_database(settings)
        for device in known:
            fields = asdict(device)
            devices.create(db, **{**fields, "jump": list(fields["jump"])})
        searches.create(db, name="fleet", request={}, space={})
        search = leases.claim_next(db, leases.Observer(1000))
        roster, over = Roster(db, 3), threading.Event()
        with DeviceLeases(db, ttl=10) as held:
            transports = {"local": FakeTransport(), "ssh": Crowded()}
            with Fleet(known, transports, leases=held, register=roster, idle_s=600, over=over) as fleet:
                run = Run(db, fleet, search, frozenset(device.name for device in known[:BOARDS]), Counter())
                figures = _opened(run, known)
                watch = Watch(settings, db, fleet, roster, over, lambda _facts: nullcontext())
                watch._fleet = SimpleNamespace(adopt=lambda _devices: None, check=fleet.check)
                thread = threading.Thread(target=watch.run)
                thread.start()
                figures += _driven(run, known, servers[0])
                over.set()
                thread.join()
        db.close()
    write("fleet", INTRODUCTION, figures)


def _opened(run: Run, known: list[Device]) -> list[Figure]:
    """Open every session, and see what one costs."""
    before = _rss_mb()
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(run.fleet.facts, [device.name for device in known[BOARDS:]]))
    fakes = _rss_mb()
    started = time.perf_counter()
    with ThreadPoolExecutor(OPENERS) as pool:
        list(pool.map(lambda device: _patiently(run, device.name), known[:BOARDS]))
    seconds, real = time.perf_counter() - started, _rss_mb()
    per_session = (real - fakes) / BOARDS * 1000
    return [
        Figure("devices", DEVICES, ""),
        Figure("of them real SSH sessions", BOARDS, "", ">= 100", BOARDS >= 100),
        Figure("memory per device without a connection", (fakes - before) / (DEVICES - BOARDS) * 1000, "kB"),
        Figure("memory per open SSH session", per_session, "kB", note="paramiko, its thread included"),
        Figure("SSH sessions opened per second", BOARDS / seconds, "/s", note=f"{OPENERS} at a time, agents included"),
        Figure(
            "threads with all sessions open",
            threading.active_count(),
            "",
            note="one per SSH connection is paramiko's; none per device is ours",
        ),
    ]


def _patiently(run: Run, name: str) -> None:
    """Open a session; a hundred agents that start at once on a busy computer may miss a deadline."""
    for last in (False, False, True):
        try:
            run.fleet.facts(name)
        except DeviceFault:
            if last:
                raise
        else:
            return


def _driven(run: Run, known: list[Device], victim: Sshd) -> list[Figure]:
    """Give every device its measurements, and kill one server half-way."""
    names = [device.name for device in known]
    spread = [name for pair in itertools.zip_longest(*[iter(names)] * (DEVICES // BOARDS)) for name in pair if name]
    tasks = deque(enumerate(spread * REQUESTS))
    total, halves, lock = len(tasks), Counter[str](), threading.Lock()
    killed = threading.Event()

    def work() -> None:
        while len(run.completed) < DEVICES or sum(run.completed.values()) < total:
            try:
                number, name = tasks.popleft()
            except IndexError:
                time.sleep(0.05)
                continue
            if not _measured(run, number, name):
                time.sleep(0.2)
                tasks.append((number, name))  # as a search that waits for its device
                continue
            with lock:
                run.completed[name] += 1
                done = sum(run.completed.values())
                if done == total // 2:
                    halves.update(run.completed)
                    killed.set()

    started = time.perf_counter()
    threads = [threading.Thread(target=work) for _ in range(WORKERS)]
    for thread in threads:
        thread.start()
    killed.wait()
    victim.stop()
    time.sleep(DOWN_S)
    victim.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    return [
        *_counted(run, total),
        *_fairness(run, names, halves),
        Figure("dispatches per second", total / seconds, "/s"),
    ]


def _measured(run: Run, number: int, name: str) -> bool:
    """One request, as a search makes it."""
    given = {"token": run.search.token, "architecture": {"number": number}}
    trial = trials.create(run.db, run.search.id, number, **given)
    model = b"model %d" % number
    how = SimpleNamespace(threads=1, precision="fp32", runtime="identity")
    graph = hashlib.sha256(model).hexdigest()
    artifact: Any = SimpleNamespace(model=model, inputs=INPUTS, graph=graph, architecture=how)
    meter = Meter(run.db, run.fleet, [name], tries=3, token=run.search.token, alone=lambda _facts: nullcontext())
    try:
        meter.measure(trial, artifact, {})
    except DeviceFault:
        run.again += 1
        return False
    return True


def _counted(run: Run, total: int) -> list[Figure]:
    """What the database says of it."""
    found = [attempts.of_trial(run.db, run.search.id, number) for number in range(total)]
    accepted = [sum(attempt.state == "measured" for attempt in made) for made in found]
    broken = sum(attempt.state == "device_fault" for made in found for attempt in made)
    last = all(made[-1].state == "measured" for made in found)
    return [
        Figure("measurements asked for", total, ""),
        Figure("lost", accepted.count(0), "", "0", accepted.count(0) == 0 and last),
        Figure("counted twice", sum(n > 1 for n in accepted), "", "0", max(accepted) <= 1),
        Figure("attempts that the killed server broke", broken, "", note="each was made again"),
        Figure("times that a request had to wait for its device", run.again, ""),
    ]


def _fairness(run: Run, names: list[str], halves: Mapping[str, int]) -> list[Figure]:
    """Jain's index: 1 when every device was served alike, 1/n when one had everything."""
    figures = []
    for kind, chosen in (
        ("SSH", [name for name in names if name in run.boards]),
        ("fake", [name for name in names if name not in run.boards]),
    ):
        served = [halves[name] for name in chosen]
        index = sum(served) ** 2 / (len(served) * sum(n * n for n in served)) if any(served) else 0.0
        note = f"{min(served)} to {max(served)} per device"
        figures.append(Figure(f"Jain's index of the {kind} devices half-way", index, "", note=note))
    ends = [run.completed[name] for name in names]
    same = min(ends) == max(ends)
    figures.append(Figure("least / most per device in the end", min(ends) / max(ends), "", "1", same))
    return figures


def _board(folder: Path, number: int, server: Sshd) -> Device:
    """A board of its own on this computer: another folder, other sensors, another lock."""
    root = folder / f"board{number}"
    (root / "sys" / "tmp").mkdir(parents=True)
    python = root / "python"
    run = f'exec "{sys.executable}" "$@"'
    python.write_text(f'#!/bin/sh\n[ "$1" = -c ] && {run}\n{run} --sysroot "{root}/sys"\n')
    python.chmod(0o755)
    return server.device(root / "agent", name=f"board-{number}", python=str(python))


@contextmanager
def _served(folder: Path) -> Iterator[Sshd]:
    folder.mkdir()
    server = Sshd(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _rss_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1000


if __name__ == "__main__":
    main()
