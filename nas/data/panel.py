"""The Panel: every series of a data set as dense arrays on one calendar."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from nas.errors import DataError, RequestError
from nas.frequency import FREQUENCIES, Frequency, FrequencyName

_ARRAYS = {"y": "<f4", "mask": "<f4", "hist": "<f4", "futr": "<f4", "stat": "<i8"}
PROMOTIONS = ("display", "mailer", "promo", "onpromo", "on_promo", "campaign")
"""A future-known covariate whose name starts so is a promotion."""
_NAMES = ("ids", "hist_names", "futr_names", "stat_names")


@dataclass(frozen=True, eq=False)
class Panel:
    """S series over T consecutive steps; Ch historic, Cf future-known and Cs static covariates.

    Attributes:
        ids: Name of each series, sorted and unique.
        frequency: ``hourly``, ``daily`` or ``weekly``: what one step is, on the store's own clock.
        start: The first step of the calendar, ``datetime64[h]``.
        y: Units sold, float32 [S, T]; 0 where not observed.
        mask: float32 [S, T]; 1 where what was sold is what was asked for. 0 before a series' first step and after
            its last, in gaps, and where the article was not available: a censored sale is no observation.
        hist: Covariates known only once the step is over, float32 [S, T, Ch]; 0 where not observed.
        hist_names: Ch names.
        futr: Covariates known ahead of time, float32 [S, T, Cf]; 0 outside the rows that were given.
        futr_names: Cf names.
        stat: Codes of the static covariates, int64 [S, Cs]; 0 means unseen.
        stat_names: Cs names.
        stat_vocab: The values of each static covariate; the code of a value is its position + 1.
        open: Name of the future-known covariate that is 0 where a store is closed; None: never closed.
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
    frequency: FrequencyName = "daily"
    open: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", self.start.astype("datetime64[h]"))
        size = len(self.ids), self.steps
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
        if self.open is not None and self.open not in self.futr_names:
            raise DataError(
                f"The panel's column {self.open} for open and closed is not among the future-known covariates "
                f"({', '.join(self.futr_names) or 'none'}); build panels with nas.data.load_panel."
            )

    @property
    def steps(self) -> int:
        """T, the length of the calendar."""
        return int(self.y.shape[1])

    @property
    def clock(self) -> Frequency:
        """What one step is."""
        return FREQUENCIES[self.frequency]

    @property
    def is_open(self) -> NDArray[np.bool_]:
        """Where the store is open, bool [S, T]; everywhere, where nothing is known of it."""
        if self.open is None:
            return np.ones(self.y.shape, bool)
        return self.futr[:, :, self.futr_names.index(self.open)] > 0

    @property
    def promotions(self) -> tuple[int, ...]:
        """Which future-known covariates are promotions: those named so."""
        return tuple(i for i, name in enumerate(self.futr_names) if name.lower().startswith(PROMOTIONS))

    def hour(self, step: int) -> int:
        """Hours from 1970-01-01 00:00 to a step, on the store's own clock."""
        return int(self.start.astype(np.int64)) + step * self.clock.hours

    def date(self, step: int) -> np.datetime64:
        """The time of a step, to the day (to the hour, for hourly series); also of steps outside the calendar."""
        hour = np.datetime64(self.hour(step), "h")
        return hour if self.clock.hours % 24 else cast("np.datetime64", hour.astype("datetime64[D]"))

    def until(self, step: int) -> Panel:
        """The same series with the steps before ``step`` only.

        Raises:
            RequestError: ``step`` lies outside the calendar.
        """
        if not 0 < step <= self.steps:
            raise RequestError(f"Step {step} is outside the panel, expected 1 to {self.steps}; choose one inside it.")
        cut = {name: getattr(self, name)[:, :step] for name in ("y", "mask", "hist", "futr")}
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
        header |= {
            "start": str(self.start),
            "frequency": self.frequency,
            "open": self.open,
            "stat_vocab": [list(words) for words in self.stat_vocab],
        }
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
            values |= {"frequency": header["frequency"], "open": header["open"]}
            values["start"] = np.datetime64(header["start"], "h")
            values["stat_vocab"] = tuple(tuple(words) for words in header["stat_vocab"])
        except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(
                f"These {len(data)} bytes are not a panel ({error}); expected what Panel.to_bytes wrote: load it again."
            ) from error
        return cls(**values)
