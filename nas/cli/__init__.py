"""The command line: one word per thing that the service does. Exit codes: 0 done, 1 broke, 2 wrong input."""

from __future__ import annotations

import sys

import typer

from nas import __version__
from nas.cli import checks, data, demo, devices, measure, reports, searches, teachers  # noqa: F401 data adds words
from nas.errors import InputError, NasError, NotFound

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    help="Finds compact LSTM forecasters that are really fast on the device where they will run.",
)
app.add_typer(searches.app, name="search", help="Start searches and follow them.")
app.add_typer(searches.students, name="student", help="Make packages of trials.")
app.add_typer(teachers.app, name="teacher", help="Train or import teachers for students.")
app.add_typer(devices.app, name="devices", help="Enrol the devices that measure.")
app.add_typer(checks.space, name="space", help="Check a search space file.")
app.add_typer(checks.data, name="data", help="Check sales tables and keep them.")
app.command("front")(searches.front)
app.command("report")(reports.report)
app.command("measure")(measure.measure)
app.command("serve")(checks.serve)
app.command("controller")(checks.controller)
app.command("demo")(demo.demo)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"edge-nas {__version__}")  # noqa: T201 the command's answer
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    """Options that stand before the command."""


def main() -> None:
    """Run a command; what went wrong is one sentence on stderr."""
    try:
        app()
    except NasError as error:
        print(f"nas: {error}", file=sys.stderr)  # noqa: T201 the command's answer
        sys.exit(2 if isinstance(error, InputError | NotFound) else 1)
    except KeyboardInterrupt:
        sys.exit(130)
