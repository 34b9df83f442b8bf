"""A store's nightly job, asked for by the controller: on a fake, and for real on this computer."""

from dataclasses import replace

import numpy as np
import pytest

from nas.architecture import Architecture
from nas.data.panel import Panel
from nas.data.split import Split
from nas.devices.device import Device
from nas.devices.fake import FakeTransport
from nas.devices.fleet import Fleet
from nas.devices.measurement import Measurement
from nas.devices.sweep import Sweep
from nas.errors import BlobLost, ControllerFault, DeviceUnreachable, RuntimeMissing
from nas.export.sweep import store_table
from nas.export.targets import export_untrained
from nas.models.shape import Shape
from nas.request import DataSpec

ENERGY = {"energy_mj": 9000.0, "sensor": "INA3221", "notes": ["the idle power drifted"]}


def panel(stores=("a", "b", "b"), days=120, seen=None):
    """One series per entry of ``stores``; ``seen`` says up to which day each was observed."""
    size = len(stores), days
    mask = np.ones(size, "float32")
    for s, last in enumerate(seen or ()):
        mask[s, last:] = 0
    vocabulary = tuple(dict.fromkeys(stores))
    draw = np.random.default_rng(0)
    return Panel(
        ids=tuple(f"item-{s}" for s in range(len(stores))),
        start=np.datetime64("2024-01-01"),
        y=(draw.poisson(5, size) * mask).astype("float32"),
        mask=mask,
        hist=np.zeros((*size, 0), "float32"),
        hist_names=(),
        futr=draw.integers(0, 2, (*size, 1)).astype("float32"),
        futr_names=("promo",),
        stat=np.array([[vocabulary.index(store) + 1] for store in stores]),
        stat_names=("store",),
        stat_vocab=(vocabulary,),
    )


def lines(table):
    return [line.split(",") for line in table.decode().splitlines()]


def test_the_table_is_of_the_largest_store():
    table, recipe = store_table(panel(), Split.of(panel()), Architecture(window=28), DataSpec())
    header, *rows = lines(table)
    assert header == ["unique_id", "ds", "y", "promo", "available", "store"]
    assert {row[0] for row in rows} == {"item-1", "item-2"}
    assert sum(row[2] != "" for row in rows) == 2 * 28 and sum(row[2] == "" for row in rows) == 2 * 14
    assert (recipe["window"], recipe["horizon"]) == (28, 14)
    assert recipe["columns"]["futr"] == ["promo"]
    assert recipe["columns"]["stat"] == [{"name": "store", "values": ["a", "b"]}]


def test_series_that_no_longer_sell_are_left_out_and_late_ones_start_earlier():
    made = panel(("a", "a", "a"), seen=(120, 40, 100))
    rows = lines(store_table(made, Split.of(made), Architecture(window=28), DataSpec())[0])[1:]
    assert {row[0] for row in rows} == {"item-0", "item-2"}
    late = [row for row in rows if row[0] == "item-2"]
    assert max(row[1] for row in late if row[2]) == str(made.date(99))
    assert min(row[1] for row in late if not row[2]) == str(made.date(100))


def fleet_of(transport):
    return Fleet([Device("pi", "local")], {"local": transport})


def test_a_sweep_says_what_it_took():
    table, recipe = store_table(panel(), Split.of(panel()), Architecture(window=28), DataSpec())
    with fleet_of(FakeTransport()) as fleet:
        found = fleet.sweep("pi", b"m" * 1000, table, recipe, threads=2)
    assert (found.series, found.verdict, found.energy_j, found.sensor) == (2, "valid", None, None)
    assert found.seconds == pytest.approx(sum(found.stages.values()))


def test_energy_is_of_the_job_and_keeps_its_notes():
    with fleet_of(FakeTransport([{"energy": ENERGY}])) as fleet:
        found = fleet.sweep("pi", b"m", b"t", {})
    assert (found.energy_j, found.sensor, found.notes) == (9.0, "INA3221", ("the idle power drifted",))


def test_a_sweep_travels_with_its_measurement():
    with fleet_of(FakeTransport()) as fleet:
        measured, swept = fleet.measure("pi", b"m", {}), fleet.sweep("pi", b"m", b"t", {})
    assert measured.metric("sweep_seconds") is None
    both = replace(measured, sweep=swept)
    assert Measurement.from_dict(both.to_dict()) == both
    assert both.metric("sweep_seconds") == swept.seconds and both.interval("sweep_peak_mb") == (swept.peak_mb,) * 2


def test_what_goes_wrong_has_its_usual_cause():
    broken = FakeTransport([BlobLost("gone"), {"energy": {"sensor": "RAPL"}}])
    with fleet_of(broken) as fleet, pytest.raises(ControllerFault, match="energy_mj"):
        fleet.sweep("pi", b"m", b"t", {})
    with fleet_of(FakeTransport(facts={"runtimes": {}})) as fleet, pytest.raises(RuntimeMissing):
        fleet.sweep("pi", b"m", b"t", {})


def test_a_lost_reply_is_read_again_and_not_swept_again():
    class Losing(FakeTransport):
        def open(self, device):
            session = super().open(device)
            ask = session.call

            def call(message, deadline_s):
                reply = ask(message, deadline_s)
                if message["verb"] == "sweep":
                    raise DeviceUnreachable("the line is cut")
                return reply

            session.call = call
            return session

    transport = Losing()
    with fleet_of(transport) as fleet:
        assert fleet.sweep("pi", b"m", b"t", {}).verdict == "valid"
    assert [call["verb"] for call in transport.calls].count("sweep") == 1


def test_a_store_is_really_swept_on_this_computer(tmp_path, calm_python):
    made, architecture = panel(), Architecture(hidden=8, window=28)
    split = Split.of(made)
    model = export_untrained(architecture, Shape.of(made, split.horizon)).model
    table, recipe = store_table(made, split, architecture, DataSpec())
    with Fleet([Device("here", "local", python=calm_python, root=str(tmp_path))]) as fleet:
        found = fleet.sweep("here", model, table, recipe, beside_load=True)
    assert isinstance(found, Sweep) and found.series == 2
    assert found.seconds > sum(found.stages.values()) > 0 and found.peak_mb > 30
