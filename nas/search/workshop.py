"""What a student or a teacher is made with, and how a finished model is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch

from nas.cluster import Cluster
from nas.data.panel import Panel
from nas.data.split import Split
from nas.devices.fleet import Fleet
from nas.devices.measurement import Measurement
from nas.devices.turn import By
from nas.errors import DeviceBusy
from nas.export.artifact import Artifact
from nas.export.store_slice import StoreSlice
from nas.search.night import Nights


def _no_night(_architecture: Any) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Workshop:
    """What a model is made with: data, cluster, devices, and a way to tell how far it is.

    Attributes:
        tell: Takes the step in hand, and whatever else there is to tell of it.
        store: Pack this store alone; None: all of them.
        nights: The store sweep that goes with an architecture, where a search asks for it.
    """

    panel: Panel
    split: Split
    cluster: Cluster
    fleet: Fleet
    devices: tuple[str, ...]
    alone: Callable[[Mapping[str, Any]], AbstractContextManager[None]]
    working: Callable[[], AbstractContextManager[None]]
    tell: Callable[..., None]
    beside_load: bool
    nights: Nights = _no_night
    store: str | None = None

    @property
    def own(self) -> Panel:
        """What a student is judged and verified on: the whole panel, or its store's part."""
        return StoreSlice.of(self.panel, self.store).panel if self.store else self.panel

    def shared(self) -> Any:
        """The panel, brought to the workers once."""
        return self.cluster.share(self.panel.digest, self.panel)


def measured(artifact: Artifact, shop: Workshop) -> dict[str, Measurement]:
    """Device -> what it says of a final form, thoroughly, and of a store's night where that is asked for.

    Raises:
        DeviceBusy: A device is not fit to be measured.
        DeviceFault: A device cannot be used.
    """
    architecture, found = artifact.architecture, {}
    night = shop.nights(architecture)
    by: By = {"threads": architecture.threads, "runtime": architecture.runtime, "beside_load": shop.beside_load}
    for device in shop.devices:
        with shop.alone(shop.fleet.facts(device)):
            seen = shop.fleet.measure(device, artifact.model, artifact.inputs, tier="thorough", **by)
            _expect_fit(device, seen.verdict, seen.reasons)
            if night is not None:
                sweep = shop.fleet.sweep(device, artifact.model, night.table, night.recipe, **by)
                _expect_fit(device, sweep.verdict, sweep.reasons)
                seen = replace(seen, sweep=sweep)
        found[device] = seen
    return found


def _expect_fit(device: str, verdict: str, reasons: tuple[str, ...]) -> None:
    if verdict == "rejected":
        raise DeviceBusy("; ".join([f"The device {device} was not fit to be measured", *reasons]))


@contextmanager
def threads_of_torch(count: int) -> Iterator[None]:
    """A worker has one thread, and may take those of the others while they have nothing to do."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
