"""A sales table that was uploaded, or added by its path: a row of the store, and a file.

:func:`fetch` puts the file where :func:`load` looks for it: a link under the cache, by the name that its user
knows. So a source needs no database, and what is wrong with the file is said of a name that means something.
"""

from __future__ import annotations

from pathlib import Path

from nas.data.long_table import LongTable
from nas.data.sources import table
from nas.errors import DataError, NotFound
from nas.request import DataSpec
from nas.store import Blobs, Dataset
from nas.store.blobs import digest_of


def load(spec: DataSpec, cache: Path) -> LongTable:
    """Read the table of data set ``spec.dataset``; its columns are what ``spec`` says they are.

    Raises:
        DataError: It was not fetched here, or cannot be read as a table.
    """
    return table.load(as_table(spec, cache), cache)


def as_table(spec: DataSpec, cache: Path) -> DataSpec:
    """The same description of a plain table: the file that was fetched, in place of the number.

    Raises:
        DataError: It was not fetched here.
    """
    links = sorted(_folder(cache, spec.dataset or 0).glob("*"))
    if not links:
        raise DataError(
            f"Data set {spec.dataset} is not on this computer; expected it to be read by a controller: start a search."
        )
    return spec.model_copy(update={"source": "table", "dataset": None, "path": str(links[0])})


def fetch(dataset: Dataset, blobs: Blobs, cache: Path) -> Path:
    """Put the file of a data set where :func:`load` looks for it, and return its place there.

    Raises:
        DataError: The file is gone, or is no longer what was added.
    """
    try:
        file = Path(dataset.path) if dataset.path else blobs.path(dataset.digest)
    except NotFound as error:
        raise DataError(f"The file of data set {dataset.id} ({dataset.name}) is gone; add it again.") from error
    try:
        there = file.is_file()
    except OSError:  # a folder that may no longer be entered
        there = False
    if not there:
        raise DataError(f"Data set {dataset.id} is no longer at {file}; put the file back, or add it from where it is.")
    if digest_of(file) != (dataset.digest, dataset.size):
        raise DataError(f"{file} has changed since it was added as data set {dataset.id}; add it again.")
    suffix = f".{dataset.format}"
    name = dataset.name if dataset.name.lower().endswith(suffix) else f"{dataset.name}{suffix}"
    link = _folder(cache, dataset.id) / name
    link.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not link.is_symlink():
        link.symlink_to(file)
    return link


def _folder(cache: Path, id_: int) -> Path:
    return cache / "datasets" / str(id_)
