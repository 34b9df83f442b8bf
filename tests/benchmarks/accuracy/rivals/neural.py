"""neuralforecast's networks, tuned by its own Auto classes: AutoLSTM, NHITS and TFT, with every covariate they take."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

import numpy as np
import optuna
from neuralforecast import NeuralForecast
from neuralforecast.auto import LSTM, NHITS, TFT, AutoLSTM, AutoNHITS, AutoTFT
from neuralforecast.losses.pytorch import MAE

from benchmarks.accuracy import timing
from benchmarks.accuracy.rivals.frames import Frames
from benchmarks.accuracy.task import Outcome, Task

AUTO = {"autolstm": (AutoLSTM, LSTM), "nhits": (AutoNHITS, NHITS), "tft": (AutoTFT, TFT)}
STEPS_PER_SECOND = {"autolstm": 4, "nhits": 8, "tft": 2}
"""About how many steps of training one second of the tuning budget is good for, so that several trials fit in it."""
FEWEST, MOST = 20, 1500
POOLS = {"none": [1, 1, 1], "falling": [2, 2, 1], "two": [2, 2, 2], "four": [4, 4, 4]}
QUIET = {
    "accelerator": "cpu",
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "logger": False,
    "enable_checkpointing": False,
}


def run(task: Task) -> Outcome:
    """Tune on the validation part, refit on all before the test, forecast it."""
    for name in ("pytorch_lightning", "lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    auto, plain = AUTO[task.options["method"]]
    frames = Frames.of(task)
    chosen, tuning, validation = task.chosen, 0.0, None
    if chosen is None:
        chosen, tuning, validation = _tuned(task, frames, auto)
    started = time.perf_counter()
    settings = {**chosen["config"], "random_seed": task.seed + 1, **QUIET}
    model = plain(h=task.horizon, loss=MAE(), **settings)
    fitted = NeuralForecast(models=[model], freq="D")
    fitted.fit(frames.before(task.test[0]), static_df=frames.static, val_size=0)
    fit_seconds = time.perf_counter() - started
    test = _forecast(task, frames, fitted, task.test)
    fitted.save(str(task.folder / "model"), overwrite=True, save_dataset=False)
    keep = 3 * settings["input_size"]
    task.write_store_table(keep)
    parameters = sum(p.numel() for p in fitted.models[0].parameters())
    return Outcome(
        test=test,
        validation=validation,
        tuning_seconds=tuning,
        fit_seconds=fit_seconds,
        chosen=chosen,
        size_kb=parameters * 4 / 1000,
        latency_ms=_latency(task, frames, fitted, keep),
        sweep=[sys.executable, "-m", "benchmarks.accuracy.rivals.neural_sweep", str(task.folder)],
        more={"parameters": parameters},
        notes="size is of the float32 weights; latency and sweep through neuralforecast's own predict",
    )


def _tuned(task: Task, frames: Frames, auto: Any) -> tuple[dict[str, Any], float, Any]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    started = time.perf_counter()
    most = int(np.clip(task.budget * STEPS_PER_SECOND[task.options["method"]], FEWEST, MOST))
    tuner = auto(
        h=task.horizon,
        loss=MAE(),
        config=lambda trial: _config(trial, task, frames, most),
        search_alg=optuna.samplers.TPESampler(seed=task.seed),
        num_samples=1000,
        time_budget=task.budget,
        backend="optuna",
    )
    fitted = NeuralForecast(models=[tuner], freq="D")
    fitted.fit(frames.before(task.test[0]), static_df=frames.static, val_size=task.test[0] - task.validation[0])
    study = fitted.models[0].results
    trials = [t for t in study.trials if t.value is not None]
    config = study.best_trial.user_attrs["ALL_PARAMS"]
    config = {k: v for k, v in config.items() if k not in (*QUIET, "random_seed", "h", "loss", "valid_loss")}
    validation = _forecast(task, frames, fitted, task.validation)
    chosen = {"config": config, "trials": len(trials), "validation_wape": task.wape(validation, task.validation)}
    return chosen, time.perf_counter() - started, validation


def _config(trial: optuna.Trial, task: Task, frames: Frames, most: int) -> dict[str, Any]:
    """The Auto classes' own ranges, kept to what two cores can train; windows of one to four months."""
    common = {
        "input_size": trial.suggest_categorical("input_size", [28, 56, 112]),
        "learning_rate": trial.suggest_float("learning_rate", 5e-4, 1e-2, log=True),
        "max_steps": trial.suggest_int("max_steps", max(1, most // 2), most),
        "scaler_type": trial.suggest_categorical("scaler_type", ["standard", "robust", "minmax"]),
        "batch_size": 32,
        "windows_batch_size": 256,
        "val_check_steps": most,
        "random_seed": task.seed + 1,
        "futr_exog_list": frames.futr,
        "hist_exog_list": frames.hist or None,
        "stat_exog_list": frames.stat or None,
        **QUIET,
    }
    if task.options["method"] == "autolstm":
        sizes = {
            "encoder_hidden_size": trial.suggest_categorical("encoder_hidden_size", [16, 32, 64, 128]),
            "encoder_n_layers": trial.suggest_int("encoder_n_layers", 1, 3),
            "decoder_hidden_size": trial.suggest_categorical("decoder_hidden_size", [16, 32, 64, 128]),
        }
    elif task.options["method"] == "nhits":
        pool = trial.suggest_categorical("pool", list(POOLS))
        width = trial.suggest_categorical("width", [64, 128, 256, 512])
        sizes = {
            "n_pool_kernel_size": POOLS[pool] if isinstance(pool, str) else pool,  # first a mock trial asks
            "mlp_units": 3 * [[width, width]],
        }
    else:
        sizes = {
            "hidden_size": trial.suggest_categorical("hidden_size", [16, 32, 64]),
            "n_head": trial.suggest_categorical("n_head", [2, 4]),
            "dropout": trial.suggest_float("dropout", 0.0, 0.3),
        }
        common["windows_batch_size"] = 128
    return {**common, **sizes}


def _forecast(task: Task, frames: Frames, fitted: NeuralForecast, origins: list[int]) -> Any:
    parts = [frames.laid(fitted.predict(**frames.request(origin)), origin) for origin in origins]
    return task.closed_as_zero(np.stack(parts), origins)


def _latency(task: Task, frames: Frames, fitted: NeuralForecast, keep: int) -> dict[str, float]:
    """One series through the library's own predict, frames and all."""
    name = task.ids[int(np.argsort(task.y.sum(1))[len(task.ids) // 2])]
    request = frames.request(task.test[-1], keep)
    one = {key: frame[frame["unique_id"] == name].reset_index(drop=True) for key, frame in request.items()}
    return timing.latency(lambda: fitted.predict(**one))
