"""The settings that are compared: which data, which horizon, which weeks are the test."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.data import Panel, Split, load_panel
from nas.errors import RequestError
from nas.request import DataSpec

HELD_OUT = 42
"""Days of the test, and of the validation before it, of Rossmann."""
ROSSMANN = "$ROSSMANN"
"""Stands for the folder of Rossmann's tables wherever something is kept."""
_ROSSMANN = {"source": "rossmann", "path": ROSSMANN, "validation_days": HELD_OUT, "test_days": HELD_OUT}
_DECEMBER = {"until": "2015-01-11"}
"""The last of 42 days from 1 December 2014."""
SPECS: dict[str, dict[str, Any]] = {
    "rossmann-h14": {**_ROSSMANN, "horizon": 14},
    "rossmann-h14-dec": {**_ROSSMANN, "horizon": 14, **_DECEMBER},
    "journey-h14": {"source": "complete_journey", "horizon": 14},
    "rossmann-h42": {**_ROSSMANN, "horizon": 42},
    "rossmann-h42-dec": {**_ROSSMANN, "horizon": 42, **_DECEMBER},
}


@dataclass(frozen=True, eq=False)
class Setting:
    """One setting, laid out: the panel, its split, and where its cells lie."""

    name: str
    spec: dict[str, Any]
    panel: Panel
    split: Split
    folder: Path


def rossmann() -> str | None:
    """The folder of Rossmann's tables, if the user has named one."""
    named = os.environ.get("ROSSMANN")
    return str(Path(named).resolve()) if named else None


def names(only: str) -> list[str]:
    """Settings whose name is asked for, in the order in which they are run; those without data are left out.

    Raises:
        RequestError: ``only`` names none.
    """
    asked = [word.partition("/")[0] for word in only.split()] or list(SPECS)
    if unknown := sorted(set(asked) - set(SPECS)):
        raise RequestError(f"ONLY names {', '.join(unknown)}; expected some of {', '.join(SPECS)}.")
    return [name for name in SPECS if name in asked and (rossmann() or not name.startswith("rossmann"))]


def filled(spec: dict[str, Any]) -> dict[str, Any]:
    """The spec with the real folder in its place."""
    return {name: rossmann() if value == ROSSMANN else value for name, value in spec.items()}


def prepared(name: str, work: Path, series: int | None) -> Setting:
    """Lay a setting out once: ``panel.npz`` for us, ``series.npz`` and ``words.json`` for everybody.

    Args:
        series: Only so many of the series, for a trial run; None takes all.
    """
    folder = work / name
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "panel.npz"
    if kept.exists():
        panel = Panel.from_bytes(kept.read_bytes())
    else:
        panel = load_panel(DataSpec.checked(filled(SPECS[name])), work / "cache")
    if series is not None and len(panel.ids) > series:
        panel = chosen(panel, np.linspace(0, len(panel.ids) - 1, series).astype(np.int64))
    if not kept.exists():
        written(kept, panel.to_bytes())
    spec = SPECS[name] | ({} if series is None else {"series": series})
    split = Split.of(panel, spec["horizon"], spec.get("validation_days"), spec.get("test_days"))
    arrays = {n: getattr(panel, n) for n in ("y", "mask", "hist", "futr", "stat")}
    if not (folder / "series.npz").exists():
        np.savez(folder / "series.npz", **arrays, open=panel.is_open.astype(np.float32))
    return Setting(name, spec, panel, split, folder)


def words(setting: Setting) -> dict[str, Any]:
    """What a task says beside its arrays."""
    panel, split = setting.panel, setting.split
    return {
        "series": str(setting.folder / "series.npz"),
        "ids": list(panel.ids),
        "hist_names": list(panel.hist_names),
        "futr_names": list(panel.futr_names),
        "stat_names": list(panel.stat_names),
        "stat_vocab": [list(vocabulary) for vocabulary in panel.stat_vocab],
        "open_name": panel.open,
        "promotions": list(panel.promotions),
        "first_day": panel.hour(0) // 24,
        "horizon": split.horizon,
        "validation": list(split.validation_origins),
        "test": list(split.test_origins),
    }


def chosen(panel: Panel, series: NDArray[np.int64]) -> Panel:
    """Some of a panel's series."""
    parts = {name: getattr(panel, name)[series] for name in ("y", "mask", "hist", "futr", "stat")}
    return replace(panel, ids=tuple(panel.ids[s] for s in series), **parts)


def written(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    part.replace(path)


def as_json(value: Any) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()
