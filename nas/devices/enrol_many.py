"""Enrolling hundreds of devices from a table, without a question: all of it is checked before anything is sent."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from nas.devices.device import Device
from nas.devices.enrol import FINGERPRINT, Plan, Trust, Wish, expect_able, fingerprints, reached, unseen
from nas.devices.known_hosts import fingerprint, is_host_key
from nas.devices.ssh_config import Options, SshConfig, Stop
from nas.devices.ssh_link import Doors
from nas.errors import NasError, RequestError

AT_ONCE = 32
"""Devices that are spoken to at the same time."""
AT_ONE_ADDRESS = 4
"""The same at one address: many names may lead to one machine, which would look overloaded."""
REST = ("pool", "measure_between", "python", "root")
COLUMNS = ("name", "host", "port", "user", "key", "fingerprint", "host_key", "jump", "jump_fingerprint", *REST)
_DEFAULTS = {field.name: field.default for field in fields(Device)}


@dataclass(frozen=True, slots=True)
class Line:
    """One device of the table.

    Attributes:
        row: Its row in the file; the heading is row 1.
        plan: The way to it.
    """

    row: int
    plan: Plan


def read_table(path: Path, config: SshConfig, *, look: bool) -> list[Line]:
    """Read a CSV table of devices, and find everything that is wrong with it.

    Args:
        path: CSV with a heading: ``name`` and ``host``, and any others of ``COLUMNS``.
        config: What the table leaves open.
        look: Whether the devices will be spoken to; without, whole host keys must be known.

    Raises:
        RequestError: With every problem and its row.
    """
    problems: list[str] = []
    lines: list[Line] = []
    for row, values in _rows(path, problems):
        try:
            plan = Plan.of(_wish(values), config)
            _expect_vouched(plan, look=look)
            lines.append(Line(row, plan))
        except RequestError as error:
            problems.append(f"row {row}: {error}")
    problems += _clashes(lines)
    if not lines and not problems:
        problems.append("there is no row below the heading; write one per device")
    if problems:
        found = "".join(f"\n  • {problem}" for problem in problems)
        raise RequestError(f"{path} was not imported, and nothing was sent; correct these and run it again:{found}")
    return lines


def differences(plan: Plan, enrolled: Mapping[str, Any]) -> list[str]:
    """Compare a line of the table with the device that is enrolled under its name; what a table leaves open is equal.

    Returns:
        The names of the columns that differ.
    """
    stop, options = plan.route[-1], plan.wish.options
    wanted: dict[str, Any] = {"transport": "ssh", "host": stop.host, "port": stop.port, "user": stop.user}
    wanted |= {name: _DEFAULTS[name] for name in REST} | dict(plan.wish.rest)
    wanted |= {"key": options.key} if options.key else {}
    found = [name for name, value in wanted.items() if enrolled[name] != value]
    if not _fits(plan, stop, enrolled["host_key"]):
        found.append("fingerprint")
    hops = [(hop["host"], hop["port"], hop["user"]) for hop in enrolled["jump"]]
    if hops != [(hop.host, hop.port, hop.user) for hop in plan.route[:-1]]:
        found.append("jump")
    elif not all(
        _fits(plan, *pair) for pair in zip(plan.route, (h["host_key"] for h in enrolled["jump"]), strict=False)
    ):
        found.append("jump_fingerprint")
    return found


def enrolled_at_once(lines: Sequence[Line], *, look: bool) -> Iterator[tuple[Line, Device | NasError]]:
    """Yield each line with its device, ready to be added, or with why it cannot be; in the order in which they end.

    Args:
        lines: What ``read_table`` returned.
        look: Whether to speak to each device and see that it can measure.
    """
    trust, doors = Trust(_nobody_to_ask), Doors(AT_ONE_ADDRESS)

    def one(line: Line) -> Device | NasError:
        try:
            if not look:
                return unseen(line.plan, trust)
            stop = line.plan.route[-1]
            with doors.entered(stop.host, stop.port):
                device = reached(line.plan, trust)
                expect_able(device)
        except NasError as error:
            return error
        return device

    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        running = {pool.submit(one, line): line for line in lines}
        for done in as_completed(running):
            yield running[done], done.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _rows(path: Path, problems: list[str]) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            heading = [name.strip() for name in reader.fieldnames or ()]
            missing = [name for name in ("name", "host") if name not in heading]
            unknown = [name for name in heading if name not in COLUMNS]
            if missing or unknown or len(set(heading)) < len(heading):
                raise RequestError(
                    f"{path} has the columns {', '.join(heading) or 'of nothing'}; expected name, host and any of "
                    f"{', '.join(COLUMNS[2:])}, each once and separated by commas."
                )
            reader.fieldnames = heading
            for values in reader:
                if None in values or None in values.values():
                    problems.append(f"row {reader.line_num}: it has not as many fields as the heading; complete it.")
                else:
                    yield reader.line_num, {name: value.strip() for name, value in values.items() if value.strip()}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = getattr(error, "strerror", None) or error
        raise RequestError(f"{path} cannot be read ({why}); expected a CSV table in UTF-8.") from error


def _wish(values: Mapping[str, str]) -> Wish:
    for name in ("name", "host"):
        if name not in values:
            raise RequestError(f"{name} is empty; fill it in.")
    port, expected, host_key = values.get("port", ""), values.get("fingerprint", ""), values.get("host_key", "")
    if port and not (port.isascii() and port.isdigit()):
        raise RequestError(f"port is {port!r}; expected 1 to 65535.")
    if expected and not FINGERPRINT.fullmatch(expected):
        raise RequestError(f"fingerprint is {expected!r}; expected SHA256:… with 43 letters.")
    if host_key and not is_host_key(host_key):
        raise RequestError("host_key is no key line; expected one such as `ssh-ed25519 AAAA…`.")
    if expected and host_key and fingerprint(host_key) != expected:
        raise RequestError("fingerprint and host_key are of different keys; correct one of them.")
    key = str(Path(values["key"]).expanduser().absolute()) if "key" in values else None
    return Wish(
        values["name"],
        values["host"],
        Options(user=values.get("user"), port=int(port) if port else None, key=key, jump=values.get("jump")),
        fingerprint=expected,
        host_key=host_key,
        jump_fingerprints=fingerprints(values.get("jump_fingerprint", "").split()),
        rest={name: values[name] for name in REST if name in values},
    )


def _expect_vouched(plan: Plan, *, look: bool) -> None:
    """Nobody will be asked: whatever is needed must be in the table or in ``known_hosts``."""
    if not look:
        unseen(plan, Trust(_nobody_to_ask))
    for stop in plan.route:
        if not plan.expected(stop) and not stop.known.keys:
            column = "fingerprint" if stop is plan.route[-1] else f"jump_fingerprint ({stop.name}=SHA256:…)"
            raise RequestError(f"{column} is missing, and known_hosts has no key of {stop.host}; give one of them.")


def _clashes(lines: Sequence[Line]) -> list[str]:
    """Say which names stand in the table twice; devices and pools share one set of names."""
    found: list[str] = []
    first: dict[str, int] = {}
    for line in lines:
        name = line.plan.wish.name
        if name in first:
            found.append(f"row {line.row}: the name {name} stands in row {first[name]} already; choose another.")
        first.setdefault(name, line.row)
    pools = ((line.row, line.plan.wish.rest.get("pool", "")) for line in lines)
    return found + [
        f"row {row}: the pool {pool} has the name of the device in row {first[pool]}; rename one of them."
        for row, pool in pools
        if pool in first
    ]


def _fits(plan: Plan, stop: Stop, host_key: str) -> bool:
    expected = plan.expected(stop)
    return fingerprint(host_key) == expected if expected else host_key in stop.known.keys


def _nobody_to_ask(stop: Stop, shown: str) -> None:
    raise RequestError(f"{stop.host} shows the host key {shown}, which nobody has vouched for; give its fingerprint.")
