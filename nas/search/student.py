"""Making a student of a trial: export, measure in its final form, verify on the device, score, pack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nas.architecture import Architecture
from nas.data.intervals import paired_sums
from nas.data.metrics import METRICS
from nas.data.scorecard import Scorecard
from nas.data.shift import shift
from nas.devices.measurement import Measurement
from nas.errors import Conflict
from nas.export.package import Checked, Package, pack
from nas.export.report import Report, Rival, report_files, rivals_of
from nas.request import SearchRequest
from nas.search.distil import Distilled
from nas.search.finish import Finish, Finished, finish
from nas.search.forms import Form, compiled, forms_of
from nas.search.forms import verified as on_devices
from nas.search.objectives import costs
from nas.search.study import trial_seed
from nas.search.workshop import Workshop, measured
from nas.store.rows import Job, Trial

PLAIN = Architecture(
    cell="lstm",
    layers=1,
    hidden=128,
    window=56,
    features=("calendar", "discount", "promotion"),
    embedding=0,
    head=0,
    decoder="plain",
)
"""What a user would deploy without a search: one LSTM layer of 128 units, trained alike."""


def make_student(  # a trial, its weights, and what it is compared with
    job: Job,
    trial: Trial,
    made: Finished,
    request: SearchRequest,
    shop: Workshop,
    plain: dict[str, Any] | None,
    distilled: Distilled | None = None,
) -> tuple[bytes, dict[str, Any]]:
    """Export, measure, verify, compare and pack one trial.

    Args:
        made: What is shipped; the plain LSTM beside it is trained alike.
        plain: The plain LSTM's figures from an earlier student that was made so on the same devices.
        distilled: How the weights came to be, where a teacher took part.

    Returns:
        The package as a zip file, and what to show of it.

    Raises:
        CandidateFault: A device computes something else than the trainer.
        DeviceFault: A device cannot be used.
    """
    architecture = Architecture.from_dict(trial.architecture)
    shop.tell("export")
    forms = forms_of(architecture, made, shop, request.training.quantiles)
    shop.tell("measure and verify")
    found = {precision: measured(form.artifact, shop) for precision, form in forms.items()}
    verified = {precision: on_devices(form, shop) for precision, form in forms.items()}
    checks = {
        device: Checked(
            measured={precision: seen[device].to_dict() for precision, seen in found.items()},
            verified={precision: seen[device].to_dict() for precision, seen in verified.items()},
        )
        for device in shop.devices
    }
    if plain is None:
        shop.tell("train the plain LSTM beside it")
        plain = _plain(request, made.plan, shop)
    chosen = architecture.precision
    winner = {**_figures(forms[chosen], found[chosen]), "parameters": (trial.training or {}).get("parameters")}
    shown = {name: figure for name, figure in plain.items() if name != "series_errors"}
    shown["pair"] = _pair(forms[chosen], plain)
    beside = {"student": winner, "plain_lstm": shown, **_baselines(forms[chosen].test)}
    shop.tell("pack")
    package = Package(
        name=f"student-{job.id}",
        architecture=architecture,
        panel=shop.own,
        split=shop.split,
        data=request.data,
        models={precision: form.onnx for precision, form in forms.items()},
        compiled=compiled(forms),
        weights=forms[chosen].weights,
        checks=checks,
        scorecards={p: {"validation": f.validation.to_dict(), "test": f.test.to_dict()} for p, f in forms.items()},
        beside=beside,
        report=report_files(_report(f"student-{job.id}", forms[chosen], plain, shop)),
        training=made.recipe,
        origin={"search": job.search_id, "trial": job.trial, "sampler": request.sampler, "seed": request.seed},
        distilled={**distilled.report, **distilled.recipe} if distilled else None,
    )
    result = {
        "architecture": architecture.to_dict(),
        "devices": list(shop.devices),
        "precision": chosen,
        "store": shop.store,
        "beside": {**beside, "plain_lstm": {**shown, "series_errors": plain.get("series_errors")}},
        "verification": {device: check.verified for device, check in checks.items()},
    }
    if distilled:
        cost = {"student": costs(found[chosen]), "teacher": distilled.teacher_cost or "not measured"}
        result["distilled"] = {**distilled.report, "cost": cost}
    return pack(package), result


def require_scored(trial: Trial) -> str:
    """The weights' digest of a trial that can become a student.

    Raises:
        Conflict: It was never trained and scored.
    """
    if trial.weights is None or trial.stage != "scored":
        raise Conflict(
            f"Trial {trial.number} of search {trial.search_id} is {trial.stage}, so it has no trained weights; "
            f"choose one that `nas front {trial.search_id}` shows."
        )
    return trial.weights


def _plain(request: SearchRequest, plan: Finish, shop: Workshop) -> dict[str, Any]:
    """The plain LSTM, trained with the same budget on the same weeks, measured on the same devices."""
    made = finish(PLAIN, plan, trial_seed(request.seed, 0), shop)
    form = forms_of(PLAIN, made, shop, request.training.quantiles)["fp32"]
    figures = _figures(form, measured(form.artifact, shop))
    errors = [float(f"{error:.6g}") for error in form.errors[0]]
    return {**figures, "parameters": made.parameters, "series_errors": errors}


def _figures(form: Form, measured: Mapping[str, Measurement]) -> dict[str, Any]:
    return {**form.test.overall, "validation_wape": form.validation.overall["wape"], **costs(measured)}


def _report(name: str, form: Form, plain: Mapping[str, Any], shop: Workshop) -> Report:
    """The chosen form beside the plain LSTM and the baselines."""
    figures = {metric: plain.get(metric) for metric in METRICS}
    clock, validation, test = shop.own.clock, form.validation, form.test
    wapes = {
        "student": (validation.overall["wape"], test.overall["wape"]),
        "plain_lstm": (plain.get("validation_wape"), plain.get("wape")),
        **{key: (validation.baselines[key]["wape"], test.baselines[key]["wape"]) for key in test.baselines},
    }
    return Report(
        title=name,
        about=f"{form.artifact.architecture}, {shop.split.horizon} {clock.unit}s ahead",
        clock=clock,
        validation=validation,
        test=test,
        rivals=(Rival(name="plain 1x128 LSTM", figures=figures, pair=_pair(form, plain)), *rivals_of(test, clock)),
        shift=shift(shop.own, shop.split, wapes, "student"),
        drawings=form.drawings,
    )


def _pair(form: Form, plain: Mapping[str, Any]) -> dict[str, Any] | None:
    """How the student's WAPE compares with the plain LSTM's; None beside figures of an earlier version."""
    others = plain.get("series_errors")
    return None if others is None else paired_sums(form.errors[0], np.asarray(others), form.errors[1]).to_dict()


def _baselines(test: Scorecard) -> dict[str, Any]:
    return {name: {**figures, "pair": test.against[name]} for name, figures in test.baselines.items()}
