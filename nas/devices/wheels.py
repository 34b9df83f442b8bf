"""Which builds (wheels) of a runtime run on a device, and how this computer gets them for it.

The device itself needs no network and no pip: pip fetches here, with its own settings (index, mirror, proxy,
certificates), for the device's Python, processor and C library.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from nas.devices.install_platform import Platform, Version, dotted, require_supported
from nas.errors import ControllerFault, RequestError, RuntimeMissing

FETCH_S = 900.0


@dataclass(frozen=True, slots=True)
class Pin:
    """Versions that go together, for a range of Pythons and a C library that is new enough.

    Attributes:
        pythons: Oldest and newest Python that all of them have builds for.
        glibc: Oldest glibc that those builds run with.
        wheels: Requirements, such as ``onnxruntime==1.32.0``; the runtime itself comes first.
    """

    pythons: tuple[Version, Version]
    glibc: Version
    wheels: tuple[str, ...]


_TORCH = (
    "torch==2.13.0+cpu",
    "typing-extensions==4.15.0",
    "sympy==1.14.0",
    "mpmath==1.3.0",
    "networkx==3.4.2",
    "jinja2==3.1.6",
    "markupsafe==3.0.3",
    "filelock==3.20.0",
    "fsspec==2025.10.0",
    "ruamel.yaml==0.19.1",
    "flatbuffers==25.12.19",
    "tabulate==0.10.0",
)
"""executorch's Python runtime imports torch; a build without CUDA, which pip finds in an index that has such builds."""
PINS: Mapping[str, tuple[Pin, ...]] = {
    "onnxruntime": (
        Pin(((3, 11), (3, 14)), (2, 28), ("onnxruntime==1.32.0",)),
        Pin(((3, 10), (3, 13)), (2, 27), ("onnxruntime==1.23.2",)),
        Pin(((3, 8), (3, 12)), (2, 27), ("onnxruntime==1.19.2",)),
    ),
    "openvino": (
        Pin(((3, 10), (3, 14)), (2, 35), ("openvino==2026.4.1",)),
        Pin(((3, 9), (3, 13)), (2, 31), ("openvino==2025.2.0",)),
        Pin(((3, 8), (3, 12)), (2, 31), ("openvino==2024.4.0",)),
    ),
    "litert": (
        Pin(((3, 10), (3, 14)), (2, 27), ("ai-edge-litert==2.3.0",)),
        Pin(((3, 9), (3, 13)), (2, 27), ("ai-edge-litert==2.1.0",)),
    ),
    "executorch": (Pin(((3, 10), (3, 13)), (2, 28), ("executorch==1.5.1", *_TORCH)),),
}
"""What each runtime is made of, newest first; numpy goes with all of them. Nothing else is imported by them."""
_NUMPY = {(3, 11): "2.4.6", (3, 10): "2.2.6", (3, 9): "2.0.2", (3, 8): "1.24.4"}
_NUMPY_1 = {(3, 9): "1.26.4", (3, 8): "1.24.4"}
"""For builds from before numpy 2, such as JetPack's own onnxruntime-gpu."""
FIRST_WITH_NUMPY_2 = (1, 19)
"""onnxruntime's first release that runs with numpy 2."""


def requirements(platform: Platform, runtime: str) -> tuple[str, ...]:
    """Return the newest versions of a runtime and of numpy that run on a device.

    Raises:
        RuntimeMissing: None does; the message says what would work.
    """
    require_supported(platform)
    pins = PINS[runtime]
    of_python = [pin for pin in pins if pin.pythons[0] <= platform.version <= pin.pythons[1]]
    for pin in of_python:
        if platform.glibc >= pin.glibc:
            return (*pin.wheels, _numpy(_NUMPY, platform))
    if not of_python:
        oldest, newest = min(pin.pythons[0] for pin in pins), max(pin.pythons[1] for pin in pins)
        raise RuntimeMissing(
            f"{platform.device} has Python {platform.python}, and {runtime} has builds for {dotted(oldest)} to "
            f"{dotted(newest)}; install one of these there and name it with --python."
        )
    glibc = dotted(min(pin.glibc for pin in of_python))
    raise RuntimeMissing(
        f"{platform.device} has {platform.libc}, and {runtime} needs glibc {glibc} or newer; install a newer system: "
        "Raspberry Pi OS bullseye, Debian 11 or Ubuntu 20.04 at least."
    )


def with_own(
    platform: Platform, needed: Sequence[str], own: Iterable[Path]
) -> tuple[tuple[str, ...], tuple[Path, ...]]:
    """Let wheels that the user supplies stand in for the required ones of the same name.

    A build for a GPU stands in for the plain one: ``onnxruntime_gpu`` for ``onnxruntime``.

    Returns:
        What is still required, and the user's wheels.

    Raises:
        RequestError: A file is no wheel, or none for this device.
    """
    left, files = list(needed), tuple(own)
    for path in files:
        name, version = _checked(platform, path)
        left = [word for word in left if not _stands_for(name, word.partition("==")[0])]
        if name.startswith("onnxruntime") and version < FIRST_WITH_NUMPY_2:
            left = [_numpy(_NUMPY_1, platform) if word.startswith("numpy==") else word for word in left]
    return tuple(left), files


def fetch(platform: Platform, needed: Sequence[str], cache: Path, *, offline: bool = False) -> tuple[Path, ...]:
    """Return a wheel for each requirement, from the cache or, unless ``offline``, by pip.

    Raises:
        RequestError: It is not in the cache, and ``offline`` forbids to fetch it.
        ControllerFault: pip could not fetch it.
    """
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    return tuple(_cached(platform, word, cache) or _fetched(platform, word, cache, offline=offline) for word in needed)


def _cached(platform: Platform, requirement: str, cache: Path) -> Path | None:
    name, _, version = requirement.partition("==")
    for path in sorted(cache.glob("*.whl")):
        found, release, _, tags = parse_wheel_filename(path.name)
        if found == canonicalize_name(name) and str(release) == version and tags & platform.tags:
            return path
    return None


def _fetched(platform: Platform, requirement: str, cache: Path, *, offline: bool) -> Path:
    if offline:
        raise RequestError(
            f"{requirement} for {platform} is not in {cache}, and --offline forbids to fetch it; leave --offline out "
            "where there is a network, or put the wheel into that folder."
        )
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        words = ["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--implementation", "cp"]
        words += ["--python-version", f"{platform.version[0]}.{platform.version[1]}", "--dest", folder, requirement]
        for name in platform.names:
            words += ["--platform", name]
        said = _pip(requirement, words)
        for path in Path(folder).glob("*.whl"):
            path.replace(cache / path.name)
    found = _cached(platform, requirement, cache)
    if found is None:
        last = (said.strip().splitlines() or ["it said nothing"])[-1].strip()
        raise ControllerFault(
            f"pip could not fetch {requirement} for {platform} ({last[:300].rstrip('.')}); check the network and pip's "
            "settings here, or give the wheel with --wheel."
        )
    return found


def _pip(requirement: str, words: list[str]) -> str:
    """Run this Python's pip; its settings (mirror, proxy, certificates) are the user's own."""
    try:
        command = [sys.executable, *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=FETCH_S, check=False).stderr  # noqa: S603 # our own words
    except subprocess.TimeoutExpired as error:
        raise ControllerFault(
            f"pip did not fetch {requirement} within {FETCH_S:g} s; check the network and try again."
        ) from error


def _checked(platform: Platform, path: Path) -> tuple[str, Version]:
    """Return name and version of a wheel that the user supplies, once it is clear that it can run on the device."""
    try:
        name, version, _, tags = parse_wheel_filename(path.name)
    except InvalidWheelFilename as error:
        raise RequestError(
            f"{path} is not named as a wheel is; expected NAME-VERSION-PYTHON-ABI-PLATFORM.whl, as it was downloaded."
        ) from error
    if not path.is_file() or not zipfile.is_zipfile(path):
        raise RequestError(f"{path} is not there or no whole wheel (a zip file); download it again.")
    if not tags & platform.tags:
        raise RequestError(
            f"{path.name} does not run on {platform.device}, which has {platform}; "
            f"take a build for cp{platform.version[0]}{platform.version[1]} and {platform.machine}."
        )
    return name, (version.major, version.minor)


def _stands_for(name: str, required: str) -> bool:
    required = canonicalize_name(required)
    return name == required or (required == "onnxruntime" and name.startswith("onnxruntime-"))


def _numpy(versions: Mapping[Version, str], platform: Platform) -> str:
    return f"numpy=={next(found for oldest, found in versions.items() if platform.version >= oldest)}"
