"""The Panel: every series of a data set as dense arrays on one daily calendar."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.errors import DataError, RequestError

_ARRAYS = {"y": "<f4", "mask": "<f4", "hist": "<f4", "futr": "<f4", "stat": "<i8"}
_NAMES = ("ids", "hist_names", "futr_names", "stat_names")


@dataclass(frozen=True, eq=False)
class Panel:
    """S series over T consecutive days; Ch historic, Cf future-known and Cs static covariates.

    Attributes:
        ids: Name of each series, sorted and unique.
        start: The first day of the calendar, ``datetime64[D]``.
        y: Units sold, float32 [S, T]; 0 where not observed.
        mask: float32 [S, T]; 1 where observed, 0 before a series' first day and after its last.
        hist: Covariates known only once the day is over, float32 [S, T, Ch]; 0 where not observed.
        hist_names: Ch names.
        futr: Covariates known ahead of time, float32 [S, T, Cf]; 0 outside the rows that were given.
        futr_names: Cf names.
        stat: Codes of the static covariates, int64 [S, Cs]; 0 means unseen.
        stat_names: Cs names.
        stat_vocab: The values of each static covariate; the code of a value is its position + 1.
    """

    ids: tuple[str, ...]
    start: np.datetime64
    y: NDArray[np.float32]
    mask: NDArray[np.float32]
    hist: NDArray[np.float32]
    hist_names: tuple[str, ...]
    futr: NDArray[np.float32]
    futr_names: tuple[str, ...]
    stat: NDArray[np.int64]
    stat_names: tuple[str, ...]
    stat_vocab: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        size = len(self.ids), self.days
        expected = {
            "y": size,
            "mask": size,
            "hist": (*size, len(self.hist_names)),
            "futr": (*size, len(self.futr_names)),
            "stat": (len(self.ids), len(self.stat_names)),
        }
        for name, shape in expected.items():
            array = getattr(self, name)
            if array.shape != shape or array.dtype != np.dtype(_ARRAYS[name]):
                raise DataError(
                    f"The panel's {name} is {array.dtype} {list(array.shape)}, expected "
                    f"{np.dtype(_ARRAYS[name])} {list(shape)}; build panels with nas.data.load_panel."
                )
        if len(self.stat_vocab) != len(self.stat_names):
            raise DataError(
                f"The panel has {len(self.stat_vocab)} vocabularies for {len(self.stat_names)} static covariates, "
                "expected one each; build panels with nas.data.load_panel."
            )

    @property
    def days(self) -> int:
        """T, the length of the calendar."""
        return int(self.y.shape[1])

    def date(self, day: int) -> np.datetime64:
        """The date of a day index; also of indices outside the calendar."""
        return self.start + np.timedelta64(day, "D")

    def until(self, day: int) -> Panel:
        """The same series with the days before ``day`` only.

        Raises:
            RequestError: ``day`` lies outside the calendar.
        """
        if not 0 < day <= self.days:
            raise RequestError(f"Day {day} is outside the panel, expected 1 to {self.days}; choose a day inside it.")
        cut = {name: getattr(self, name)[:, :day] for name in ("y", "mask", "hist", "futr")}
        return replace(self, **cut)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of :meth:`to_bytes`: the name of this panel among blobs and in caches."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def to_bytes(self) -> bytes:
        """One ``.npz`` without pickles; the same panel always gives the same bytes.

        It is not compressed, because what zlib writes changes with its version.
        """
        header: dict[str, Any] = {name: list(getattr(self, name)) for name in _NAMES}
        header |= {"start": str(self.start), "stat_vocab": [list(words) for words in self.stat_vocab]}
        text = json.dumps(header, sort_keys=True, ensure_ascii=False).encode()
        arrays = {name: np.ascontiguousarray(getattr(self, name), dtype=kind) for name, kind in _ARRAYS.items()}
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, header=np.frombuffer(text, dtype=np.uint8), **arrays)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Panel:
        """The inverse of :meth:`to_bytes`.

        Raises:
            DataError: The bytes are not a whole panel.
        """
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as archive:
                header = json.loads(archive["header"].tobytes())
                values: dict[str, Any] = {name: archive[name] for name in _ARRAYS}
            values |= {name: tuple(header[name]) for name in _NAMES}
            values["start"] = np.datetime64(header["start"], "D")
            values["stat_vocab"] = tuple(tuple(words) for words in header["stat_vocab"])
        except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(
                f"These {len(data)} bytes are not a panel ({error}); expected what Panel.to_bytes wrote: load it again."
            ) from error
        return cls(**values)
