"""What a user asks for: one frozen request per search, validated at the door."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from nas.errors import RequestError
from nas.space import SearchSpace

ACCURACIES: tuple[str, ...] = ("wape", "mae", "rmse")
"""Known after training; judged on the validation weeks. Lower is better, like every metric here."""
COSTS: tuple[str, ...] = (
    "latency_p50_ms",
    "latency_p95_ms",
    "peak_memory_mb",
    "size_kb",
    "energy_mj",
    "mean_power_w",
    "sweep_seconds",
    "sweep_peak_mb",
)
"""Known before training: measured on the device with random weights."""
DEVICE_NAME = r"^[a-z0-9][a-z0-9-]{0,62}$"
DAILY_WINDOW = r"^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]$"


def split(name: str) -> tuple[str, str | None]:
    """The metric of a name, and the device that it is of: ``size_kb`` (the worst of all, None) or ``size_kb@pi4``."""
    metric, _, device = name.partition("@")
    return metric, device or None


def _flat(constraints: Any) -> Any:
    """``{"size_kb": {"pi4": 60}}`` is ``{"size_kb@pi4": 60}``."""
    if not isinstance(constraints, Mapping):
        return constraints
    flat: dict[Any, Any] = {}
    for name, limit in constraints.items():
        if isinstance(limit, Mapping) and not limit:
            raise ValueError(f"{name} has an empty table; expected a limit for each device that it names")
        parts = (
            {f"{name}@{device}": of for device, of in limit.items()} if isinstance(limit, Mapping) else {name: limit}
        )
        for part, value in parts.items():
            if part in flat:
                raise ValueError(f"{part} is limited twice; keep one of the two limits")
            flat[part] = value
    return flat


_PATTERN = rf"^({'|'.join(ACCURACIES)}|({'|'.join(COSTS)})(@{DEVICE_NAME[1:-1]})?)$"
Metric: TypeAlias = Annotated[str, WithJsonSchema({"type": "string", "pattern": _PATTERN})]
"""A metric, or a cost on one device: ``latency_p50_ms@pi4``."""
_Limit: TypeAlias = Annotated[float, Field(gt=0)]
Constraints: TypeAlias = Annotated[
    dict[str, _Limit],
    BeforeValidator(_flat, json_schema_input_type=dict[Metric, _Limit | dict[str, _Limit]]),
]


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
                    "devices": ["pi4", "jetson"],
                    "objectives": ["wape", "latency_p50_ms@jetson"],
                    "constraints": {"latency_p95_ms": {"pi4": 5, "jetson": 2}, "peak_memory_mb": 90},
                    "trials": 36,
                }
            ]
        }
    )

    name: str = Field("search", min_length=1, max_length=100)
    space: str | SearchSpace = Field("lstm_compact", description="A built-in space by name, or a whole space inline.")
    data: DataSpec = DataSpec()
    devices: tuple[Annotated[str, Field(pattern=DEVICE_NAME)], ...] = Field(
        min_length=1, description="Devices or pools of devices; every candidate is measured on each."
    )
    objectives: tuple[Metric, ...] = Field(
        ("wape", "latency_p50_ms"),
        min_length=1,
        max_length=4,
        description="All to be minimised; a cost is the worst of all devices, or of one: `latency_p50_ms@pi4`.",
    )
    constraints: Constraints = Field(
        default_factory=dict,
        description="Upper limits, for all devices or for each: `5` or `{pi4: 5}`; costs are judged before training.",
    )
    beside_load: bool = Field(
        False, description="Measure beside what the devices carry anyway, instead of waiting until they are quiet."
    )
    trials: int = Field(36, ge=1, le=100_000)
    sampler: Literal["tpe", "nsga2", "random"] = "tpe"
    seed: int = Field(0, ge=0, lt=2**31)
    training: Training = Training()

    @field_validator("devices")
    @classmethod
    def _named_once(cls, devices: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(devices)) < len(devices):
            raise ValueError("the same device stands here twice; remove one")
        return devices

    @field_validator("objectives")
    @classmethod
    def _objectives_of_devices(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        found = tuple(_of_devices(name, info.data.get("devices")) for name in names)
        if len(set(found)) < len(found):
            raise ValueError("the same objective stands here twice; remove one")
        return found

    @field_validator("constraints")
    @classmethod
    def _constraints_of_devices(cls, limits: dict[str, float], info: ValidationInfo) -> dict[str, float]:
        found = {_of_devices(name, info.data.get("devices")): limit for name, limit in limits.items()}
        if len(found) < len(limits):
            raise ValueError(f"{', '.join(limits)} limit the same thing twice; keep one of them")
        return found


def _of_devices(name: str, devices: tuple[str, ...] | None) -> str:
    """A name that is known, and whose device takes part; where that device is the only one, the metric says it all.

    Args:
        devices: None when they are wrong themselves.
    """
    metric, device = split(name)
    if metric not in ACCURACIES + COSTS:
        raise ValueError(f"{metric!r} is no metric; expected one of {', '.join(ACCURACIES + COSTS)}")
    if "@" not in name:
        return name
    if metric in ACCURACIES:
        raise ValueError(f"{metric} is the same on every device; leave out {name.removeprefix(metric)}")
    if device is None:
        raise ValueError(f"{name!r} names no device; write it as {metric}@pi4, or {metric} for the worst of all")
    if devices is not None and device not in devices:
        raise ValueError(f"{name} is of {device}, which is not among the devices of this search: {', '.join(devices)}")
    return metric if devices == (device,) else name


class StudentRequest(_Frozen):
    """Which trial becomes a student, and where it is measured and verified."""

    search: int = Field(ge=1)
    trial: int | None = Field(None, ge=0, description="A trial's number; none takes the front's recommended one.")
    device: Annotated[str, Field(pattern=DEVICE_NAME)] | None = Field(
        None, description="None: every device of the search."
    )
