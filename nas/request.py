"""What a user asks for: one frozen request per search, validated at the door."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal, Self, TypeAlias
from zoneinfo import available_timezones

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
from nas.frequency import FREQUENCIES, Frequency, FrequencyName
from nas.metric import DEVICE_NAME, OF_QUANTILES, PATTERN, Metric, checked
from nas.space import SearchSpace

DAILY_WINDOW = r"^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]$"


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


MetricName: TypeAlias = Annotated[str, WithJsonSchema({"type": "string", "pattern": PATTERN})]
"""An accuracy, or that of a slice, ``wape[promo]``; a cost, or that on one device, ``latency_p50_ms@pi4``."""
_Limit: TypeAlias = Annotated[float, Field(gt=0)]
Constraints: TypeAlias = Annotated[
    dict[str, _Limit],
    BeforeValidator(_flat, json_schema_input_type=dict[MetricName, _Limit | dict[str, _Limit]]),
]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Columns(_Frozen):
    """What the three columns that every table has are called in this one; several ids are joined with ``/``."""

    unique_id: str | tuple[str, ...] = "unique_id"
    ds: str = "ds"
    y: str = "y"


class DataSpec(_Frozen):
    """Which sales table, what its columns mean, and how its steps are split by time.

    ``hist`` are covariates known up to today, ``futr`` are planned ahead, ``stat`` do not change.
    A *step* is an hour, a day or a week: ``freq``.
    """

    source: Literal["complete_journey", "rossmann", "table", "dataset", "synthetic"] = "complete_journey"
    path: str | None = Field(None, description="CSV or Parquet file, with source `table`; Rossmann's folder.")
    dataset: int | None = Field(None, ge=1, lt=2**31, description="Number of an uploaded table, with source `dataset`.")
    grain: Literal["category", "store_department", "product"] = Field(
        "category", description="What one series of Complete Journey is."
    )
    columns: Columns = Field(Columns(), description="What unique_id, ds and y are called in this table.")
    hist: tuple[str, ...] = ()
    futr: tuple[str, ...] = ()
    stat: tuple[str, ...] = ()
    ignore: tuple[str, ...] = Field((), description="Columns of the table that are left out on purpose.")
    open: str | None = Field(None, description="Column known ahead that is 0 where a store is closed; forecast 0 then.")
    available: str | None = Field(
        None, description="Column (stock, or 0 and 1) that is 0 where sales were censored; such steps are masked."
    )
    holidays: str | None = Field(None, pattern=r"^[A-Z]{2}(-[A-Z0-9]{1,3})?$", description="Country, as DE or US-CA.")
    timezone: str | None = Field(None, description="The stores' own zone, as Europe/Berlin; explains days of 23 h.")
    freq: FrequencyName | None = Field(None, description="None: found in the table.")
    fill: Literal["zero", "previous"] | None = Field(None, description="What a missing step means; none refuses them.")
    series: int | None = Field(None, ge=1, description="Search over so many series only.")
    subset: Literal["largest", "stratified"] = Field("largest", description="Which series those are.")
    until: date | None = Field(None, description="Leave out what comes after this day, to look back from there.")
    horizon: int | None = Field(None, ge=1, le=8784, description="Steps ahead; by default 24 hours, 14 days, 4 weeks.")
    validation_days: int | None = Field(None, ge=1, le=3660, description="By default 35; weekly 84, hourly 14.")
    test_days: int | None = Field(None, ge=1, le=3660, description="As validation_days.")

    def split_steps(self, clock: Frequency) -> tuple[int, int, int]:
        """Horizon, validation and test in steps of this frequency, the usual ones where nothing was asked for.

        Raises:
            RequestError: A forecast does not fit in a part.
        """
        horizon = self.horizon or clock.horizon
        usual = max(clock.held_out, 2 * horizon)
        parts = []
        for name in ("validation_days", "test_days"):
            days = getattr(self, name)
            steps = days * 24 // clock.hours if days else usual
            if steps < horizon:
                raise RequestError(
                    f"{name} is {days}, which holds {steps} {clock.unit}s, expected at least the horizon of {horizon}; "
                    "lengthen the part or shorten the horizon."
                )
            parts.append(steps)
        return horizon, parts[0], parts[1]

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
        self._same_source()
        keys = self.columns.unique_id
        own = {"unique_id", "ds", "y", self.columns.ds, self.columns.y, *((keys,) if isinstance(keys, str) else ())}
        named = (*self.hist, *self.futr, *self.stat, *self.ignore, *filter(None, (self.open, self.available)))
        if len(set(named)) < len(named) or own & set(named):
            raise ValueError(
                "each column may be named once under hist, futr, stat, open, available or ignore, "
                "and not unique_id, ds, y"
            )
        if self.holidays and "holiday" in set(named) - set(self.ignore):
            raise ValueError(
                "holidays makes a covariate called holiday, so the table's own column of that name has to be ignored; "
                "or leave holidays out"
            )
        if self.freq or self.source in ("complete_journey", "rossmann", "synthetic"):
            try:
                self.split_steps(FREQUENCIES[self.freq or "daily"])
            except RequestError as error:
                raise ValueError(str(error)) from None
        if self.timezone is not None and self.timezone not in available_timezones():
            raise ValueError(f"{self.timezone!r} is no time zone; write it as Europe/Berlin")
        return self

    def _same_source(self) -> None:
        if (self.source in ("table", "rossmann")) != (self.path is not None):
            raise ValueError("path goes with source table or rossmann, and these need a path")
        if (self.source == "dataset") != (self.dataset is not None):
            raise ValueError("dataset goes with source dataset, and that needs its number")
        described = (self.hist, self.futr, self.stat, self.ignore, self.open, self.available, self.columns != Columns())
        if self.source not in ("table", "dataset") and any(described):
            raise ValueError(
                "columns, hist, futr, stat, open, available and ignore are of a table; leave them out here"
            )
        if self.source != "complete_journey" and self.grain != "category":
            raise ValueError("grain is of complete_journey; leave it out for other sources")


class Training(_Frozen):
    """The budget of one training: the learning rate falls until ``max_epochs``, early stopping may end it before."""

    max_epochs: int = Field(12, ge=1, le=10_000)
    quantiles: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        (), description="Quantiles that are forecast beside the median, such as 0.1 and 0.9; none: the median alone."
    )
    patience: int = Field(4, ge=1, le=1_000, description="Epochs without a better validation WAPE before it stops.")
    steps_per_epoch: int = Field(60, ge=1, le=100_000)
    batch: int = Field(256, ge=1, le=65_536)
    learning_rate: float = Field(4e-3, gt=0)
    loss: Literal["absolute", "squared"] = Field(
        "absolute", description="absolute forecasts the median, squared the mean (less bias where sales are rare)."
    )


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
    space: str | SearchSpace | None = Field(
        None, description="A built-in space by name, or a whole space inline; by default the one for the data's steps."
    )
    data: DataSpec = DataSpec()
    devices: tuple[Annotated[str, Field(pattern=DEVICE_NAME)], ...] = Field(
        min_length=1, description="Devices or pools of devices; every candidate is measured on each."
    )
    objectives: tuple[MetricName, ...] = Field(
        ("wape", "latency_p50_ms"),
        min_length=1,
        max_length=4,
        description="All to be minimised; a cost is the worst of all devices, or of one: `latency_p50_ms@pi4`; an "
        "accuracy is that of all validation forecasts, or of a slice: `wape[promo]`, `mae[horizon=8-14]`.",
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
    def _objectiveschecked(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        found = tuple(checked(name, info.data.get("devices")) for name in names)
        if len(set(found)) < len(found):
            raise ValueError("the same objective stands here twice; remove one")
        return found

    @field_validator("constraints")
    @classmethod
    def _constraintschecked(cls, limits: dict[str, float], info: ValidationInfo) -> dict[str, float]:
        found = {checked(name, info.data.get("devices")): limit for name, limit in limits.items()}
        if len(found) < len(limits):
            raise ValueError(f"{', '.join(limits)} limit the same thing twice; keep one of them")
        return found

    @model_validator(mode="after")
    def _quantiles_to_judge(self) -> Self:
        for name in (*self.objectives, *self.constraints):
            if Metric.parse(name).name in OF_QUANTILES and not self.training.quantiles:
                raise ValueError(f"{name} judges quantiles, and none are forecast; set training.quantiles")
        return self


_Device: TypeAlias = Annotated[str, Field(pattern=DEVICE_NAME)]


class TeacherRequest(_Frozen):
    """A teacher: trained here, or a table of forecasts from any tool; its data are a search's, or its own."""

    kind: Literal["trained", "imported"] = "trained"
    search: int | None = Field(None, ge=1, description="Data, split, devices and schedule are this search's.")
    data: DataSpec | None = Field(None, description="Data of its own, instead of a search's.")
    devices: tuple[_Device, ...] | None = Field(
        None, description="Where it is measured; none: those of the search, and without a search nowhere."
    )
    architecture: dict[str, Any] | None = Field(
        None,
        description="Of a trained one; by default an LSTM of 2 layers of 512 units, window 56, history pooled.",
    )
    members: int = Field(1, ge=1, le=32, description="Networks that are trained from different seeds and averaged.")
    training: Training | None = Field(None, description="None: the search's.")
    seed: int = Field(0, ge=0, lt=2**31)
    path: str | None = Field(None, description="Of an imported one: Parquet with unique_id, cutoff, ds, yhat.")
    trained_until: date | None = Field(
        None, description="The imported tool's last training day; its forecasts of days up to then are in-sample."
    )

    @model_validator(mode="after")
    def _of_one_kind(self) -> Self:
        if (self.search is None) == (self.data is None):
            raise ValueError("a teacher is of a search, or of data of its own; name one of the two")
        imported = self.kind == "imported"
        if imported != (self.path is not None):
            raise ValueError("path goes with kind imported, and that needs a path")
        if imported and (self.architecture is not None or self.members > 1 or self.training is not None):
            raise ValueError("architecture, members and training are of a trained teacher; leave them out")
        if not imported and self.trained_until is not None:
            raise ValueError("trained_until is of an imported teacher; leave it out")
        return self


class StudentRequest(_Frozen):
    """Which trial becomes a student, where it is measured and verified, and who teaches it."""

    search: int = Field(ge=1)
    trial: int | None = Field(None, ge=0, description="A trial's number; none takes the front's recommended one.")
    device: _Device | None = Field(None, description="None: every device of the search.")
    teacher: int | None = Field(None, ge=1, description="A teacher's number; none: as the search trained it.")
    alpha: float = Field(0.5, ge=0, le=1, description="The teacher's share of the loss; the rest is the sales'.")
    in_sample: float = Field(
        0.5, ge=0, le=1, description="How much a forecast counts that an imported teacher made of its training sales."
    )
    max_epochs: int | None = Field(
        None, ge=1, le=10_000, description="Train the network anew for so long; none: as the search trained it."
    )
    refit: bool = Field(
        False, description="Then train once more on all weeks before the test; validation is judged before that."
    )
    store: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        pattern=r"^[^\x00-\x1f\x7f]+$",
        description="A package for this store alone; none: for all of them.",
    )

    @model_validator(mode="after")
    def _refit_alone(self) -> Self:
        if self.refit and self.teacher is not None:
            raise ValueError("refit trains on sales alone, without the teacher; leave one of them out")
        return self
