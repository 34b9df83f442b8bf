"""A search space: YAML -> SearchSpace -> Architecture.

The types below are the single truth: they validate, they say what is wrong with the YAML line in
front, and the JSON schema beside the spaces is generated from them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, TypeAlias, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator

from nas.architecture import Architecture, has_int8
from nas.errors import NotFound, SpaceError
from nas.frequency import FREQUENCIES, FrequencyName

_FOLDER = Path(__file__).parents[1] / "search_spaces"  # beside nas/, in a checkout and in a wheel


class Suggester(Protocol):
    """What a space needs of a sampler's trial; an Optuna trial fits."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int: ...


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class IntRange(_Strict):
    """Whole numbers from low to high, both included, in steps (or spread over a log scale)."""

    low: int
    high: int
    step: int = Field(1, ge=1)
    log: bool = False

    @model_validator(mode="after")
    def _not_empty(self) -> IntRange:
        if self.low > self.high:
            raise ValueError(f"the range is empty: low {self.low} is above high {self.high}")
        if self.log and (self.step != 1 or self.low < 1):
            raise ValueError("a log range needs low >= 1 and no step")
        return self

    @property
    def values(self) -> tuple[int, ...]:
        """Every value that can be drawn."""
        return tuple(range(self.low, self.high + 1, self.step))


def _shape(value: Any) -> str:
    return "range" if isinstance(value, dict | IntRange) else "choices"


Counts: TypeAlias = Annotated[
    Annotated[IntRange, Tag("range")] | Annotated[tuple[int, ...], Field(min_length=1, strict=False), Tag("choices")],
    Discriminator(_shape),
]
T = TypeVar("T")
Words: TypeAlias = Annotated[tuple[T, ...], Field(min_length=1, strict=False)]


Groups: TypeAlias = Annotated[tuple[Literal["calendar", "discount", "promotion", "profile"], ...], Field(strict=False)]


class Parameters(_Strict):
    """The dimensions of a space; one that is left out stays at the Architecture's default."""

    cell: Words[Literal["lstm", "gru"]] = ("lstm",)
    layers: Counts = (1,)
    hidden: Counts = (32,)
    window: Counts = Field((56,), description="Lookback window in steps: hours, days or weeks.")
    history: Words[Literal["daily", "pooled"]] = ("daily",)
    features: Words[Groups] = Field(
        (("calendar", "discount", "promotion", "profile"),), description="Each choice is one set of feature groups."
    )
    embedding: Counts = (8,)
    head: Counts = (32,)
    decoder: Words[Literal["effects", "plain"]] = ("effects",)
    precision: Words[Literal["fp32", "int8"]] = ("fp32",)
    threads: Counts = (1,)
    runtime: Words[
        Literal["onnxruntime", "onnxruntime-cuda", "onnxruntime-tensorrt", "openvino", "executorch", "litert"]
    ] = ("onnxruntime",)

    @model_validator(mode="after")
    def _possible(self) -> Parameters:
        for name in ("layers", "hidden", "window", "embedding", "head", "threads"):
            least = {"embedding": 0, "head": 0, "window": 2}.get(name, 1)
            for value in _values(getattr(self, name)):
                if value < least:
                    raise ValueError(f"{name} offers {value}, expected at least {least}")
        if "effects" in self.decoder and min(_values(self.head)) == 0:
            raise ValueError("head offers 0, which decoder effects does not have: offer at least 1")
        unable = [pair for pair in product(self.cell, self.runtime) if not has_int8(*pair)]
        if unable and "fp32" not in self.precision:
            raise ValueError("{1} cannot run {0} in int8: offer precision fp32 as well".format(*unable[0]))
        for name in type(self).model_fields:
            drawn = [frozenset(v) if name == "features" else v for v in _values(getattr(self, name))]
            if len(set(drawn)) < len(drawn):
                raise ValueError(f"{name} offers the same choice twice")
        return self


class First(_Strict):
    """An architecture that is proposed before the sampler draws; it draws what is left out."""

    cell: str | None = None
    layers: int | None = None
    hidden: int | None = None
    window: int | None = None
    history: str | None = None
    features: Groups | None = None
    embedding: int | None = None
    head: int | None = None
    decoder: str | None = None
    precision: str | None = None
    threads: int | None = None
    runtime: str | None = None

    @property
    def given(self) -> dict[str, Any]:
        """What is fixed, as a sampler knows it."""
        values = {name: value for name in type(self).model_fields if (value := getattr(self, name)) is not None}
        return values | ({"features": _label(self.features)} if self.features is not None else {})


class SearchSpace(_Strict):
    """A named set of architectures, drawn one at a time by ``suggest``."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")
    description: str = ""
    frequency: FrequencyName = Field("daily", description="What one step of the series is.")
    parameters: Parameters
    first: Annotated[tuple[First, ...], Field(strict=False)] = Field(
        (), description="Architectures that a search begins with, such as those that did well on other tables."
    )

    @model_validator(mode="after")
    def _pools(self) -> SearchSpace:
        clock, windows = FREQUENCIES[self.frequency], _values(self.parameters.window)
        if "pooled" in self.parameters.history and min(windows) <= clock.recent:
            raise ValueError(
                f"history offers pooled, so every window of {clock.name} sales must be longer than "
                f"{clock.recent} {clock.unit}s; the shortest is {min(windows)}"
            )
        return self

    @model_validator(mode="after")
    def _first_fit(self) -> SearchSpace:
        for number, first in enumerate(self.first, start=1):
            if first.precision == "int8" and first.cell and not has_int8(first.cell, first.runtime or "onnxruntime"):
                raise ValueError(f"first has a {first.cell} in int8, which its runtime cannot run; use precision fp32")
            for name, value in first.given.items():
                offered = _values(getattr(self.parameters, name))
                labels = [_label(groups) for groups in offered] if name == "features" else list(offered)
                if value not in labels:
                    raise ValueError(
                        f"number {number} of first has {name} {value!r}, which parameters does not offer; "
                        f"expected one of {', '.join(map(str, labels))}"
                    )
        return self

    def suggest(self, trial: Suggester) -> Architecture:
        """Draw one architecture.

        ``precision`` is asked for only where the cell has an int8 kernel, so that the sampler
        never learns from a choice that changes nothing.
        """
        p = self.parameters
        drawn = {name: _draw(trial, name, getattr(p, name)) for name in ("cell", "layers", "hidden", "window")}
        drawn["history"] = trial.suggest_categorical("history", p.history)
        drawn["decoder"] = trial.suggest_categorical("decoder", p.decoder)
        label = trial.suggest_categorical("features", [_label(groups) for groups in p.features])
        drawn["features"] = next(groups for groups in p.features if _label(groups) == label)
        drawn |= {name: _draw(trial, name, getattr(p, name)) for name in ("embedding", "head", "threads")}
        drawn["runtime"] = trial.suggest_categorical("runtime", p.runtime)
        able = has_int8(drawn["cell"], drawn["runtime"])
        drawn["precision"] = "fp32" if not able else trial.suggest_categorical("precision", p.precision)
        return Architecture(**drawn)

    @property
    def size(self) -> int:
        """How many different architectures the space holds."""
        p = self.parameters
        free = [
            len(_values(getattr(p, n))) for n in Parameters.model_fields if n not in ("cell", "precision", "runtime")
        ]
        deployments = sum(
            how == "fp32" or has_int8(cell, runtime) for cell, how, runtime in product(p.cell, p.precision, p.runtime)
        )
        total = deployments
        for count in free:
            total *= count
        return total

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; ``from_mapping`` is its inverse."""
        return self.model_dump(mode="json")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> SearchSpace:
        """Build from plain values.

        Raises:
            SpaceError: With the offending key in the message.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise SpaceError("; ".join(f"{_where(e)}: {_sentence(e)}" for e in error.errors())) from None

    @classmethod
    def load(cls, source: str | Path) -> SearchSpace:
        """Load a built-in space by name, or any YAML file by path.

        Raises:
            SpaceError: The file is absent, not YAML, or wrong; the message names file and line.
            NotFound: No built-in space has this name.
        """
        if isinstance(source, str) and "/" not in source and not source.endswith((".yaml", ".yml")):
            return cls.load(_builtin(source))
        path = Path(source)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise SpaceError(f"Cannot read {path}: {reason}; expected a YAML file with a search space.") from None
        return cls.parse(text, str(path))

    @classmethod
    def parse(cls, text: str, name: str = "space.yaml") -> SearchSpace:
        """Read a space from YAML text; ``name`` stands in front of every message.

        Raises:
            SpaceError: One line per finding: ``name:line: key: what is wrong``.
        """
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
            values = yaml.safe_load(text)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            problem = getattr(error, "problem", None) or "it cannot be read"
            line = mark.line + 1 if mark else 1
            raise SpaceError(f"{name}:{line}: this is not YAML: {problem}; expected keys and values.") from None
        if root is None or not isinstance(values, dict):
            raise SpaceError(f"{name}:1: expected the keys name and parameters, found {type(values).__name__}.")
        _refuse_repeated_keys(root, name)
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            lines = [f"{name}:{_line(root, e['loc'])}: {_where(e)}: {_sentence(e)}" for e in error.errors()]
            raise SpaceError("\n".join(lines)) from None


def builtin_spaces() -> tuple[str, ...]:
    """Names of the spaces that come with the project."""
    return tuple(sorted(file.stem for file in _FOLDER.glob("*.yaml")))


def schema() -> dict[str, Any]:
    """The JSON schema of a search space file."""
    return SearchSpace.model_json_schema()


def _builtin(name: str) -> Path:
    if name not in builtin_spaces():
        known = ", ".join(builtin_spaces())
        raise NotFound(f"There is no search space {name!r}; expected one of {known}, or the path of a YAML file.")
    return _FOLDER / f"{name}.yaml"


def _values(counts: Any) -> tuple[Any, ...]:
    return counts.values if isinstance(counts, IntRange) else tuple(counts)


def _draw(trial: Suggester, name: str, counts: Any) -> Any:
    if isinstance(counts, IntRange):
        # Optuna wants the last value to be reachable by whole steps.
        return trial.suggest_int(name, counts.low, counts.values[-1], step=counts.step, log=counts.log)
    return trial.suggest_categorical(name, counts)


def _label(groups: Sequence[str]) -> str:
    return "+".join(sorted(groups)) or "none"


def _where(error: Any) -> str:
    return ".".join(str(part) for part in error["loc"] if part not in ("range", "choices")) or "space"


def _sentence(error: Any) -> str:
    """One of pydantic's findings in our words: what was found, what was expected, what to do."""
    match error["type"]:
        case "extra_forbidden":
            names = Parameters.model_fields if "parameters" in error["loc"][:-1] else SearchSpace.model_fields
            inside_range = any(part == "range" for part in error["loc"])
            known = ", ".join(IntRange.model_fields if inside_range else names)
            return f"unknown key; expected one of {known}; correct or remove it"
        case "missing":
            return "is missing; add it"
        case "too_short":
            return "the range is empty; expected at least one choice"
        case "value_error":
            return str(error["ctx"]["error"])
        case _:
            expected = error["msg"].replace("Input should be a", "expected a").replace("valid tuple", "list")
            expected = expected.replace("valid dictionary or instance of Parameters", "mapping of names to values")
            return f"{expected[0].lower()}{expected[1:]}, found {error['input']!r:.60}"


def _line(node: yaml.Node, loc: Sequence[int | str]) -> int:
    """The line (from 1) of the deepest node on the way to ``loc``; union tags on the way are passed over."""
    line = node.start_mark.line
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == part:
                    node, line = value, key.start_mark.line
                    break
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line
    return int(line) + 1


def _refuse_repeated_keys(node: yaml.Node, name: str) -> None:
    """YAML keeps the last of two equal keys without a word; a user who wrote both wants to know."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                raise SpaceError(f"{name}:{key.start_mark.line + 1}: {key.value}: stands here twice; remove one.")
            seen.add(key.value)
            _refuse_repeated_keys(value, name)
