"""Facts are read through a root prefix; what a device does not tell is None, and a bare root breaks nothing."""

import os
from pathlib import Path

import pytest

from device_agents import sensors

PI = {
    "proc/sys/kernel/osrelease": "6.6.31+rpt-rpi-v8\n",
    "proc/sys/kernel/random/boot_id": "5a5e7c4c-0f2b-4b8e-9a55-0f2f3f4f5f6f\n",
    "proc/cpuinfo": "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd08\n\nprocessor\t: 1\nCPU part\t: 0xd08\n",
    "proc/meminfo": "MemTotal:        3884452 kB\nMemFree:          100 kB\n",
    "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand\n",
    "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor": "ondemand\n",
    "sys/class/thermal/thermal_zone0/temp": "48686\n",
    "sys/class/thermal/thermal_zone1/temp": "51200\n",
}
PC = {
    "proc/cpuinfo": "processor\t: 0\nmodel name\t: Some CPU @ 2.00GHz\n",
    "sys/class/dmi/id/sys_vendor": "ACME\n",
    "sys/class/dmi/id/product_name": "Till 3000\n",
    "sys/firmware/acpi/platform_profile": "balanced\n",
}


def lay_out(root: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(root)


def test_a_raspberry_pi(tmp_path):
    facts = sensors.facts(lay_out(tmp_path, PI))
    assert facts["kernel"] == "6.6.31+rpt-rpi-v8"
    assert facts["boot_id"] == "5a5e7c4c-0f2b-4b8e-9a55-0f2f3f4f5f6f"
    assert facts["board"] == "Raspberry Pi 4 Model B Rev 1.4"
    assert facts["cpu_model"] == "arm implementer 0x41 part 0xd08"
    assert facts["memory_mb"] == 3977
    assert facts["governor"] == "ondemand"
    assert facts["temperature_c"] == 51.2
    assert facts["power_mode"] is None


def test_a_pc(tmp_path):
    facts = sensors.facts(lay_out(tmp_path, PC))
    assert facts["board"] == "ACME Till 3000"
    assert facts["cpu_model"] == "Some CPU @ 2.00GHz"
    assert facts["power_mode"] == "balanced"


def test_different_governors_are_all_named(tmp_path):
    other = {"sys/devices/system/cpu/cpu1/cpufreq/scaling_governor": "performance\n"}
    assert sensors.facts(lay_out(tmp_path, {**PI, **other}))["governor"] == "ondemand,performance"


@pytest.mark.parametrize("junk", [{}, dict.fromkeys(PI, ""), dict.fromkeys(PI, "\x00ÿ junk : : \n")])
def test_a_bare_or_broken_root_gives_the_same_keys(tmp_path, junk):
    facts = sensors.facts(lay_out(tmp_path, junk))
    assert set(facts) == set(sensors.facts("/"))
    assert facts["temperature_c"] is None
    assert facts["memory_mb"] is None


def test_this_machine_tells_the_essentials():
    facts = sensors.facts()
    assert facts["kernel"] == os.uname().release
    assert facts["memory_mb"] > 0
    assert facts["cores"] >= 1
