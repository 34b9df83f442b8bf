"""`make bench-boards`: one whole search over SSH on an emulated Arm board and an x86 board, with limits for each."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1])]  # as pytest does

from arm import board as arm_board
from serving import Service
from sshd import Sshd

from benchmarks.report import FOLDER, Figure, write
from nas.client import Client
from nas.devices.device import Device
from nas.devices.install import install, uninstall
from nas.settings import Settings

TRIALS = 16
SPACE = {
    "name": "two_boards",
    "parameters": {
        "cell": ["lstm", "gru"],
        "hidden": [8, 16, 32, 64, 128],
        "window": [28, 56],
        "history": ["daily", "pooled"],
        "embedding": [0, 8],
        "head": [16, 32],
        "precision": ["fp32", "int8"],
    },
}
LIMITS = {"latency_p95_ms": {"x86": 0.15, "arm": 20.0}, "size_kb": 300}
INTRODUCTION = """One search of {trials} trials by REST, TPE, real grocery sales (Complete Journey, its 60 largest
series), measured over real OpenSSH on two boards at once: this computer, and an Arm one (Debian 12 on aarch64, emulated
by qemu-user, onnxruntime's aarch64 wheel installed offline). Limits per board: p95 at most {x86} ms on x86 and {arm} ms
on Arm. What the emulated board measures is never called valid; it shows that the way is whole, not what a Pi takes.

![The front](two-boards-front.png)

{table}"""


def main() -> None:
    """Set both boards up, search, report."""
    with tempfile.TemporaryDirectory() as folder, arm_board.running() as arm:
        server = Sshd(Path(folder))
        server.start()
        service = Service(Path(folder) / "home").start()
        try:
            x86 = server.device(Path(folder) / "agent", name="x86", python=sys.executable)
            cache = Settings.from_environment().folder / "cache" / "wheels"
            there = install(arm.board(name="arm"), "onnxruntime", cache).device
            try:
                with Client(service.url) as client:
                    report(service, client, searched(service, client, [x86, there]))
            finally:
                service.stop()
                uninstall(there)
        finally:
            service.stop()
            server.stop()


def searched(service: Service, client: Client, boards: list[Device]) -> int:
    """Run the search to its end, and return its number."""
    for board in boards:
        client.add_device({**{n: getattr(board, n) for n in ("name", "transport", "host", "port", "user", "key")},
                           "host_key": board.host_key, "python": board.python, "root": board.root})  # fmt: skip
    body = {
        "name": "two boards",
        "devices": ["x86", "arm"],
        "space": SPACE,
        "data": {"source": "complete_journey", "series": 60},
        "objectives": ["wape", "latency_p50_ms@x86", "latency_p50_ms@arm"],
        "constraints": LIMITS,
        "trials": TRIALS,
        "beside_load": True,  # both boards are this one computer, which also runs the service
    }
    search: int = client.start_search(body)["id"]
    while (found := client.search(search))["state"] in ("queued", "running", "paused"):
        print(found["state"], found["progress"]["stages"], found["reason"] or "", file=sys.stderr)
        time.sleep(10)
    assert found["state"] == "completed", found["reason"]
    return search


def report(service: Service, client: Client, search: int) -> None:
    """Write the figures, the front as a table and its picture."""
    trials, front = list(client.trials(search)), client.front(search)
    chosen = {point["number"] for point in front["points"]}
    rows = [trial for trial in trials if trial["number"] in chosen]
    turned = [trial for trial in trials if trial["stage"] == "turned_away"]
    both = [trial for trial in trials if {"x86", "arm"} <= set(trial["measurements"])]
    called_valid = sum(trial["measurements"]["arm"]["verdict"] == "valid" for trial in both)
    machines = {name: both[0]["measurements"][name]["fingerprint"]["machine"] for name in ("x86", "arm")}
    elapsed = client.search(search)["progress"]["elapsed_seconds"]
    figures = [
        Figure("trials measured on both boards", len(both), "", f"= {TRIALS}", len(both) == TRIALS, str(machines)),
        Figure("points on the front", len(rows), "", ">= 3", len(rows) >= 3),
        Figure("turned away before training", len(turned), "", note="by a limit of one board or the other"),
        Figure("emulated latencies called valid", called_valid, "", "= 0", called_valid == 0),
        Figure("the whole search", elapsed / 60, "minutes"),
    ]
    picture = FOLDER / "two-boards-front.png"
    command = [str(Path(sys.executable).with_name("nas")), "front", str(search), "--picture", str(picture)]
    subprocess.run(command, check=True, env=service.environment, stdout=subprocess.DEVNULL)
    limits: dict[str, Any] = LIMITS["latency_p95_ms"]
    write("two-boards", INTRODUCTION.format(trials=TRIALS, table=_table(rows), **limits), figures)


def _table(rows: list[dict[str, Any]]) -> str:
    columns = [
        "wape",
        "latency_p50_ms@x86",
        "latency_p95_ms@x86",
        "latency_p50_ms@arm",
        "latency_p95_ms@arm",
        "size_kb",
    ]
    lines = ["| trial | cell | " + " | ".join(columns) + " |", "|---:|---|" + "---:|" * len(columns)]
    for trial in rows:
        a, values = trial["architecture"], trial["values"]
        what = f"{a['cell']} {a['layers']}x{a['hidden']}, {a['window']} d {a['history']}, {a['precision']}"
        shown = " | ".join(f"{values[name]:.4g}" for name in columns)
        lines.append(f"| {trial['number']} | {what} | {shown} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
