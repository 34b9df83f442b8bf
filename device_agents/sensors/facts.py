"""What the device says about itself, once: what it is, in which state, and what it can sense."""

from __future__ import annotations

import os
import platform
import re
import time
from typing import Any, Dict, Optional

from device_agents import energy
from device_agents.sensors.senses import Senses
from device_agents.sysroot import Sysroot

_FAMILIES = {"i386": "x86", "i686": "x86", "x86_64": "x86", "aarch64": "arm", "arm64": "arm"}


def facts(sysroot: str = "/", senses: Optional[Senses] = None) -> Dict[str, Any]:
    """Return the facts of this device (PROTOCOL.md, ``probe``); what it does not tell is None.

    Args:
        sysroot: Prefix of /proc and /sys.
        senses: Its sensors where they were found before; that saves finding them again.
    """
    root, senses = Sysroot(sysroot), senses or Senses(sysroot)
    memory = _memory(root)
    swap = (memory.get("SwapTotal"), memory.get("SwapFree"))
    return {
        "kernel": root.read("proc/sys/kernel/osrelease") or platform.release(),
        "machine": platform.machine(),
        "cpu_model": _cpu_model(root),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mb": memory.get("MemTotal"),
        "swap_used_mb": None if swap[0] is None or swap[1] is None else swap[0] - swap[1],
        "boot_id": root.read("proc/sys/kernel/random/boot_id"),
        "board": _board(root),
        "governor": senses.governor(),
        "power_mode": _nvpmodel(root) or root.read("sys/firmware/acpi/platform_profile"),
        "temperature_c": senses.temperature_c(),
        "python": platform.python_version(),
        "utc_offset_s": time.localtime().tm_gmtoff,
        "libc": " ".join(filter(None, platform.libc_ver())) or None,
        "emulated": emulated(),
        "sensors": _sensors(sysroot, senses),
    }


def _sensors(sysroot: str, senses: Senses) -> Dict[str, Any]:
    """Return what can be sensed here, by name; why there is no energy is said where it is known."""
    meter = energy.find(sysroot)
    described = {"sensor": meter.name, "rails": list(meter.rails), "relative": meter.relative} if meter else None
    return {
        "energy": described,
        "energy_missing": None if meter else energy.missing(sysroot),
        "throttle": senses.throttle,
        "clock": senses.clock,
        "psi": senses.psi,
        "temperature": senses.temperature_c() is not None,
    }


def emulated(proc: str = "/proc", machine: Optional[str] = None) -> bool:
    """Tell whether this process runs under qemu-user, on a processor of another family.

    This is asked of the kernel that really runs this process, never of a scripted root. Any one
    of three witnesses is enough, for qemu hides the first two in its later versions or leaves
    them out: ``/proc/sys/kernel/arch`` (Linux 6.1), the vendor in ``/proc/cpuinfo`` (faked for
    Arm since qemu 8.2), and ``/proc/thread-self/exe``, which names the emulator itself.

    Args:
        proc: Where the process file system is mounted.
        machine: What uname says; by default that of this process.
    """
    root = Sysroot(proc)
    own = _family(machine or platform.machine())
    kernel = root.read("sys/kernel/arch")
    if kernel and _family(kernel) != own:
        return True
    cpus = root.read("cpuinfo") or ""
    vendors = {"x86": "vendor_id" in cpus, "arm": "CPU implementer" in cpus}
    if any(vendors.values()) and not vendors.get(own, True):
        return True
    try:
        return os.path.basename(os.readlink(os.path.join(proc, "thread-self/exe"))).startswith("qemu-")
    except OSError:
        return False


def _family(machine: str) -> str:
    """Return the processor family: 32 and 64 bits of one family run on each other natively."""
    return "arm" if machine.startswith("arm") else _FAMILIES.get(machine, machine)


def _cpu_model(root: Sysroot) -> Optional[str]:
    """Return the model name, or on Arm, where the kernel has none, implementer and part number."""
    pairs = (line.split(":", 1) for line in (root.read("proc/cpuinfo") or "").splitlines() if ":" in line)
    fields: Dict[str, str] = {}
    for key, value in pairs:
        fields.setdefault(key.strip(), value.strip())
    if "model name" in fields:
        return fields["model name"]
    if "CPU part" in fields:
        return "arm implementer %s part %s" % (fields.get("CPU implementer", "?"), fields["CPU part"])
    return None


def _memory(root: Sysroot) -> Dict[str, int]:
    """Return the fields of /proc/meminfo in MB of 10^6 bytes."""
    found = re.findall(r"^(\w+): +(\d+) kB$", root.read("proc/meminfo") or "", re.MULTILINE)
    return {name: int(kib) * 1024 // 1000000 for name, kib in found}


def _board(root: Sysroot) -> Optional[str]:
    """Return the device tree's model (boards), or the DMI vendor and product (PCs)."""
    model = root.read("proc/device-tree/model") or root.read("sys/firmware/devicetree/base/model")
    if model:
        return model
    dmi = [root.read("sys/class/dmi/id/" + name) for name in ("sys_vendor", "product_name")]
    return " ".join(filter(None, dmi)) or None


def _nvpmodel(root: Sysroot) -> Optional[str]:
    """Return a Jetson's power mode by name: the last one set, else the configured default; None elsewhere."""
    modes = root.read("etc/nvpmodel.conf") or ""
    last = re.match(r"pmode:(\d+)", root.read("var/lib/nvpmodel/status") or "")
    number = last or re.search(r"^< *PM_CONFIG +DEFAULT=(\d+) *>", modes, re.MULTILINE)
    if number is None:
        return None
    named = re.search(r"^< *POWER_MODEL +ID=0*%d +NAME=(\S+) *>" % int(number.group(1)), modes, re.MULTILINE)
    return named.group(1) if named else "mode %d" % int(number.group(1))
