"""``nas devices``: the devices that measure; how one is enrolled stands in ``enrol.py``."""

from __future__ import annotations

from typing import Annotated

import typer

from nas.cli import enrol, install, show
from nas.cli.searches import AsJson, service
from nas.errors import RequestError

app = typer.Typer(no_args_is_help=True)
app.command("add")(enrol.add)
app.command("import")(enrol.import_)
app.command("install")(install.install)
app.command("remove")(install.remove)


@app.command("list")
def list_(json: AsJson = False) -> None:
    """List the enrolled devices."""
    with service() as client:
        found = client.devices()
    if json:
        show.as_json(found)
        return
    lines = [
        [d["name"], d["pool"] or None, _way(d), d["state"], (d["facts"] or {}).get("board"), d["reason"]] for d in found
    ]
    show.rows("Devices", ["name", "pool", "where", "state", "board", "reason"], lines)


@app.command("probe")
def probe_(name: Annotated[str, typer.Argument(help="Name of the device.")], json: AsJson = False) -> None:
    """Ask a device for its facts: over SSH from here; this computer through the controller."""
    from nas.devices.device import Device  # noqa: PLC0415 # with what follows, slow to import
    from nas.devices.enrol import probe  # noqa: PLC0415

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


@app.command()
def drain(name: Annotated[str, typer.Argument(help="Name of the device.")], json: AsJson = False) -> None:
    """Give a device no more work; what runs on it ends, and searches that need it wait."""
    with service() as client:
        found = client.drain_device(name)
    show.as_json(found) if json else show.line(f"{name} gets no more work: nas devices undrain {name}")


@app.command()
def undrain(name: Annotated[str, typer.Argument(help="Name of the device.")], json: AsJson = False) -> None:
    """Give a drained device work again, as soon as it has answered."""
    with service() as client:
        found = client.undrain_device(name)
    show.as_json(found) if json else show.line(f"{name} gets work again as soon as it answers")


def _way(device: show.Json) -> str:
    """Where a device is, with the machines on the way."""
    return " > ".join([*(hop["host"] for hop in device["jump"]), device["host"] or "here"])
