"""Which builds a device gets: decided from what real platforms say of themselves, without a network."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import parse_wheel_filename
from wheel_files import made

from nas.devices import wheels
from nas.devices.install_platform import Platform
from nas.errors import ControllerFault, RequestError, RuntimeMissing

BOOKWORM = Platform("pi", "aarch64", 64, "CPython", "3.11.2", "glibc 2.36")
BULLSEYE = Platform("pi", "aarch64", 64, "CPython", "3.9.2", "glibc 2.31")
JETPACK_5 = Platform("jetson", "aarch64", 64, "CPython", "3.8.10", "glibc 2.31")
JETPACK_6 = Platform("jetson", "aarch64", 64, "CPython", "3.10.12", "glibc 2.35")
DEBIAN = Platform("till", "x86_64", 64, "CPython", "3.11.2", "glibc 2.36")
UBUNTU = Platform("till", "x86_64", 64, "CPython", "3.12.3", "glibc 2.39")
PUBLISHED = {
    BOOKWORM: (
        "onnxruntime-1.32.0-cp311-cp311-manylinux_2_28_aarch64.whl",
        "numpy-2.4.6-cp311-cp311-manylinux_2_27_aarch64.manylinux_2_28_aarch64.whl",
    ),
    BULLSEYE: (
        "onnxruntime-1.19.2-cp39-cp39-manylinux_2_27_aarch64.manylinux_2_28_aarch64.whl",
        "numpy-2.0.2-cp39-cp39-manylinux_2_17_aarch64.manylinux2014_aarch64.whl",
    ),
    JETPACK_5: (
        "onnxruntime-1.19.2-cp38-cp38-manylinux_2_27_aarch64.manylinux_2_28_aarch64.whl",
        "numpy-1.24.4-cp38-cp38-manylinux_2_17_aarch64.manylinux2014_aarch64.whl",
    ),
    JETPACK_6: (
        "onnxruntime-1.23.2-cp310-cp310-manylinux_2_27_aarch64.manylinux_2_28_aarch64.whl",
        "numpy-2.2.6-cp310-cp310-manylinux_2_17_aarch64.manylinux2014_aarch64.whl",
    ),
    DEBIAN: (
        "onnxruntime-1.32.0-cp311-cp311-manylinux_2_28_x86_64.whl",
        "numpy-2.4.6-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
    ),
}
"""Names that the package index really lists for them, recorded in November 2026."""
OTHERS = {
    ("openvino", BOOKWORM): "openvino-2026.4.1-22982-cp311-cp311-manylinux_2_35_aarch64.whl",
    ("openvino", BULLSEYE): "openvino-2025.2.0-19140-cp39-cp39-manylinux_2_31_aarch64.whl",
    ("openvino", JETPACK_5): "openvino-2024.4.0-16579-cp38-cp38-manylinux_2_31_aarch64.whl",
    ("openvino", JETPACK_6): "openvino-2026.4.1-22982-cp310-cp310-manylinux_2_35_aarch64.whl",
    ("openvino", UBUNTU): "openvino-2026.4.1-22982-cp312-cp312-manylinux_2_28_x86_64.whl",
    ("litert", BOOKWORM): "ai_edge_litert-2.3.0-cp311-cp311-manylinux_2_27_aarch64.whl",
    ("litert", BULLSEYE): "ai_edge_litert-2.1.0-cp39-cp39-manylinux_2_27_aarch64.whl",
    ("executorch", JETPACK_6): "executorch-1.5.1-cp310-cp310-manylinux_2_28_aarch64.whl",
}


def changed(platform, **changes):
    return Platform(**{**{name: getattr(platform, name) for name in platform.__dataclass_fields__}, **changes})


def touched(folder, names):
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


@pytest.mark.parametrize("platform", PUBLISHED, ids=lambda platform: f"{platform.device}-{platform.python}")
def test_each_platform_gets_the_newest_builds_that_run_there(platform, tmp_path):
    everything = touched(tmp_path, [name for names in PUBLISHED.values() for name in names])
    needed = wheels.requirements(platform, "onnxruntime")
    found = wheels.fetch(platform, needed, everything, offline=True)
    assert tuple(path.name for path in found) == PUBLISHED[platform]


@pytest.mark.parametrize(("runtime", "platform"), OTHERS, ids=lambda value: str(value).replace(" ", "-"))
def test_the_other_runtimes_follow_python_and_c_library_too(runtime, platform, tmp_path):
    everything = touched(tmp_path, OTHERS.values())
    first = wheels.requirements(platform, runtime)[0]
    assert wheels.fetch(platform, [first], everything, offline=True)[0].name == OTHERS[runtime, platform]


@pytest.mark.parametrize(
    ("platform", "runtime", "says"),
    [
        (changed(BOOKWORM, device="pi3-old", machine="armv7l", bits=32), "onnxruntime", r"pi3-old is 32-bit \(armv7l"),
        (changed(BOOKWORM, bits=32), "onnxruntime", "with a 32-bit Python.*64-bit Raspberry Pi OS"),
        (changed(BOOKWORM, machine="riscv64"), "onnxruntime", "riscv64.*expected x86_64 and aarch64"),
        (changed(DEBIAN, libc=None), "onnxruntime", "musl, as in Alpine.*Debian"),
        (changed(DEBIAN, implementation="PyPy"), "onnxruntime", "PyPy.*--python"),
        (changed(DEBIAN, python="3.7.3"), "onnxruntime", r"Python 3\.7\.3.*3\.8 to 3\.14.*--python"),
        (changed(BULLSEYE, libc="glibc 2.24"), "onnxruntime", r"glibc 2\.24.*needs glibc 2\.27.*Debian 11"),
        (JETPACK_5, "litert", r"Python 3\.8\.10, and litert has builds for 3\.9"),
        (BULLSEYE, "executorch", r"executorch has builds for 3\.10"),
    ],
)
def test_what_no_build_runs_on_is_said_with_what_would_work(platform, runtime, says):
    with pytest.raises(RuntimeMissing, match=says):
        wheels.requirements(platform, runtime)


@given(
    python=st.integers(8, 14),
    glibc=st.integers(27, 60),
    machine=st.sampled_from(["x86_64", "aarch64"]),
    runtime=st.sampled_from(sorted(wheels.PINS)),
)
def test_a_newer_system_never_gets_older_builds(python, glibc, machine, runtime):
    def chosen(minor):
        try:
            return wheels.requirements(
                Platform("d", machine, 64, "CPython", f"3.{python}.0", f"glibc 2.{minor}"), runtime
            )
        except RuntimeMissing:
            return None

    pins = [pin.wheels for pin in wheels.PINS[runtime]]
    older, newer = chosen(glibc), chosen(glibc + 1)
    if older is not None:
        assert newer is not None
        assert pins.index(newer[:-1]) <= pins.index(older[:-1])


def test_an_onnxruntime_from_before_numpy_2_gets_a_numpy_from_before_it(tmp_path):
    jetson = tmp_path / "onnxruntime_gpu-1.17.0-cp310-cp310-linux_aarch64.whl"
    made(tmp_path, "any").rename(jetson)
    needed, own = wheels.with_own(JETPACK_6, wheels.requirements(JETPACK_6, "onnxruntime"), [jetson])
    assert needed == ("numpy==1.26.4",)
    assert own == (jetson,)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (
            "onnxruntime_gpu-1.17.0-cp38-cp38-linux_aarch64.whl",
            "does not run on jetson.*for cp310 and aarch64",
        ),
        ("onnxruntime_gpu-1.17.0-cp310-cp310-linux_x86_64.whl", "does not run on jetson"),
        ("onnxruntime_gpu-1.17.0-cp310-cp310-manylinux_2_39_aarch64.whl", "does not run on jetson"),
        ("onnxruntime.whl", "is not named as a wheel is"),
    ],
)
def test_a_wheel_of_ones_own_is_checked_against_the_device(tmp_path, name, says):
    made(tmp_path, "any").rename(tmp_path / name)
    with pytest.raises(RequestError, match=says):
        wheels.with_own(JETPACK_6, ["onnxruntime==1.23.2"], [tmp_path / name])


@pytest.mark.parametrize("content", [None, b"half a download"])
def test_a_wheel_of_ones_own_must_be_whole(tmp_path, content):
    path = tmp_path / "onnxruntime_gpu-1.17.0-cp310-cp310-linux_aarch64.whl"
    if content:
        path.write_bytes(content)
    with pytest.raises(RequestError, match="no whole wheel"):
        wheels.with_own(JETPACK_6, ["onnxruntime==1.23.2"], [path])


def test_offline_means_the_cache_or_a_sentence(tmp_path):
    with pytest.raises(RequestError, match=r"numpy==2\.4\.6 for Python 3\.11 on aarch64.*--offline"):
        wheels.fetch(BOOKWORM, ["numpy==2.4.6"], tmp_path, offline=True)


def test_pip_is_asked_for_the_devices_platform_and_its_refusal_is_told(tmp_path, monkeypatch):
    shop = tmp_path / "shop"
    name = "numpy-2.4.6-cp311-cp311-manylinux_2_27_aarch64.manylinux_2_28_aarch64.whl"
    shop.mkdir()
    made(shop, "numpy", "2.4.6").rename(shop / name)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shop))
    assert [path.name for path in wheels.fetch(BOOKWORM, ["numpy==2.4.6"], tmp_path / "cache")] == [name]
    assert [path.name for path in wheels.fetch(BOOKWORM, ["numpy==2.4.6"], tmp_path / "cache", offline=True)] == [name]
    with pytest.raises(ControllerFault, match=r"pip could not fetch numpy==1\.24\.4 for Python 3\.8.*No matching"):
        wheels.fetch(JETPACK_5, ["numpy==1.24.4"], tmp_path / "cache")
    assert [path.name for path in Path(tmp_path / "cache").iterdir()] == [name]


def test_every_recorded_name_is_for_its_platform():
    for platform, names in PUBLISHED.items():
        assert all(parse_wheel_filename(name)[3] & platform.tags for name in names)
