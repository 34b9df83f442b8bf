"""What a measurement does not show, in a reader's words."""

from __future__ import annotations

from device_agents.percentiles import FLOORS
from nas.devices.measurement import Measurement


def unproven(measured: Measurement) -> list[str]:
    """Return one sentence for each thing that this measurement leaves open."""
    sensors = measured.fingerprint.get("sensors") or {}
    found = [
        _emulation(measured),
        _energy(measured),
        _heat(sensors, paired=measured.paired is not None),
        _percentiles(measured),
        _memory(measured),
        _load(measured),
    ]
    if measured.tier == "screening":
        found.append("It is a screening, good for ranking: a limit is decided by a thorough measurement.")
    if measured.audit is None:
        found.append("Whether other input takes other time was not looked at; a thorough measurement does.")
    found.append("Nothing is said of how good the model's outputs are.")
    return [sentence for sentence in found if sentence]


def _emulation(measured: Measurement) -> str:
    if not measured.emulated:
        return ""
    return "The processor was imitated by another one: latency, energy and heat say nothing of the real board."


def _energy(measured: Measurement) -> str:
    energy = measured.energy
    if energy is None:
        return "Energy: the device has no power sensor that the agent can read, or none was asked."
    if energy.energy_mj is None:
        return "Energy: the readings do not carry a number: " + "; ".join(energy.notes) + "."
    if energy.relative:
        return f"Energy: {energy.sensor} misses a part of the board; compare only with the same board."
    return ""


def _heat(sensors: dict[str, object], *, paired: bool) -> str:
    missing = [
        name
        for name, there in (
            ("throttling", sensors.get("throttle")),
            ("the hardware's clock", sensors.get("clock")),
            ("temperature", sensors.get("temperature")),
            ("CPU pressure", sensors.get("psi")),
        )
        if not there
    ]
    if not missing:
        return ""
    instead = "the reference model alone would have shown it" if paired else "nothing else would have shown it"
    return f"No sensor told of {', '.join(missing)}: {instead}."


def _percentiles(measured: Measurement) -> str:
    absent = [f"{name} ({FLOORS[name][1]})" for name in FLOORS if getattr(measured, name) is None]
    if not absent:
        return ""
    return f"{len(measured.samples_ns)} samples are too few for {', '.join(absent)}; the floors stand in brackets."


def _memory(measured: Measurement) -> str:
    if measured.peak_memory_mb is None or measured.memory.get("cgroup_mb") is not None:
        return ""
    return "Memory is the process's own account (VmHWM); no cgroup could be made to confirm it."


def _load(measured: Measurement) -> str:
    if measured.mode["kind"] != "single":
        return "In this mode nothing is discarded and no reference runs beside: heat and pauses are its point."
    return "Minutes of load (--mode sustained) and long pauses (--mode duty) were not tried."
