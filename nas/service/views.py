"""What the service shows of searches, trials, fronts, students and data sets."""

from datetime import UTC, datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from nas.store import Dataset, Job, Search, TrialStage, WorkState

_OPEN = (TrialStage.proposed, TrialStage.measured, TrialStage.trained)


class _View(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class Best(_View):
    """The best value of one metric among the feasible trials."""

    trial: int
    value: float


class Progress(_View):
    """How far a search is."""

    asked: int = Field(description="Trials asked for.")
    finished: int = Field(description="Trials that are scored, turned away or failed.")
    stages: dict[TrialStage, int] = Field(description="How many trials stand at each stage.")
    best: dict[str, Best] = Field(description="Objective -> best so far among feasible trials.")
    elapsed_seconds: float | None = Field(description="Since a controller first took it up, until its end.")
    eta_seconds: float | None = Field(description="Expected seconds to the end, while running.")
    seconds_per_stage: dict[str, float] = Field(
        description="Work so far, summed over trials; stages overlap, and `wall` is the time that all of it took."
    )


class _SearchHead(_View):
    id: int = Field(examples=[7])
    name: str = Field(examples=["spring"])
    state: WorkState
    wants: Literal["pause", "cancel"] | None = Field(description="Asked for, and done when the step in hand ends.")
    reason: str | None = Field(description="Why it is paused or failed.")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class SearchSummary(_SearchHead):
    """One search in a list."""

    asked: int = Field(description="Trials asked for.")
    finished: int = Field(description="Trials that are scored, turned away or failed.")

    @classmethod
    def of(cls, search: Search, stages: dict[TrialStage, int]) -> "SearchSummary":
        """Show one row; ``stages`` counts its trials."""
        return cls(**_head(search), asked=search.request["trials"], finished=_finished(stages))


class SearchView(_SearchHead):
    """One search: its state, its request, and how far it is."""

    request: dict[str, Any] = Field(description="The request as it was accepted, defaults filled in.")
    space: dict[str, Any] = Field(description="The search space as it was resolved.")
    progress: Progress

    @classmethod
    def of(cls, search: Search, stages: dict[TrialStage, int], best: dict[str, tuple[int, float]]) -> "SearchView":
        """Show one row with its trials summed up."""
        elapsed, finished, asked = _elapsed(search), _finished(stages), search.request["trials"]
        eta = None
        if search.state == WorkState.running and finished:
            # The time of work, not since the start: pauses and outages do not count.
            eta = search.timings.get("wall", 0.0) / finished * max(0, asked - finished)
        progress = Progress(
            asked=asked,
            finished=finished,
            stages=stages,
            best={metric: Best(trial=number, value=value) for metric, (number, value) in best.items()},
            elapsed_seconds=elapsed,
            eta_seconds=eta,
            seconds_per_stage=search.timings,
        )
        return cls(**_head(search), request=search.request, space=search.space, progress=progress)


class FrontPoint(_View):
    """One trial of a front."""

    number: int = Field(description="Number of the trial.")
    architecture: dict[str, Any]
    values: dict[str, float | None] = Field(description="Metric -> value, as of a trial.")


class FrontView(_View):
    """The non-dominated trials by the first objective, as the controller stored them last."""

    objectives: list[str] = Field(description="All to be minimised.")
    points: list[FrontPoint] = Field([], description="Empty until the first feasible trial is scored.")
    hypervolume: float | None = Field(None, description="Volume that the front dominates up to `reference`.")
    reference: list[float] | None = Field(None, description="The reference point, one value per objective.")
    recommended: int | None = Field(None, description="The trial that a student is made of unless one is named.")

    @classmethod
    def of(cls, search: Search) -> "FrontView":
        """Show the front of one row."""
        return cls.model_validate(search.front or {"objectives": search.request["objectives"]})


class TrialView(_View):
    """One trial with all that is known of it."""

    search_id: int
    number: int
    stage: TrialStage
    architecture: dict[str, Any]
    measurements: dict[str, dict[str, Any]] = Field(description="Device -> what it measured.")
    values: dict[str, float | None] = Field(
        description="Metric -> value, null where it was never found out: the worst of all devices as `size_kb`, and "
        "with several devices each one's own as `size_kb@pi4`."
    )
    violations: dict[str, float] = Field(description="Constraint -> how far beyond its bound; positive is violated.")
    feasible: bool | None = Field(description="Whether all constraints hold; null until decided.")
    scorecard: dict[str, Any] | None
    training: dict[str, Any] | None
    weights: str | None = Field(description="SHA-256 of the trained weights.")
    reason: str | None = Field(description="Why it was turned away or failed.")
    attempts: int = Field(description="How often a device was asked to measure it.")
    timings: dict[str, float] = Field(description="Seconds per stage.")
    created_at: datetime
    finished_at: datetime | None


class StudentView(_View):
    """The export of one trial."""

    id: int = Field(examples=[3])
    state: WorkState
    search: int
    trial: int
    devices: list[str] = Field(description="Where it is measured and verified.")
    teacher: int | None = Field(description="Who taught it, if anybody.")
    progress: dict[str, Any]
    result: dict[str, Any] | None = Field(description="What the verification found, once completed.")
    package: str | None = Field(description="SHA-256 of the zip file at `/package`, once completed.")
    reason: str | None = Field(description="Why it failed.")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, job: Job) -> "StudentView":
        """Show one row."""
        fields = {name: getattr(job, name) for name in cls.model_fields if hasattr(job, name)}
        asked = job.request
        return cls(**fields, search=job.search_id, devices=asked["devices"], teacher=asked.get("teacher"))


class TeacherView(_View):
    """One teacher: a model that was trained here, or forecasts that were imported."""

    id: int = Field(examples=[4])
    kind: Literal["trained", "imported"]
    state: WorkState
    search: int | None = Field(description="Whose data it learned; null where it has data of its own.")
    request: dict[str, Any] = Field(description="What was asked for, with what the search filled in.")
    progress: dict[str, Any] = Field(description="Step, and while it trains epoch and best WAPE so far.")
    result: dict[str, Any] | None = Field(
        description="Once completed: accuracy on training and validation, cost on its devices (null: not measured), "
        "and of an imported one the share of in-sample forecasts."
    )
    reason: str | None = Field(description="Why it failed.")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, job: Job) -> "TeacherView":
        """Show one row."""
        asked = {"kind": job.request["kind"], "search": job.search_id}
        fields = {name: getattr(job, name) for name in cls.model_fields if hasattr(job, name)}
        return cls(**{**fields, **asked})


class DatasetSummary(_View):
    """One sales table in a list."""

    id: int = Field(examples=[3])
    name: str = Field(examples=["sales.csv"])
    format: Literal["csv", "parquet"]
    digest: str = Field(description="SHA-256 of the file.")
    size: int = Field(description="Bytes.")
    path: str | None = Field(description="Where it lies on this computer; null: it was uploaded.")
    state: WorkState = Field(description="Of the look at it: a search may be started before that is completed.")
    reason: str | None = Field(description="Why it cannot be used.")
    created_at: datetime

    problems: int | None = Field(description="How many stand in the way of a search; null until it was looked at.")

    @classmethod
    def of(cls, dataset: Dataset, job: Job) -> Self:
        """Show one row, and how far the look at it is."""
        return cls(**_dataset(dataset, job))


class DatasetView(DatasetSummary):
    """One sales table: what its columns mean, what is in it and what is wrong with it."""

    description: dict[str, Any] = Field(description="What its columns mean: the defaults of a search's `data`.")
    profile: dict[str, Any] | None = Field(
        description="What is in it, and under `problems` what is wrong with it by row and column; once completed."
    )

    @classmethod
    def of(cls, dataset: Dataset, job: Job) -> Self:
        """Show one row, and what was found in it."""
        return cls(**_dataset(dataset, job), description=dataset.description, profile=job.result)


def _dataset(dataset: Dataset, job: Job) -> dict[str, Any]:
    own = {name: getattr(dataset, name) for name in DatasetSummary.model_fields if hasattr(dataset, name)}
    problems = None if job.result is None else len(job.result.get("problems", ()))
    return {**own, "state": job.state, "reason": job.reason, "problems": problems}


def _head(search: Search) -> dict[str, Any]:
    return {name: getattr(search, name) for name in _SearchHead.model_fields}


def _finished(stages: dict[TrialStage, int]) -> int:
    return sum(number for stage, number in stages.items() if stage not in _OPEN)


def _elapsed(search: Search) -> float | None:
    if search.started_at is None:
        return None
    return ((search.finished_at or datetime.now(UTC)) - search.started_at).total_seconds()
