"""The names of what a trial is judged by: accuracies, whole or of a slice, and costs, of one device or of all."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nas.errors import RequestError

ACCURACIES: tuple[str, ...] = ("wape", "mae", "rmse", "mase", "rmsse", "pinball", "coverage_error")
"""Known after training; judged on the validation part or a slice of it. Lower is better, like every metric here."""
OF_QUANTILES = ("pinball", "coverage_error")
"""Accuracies that only a forecast with quantiles has; coverage itself is best neither high nor low."""
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
_SLICE = r"\[[^\[\]]+\]"
PATTERN = rf"^(({'|'.join(ACCURACIES)})({_SLICE})?|({'|'.join(COSTS)})(@{DEVICE_NAME[1:-1]})?)$"
"""What a metric is written like, for the JSON schema."""
SLICINGS: dict[str, str | None] = {
    "promotion": r"promoted|not promoted",
    "holiday": r"holiday|no holiday",
    "season": r"[1-9]|1[0-2]",
    "horizon": r"[1-9][0-9]*-[1-9][0-9]*",
    "intermittency": r"smooth|erratic|intermittent|lumpy|no sales",
    "volume": r"[1-9]|10",
    "cold_start": None,
}
"""What every data set can be sliced by, beside its static covariates, and what the slices may be called.

How cold starts go takes more forecasts: a student's report has them, a search has not."""
SHORT = {"promo": ("promotion", "promoted"), "holiday": ("holiday", "holiday")}
_NAME = re.compile(
    r"(?P<name>[^\[\]@]+)(\[(?P<slicing>[^=\[\]\"\\]+)(=(?P<value>[^\"\\]+))?\])?(@(?P<device>[^\[\]]*))?"
)


@dataclass(frozen=True, slots=True)
class Metric:
    """What a name asks for: ``size_kb``, ``size_kb@pi4``, ``wape``, ``wape[promo]``, ``mae[category=DAIRY]``.

    Attributes:
        name: One of ``ACCURACIES`` or ``COSTS``.
        slicing: What the judged steps are divided by; None: all of them.
        value: Which slice.
        device: Of which device a cost is; None: the worst of all.
    """

    name: str
    slicing: str | None = None
    value: str | None = None
    device: str | None = None

    @classmethod
    def parse(cls, text: str) -> Metric:
        """Take a name apart; whether there is such a metric, slice or device is not looked at.

        Raises:
            RequestError: It is not written like a metric.
        """
        if (found := _NAME.fullmatch(text)) is None:
            raise RequestError(
                f"{text!r} is no metric; write it as wape, wape[promo], mae[category=DAIRY] or latency_p50_ms@pi4."
            )
        name, slicing, value, device = found.group("name", "slicing", "value", "device")
        if slicing in SHORT and value is None:
            slicing, value = SHORT[slicing]
        return cls(name, slicing, value, device or None)

    def __str__(self) -> str:
        part = next((short for short, pair in SHORT.items() if pair == (self.slicing, self.value)), None)
        part = part or (f"{self.slicing}={self.value}" if self.slicing else None)
        return self.name + (f"[{part}]" if part else "") + (f"@{self.device}" if self.device else "")


def split(name: str) -> tuple[str, str | None]:
    """The metric of a name, and the device that it is of: ``size_kb`` (the worst of all, None) or ``size_kb@pi4``."""
    metric = Metric.parse(name)
    return metric.name, metric.device


def checked(text: str, devices: tuple[str, ...] | None) -> str:
    """A name that is known, and whose device takes part; where that device is the only one, the metric says it all.

    Args:
        text: As it was asked for.
        devices: None when they are wrong themselves.
    """
    try:
        metric = Metric.parse(text)
    except RequestError as error:
        raise ValueError(str(error)) from None
    name, device = metric.name, metric.device
    if name == "coverage":
        raise ValueError("coverage is best neither high nor low; take coverage_error, its distance to what was asked")
    if name not in ACCURACIES + COSTS:
        raise ValueError(f"{name!r} is no metric; expected one of {', '.join(ACCURACIES + COSTS)}")
    if metric.slicing is not None:
        _refuse_slice(metric)
    if "@" not in text:
        return str(metric)
    if name in ACCURACIES:
        raise ValueError(f"{name} is the same on every device; leave out @{device or ''}")
    if device is None:
        raise ValueError(f"{text!r} names no device; write it as {name}@pi4, or {name} for the worst of all")
    if devices is not None and device not in devices:
        raise ValueError(f"{text} is of {device}, which is not among the devices of this search: {', '.join(devices)}")
    return name if devices == (device,) else text


def _refuse_slice(metric: Metric) -> None:
    """What cannot be a slice of any data; whether these data have it is known once they are loaded."""
    name, slicing, value = metric.name, metric.slicing, metric.value
    if name in COSTS:
        raise ValueError(f"{name} is the same for every slice; leave out [{slicing}]")
    if slicing == "cold_start":
        raise ValueError(f"{metric} is judged in a student's report only; leave it out")
    if value is None:
        raise ValueError(f"{name}[{slicing}] names no slice; write it as {name}[{slicing}=VALUE]")
    values = SLICINGS.get(str(slicing))
    if values and not re.fullmatch(values, value):
        raise ValueError(f"{slicing} has no slice {value!r}; expected {values.replace('|', ' or ')}")
