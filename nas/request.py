"""What a user asks for: one frozen request per search, validated at the door."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from nas.errors import RequestError
from nas.space import SearchSpace

Accuracy: TypeAlias = Literal["wape", "mae", "rmse"]
Cost: TypeAlias = Literal["latency_p50_ms", "latency_p95_ms", "peak_memory_mb", "size_kb"]
Metric: TypeAlias = Literal[Accuracy, Cost]  # one flat choice, so that a wrong one is one finding

ACCURACIES: tuple[str, ...] = ("wape", "mae", "rmse")
"""Known after training; judged on the validation weeks. Lower is better, like every metric here."""
COSTS: tuple[str, ...] = ("latency_p50_ms", "latency_p95_ms", "peak_memory_mb", "size_kb")
"""Known before training: measured on the device with random weights."""
DEVICE_NAME = r"^[a-z0-9][a-z0-9-]{0,62}$"
DAILY_WINDOW = r"^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]$"


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DataSpec(_Frozen):
    """Which sales table, and how its weeks are split by time.

    ``hist`` are covariates known up to today, ``futr`` are planned ahead, ``stat`` do not change.
    """

    source: Literal["complete_journey", "table", "synthetic"] = "complete_journey"
    path: str | None = Field(None, description="CSV or Parquet file, with source `table`.")
    hist: tuple[str, ...] = ()
    futr: tuple[str, ...] = ()
    stat: tuple[str, ...] = ()
    ignore: tuple[str, ...] = Field((), description="Columns of the table that are left out on purpose.")
    fill: Literal["zero", "previous"] | None = Field(None, description="What a missing day means; none refuses them.")
    series: int | None = Field(None, ge=1, description="Keep only the series with the largest total.")
    horizon: int = Field(14, ge=1, le=366, description="Days ahead.")
    validation_days: int = Field(35, ge=1, le=3660)
    test_days: int = Field(35, ge=1, le=3660)

    @classmethod
    def checked(cls, values: Mapping[str, Any]) -> Self:
        """Build from plain values.

        Raises:
            RequestError: Naming each key that is wrong.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            found = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'data'}: {e['msg']}" for e in error.errors())
            raise RequestError(f"The data cannot be described so: {found}.") from None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.source == "table") != (self.path is not None):
            raise ValueError("path goes with source table, and source table needs a path")
        if self.source != "table" and (self.hist or self.futr or self.stat or self.ignore):
            raise ValueError("hist, futr, stat and ignore name columns of a table; leave them out for other sources")
        for name in ("validation_days", "test_days"):
            if getattr(self, name) < self.horizon:
                raise ValueError(f"{name} is {getattr(self, name)}, expected at least the horizon of {self.horizon}")
        named = (*self.hist, *self.futr, *self.stat, *self.ignore)
        if len(set(named)) < len(named) or {"unique_id", "ds", "y"} & set(named):
            raise ValueError("each column may be named once under hist, futr, stat or ignore, and not unique_id, ds, y")
        return self


class Training(_Frozen):
    """The budget of one training; early stopping ends it, ``max_epochs`` is only the safety net."""

    max_epochs: int = Field(60, ge=1, le=10_000)
    patience: int = Field(4, ge=1, le=1_000, description="Epochs without a better validation WAPE before it stops.")
    steps_per_epoch: int = Field(60, ge=1, le=100_000)
    batch: int = Field(128, ge=1, le=65_536)
    learning_rate: float = Field(3e-3, gt=0)


class SearchRequest(_Frozen):
    """One search: where to look, on which data and devices, for what, within which limits."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "spring",
                    "space": "lstm_compact",
                    "data": {"source": "complete_journey", "horizon": 14},
                    "devices": ["pi4"],
                    "objectives": ["wape", "latency_p50_ms"],
                    "constraints": {"latency_p95_ms": 2.0, "peak_memory_mb": 90},
                    "trials": 36,
                }
            ]
        }
    )

    name: str = Field("search", min_length=1, max_length=100)
    space: str | SearchSpace = Field("lstm_compact", description="A built-in space by name, or a whole space inline.")
    data: DataSpec = DataSpec()
    devices: tuple[Annotated[str, Field(pattern=DEVICE_NAME)], ...] = Field(
        min_length=1, description="Measured on each; with several, the worst of them counts."
    )
    objectives: tuple[Metric, ...] = Field(("wape", "latency_p50_ms"), min_length=1, max_length=4)
    constraints: dict[Metric, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict, description="Upper limits; costs are judged before training."
    )
    trials: int = Field(36, ge=1, le=100_000)
    sampler: Literal["tpe", "nsga2", "random"] = "tpe"
    seed: int = Field(0, ge=0, lt=2**31)
    training: Training = Training()

    @property
    def limits(self) -> dict[str, float]:
        """The constraints by name."""
        return {str(name): limit for name, limit in self.constraints.items()}

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        for name in ("objectives", "devices"):
            if len(set(getattr(self, name))) < len(getattr(self, name)):
                raise ValueError(f"{name} names the same thing twice")
        return self


class StudentRequest(_Frozen):
    """Which trial becomes a student, and on which device it is verified."""

    search: int = Field(ge=1)
    trial: int | None = Field(None, ge=0, description="A trial's number; none takes the front's recommended one.")
    device: Annotated[str, Field(pattern=DEVICE_NAME)] | None = Field(None, description="None: the search's first.")
