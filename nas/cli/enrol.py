"""``nas devices add`` and ``import``: host keys are shown, confirmed and pinned before anything is sent."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from nas.cli import show
from nas.cli.install import installed
from nas.cli.searches import AsJson, service
from nas.client import Client
from nas.errors import Conflict, NasError, RequestError

if TYPE_CHECKING:
    from nas.devices.enrol import Wish
    from nas.devices.enrol_many import Line
    from nas.devices.ssh_config import Stop

Pool = Annotated[str, typer.Option(help="Name that identical boards share, to be used like one device.")]
Window = Annotated[str, typer.Option(help="When it may measure, in its own time, such as 22:00-05:00.")]
Config = Annotated[Path | None, typer.Option("--ssh-config", "-F", help="Instead of ~/.ssh/config.")]
Replace = Annotated[bool, typer.Option(help="It is enrolled already: pin its new key, keep its searches.")]


def add(
    name: Annotated[str, typer.Argument(help="A name of your choice: small letters, digits, dashes.")],
    host: Annotated[
        str | None, typer.Option(help="Address, or its name in ~/.ssh/config; none: this computer.")
    ] = None,
    user: Annotated[str | None, typer.Option(help="Login name there.")] = None,
    key: Annotated[Path | None, typer.Option(help="Private key for the login; it stays here.")] = None,
    port: Annotated[int | None, typer.Option(help="SSH port.")] = None,
    jump: Annotated[str | None, typer.Option(help="Machines on the way: USER@HOST:PORT,…; none: directly.")] = None,
    python: Annotated[str, typer.Option(help="Interpreter there that has onnxruntime.")] = "python3",
    root: Annotated[str, typer.Option(help="Folder there for the agent; in the user's home.")] = ".nas-agent",
    pool: Pool = "",
    measure_between: Window = "",
    fingerprint: Annotated[
        str | None, typer.Option(help="Expected SHA256:… of the host key; then nothing is asked.")
    ] = None,
    jump_fingerprint: Annotated[list[str] | None, typer.Option(help="The same on the way: HOST=SHA256:…")] = None,
    ssh_config: Config = None,
    put: Annotated[bool, typer.Option("--install", help="Put onnxruntime there; it needs no network.")] = False,
    replace: Replace = False,
    json: AsJson = False,
) -> None:
    """Enrol a device: one behind SSH, or this computer."""
    rest = {"python": python, "root": root, "pool": pool, "measure_between": measure_between}
    if host is None:
        if any((user, key, port, jump, fingerprint, jump_fingerprint, ssh_config, put)):
            raise RequestError("All options about SSH (--user, --key, …) go with --host; give the device's address.")
        body: dict[str, Any] = {"name": name, "transport": "local", **rest}
    else:
        from nas.devices.enrol import Wish, fingerprints  # noqa: PLC0415 # paramiko is slow to import
        from nas.devices.ssh_config import Options  # noqa: PLC0415

        options = Options(user, port, str(key.expanduser().absolute()) if key else None, jump)
        on_the_way = fingerprints(jump_fingerprint or [])
        wish = Wish(name, host, options, fingerprint or "", jump_fingerprints=on_the_way, rest=rest)
        body = _found(wish, ssh_config, put=put, quiet=json)
    with service() as client:
        found = client.replace_device(body) if replace else client.add_device(body)
    if json:
        show.as_json(found)
        return
    show.line(f"{name} is enrolled: nas search start --device {name}")


def import_(
    file: Annotated[Path, typer.Argument(help="CSV: name, host, and any of port, user, key, fingerprint, …")],
    probe: Annotated[bool, typer.Option(help="Look at each device before it is enrolled.")] = True,
    ssh_config: Config = None,
    replace: Annotated[bool, typer.Option(help="Enrol anew those that are enrolled with other values.")] = False,
    json: AsJson = False,
) -> None:
    """Enrol all devices of a table without a question; run it again for those that did not answer."""
    from nas.devices.enrol_many import differences, read_table  # noqa: PLC0415 # paramiko is slow to import
    from nas.devices.ssh_config import SshConfig  # noqa: PLC0415

    lines = read_table(file, SshConfig(ssh_config), look=probe)
    with service() as client:
        known = {row["name"]: row for row in client.devices()}
        other = {
            line.plan.wish.name: found
            for line in lines
            if (row := known.get(line.plan.wish.name)) and (found := differences(line.plan, row))
        }
        if other and not replace:
            listed = "".join(f"\n  • {name}: {', '.join(columns)}" for name, columns in other.items())
            raise Conflict(
                f"Some devices of {file} are enrolled with other values, so nothing was done; correct the table, or "
                f"enrol them anew with --replace:{listed}"
            )
        new = [line for line in lines if line.plan.wish.name not in known.keys() - other.keys()]
        left_out = _added(client, new, set(other), look=probe, quiet=json)
    _summary(lines, new, left_out, json=json)


def _added(client: Client, lines: list[Line], other: set[str], *, look: bool, quiet: bool) -> list[dict[str, Any]]:
    """Enrol what can be, and return the rows that were left out."""
    from nas.devices.enrol_many import enrolled_at_once  # noqa: PLC0415 # paramiko is slow to import

    left_out = []
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=show.console, disable=quiet or not show.console.is_terminal) as progress:
        task = progress.add_task("enrolling", total=len(lines))
        for line, found in enrolled_at_once(lines, look=look):
            try:
                if isinstance(found, NasError):
                    raise found
                send = client.replace_device if found.name in other else client.add_device
                send(asdict(found))
            except NasError as error:
                left_out.append({"row": line.row, "name": line.plan.wish.name, "reason": str(error)})
            progress.advance(task)
    return sorted(left_out, key=lambda line: line["row"])


def _summary(lines: list[Line], new: list[Line], left_out: list[dict[str, Any]], *, json: bool) -> None:
    names = {line.plan.wish.name for line in new} - {line["name"] for line in left_out}
    already = {line.plan.wish.name for line in lines} - {line.plan.wish.name for line in new}
    if json:
        show.as_json({"enrolled": sorted(names), "already": sorted(already), "left_out": left_out})
    else:
        show.line(f"{len(names)} enrolled, {len(already)} were already, {len(left_out)} left out")
        if left_out:
            rows = [[line["row"], line["name"], line["reason"]] for line in left_out]
            show.rows("Left out; run the same again once they answer", ["row", "name", "why"], rows)
    if left_out:
        raise typer.Exit(1)


def _found(wish: Wish, ssh_config: Path | None, *, put: bool, quiet: bool) -> dict[str, Any]:
    """A device behind SSH, once its keys are confirmed and it has shown that it can measure."""
    from nas.devices.enrol import RUNTIME, Plan, Trust, expect_able, reached  # noqa: PLC0415 # paramiko is slow to import
    from nas.devices.ssh_config import SshConfig  # noqa: PLC0415

    plan = Plan.of(wish, SshConfig(ssh_config))
    last = plan.route[-1]
    say = (lambda _: None) if quiet else show.line
    trust = Trust(lambda stop, shown: _ask(stop, shown, on_the_way=stop is not last), say)
    device = reached(plan, trust)
    if put:
        return asdict(installed(device, RUNTIME).device)
    expect_able(device)
    return asdict(device)


def _ask(stop: Stop, shown: str, *, on_the_way: bool) -> None:
    """Have a host key confirmed by the person at the terminal."""
    option = f"--jump-fingerprint {stop.name}={shown}" if on_the_way else f"--fingerprint {shown}"
    if not sys.stdin.isatty():
        raise RequestError(
            f"{stop.host} shows the host key {shown}, and nobody is here to confirm it; "
            f"compare it with the machine's own, then add {option}."
        )
    show.line(f"{stop.host} shows the host key {shown}")
    show.line("compare it with what `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` says there")
    if not typer.confirm("Is it the machine's own?"):
        raise RequestError(f"{stop.host} was not added: its host key was not confirmed.")
