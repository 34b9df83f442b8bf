"""The look at a data set that was added: what is in it, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nas.data.profile import examined
from nas.data.sources import dataset as dataset_source
from nas.request import DataSpec
from nas.settings import Settings
from nas.store import Database, Job, WorkState, datasets


def carry_out_profile(settings: Settings, db: Database, job: Job) -> Mapping[str, Any]:
    """Look at the data set of a job; problems in the table are what was looked for, and no failure.

    Raises:
        NotFound: The data set was removed meanwhile.
        DataError: There is no table to read.
    """
    dataset, cache = datasets.of_job(db, job.id), settings.folder / "cache"
    dataset_source.fetch(dataset, db.blobs, cache)
    spec = DataSpec.checked({**dataset.description, "source": "dataset", "dataset": dataset.id})
    return {"state": WorkState.completed, "result": examined(spec, cache).to_dict()}
