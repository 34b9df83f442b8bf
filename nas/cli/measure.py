"""``nas measure``: any ONNX model on an enrolled device, with a certificate to hand on."""

from __future__ import annotations

import re
import time
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Unpack

import typer

from nas.architecture import RUNTIMES
from nas.cli import show
from nas.cli.searches import AsJson, service
from nas.devices import certificate_page as words
from nas.devices.certificate import Certificate, certify, check
from nas.devices.device import Device
from nas.devices.fleet import Fleet
from nas.devices.local import at_home
from nas.devices.measurement import Measurement
from nas.devices.model_file import example_inputs, read_inputs, read_model
from nas.devices.reference import READS_ONNX
from nas.devices.tensors import Arrays
from nas.devices.turn import How
from nas.errors import DeviceBusy, RequestError
from nas.settings import Settings

MODES = ("single", "sustained", "duty")
SECONDS, GAP_S = 60.0, 1.0
BUSY_S = 60.0
_COLOURS = {"valid": "green", "degraded": "yellow", "rejected": "red"}


def measure(
    model: Annotated[Path | None, typer.Argument(help="An ONNX model in one file.")] = None,
    device: Annotated[str | None, typer.Option(help="Name of an enrolled device.")] = None,
    thorough: Annotated[bool, typer.Option(help="Decide a limit with it: more launches, p99, self-audit.")] = False,
    threads: Annotated[int, typer.Option(min=1, max=256, help="Intra-op threads of the runtime.")] = 1,
    runtime: Annotated[str, typer.Option(help="What runs it there.")] = "onnxruntime",
    mode: Annotated[str, typer.Option(help="single, sustained (no pause) or duty (with pauses).")] = "single",
    seconds: Annotated[float | None, typer.Option(min=1, max=3600, help="Length of sustained or duty.")] = None,
    gap: Annotated[float | None, typer.Option(min=0.001, max=3600, help="Seconds between requests of duty.")] = None,
    beside_load: Annotated[bool, typer.Option(help="Beside what the device carries, instead of waiting.")] = False,
    shape: Annotated[list[str] | None, typer.Option(help="Shape of an input, such as x=1,56,16.")] = None,
    inputs: Annotated[Path | None, typer.Option(help="Inputs as .npz instead of made-up ones.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the certificate; default MODEL.certificate.")] = None,
    check_: Annotated[Path | None, typer.Option("--check", help="Verify this certificate, of MODEL if given.")] = None,
    json: AsJson = False,
) -> None:
    """Measure a model on a device and write a certificate; or verify one with --check."""
    if check_ is not None:
        _answer(check(check_, None if model is None else read_model(model)), json=json)
        return
    if model is None or device is None:
        raise RequestError("A measurement needs a model and a device: nas measure model.onnx --device NAME.")
    how: dict[str, Any] = {"mode": _mode(mode, seconds, gap), "tier": "thorough" if thorough else "screening"}
    content = read_model(model)
    given = _inputs(content, runtime, inputs, _shapes(shape or []))
    board = _device(device)
    with nullcontext() if json else show.console.status(f"measuring {model.name} on {device}"):
        found = _measured(board, content, given, threads=threads, runtime=runtime, beside_load=beside_load, **how)
    issued = datetime.now().astimezone().isoformat(timespec="seconds")
    certificate = certify(found, model.name, issued)
    folder = out or model.with_name(f"{model.name}.certificate")
    words.write(certificate, folder)
    _answer(certificate, json=json)
    if not json:
        show.line(f"certificate: {folder}")
    if found.verdict == "rejected":
        raise typer.Exit(1)


def _measured(device: Device, model: bytes, inputs: Arrays, **how: Unpack[How]) -> Measurement:
    """Measure; a controller that has just used the device lets go of it within seconds."""
    end = time.monotonic() + BUSY_S
    with Fleet([device]) as fleet:
        while True:
            try:
                return fleet.measure(device.name, model, inputs, **how)
            except DeviceBusy:
                if time.monotonic() >= end:
                    raise
                time.sleep(1.0)


def _device(name: str) -> Device:
    with service() as client:
        row = client.device(name)
    device = Device(**{field: row[field] for field in Device.__dataclass_fields__})
    return at_home(device, Settings.from_environment().folder) if device.transport == "local" else device


def _inputs(model: bytes, runtime: str, given: Path | None, shapes: dict[str, tuple[int, ...]]) -> Arrays:
    if runtime not in RUNTIMES:
        raise RequestError(f"There is no runtime {runtime!r}; expected one of {', '.join(RUNTIMES)}.")
    if given is not None:
        return read_inputs(given)
    if runtime not in READS_ONNX:
        raise RequestError(f"What a model for {runtime} takes is not known here; give its --inputs FILE.npz.")
    return example_inputs(model, shapes)


def _shapes(texts: list[str]) -> dict[str, tuple[int, ...]]:
    found = {}
    for text in texts:
        parts = re.fullmatch(r"(.+)=(\d+(?:,\d+)*)", text)
        if parts is None:
            raise RequestError(f"--shape {text} is not of the form NAME=NUMBERS, such as x=1,56,16.")
        found[parts[1]] = tuple(map(int, parts[2].split(",")))
    return found


def _mode(kind: str, seconds: float | None, gap: float | None) -> dict[str, Any]:
    """The mode as the protocol has it; an option that does not go with it is refused."""
    if kind not in MODES:
        raise RequestError(f"There is no mode {kind!r}; expected one of {', '.join(MODES)}.")
    if seconds is not None and kind == "single":
        raise RequestError("--seconds goes with --mode sustained or duty; a single measurement ends when it is sure.")
    if gap is not None and kind != "duty":
        raise RequestError("--gap goes with --mode duty.")
    length, pause = seconds or SECONDS, gap or GAP_S
    modes: dict[str, dict[str, Any]] = {
        "single": {},
        "sustained": {"seconds": length},
        "duty": {"gap_s": pause, "requests": max(1, round(length / pause))},
    }
    return {"kind": kind, **modes[kind]}


def _answer(certificate: Certificate, *, json: bool) -> None:
    if json:
        show.as_json(certificate.to_dict())
        return
    measured = certificate.measurement
    colour = _COLOURS[measured.verdict]
    show.console.print(f"[bold {colour}]{measured.verdict}[/]", highlight=False)
    for sentence in (*measured.reasons, *measured.notes):
        show.line(f"  {sentence}")
    rows = [*words.latency_rows(measured), *words.cost_rows(measured), *words.discarded_rows(measured)]
    show.rows(f"{certificate.model_name} on {measured.device}", ["", ""], rows)
    for text in _fingerprint(dict(words.fingerprint_rows(measured))):
        show.line(text)


def _fingerprint(facts: dict[str, str]) -> list[str]:
    """Two lines: the machine, and what ran on it."""
    software = ("runtime", "Python", "C library", "governor", "power mode")
    machine = ", ".join(text for name, text in facts.items() if name not in software)
    return [machine, ", ".join(facts[name] for name in software if name in facts)]
