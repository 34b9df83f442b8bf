"""Keeps the agent's folder: unpacks runtimes, links them to a launcher, and takes away what is not needed any more.

A command of its own beside the agent: ``agent-<sha>.pyz VERB --root DIR``, one JSON object on stdin, one on stdout.
In the folder it makes (PROTOCOL.md has the rest)::

    wheels/<sha256>/    an unpacked wheel; ``wheels/<sha256>.part`` while it is being uploaded
    runtimes.json       which wheels each runtime is made of
    python              the launcher: the device's Python with these wheels on its path

Nothing is downloaded, nothing of a wheel is executed, and nothing that it did not make is deleted.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import hashlib
import json
import os
import platform
import re
import shlex
import shutil
import struct
import subprocess
import sys
import zipfile
from typing import Any, Callable, Dict, List, Optional

from device_agents.protocol import Problem, is_job, is_sha256

WHEELS = "wheels"
RECORD = "runtimes.json"
LAUNCHER = "python"
UNIT = ".config/systemd/user/nas-agent.service"
"""Where a user's own systemd looks for the unit of a warm agent, below the home folder."""
MARK = "# edge-nas: "
"""Begins the second line of the launcher, and the first of the unit: files without it are not ours."""
SPARE_BYTES = 50 * 1000 * 1000
"""What stays free on the device's disk."""

_AGENT = re.compile(r"agent-[0-9a-f]{64}\.pyz")
_SOCKET = re.compile(r"agent-[0-9a-f]{12}\.sock")
_UPLOAD = re.compile(r"([0-9a-f]{64}|agent-[0-9a-f]{64}\.pyz)\.\d+\.part")


def look(root: str, _request: Dict[str, Any]) -> Dict[str, Any]:
    """Return what decides which builds run here, and what is installed already."""
    record = _record(root)
    return {
        "machine": platform.machine(),
        "bits": struct.calcsize("P") * 8,
        "implementation": platform.python_implementation(),
        "python": platform.python_version(),
        "libc": _libc(),
        "executable": sys.executable,
        "root": root,
        "free_mb": shutil.disk_usage(root).free // 1000000,
        "wheels": [name for name in _names(os.path.join(root, WHEELS)) if _is_whole(os.path.join(root, WHEELS, name))],
        "runtimes": record,
    }


def unpack(root: str, request: Dict[str, Any]) -> Dict[str, Any]:
    """Verify an uploaded wheel against its SHA-256 and unpack it; it is never seen half unpacked."""
    sha = request["wheel"]
    if not is_sha256(sha):
        raise Problem("bad_request", "A wheel is named %.80r; expected 64 lower-case hex digits." % (sha,))
    folder = os.path.join(root, WHEELS, sha)
    part, partly = folder + ".part", folder + ".unpacking"
    if _is_whole(folder):
        return {}
    if _digest(part) != sha:
        with contextlib.suppress(FileNotFoundError):
            os.remove(part)
        raise Problem("blob_corrupt", "The wheel %s arrived damaged and was deleted; send it again." % sha)
    for leftover in (partly, folder):
        shutil.rmtree(leftover, ignore_errors=True)
    with zipfile.ZipFile(part) as wheel:
        _expect_harmless(wheel)
        _expect_space(root, sum(entry.file_size for entry in wheel.infolist()))
        wheel.extractall(partly)
    _merge_data(partly)
    os.rename(partly, folder)
    os.remove(part)
    return {}


def link(root: str, request: Dict[str, Any]) -> Dict[str, Any]:
    """Make the launcher for these wheels of one runtime, and delete the wheels that none needs any more."""
    if ":" in root:
        raise Problem("device_broken", "The folder %s has a colon in its name; choose another for the agent." % root)
    record = dict(_record(root), **{request["runtime"]: request["wheels"]})
    needed = list(dict.fromkeys(sha for wheels in record.values() for sha in wheels))
    folder = os.path.join(root, WHEELS)
    missing = [sha for sha in needed if not os.path.isdir(os.path.join(folder, sha))]
    if missing:
        raise Problem("blob_missing", "The wheel %s is not on the device; send it again." % missing[0])
    path = ":".join(os.path.join(folder, sha) for sha in needed)
    words = ["#!/bin/sh", MARK + "the device's Python with the runtimes of this folder"]
    words.append("export PYTHONPATH=%s PYTHONNOUSERSITE=1 ORT_DISABLE_TELEMETRY=1" % shlex.quote(path))
    words.append('exec %s "$@"' % shlex.quote(sys.executable))
    _write(os.path.join(root, RECORD), json.dumps(record, indent=1) + "\n", 0o600)
    _write(os.path.join(root, LAUNCHER), "\n".join(words) + "\n", 0o700)
    for name in _names(folder):
        if name not in needed:
            _delete(os.path.join(folder, name))
    return {"launcher": os.path.join(root, LAUNCHER)}


def warm(_root: str, request: Dict[str, Any]) -> Dict[str, Any]:
    """Give the agent to the user's own systemd, which starts it now and whenever the user's services start."""
    path = os.path.expanduser(os.path.join("~", UNIT))
    if os.path.exists(path) and MARK not in _head(path):
        raise Problem("device_broken", "There is a unit %s that is not ours; it was left as it is." % path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    _write(path, request["unit"], 0o600)
    for words in (["daemon-reload"], ["enable", os.path.basename(path)], ["restart", os.path.basename(path)]):
        said = _systemctl(words)
        if said:
            os.remove(path)
            raise Problem("device_broken", "The user's systemd cannot %s the warm agent (%s)." % (words[0], said))
    return {}


def _systemctl(words: List[str]) -> str:
    """Ask the user's systemd; return what went wrong, nothing if it went well."""
    here = dict(os.environ)
    here.setdefault("XDG_RUNTIME_DIR", "/run/user/%d" % os.getuid())  # not every SSH login sets it
    try:
        done = subprocess.run(
            ["systemctl", "--user", *words],  # noqa: S607 # where it lies differs between systems
            env=here,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if done.returncode == 0 else done.stdout.decode(errors="replace").strip()[-200:] or "it said nothing"


def remove(root: str, _request: Dict[str, Any]) -> Dict[str, Any]:
    """Delete what we put on the device, and the folder unless it holds something else; that is named."""
    unit = os.path.expanduser(os.path.join("~", UNIT))
    if "--root %s --listen" % root in _head(unit):  # another folder's unit is not this one's to take away
        _systemctl(["disable", "--now", os.path.basename(unit)])
        os.remove(unit)
        _systemctl(["daemon-reload"])
    delete_agents(root)
    for folder in (os.path.join(root, name) for name in (WHEELS, "blobs", "results")):
        for name in _names(folder):
            if is_sha256(name.partition(".")[0]) or is_job(name.partition(".")[0]):
                _delete(os.path.join(folder, name))
        with contextlib.suppress(OSError):
            os.rmdir(folder)
    if MARK in _head(os.path.join(root, LAUNCHER)):
        os.remove(os.path.join(root, LAUNCHER))
    for name in _names(root):
        if (
            name in (RECORD, "lock", "levels.json", "levels.json.part")
            or _SOCKET.fullmatch(name)
            or _UPLOAD.fullmatch(name)
        ):
            os.remove(os.path.join(root, name))
    left = sorted(_names(root))
    if not left:
        os.rmdir(root)
    return {"left": left}


def delete_agents(root: str, kept: Optional[str] = None) -> None:
    """Delete the agents' files; with ``kept`` all but that one and those that are kept warm.

    Only for whom holds the device: no other agent works then.
    """
    for name in _names(root):
        listens = os.path.exists(os.path.join(root, name[:18] + ".sock"))
        if _AGENT.fullmatch(name) and (kept is None or not (name == kept or listens)):
            os.remove(os.path.join(root, name))


def _expect_harmless(wheel: zipfile.ZipFile) -> None:
    for entry in wheel.infolist():
        parts = entry.filename.split("/")
        link_or_device = (entry.external_attr >> 16) & 0o170000 not in (0, 0o100000, 0o040000)
        if entry.filename.startswith("/") or ".." in parts or "\\" in entry.filename or link_or_device:
            raise Problem(
                "bad_request", "The wheel holds %.200r, which no wheel should; it was not unpacked." % entry.filename
            )


def _expect_space(root: str, needed: int) -> None:
    free = shutil.disk_usage(root).free
    if free < needed + SPARE_BYTES:
        message = "The device has %d MB free and the wheel needs %d MB; make room there." % (
            free // 1000000,
            (needed + SPARE_BYTES) // 1000000,
        )
        raise Problem("device_broken", message)


def _merge_data(folder: str) -> None:
    """Move what a wheel keeps in ``NAME.data/purelib`` and ``platlib`` to where imports find it (PEP 427)."""
    for data in filter(lambda name: name.endswith(".data"), _names(folder)):
        for kind in ("purelib", "platlib"):
            source = os.path.join(folder, data, kind)
            for name in _names(source):
                os.rename(os.path.join(source, name), os.path.join(folder, name))


def _is_whole(folder: str) -> bool:
    """Tell whether an unpacked wheel has all its files in full: a power cut soon after leaves some of them empty."""
    records = [name for name in _names(folder) if name.endswith(".dist-info")]
    try:
        with open(os.path.join(folder, records[0], "RECORD"), encoding="utf-8", newline="") as file:
            sizes = {row[0]: int(row[2]) for row in csv.reader(file) if row and row[2] and ".data/" not in row[0]}
        return all(os.path.getsize(os.path.join(folder, name)) == size for name, size in sizes.items())
    except (OSError, IndexError, ValueError):
        return False


def _record(root: str) -> Dict[str, List[str]]:
    try:
        with open(os.path.join(root, RECORD), encoding="utf-8") as file:
            return dict(json.load(file))
    except (OSError, ValueError):  # never installed, or the disk was full: the next `link` writes it whole
        return {}


def _libc() -> Optional[str]:
    """Return for example ``glibc 2.36``, None where it is another C library (musl)."""
    try:
        return os.confstr("CS_GNU_LIBC_VERSION")
    except (OSError, ValueError):
        return None


def _names(folder: str) -> List[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _head(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(10000)
    except (OSError, IsADirectoryError):
        return ""


def _digest(path: str) -> str:
    sha = hashlib.sha256()
    with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:
        for chunk in iter(lambda: file.read(1 << 20), b""):
            sha.update(chunk)
    return sha.hexdigest()


def _write(path: str, text: str, mode: int) -> None:
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
        os.fchmod(file.fileno(), mode)
    os.replace(path + ".new", path)


def _delete(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.remove(path)


VERBS: Dict[str, Callable[[str, Dict[str, Any]], Dict[str, Any]]] = {
    "look": look,
    "unpack": unpack,
    "link": link,
    "warm": warm,
    "remove": remove,
}


def main(arguments: Optional[List[str]] = None) -> None:
    """Carry out one verb and answer it as the agent does: ``{"ok": true, …}`` or ``{"ok": false, "error": {…}}``."""
    parser = argparse.ArgumentParser(prog="agent.pyz", description="Keeps the agent's folder on this device.")
    parser.add_argument("verb", choices=sorted(VERBS))
    parser.add_argument("--root", required=True, help="folder of the agent")
    options = parser.parse_args(arguments)
    try:
        request = json.loads(sys.stdin.read() or "{}")
        reply = dict(VERBS[options.verb](os.path.abspath(options.root), request), ok=True)
    except Problem as problem:
        reply = {"ok": False, "error": problem.to_dict()}
    except Exception as error:  # noqa: BLE001 # whatever it is, the controller must hear of it
        broken = Problem("device_broken", "The device cannot %s: %.200s." % (options.verb, error))
        reply = {"ok": False, "error": broken.to_dict()}
    print(json.dumps(reply), flush=True)
