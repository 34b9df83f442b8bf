"""The comparison's own machinery: what a rival may know, who judges, and that a kill costs one cell at most."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from processes import is_alive, wait_until

from benchmarks.accuracy import cells, judging, noise, report, settings, table
from benchmarks.accuracy.rivals import ets, ours
from benchmarks.accuracy.rivals.features import DAYS_NEEDED, History, features
from nas.data import Panel
from nas.data.scorecard import score
from nas.data.windows import evaluation

BUDGET = 1.0


@pytest.fixture
def setting(tmp_path, monkeypatch):
    monkeypatch.setitem(settings.SPECS, "trial", {"source": "synthetic", "horizon": 14})
    return settings.prepared("trial", tmp_path, 6)


def counts(rate, days=400, series=30, seed=0):
    draw = np.random.default_rng(seed)
    y = draw.poisson(rate, (series, days)).astype(np.float32)
    empty = np.zeros((*y.shape, 0), np.float32)
    return Panel(
        ids=tuple(f"{s:03d}" for s in range(series)),
        start=np.datetime64("2020-01-06", "h"),
        y=y,
        mask=np.ones_like(y),
        hist=empty,
        hist_names=(),
        futr=empty,
        futr_names=(),
        stat=np.zeros((series, 0), np.int64),
        stat_names=(),
        stat_vocab=(),
    )


@pytest.mark.parametrize("what", ["y", "seen", "hist", "plan"])
def test_lightgbm_is_told_nothing_that_is_not_known_before_the_origin(what):
    draw = np.random.default_rng(0)
    days, origin, horizon = DAYS_NEEDED + 40, DAYS_NEEDED, 14
    given = {
        "y": draw.gamma(2, 50, (3, days)),
        "seen": (draw.random((3, days)) < 0.9).astype(float),
        "hist": draw.gamma(2, 5, (3, days, 1)),
        "plan": (draw.random((3, days, 2)) < 0.4).astype(float),
    }
    hidden = {**given, what: given[what].copy()}
    first = origin + horizon if what == "plan" else origin
    hidden[what][:, first:] = 0

    def told(known):
        stat, promoted = np.zeros((3, 1), np.int64), given["plan"][..., 0].astype(int)
        history = History.of(**known, stat=stat, first_day=18_000, promoted=promoted, yearly=True)
        series, day = np.repeat(np.arange(3), horizon), np.tile(np.arange(origin, origin + horizon), 3)
        return features(history, series, day, np.full(len(day), origin), horizon)[0]

    np.testing.assert_array_equal(told(given), told(hidden))


@pytest.mark.parametrize("yearly", [True, False])
def test_lightgbm_knows_the_time_of_year_only_where_training_saw_one(yearly):
    sales, stat = np.ones((1, 60), np.float32), np.zeros((1, 1), np.int64)
    plan = hist = np.zeros((1, 60, 0), np.float32)
    history = History.of(sales, sales, hist, plan, stat, 18_000, np.zeros((1, 60), int), yearly)
    names = features(history, np.zeros(1, int), np.array([50]), np.array([50]), 7)[2]
    assert ({"month", "day_of_year"} <= set(names)) is yearly
    assert {"weekday", "day_of_month"} <= set(names)


def test_the_same_judge_scores_whoever_forecast(setting):
    origins = setting.split.test_origins
    windows = evaluation(setting.panel, origins, judging.WINDOW, setting.split.horizon)
    forecast = np.full(windows.target.shape, windows.target.mean(), np.float32)
    found = judging.judged(setting, {"test": forecast, "form_small": forecast}, None)
    expected = score(windows, forecast, setting.panel, origins, "test").overall
    assert found["test"]["overall"] == expected == found["forms"]["small"]
    error, sales = judging.sums(setting, forecast, None)
    assert error.sum() / sales.sum() == pytest.approx(expected["wape"])


def test_an_interval_is_of_pairs_so_what_series_share_does_not_widen_it():
    draw = np.random.default_rng(0)
    sales = draw.gamma(2, 100, 200)
    error = sales * draw.uniform(0.05, 0.5, 200)
    by, low, high = judging.paired(error, error + 0.01 * sales, sales)
    assert (by, low, high) == pytest.approx((-0.01,) * 3)


def test_the_floor_of_poisson_counts_is_found():
    panel = counts(9.0)
    found = noise.floor(panel, 350)
    assert found["poisson_wape"] == pytest.approx(np.abs(panel.y[:, 350:] - 9).sum() / panel.y[:, 350:].sum(), rel=0.05)
    assert found["dispersion"] == pytest.approx(1.0, abs=0.15)


def test_a_closed_day_is_filled_with_its_weekday():
    y = np.tile(np.arange(7.0), 4)
    known = np.ones(28, bool)
    known[15] = False
    assert ets.fill(np.where(known, y, 0), known).tolist() == y.tolist()


def test_a_cell_runs_in_its_own_process_and_is_not_run_again(setting):
    cell = cells.Cell(setting, "day_of_week_mean", 0, BUDGET)
    assert cell.done is None
    cells.run(cell)
    windows = evaluation(setting.panel, setting.split.test_origins, judging.WINDOW, setting.split.horizon)
    beside = score(windows, windows.target, setting.panel, setting.split.test_origins, "test").baselines
    assert cell.done["test"]["overall"]["wape"] == pytest.approx(beside["day_of_week_mean"]["wape"])
    assert cell.done["training_peak_mb"] > 10
    assert replace(cell, budget=2.0).done is None


def test_a_method_that_fails_leaves_no_result_and_says_where_to_look(setting):
    cell = cells.Cell(setting, "day_of_week_mean", 0, BUDGET)
    (setting.folder / "panel.npz").write_bytes(b"half a panel")
    with pytest.raises(cells.ControllerFault, match=r"trial/day_of_week_mean-0 failed and said: .*log\.txt"):
        cells.run(cell)
    assert cell.done is None


def test_a_runner_that_is_killed_leaves_nothing_running(tmp_path):
    note = tmp_path / "pid"
    code = f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    clock = [sys.executable, "-IS", str(cells.Path(cells.__file__).with_name("clock.py")), str(tmp_path / "log")]
    process = subprocess.Popen([*clock, sys.executable, "-c", code])
    wait_until(lambda: note.exists() and note.read_text())
    process.kill()
    process.wait()
    wait_until(lambda: not is_alive(int(note.read_text())))


def test_a_service_that_outlived_its_cell_is_ended_and_another_one_is_left_alone(tmp_path):
    code = "import time; time.sleep(600)"
    for home, survives in ((tmp_path, False), (tmp_path / "another", True)):
        process = subprocess.Popen([sys.executable, "-c", code], env={"NAS_HOME": str(home)})
        (tmp_path / "service.pid").write_text(str(process.pid))
        environment = cells.Path(f"/proc/{process.pid}/environ")
        wait_until(lambda environment=environment: b"NAS_HOME" in environment.read_bytes())
        ours.end_left_over(tmp_path)
        assert not (tmp_path / "service.pid").exists()
        assert (process.poll() is None) is survives
        process.kill()
        process.wait()


def test_only_names_settings_and_methods(setting, monkeypatch):
    monkeypatch.setenv("ROSSMANN", "")
    assert settings.names("") == ["journey-h14", "trial"]
    assert [c.name for c in cells.planned(setting, BUDGET, "trial/gbm")] == ["gbm-0"]
    with pytest.raises(settings.RequestError, match="ONLY names lunar"):
        settings.names("lunar/gbm")


def test_the_report_compares_on_the_series_that_both_forecast(setting, tmp_path):
    for method in ("seasonal_naive", "day_of_week_mean"):
        cells.run(cells.Cell(setting, method, 0, BUDGET))
    found = table.rows(setting, BUDGET)
    naive, mean = found["seasonal_naive"], found["day_of_week_mean"]
    sampled = [{**naive.results[0], "forecast_series": [0, 2]}]
    part = replace(naive, results=sampled, errors=naive.errors[[0, 2]], sales=naive.sales[[0, 2]])
    by, _, _ = table.difference(mean, part)
    assert by == pytest.approx((mean.errors - naive.errors)[[0, 2]].sum() / mean.sales[[0, 2]].sum())
    report.write_all(tmp_path, BUDGET, 6)
    text = (tmp_path / "accuracy.md").read_text()
    assert "| day-of-week mean | 0." in text and "Not run: ours-0" in text
    assert json.loads((setting.folder / "day_of_week_mean-0.json").read_text())["series"] == 6
