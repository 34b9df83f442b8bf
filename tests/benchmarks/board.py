"""`make bench-board HOST=…`: the measuring table on a board of your own, in at most half an hour.

The board is reached over SSH, gets agent and onnxruntime in a folder of its own, and is left as it was.
"""

from __future__ import annotations

import argparse
import functools
import json
import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.measuring import EVERYWHERE, Row, board  # isort: skip # it puts tests/ on the path

from benchmarks.report import FOLDER, Figure, write
from nas.devices.enrol import Plan, Trust, Wish, reached
from nas.devices.install import install, uninstall
from nas.devices.ssh_config import Options, SshConfig, Stop
from nas.errors import NasError, RequestError
from nas.settings import Settings

LIMIT_S = 27 * 60.0
"""Seconds after which no further row begins; the longest takes some minutes."""
AWAITED = (
    "Raspberry Pi 3",
    "Raspberry Pi 4",
    "Raspberry Pi 5",
    "Raspberry Pi Zero 2",
    "Jetson Nano",
    "Jetson Orin Nano",
    "Jetson AGX Orin",
    "x86 store terminal",
)
"""Boards whose rows wait to be filled."""
INTRODUCTION = """The measuring table on {board}, over SSH, with onnxruntime {runtime} as `nas devices install` put it
there. *Paired* is the ratio to the reference model, *refused* the share of measurements that the board rejected instead
of answering; a row with more than 20 % of them does not hold."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Enrol, install, measure, clear, report."""
    options = _options(arguments)
    started = time.monotonic()
    try:
        run(options, [in_time(row, started + LIMIT_S) for row in EVERYWHERE])
    except NasError as error:
        sys.exit(f"make bench-board: {error}")
    print(f"{(time.monotonic() - started) / 60:.1f} minutes", file=sys.stderr)


def run(options: argparse.Namespace, rows: Iterable[Row]) -> None:
    """Measure on the board that the options name, and write its report and the list of boards."""
    login = Options(options.user, options.port, str(options.key.expanduser().absolute()) if options.key else None, None)
    rest = {"python": options.python, "root": ".nas-bench"}
    plan = Plan.of(Wish("board", options.host, login, options.fingerprint, rest=rest), SshConfig(None))
    device = reached(plan, Trust(_ask, lambda sentence: print(sentence, file=sys.stderr)))
    cache = Settings.from_environment().folder / "cache" / "wheels"
    done = install(device, "onnxruntime", cache, own=options.wheel, offline=options.offline, report=_say_upload)
    try:
        figures = board(done.device, tuple(rows))
    finally:
        if left := uninstall(done.device):
            print(f"left on the board, since it was not put there by this: {', '.join(left)}", file=sys.stderr)
    name = f"board-{options.name or slug(done.facts['board'] or options.host)}"
    shown = {"board": done.facts["board"] or options.host, "runtime": done.facts["runtimes"]["onnxruntime"]}
    write(name, INTRODUCTION.format(**shown), figures, device=dict(done.facts))
    (FOLDER / "boards.md").write_text(listed(FOLDER))


def in_time(row: Row, end: float, clock: Callable[[], float] = time.monotonic) -> Row:
    """Leave a row out, and say so, if it would begin after ``end``."""

    @functools.wraps(row)
    def timely(bench: Any) -> list[Figure]:
        if clock() < end:
            return row(bench)
        return [Figure(row.__name__, 0.0, "", note="left out: the half hour was over")]

    return timely


def slug(name: str) -> str:
    """A board's name as a file name."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60] or "unnamed"


def listed(folder: Path) -> str:
    """The list of boards: those that were measured, and those that are awaited."""
    lines = [
        "# Boards",
        "",
        "The measuring table on real boards: `make bench-board HOST=192.168.1.40 USER=pi` fills a row in half an",
        "hour and leaves the board as it was. Nothing stands here that was not measured on the board itself.",
        "",
        "| board | measured | bars that hold | onnxruntime | kernel |",
        "|---|---|---|---|---|",
    ]
    measured: set[str] = set()
    for path in sorted(folder.glob("board-*.json")):
        report = json.loads(path.read_text())
        facts, bars = report["environment"]["device"], [f["holds"] for f in report["figures"] if f["holds"] is not None]
        name = facts["board"] or path.stem.removeprefix("board-")
        measured |= {awaited for awaited in AWAITED if awaited.lower() in name.lower()}
        said = "emulated" if facts.get("emulated") else "yes"
        runtime = facts["runtimes"]["onnxruntime"]
        lines.append(
            f"| [{name}]({path.stem}.md) | {said} | {sum(bars)} of {len(bars)} | {runtime} | {facts['kernel']} |"
        )
    lines += [f"| {name} | not measured yet | | | |" for name in AWAITED if name not in measured]
    return "\n".join(lines) + "\n"


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-board", description=__doc__)
    parser.add_argument("host", help="address of the board, or its name in ~/.ssh/config")
    parser.add_argument("--user", help="login name there")
    parser.add_argument("--key", type=Path, help="private key for the login")
    parser.add_argument("--port", type=int)
    parser.add_argument("--python", default="python3", help="interpreter there")
    parser.add_argument("--name", default="", help="name of the report; default: what the board calls itself")
    parser.add_argument("--fingerprint", default="", help="expected SHA256:… of the host key; then nothing is asked")
    parser.add_argument("--wheel", type=Path, action="append", default=[], help="a build of your own")
    parser.add_argument("--offline", action="store_true", help="use no network but the one to the board")
    return parser.parse_args(arguments)


def _ask(stop: Stop, shown: str) -> None:
    """Have a host key confirmed by the person at the terminal."""
    print(f"{stop.host} shows the host key {shown}", file=sys.stderr)
    if not sys.stdin.isatty() or input("Is it the machine's own? [y/N] ").strip().lower() not in ("y", "yes"):
        raise RequestError(f"The host key was not confirmed; compare it, then add FINGERPRINT={shown}.")


def _say_upload(name: str, done: int, size: int) -> None:
    if done == size:
        print(f"uploaded {name.partition('-cp')[0]}, {size / 1e6:.1f} MB", file=sys.stderr)


if __name__ == "__main__":
    main()
