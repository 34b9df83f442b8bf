"""What a person sees: tables, and progress that moves."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from nas.client import Client

Json = dict[str, Any]
FINISHED = ("completed", "failed", "cancelled", "paused")
NAMED = ("wape", "latency_p50_ms", "latency_p95_ms", "peak_memory_mb", "size_kb")
"""Metrics that every table of trials shows, if only of one device."""
POLL_S = 1.0
console = Console()
if not console.is_terminal:
    console = Console(width=150)  # in a file nothing needs to be folded
aside = Console(stderr=True)
"""Where progress is shown while stdout is kept for JSON."""


def as_json(value: Any) -> None:
    """Print a value as JSON and nothing else."""
    print(json.dumps(value, indent=2, ensure_ascii=False))  # noqa: T201 the command's answer


def line(text: str) -> None:
    """Print one line as it is."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def rows(title: str, columns: Sequence[str], lines: Sequence[Sequence[Any]]) -> None:
    """Print a table; None is shown as a dash."""
    table = Table(title=escape(title), title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(escape(column))
    for values in lines:
        table.add_row(*(escape(figure(value)) for value in values))
    console.print(table)


def figure(value: Any) -> str:
    """A value as a table shows it."""
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def columns(objectives: Iterable[str], limits: Iterable[str]) -> list[str]:
    """What a table of trials shows: objectives, what is limited, and then the usual metrics."""
    names = list(dict.fromkeys([*objectives, *limits]))
    known = {name.partition("@")[0] for name in names}
    return names + [name for name in NAMED if name not in known]


def follow_search(client: Client, search: int, *, json: bool = False) -> Json:
    """Show a search's progress until it ends or pauses; Ctrl-C leaves it running."""
    shown = aside if json else console
    with Live(console=shown, refresh_per_second=4, transient=True) as live:
        while True:
            found = client.search(search)
            live.update(progress(found))
            if found["state"] in FINISHED:
                break
            time.sleep(POLL_S)
    shown.print(progress(found))
    return found


def follow_student(client: Client, student: int, *, json: bool = False) -> Json:
    """Show an export's progress until it ends."""
    with (aside if json else console).status("waiting for a controller") as status:
        while True:
            found = client.student(student)
            if found["state"] in FINISHED:
                return found
            status.update(escape(found["progress"].get("step", found["state"])))
            time.sleep(POLL_S)


def follow_dataset(client: Client, dataset: int, *, json: bool = False) -> Json:
    """Wait until a controller has looked at a data set."""
    with (aside if json else console).status("waiting for a controller"):
        while (found := client.dataset(dataset))["state"] not in FINISHED:
            time.sleep(POLL_S)
    return found


def progress(search: Json) -> Table:
    """How far a search is, as a small grid."""
    done = search["progress"]
    table = Table.grid(padding=(0, 2))
    stages = ", ".join(f"{count} {stage.replace('_', ' ')}" for stage, count in done["stages"].items() if count)
    best = ", ".join(f"{name} {found['value']:.4g} (trial {found['trial']})" for name, found in done["best"].items())
    state = search["state"] + (f" ({search['wants']} asked for)" if search["wants"] else "")
    table.add_row(f"search {search['id']}", f"{state}, {done['finished']} of {done['asked']} trials")
    table.add_row("stages", escape(stages or "waiting"))
    table.add_row("best", escape(best or "–"))
    table.add_row("time", f"{_span(done['elapsed_seconds'])} elapsed, {_span(done['eta_seconds'])} to go")
    if search["reason"]:
        table.add_row("reason", escape(search["reason"]))
    return table


def _span(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
