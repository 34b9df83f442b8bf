"""``nas devices install`` and ``remove``: a runtime is put on a device, and everything is taken away again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from nas.cli import show
from nas.cli.searches import AsJson, service
from nas.devices.device import Device
from nas.errors import Fault
from nas.settings import Settings

if TYPE_CHECKING:
    from nas.devices.install import Installed

Name = Annotated[str, typer.Argument(help="Name of the device.")]


def install(
    name: Name,
    runtime: Annotated[
        str, typer.Option(help="onnxruntime, openvino, litert or executorch; again for another one.")
    ] = "onnxruntime",
    wheel: Annotated[list[Path] | None, typer.Option(help="A build of your own, such as one for its GPU.")] = None,
    python: Annotated[str | None, typer.Option(help="Interpreter there, if not the one of its enrolment.")] = None,
    offline: Annotated[bool, typer.Option(help="Use no network: wheels come from --wheel and the cache.")] = False,
    warm: Annotated[bool, typer.Option(help="Keep the agent running there, by the user's own systemd.")] = False,
    json: AsJson = False,
) -> None:
    """Put an inference runtime on a device, which needs no network and no pip for it."""
    with service() as client:
        row = _enrolment(client.device(name))
        device = Device(**{**row, "python": python or row["python"]})
        done = installed(device, runtime, own=wheel or [], offline=offline, warm=warm)
        client.replace_device({**row, "python": done.device.python})
    if json:
        show.as_json(
            {"device": name, "runtimes": done.facts["runtimes"], "wheels": done.wheels, "sent_bytes": done.sent}
        )
        return
    versions = ", ".join(f"{found} {version}" for found, version in done.facts["runtimes"].items())
    show.line(f"{name} has {versions}; sent {done.sent / 1e6:.1f} MB: nas search start --device {name}")


def remove(
    name: Name,
    keep_files: Annotated[bool, typer.Option(help="Forget it here only; agent and runtimes stay on it.")] = False,
) -> None:
    """Take agent and runtimes off a device and forget it; what it measured stays."""
    with service() as client:
        row = _enrolment(client.device(name))
        client.remove_device(name)  # first, since it is refused while a search needs the device
    show.line(f"{name} is removed" if keep_files or row["transport"] != "ssh" else f"{name} is removed{_cleared(row)}")


def installed(device: Device, runtime: str, **options: Any) -> Installed:
    """Install with a bar for each file that is uploaded; see ``nas.devices.install``."""
    from nas.devices.install import install as put  # noqa: PLC0415 paramiko is slow to import

    with _bars() as report:
        return put(device, runtime, Settings.from_environment().folder / "cache" / "wheels", report=report, **options)


def _cleared(row: dict[str, Any]) -> str:
    """Clear the device's folder, and say what came of it."""
    from nas.devices.install import uninstall  # noqa: PLC0415 paramiko is slow to import

    device = Device(**row)
    try:
        left = uninstall(device)
    except Fault as fault:
        return f", but its folder {device.root} is still there: {fault} Delete it once the device can be reached."
    if left:
        return f"; its folder {device.root} stays, because others keep {', '.join(left)} there"
    return f", and so is its folder {device.root}"


def _enrolment(row: dict[str, Any]) -> dict[str, Any]:
    """What of a device's row says how it is reached: it makes a ``Device``, or is sent to enrol it anew."""
    return {field.name: row[field.name] for field in fields(Device) if field.name in row}


@contextmanager
def _bars() -> Iterator[Any]:
    """A bar for each file that is uploaded; nothing in a file or pipe."""
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with Progress(*columns, console=show.console, transient=True, disable=not show.console.is_terminal) as progress:
        tasks: dict[str, Any] = {}

        def report(name: str, done: int, size: int) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(name.partition("-cp")[0], total=size)
            progress.update(tasks[name], completed=done)

        yield report
