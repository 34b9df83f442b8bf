"""``nas devices``: enrolment shows the host key, asks, pins it, and looks at the device before it is added."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from nas.cli import install, show
from nas.cli.searches import AsJson, service
from nas.devices.device import Device
from nas.devices.enrol import probe
from nas.errors import HostKeyChanged, RequestError, RuntimeMissing

app = typer.Typer(no_args_is_help=True)
app.command("install")(install.install)
app.command("remove")(install.remove)
RUNTIME = "onnxruntime"


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="A name of your choice: small letters, digits, dashes.")],
    host: Annotated[str | None, typer.Option(help="Address of the device; none means this computer.")] = None,
    user: Annotated[str | None, typer.Option(help="Login name there.")] = None,
    key: Annotated[Path | None, typer.Option(help="Private key for the login; it stays here.")] = None,
    port: Annotated[int, typer.Option(help="SSH port.")] = 22,
    python: Annotated[str, typer.Option(help="Interpreter there that has onnxruntime.")] = "python3",
    root: Annotated[str, typer.Option(help="Folder there for the agent; in the user's home.")] = ".nas-agent",
    fingerprint: Annotated[
        str | None, typer.Option(help="Expected SHA256:… of the host key; then nothing is asked.")
    ] = None,
    replace: Annotated[bool, typer.Option(help="It is enrolled already: pin its new key, keep its searches.")] = False,
    json: AsJson = False,
) -> None:
    """Enrol a device: one behind SSH, or this computer."""
    if host is None:
        if user or key or fingerprint:
            raise RequestError("--user, --key and --fingerprint go with --host; give the device's address.")
        body: dict[str, Any] = {"name": name, "transport": "local", "python": python, "root": root}
    else:
        if user is None or key is None:
            raise RequestError("A device behind SSH needs --user and --key as well as --host.")
        where = {"host": host, "port": port, "user": user, "key": str(key.expanduser().absolute())}
        body = {"name": name, "transport": "ssh", "python": python, "root": root, **where}
        body["host_key"] = _expect_able(body, fingerprint)
    with service() as client:
        found = client.replace_device(body) if replace else client.add_device(body)
    if json:
        show.as_json(found)
        return
    show.line(f"{name} is enrolled: nas search start --device {name}")


@app.command("list")
def list_(json: AsJson = False) -> None:
    """List the enrolled devices."""
    with service() as client:
        found = client.devices()
    if json:
        show.as_json(found)
        return
    lines = [
        [d["name"], d["transport"], d["host"] or "here", d["state"], (d["facts"] or {}).get("board"), d["reason"]]
        for d in found
    ]
    show.rows("Devices", ["name", "transport", "host", "state", "board", "reason"], lines)


@app.command("probe")
def probe_(name: Annotated[str, typer.Argument(help="Name of the device.")], json: AsJson = False) -> None:
    """Ask a device for its facts: over SSH from here; this computer through the controller."""
    with service() as client:
        row = client.device(name)
    if row["transport"] == "ssh":
        facts = probe(Device(**{field: row[field] for field in Device.__dataclass_fields__}))
    elif row["facts"]:
        facts = row["facts"]
    else:
        raise RequestError(f"The controller has not looked at {name} yet; expected within a minute, so ask again soon.")
    if json:
        show.as_json(facts)
        return
    show.rows(f"What {name} says of itself", ["fact", "value"], sorted(facts.items()))


def _expect_able(body: dict[str, Any], fingerprint: str | None) -> str:
    """The device's host key, once it is confirmed and the device has shown that it can measure."""
    Device(**body)  # says what is wrong with the names before anything is sent
    host_key = _pinned(body["host"], body["port"], fingerprint)
    facts = probe(Device(**body, host_key=host_key))
    if not facts["runtimes"].get(RUNTIME):
        name, python = body["name"], body["python"]
        raise RuntimeMissing(
            f"{name} answers, but its {python} has no {RUNTIME}; run `{python} -m pip install {RUNTIME}` there, "
            "or name an interpreter that has it with --python."
        )
    return host_key


def _pinned(host: str, port: int, expected: str | None) -> str:
    """The device's host key, once its fingerprint has been confirmed."""
    from nas.devices.ssh import scan_host_key  # noqa: PLC0415 paramiko is slow to import

    host_key, fingerprint = scan_host_key(host, port)
    if expected is not None:
        if expected != fingerprint:
            raise HostKeyChanged(
                f"{host} shows the host key {fingerprint}, expected {expected}; nothing was sent: find out which is "
                "right."
            )
        return host_key
    if not sys.stdin.isatty():
        raise RequestError(
            f"{host} shows the host key {fingerprint}, and nobody is here to confirm it; "
            f"compare it with the device's own, then add --fingerprint {fingerprint}."
        )
    show.line(f"{host} shows the host key {fingerprint}")
    show.line("compare it with what `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` says on the device")
    if not typer.confirm("Is it the device's own?"):
        raise RequestError(f"{host} was not added: its host key was not confirmed.")
    return host_key
