"""What somebody forecast of a panel: a teacher's outputs, wherever they come from."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from nas.data.panel import Panel
from nas.errors import ControllerFault

POINT = 0.5
"""The level of the point forecast: the median."""


@dataclass(frozen=True, eq=False, slots=True)
class Forecasts:
    """N forecasts of whole horizons, each of one series from one origin, in sales units.

    Attributes:
        panel: Digest of the panel that they are of.
        steps: Length of its calendar.
        levels: Q levels, ascending; 0.5 is among them and is the point forecast.
        series: int32 [N], positions in ``Panel.ids``.
        origin: int32 [N], the first step that is forecast; (series, origin) ascend and are unique.
        values: float32 [N, horizon, Q]; NaN where nothing was forecast.
        in_sample: bool [N]; whether the forecaster was fitted on sales of the steps that it forecasts.
    """

    panel: str
    steps: int
    levels: tuple[float, ...]
    series: NDArray[np.int32]
    origin: NDArray[np.int32]
    values: NDArray[np.float32]
    in_sample: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.series)

    def only(self, chosen: NDArray[np.bool_]) -> Forecasts:
        """Some of them: bool [N]."""
        parts = {name: getattr(self, name)[chosen] for name in ("series", "origin", "values", "in_sample")}
        return replace(self, **parts)

    def find(self, series: NDArray[np.int64], origin: NDArray[np.int64]) -> NDArray[np.int64]:
        """Position of each (series, origin) pair, int64 [B]; -1 where there is no such forecast."""
        if not len(self):
            return np.full(len(series), -1)
        known, asked = self._keys(self.series, self.origin), self._keys(series, origin)
        at = np.minimum(np.searchsorted(known, asked), len(known) - 1)
        return np.where(known[at] == asked, at, -1)

    def at(self, series: NDArray[np.int64], origin: NDArray[np.int64]) -> NDArray[np.float32]:
        """The forecasts of these pairs, float32 [B, horizon, Q]; NaN where there is none."""
        place = self.find(series, origin)
        found = np.full((len(place), *self.values.shape[1:]), np.nan, np.float32)
        found[place >= 0] = self.values[place[place >= 0]]
        return found

    def points(self, panel: Panel, origins: tuple[int, ...]) -> NDArray[np.float32]:
        """The point forecasts of ``evaluation(panel, origins, …)``, float32 [B, horizon]; NaN where there is none."""
        series = np.tile(np.arange(len(panel.ids)), len(origins))
        found = self.at(series, np.repeat(np.asarray(origins, np.int64), len(panel.ids)))
        return found[..., self.levels.index(POINT)]

    def to_bytes(self) -> bytes:
        """Serialise without pickle; ``from_bytes`` is the inverse."""
        header = json.dumps({"panel": self.panel, "steps": self.steps, "levels": self.levels}).encode()
        arrays = {field.name: getattr(self, field.name) for field in fields(self)[3:]}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, header=np.frombuffer(header, np.uint8), **arrays)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Forecasts:
        """The inverse of :meth:`to_bytes`.

        Raises:
            ControllerFault: The bytes are no forecasts.
        """
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as archive:
                header = json.loads(archive["header"].tobytes())
                arrays = {field.name: archive[field.name] for field in fields(cls)[3:]}
            return cls(header["panel"], header["steps"], tuple(header["levels"]), **arrays)
        except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise ControllerFault(
                f"These {len(data)} bytes are not a teacher's forecasts ({error}); train or import the teacher again."
            ) from error

    def _keys(self, series: NDArray[np.integer], origin: NDArray[np.integer]) -> NDArray[np.int64]:
        return np.asarray(series, np.int64) * self.steps + np.asarray(origin, np.int64)
