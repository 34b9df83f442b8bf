"""What the device says about itself, read from /proc and /sys through a root prefix so that tests can script it."""

from __future__ import annotations

import glob
import os
import platform
from typing import Any, Dict, Optional


def facts(sysroot: str = "/") -> Dict[str, Any]:
    """Return the facts of this device (PROTOCOL.md, ``probe``); what it does not tell is None."""
    return {
        "kernel": _read(sysroot, "proc/sys/kernel/osrelease") or platform.release(),
        "machine": platform.machine(),
        "cpu_model": _cpu_model(sysroot),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mb": _memory_mb(sysroot),
        "boot_id": _read(sysroot, "proc/sys/kernel/random/boot_id"),
        "board": _board(sysroot),
        "governor": _governor(sysroot),
        "power_mode": _read(sysroot, "sys/firmware/acpi/platform_profile"),
        "temperature_c": _temperature(sysroot),
        "python": platform.python_version(),
    }


def _read(sysroot: str, path: str) -> Optional[str]:
    """Return a pseudo-file's text without NULs and blanks around it; None when absent, unreadable or empty."""
    try:
        with open(os.path.join(sysroot, path), encoding="utf-8", errors="replace") as file:
            return file.read(65536).replace("\0", " ").strip() or None
    except OSError:
        return None


def _cpu_model(sysroot: str) -> Optional[str]:
    """Return the model name, or on Arm, where the kernel has none, implementer and part number."""
    pairs = (line.split(":", 1) for line in (_read(sysroot, "proc/cpuinfo") or "").splitlines() if ":" in line)
    fields: Dict[str, str] = {}
    for key, value in pairs:
        fields.setdefault(key.strip(), value.strip())
    if "model name" in fields:
        return fields["model name"]
    if "CPU part" in fields:
        return "arm implementer %s part %s" % (fields.get("CPU implementer", "?"), fields["CPU part"])
    return None


def _memory_mb(sysroot: str) -> Optional[int]:
    for line in (_read(sysroot, "proc/meminfo") or "").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024 // 1000000
    return None


def _board(sysroot: str) -> Optional[str]:
    """Return the device tree's model (boards), or the DMI vendor and product (PCs)."""
    model = _read(sysroot, "proc/device-tree/model") or _read(sysroot, "sys/firmware/devicetree/base/model")
    if model:
        return model
    dmi = [_read(sysroot, "sys/class/dmi/id/" + name) for name in ("sys_vendor", "product_name")]
    return " ".join(filter(None, dmi)) or None


def _governor(sysroot: str) -> Optional[str]:
    """Return the CPUs' frequency governor; several different ones are joined by commas."""
    paths = glob.glob(os.path.join(sysroot, "sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor"))
    return ",".join(sorted({_read("", path) or "unknown" for path in paths})) or None


def _temperature(sysroot: str) -> Optional[float]:
    """Return the hottest thermal zone in degrees Celsius."""
    texts = (_read("", path) for path in glob.glob(os.path.join(sysroot, "sys/class/thermal/thermal_zone*/temp")))
    return max((int(text) / 1000 for text in texts if text and text.lstrip("-").isdigit()), default=None)
