"""Facts and looks are read through a root prefix; what a device does not tell is None, and junk breaks nothing."""

import os
from pathlib import Path

import boards
import pytest

from device_agents import sensors, sysroot
from device_agents.sensors.facts import emulated
from device_agents.sensors.senses import TICKS
from device_agents.sysroot import Sysroot

JUNK = ["", "\x00ÿ junk : : \n"]


def lay_out(root: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(root)


def test_a_raspberry_pi(tmp_path):
    facts = sensors.facts(boards.pi4(tmp_path).root)
    assert facts["kernel"] == "6.6.31-scripted"
    assert facts["boot_id"] == "5a5e7c4c-0f2b-4b8e-9a55-0f2f3f4f5f6f"
    assert facts["board"] == "Raspberry Pi 4 Model B Rev 1.4"
    assert facts["cpu_model"] == "arm implementer 0x41 part 0xd08"
    assert (facts["memory_mb"], facts["swap_used_mb"]) == (3977, 10)
    assert facts["temperature_c"] == 48.7
    assert facts["power_mode"] is None
    assert facts["sensors"] == {
        "energy": None,
        "energy_missing": None,
        "throttle": "sysfs get_throttled",
        "clock": "vcgencmd measure_clock",
        "psi": False,
        "temperature": True,
    }


def test_a_raspberry_pi_5_is_asked_through_its_firmware(tmp_path):
    senses = sensors.facts(boards.pi5(tmp_path).root)["sensors"]
    assert senses["throttle"] == "vcgencmd get_throttled"
    assert senses["energy"] == {"sensor": "PMIC", "rails": ["3V3_SYS", "VDD_CORE"], "relative": True}
    assert senses["psi"]


def test_a_pc(tmp_path):
    facts = sensors.facts(boards.x86(tmp_path).root)
    assert facts["board"] == "ACME Till 3000"
    assert facts["cpu_model"] == "Some CPU @ 2.00GHz"
    assert facts["power_mode"] == "balanced"
    assert facts["sensors"]["throttle"] == "thermal_throttle counts"
    assert facts["sensors"]["clock"] == "cpuinfo_avg_freq"
    assert facts["sensors"]["energy"] == {"sensor": "RAPL", "rails": ["package-0"], "relative": False}
    assert facts["temperature_c"] == 48.7, "the radio's 91 degrees are not the processor's"


@pytest.mark.parametrize("jetpack", [4, 5, 6])
def test_a_jetson(tmp_path, jetpack):
    facts = sensors.facts(boards.jetson(tmp_path, jetpack).root)
    rail = "POM_5V_IN" if jetpack == 4 else "VDD_IN"
    assert facts["sensors"]["energy"] == {"sensor": "INA3221", "rails": [rail], "relative": False}
    assert facts["temperature_c"] == 48.7, "the PMIC's constant 100 degrees are left out"
    assert facts["sensors"]["clock"] == "cpuinfo_cur_freq"


@pytest.mark.parametrize(
    ("status", "mode"),
    [("pmode:0000\n", "MAXN"), ("pmode:0002 fmode:quiet\n", "7W"), ("pmode:0008\n", "mode 8"), (None, "15W")],
)
def test_a_jetsons_power_mode_is_the_last_one_set_or_the_default(tmp_path, status, mode):
    board = boards.jetson(tmp_path)
    board.remove("var/lib/nvpmodel/status")
    if status:
        board.write("var/lib/nvpmodel/status", status)
    assert sensors.facts(board.root)["power_mode"] == mode


def test_different_governors_are_all_named(tmp_path):
    board = boards.pi4(tmp_path)
    board.write("sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "ondemand\n")
    assert sensors.facts(board.root)["governor"] == "ondemand,performance"


@pytest.mark.parametrize("kind", ["pi4", "pi5", "jetson", "x86"])
@pytest.mark.parametrize("junk", JUNK)
def test_a_broken_root_gives_the_same_keys_and_a_look(tmp_path, kind, junk):
    getattr(boards, kind)(tmp_path)
    for path in [path for path in tmp_path.rglob("*") if path.is_file()]:
        path.write_text(junk)
    facts = sensors.facts(str(tmp_path))
    assert set(facts) == set(sensors.facts("/"))
    assert facts["temperature_c"] is facts["memory_mb"] is None
    assert facts["sensors"]["throttle"] is facts["sensors"]["clock"] is facts["sensors"]["energy"] is None
    look = sensors.Senses(str(tmp_path)).look()
    assert (look.throttled, look.clock_khz, look.psi_us, look.swap_out) == (None, None, None, 0)


def test_this_machine_tells_the_essentials():
    facts = sensors.facts()
    assert facts["kernel"] == os.uname().release
    assert facts["memory_mb"] > 0
    assert facts["cores"] >= 1
    assert facts["libc"].split()[0] in {"glibc", "musl", "libc"}
    look = sensors.Senses().look()
    assert look.own_ns > 0 and look.busy_ticks > 0
    assert look.busy_ticks / TICKS < look.at_ns / 1e9 * os.cpu_count()


@pytest.mark.parametrize(
    ("files", "machine", "expected"),
    [
        ({"sys/kernel/arch": "x86_64\n"}, "aarch64", True),
        ({"sys/kernel/arch": "aarch64\n"}, "aarch64", False),
        ({"sys/kernel/arch": "aarch64\n"}, "armv7l", False),
        ({"sys/kernel/arch": "x86_64\n"}, "i686", False),
        ({"sys/kernel/arch": "x86_64\n"}, "riscv64", True),
        ({"cpuinfo": "processor : 0\nvendor_id : AuthenticAMD\n"}, "aarch64", True),
        ({"cpuinfo": "processor : 0\nCPU implementer : 0x41\n"}, "aarch64", False),
        ({"cpuinfo": "processor : 0\nCPU implementer : 0x41\n"}, "x86_64", True),
        ({}, "aarch64", False),
    ],
)
def test_an_emulated_processor_is_told_by_the_kernel_below(tmp_path, files, machine, expected):
    assert emulated(lay_out(tmp_path, files), machine) is expected


def test_an_emulated_processor_is_told_by_its_emulator(tmp_path):
    (tmp_path / "thread-self").mkdir()
    (tmp_path / "thread-self" / "exe").symlink_to("/usr/bin/qemu-aarch64-static")
    assert emulated(str(tmp_path), "aarch64")


def test_this_process_is_not_emulated():
    assert emulated() is False


@pytest.mark.parametrize("bit", boards.PI_BITS)
@pytest.mark.parametrize("kind", ["pi4", "pi5"])
def test_a_pi_says_why_it_is_throttled(tmp_path, kind, bit):
    board = getattr(boards, kind)(tmp_path)
    senses = sensors.Senses(board.root)
    assert senses.look().throttled is None
    board.throttle(boards.PI_BITS[bit] | boards.PI_BITS[bit] << 16)
    look = senses.look()
    assert look.throttled == bit
    assert look.events > 0


@pytest.mark.parametrize("kind", ["pi4", "pi5"])
def test_what_a_pi_has_been_through_since_boot_is_no_reason(tmp_path, kind):
    board = getattr(boards, kind)(tmp_path)
    board.throttle(0xF0000)
    senses = sensors.Senses(board.root)
    assert senses.look().throttled is None
    assert senses.look().events == 0


def test_a_short_under_voltage_between_two_looks_is_an_event(tmp_path):
    board = boards.pi4(tmp_path)
    senses = sensors.Senses(board.root)
    before = senses.look()
    board.throttle(0x10000)
    after = senses.look()
    assert after.throttled is None
    assert after.events == before.events + 1


@pytest.mark.parametrize("kind", ["jetson", "x86"])
def test_other_boards_count_throttling(tmp_path, kind):
    board = getattr(boards, kind)(tmp_path)
    senses = sensors.Senses(board.root)
    before = senses.look()
    assert before.throttled is None
    board.throttle(2)
    during = senses.look()
    assert during.throttled
    assert during.events > before.events
    assert senses.look().events == during.events


def test_a_jetsons_over_current_event_is_seen(tmp_path):
    board = boards.jetson(tmp_path)
    senses = sensors.Senses(board.root)
    before = senses.look()
    board.write("sys/class/hwmon/hwmon1/oc3_event_cnt", "30\n")
    during = senses.look()
    assert during.throttled == "3 over-current events"
    assert during.events - before.events == 3
    assert senses.look().throttled is None


def test_a_package_is_counted_once_however_many_cores_report_it(tmp_path):
    board = boards.x86(tmp_path)
    senses = sensors.Senses(board.root)
    board.throttle(5)
    assert senses.look().events == 5


@pytest.mark.parametrize("kind", ["pi4", "pi5", "jetson", "x86"])
def test_the_clock_is_the_hardwares(tmp_path, kind):
    board = getattr(boards, kind)(tmp_path)
    senses = sensors.Senses(board.root)
    board.clock(600_000)
    look = senses.look()
    assert (look.clock_khz, look.clock_is_hardware) == (600_000, True)


def test_a_requested_clock_is_marked_as_such(tmp_path):
    board = boards.x86(tmp_path)
    board.remove("sys/devices/system/cpu/cpufreq/policy0/cpuinfo_avg_freq")
    senses = sensors.Senses(board.root)
    assert senses.clock == "scaling_cur_freq"
    look = senses.look()
    assert (look.clock_khz, look.clock_is_hardware) == (9_999_999, False)


def test_a_look_reads_pressure_steal_and_swap(tmp_path):
    board = boards.x86(tmp_path)
    senses = sensors.Senses(board.root)
    before = senses.look()
    board.pressure(251_000)
    board.stolen(7)
    board.swapped(40)
    after = senses.look()
    assert after.psi_us - before.psi_us == 250_000
    assert after.steal_ticks - before.steal_ticks == 7
    assert after.swap_out - before.swap_out == 40
    assert after.busy_ticks == before.busy_ticks == 205


@pytest.mark.parametrize(
    ("program", "answer"),
    [
        ("echo throttled=0x50000", "throttled=0x50000"),
        ("echo 'error=1 error_msg=\"Command not registered\"'", None),
        ("echo VCHI initialization failed; exit 255", None),
        ("kill -9 $$", None),
    ],
)
def test_the_firmware_is_asked_by_vcgencmd_and_a_failure_is_no_answer(monkeypatch, tmp_path, program, answer):
    """A real program under a real path; only which path it is differs from a Pi."""
    vcgencmd = tmp_path / "vcgencmd"
    vcgencmd.write_text(f"#!/bin/sh\n{program}\n")
    vcgencmd.chmod(0o755)
    monkeypatch.setattr(sysroot, "VCGENCMD", str(vcgencmd))
    assert Sysroot("/").vcgencmd("get_throttled") == answer


def test_without_vcgencmd_there_is_no_answer(monkeypatch, tmp_path):
    monkeypatch.setattr(sysroot, "VCGENCMD", str(tmp_path / "absent"))
    assert Sysroot("/").vcgencmd("get_throttled") is None
