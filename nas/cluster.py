"""Where training runs: a Dask cluster, on this computer by default. The only importer of ``distributed``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar
from urllib.parse import urlsplit

from nas.errors import ControllerFault, RequestError
from nas.settings import Settings

P = ParamSpec("P")
R = TypeVar("R")
_WORKERS_ENVIRONMENT = {
    **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
    "MALLOC_TRIM_THRESHOLD_": str(2**30),
    "MALLOC_MMAP_THRESHOLD_": str(2**25),
}
"""One thread each, whatever the service was started with. Dask's own setting for malloc gives memory back after each
operation of a training, which then takes twice as long."""
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Cluster:
    """Runs functions in worker processes, one thread each; starts on first use.

    Args:
        settings: ``cluster`` names a scheduler; empty starts ``train_workers`` processes here.
    """

    def __init__(self, settings: Settings) -> None:
        _refuse_open_link(settings)
        self._settings = settings
        self._client: Any = None
        self._shared: dict[str, Any] = {}

    @property
    def workers(self) -> int:
        """How many calls run at a time."""
        if self._settings.cluster:
            return max(1, len(self._connected().scheduler_info()["workers"]))
        return self._settings.train_workers

    def share(self, name: str, value: Any) -> Any:
        """Bring a large value to the workers once; pass what is returned in its place.

        ``name`` identifies the value, for example by its digest.
        """
        if name not in self._shared:
            self._shared[name] = self._connected().scatter(value, hash=False)
        return self._shared[name]

    def forget(self) -> None:
        """Let go of everything that was shared."""
        self._shared.clear()

    def call(self, function: Callable[..., R], *arguments: Any) -> R:
        """Run a function on a worker and wait for its result; whatever it raises is raised here.

        A call whose worker dies is tried again on another, at most three times.

        Raises:
            ControllerFault: The workers died under it, or the cluster is gone.
        """
        from distributed import KilledWorker  # noqa: PLC0415 as in _connect
        from distributed.client import FutureCancelledError  # noqa: PLC0415

        try:
            result: R = self._connected().submit(function, *arguments, pure=False).result()
        except (KilledWorker, FutureCancelledError, OSError) as error:
            raise ControllerFault(
                f"The training workers died under {function.__name__}, expected a result; look for lack of memory on "
                f"the workers and resume the search ({type(error).__name__})."
            ) from error
        return result

    def close(self) -> None:
        """Stop the local workers, or leave the remote scheduler."""
        if self._client is not None:
            cluster = self._client.cluster
            self._client.close()
            if cluster is not None:
                cluster.close()
            self._client = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _connected(self) -> Any:
        if self._client is None:
            self._client = self._connect()
        return self._client

    def _connect(self) -> Any:
        from distributed import Client, LocalCluster  # noqa: PLC0415 a second that only training needs

        if self._settings.cluster:
            try:
                return Client(self._settings.cluster, timeout="20s", set_as_default=False)
            except (OSError, TimeoutError) as error:
                raise ControllerFault(
                    f"No Dask scheduler answers at NAS_CLUSTER={self._settings.cluster}; start it, or unset "
                    "NAS_CLUSTER to train on this computer."
                ) from error
        with _environment(_WORKERS_ENVIRONMENT):
            local = LocalCluster(
                n_workers=self._settings.train_workers,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                dashboard_address=None,
                scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},  # of its pages: any free port
                silence_logs="CRITICAL",
            )
        return Client(local, set_as_default=False)


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """The nannies take over what the environment says when they are made, before Dask's own settings."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _refuse_open_link(settings: Settings) -> None:
    """Dask's protocol carries pickles: a plain link off this computer lets anybody run code here."""
    if not settings.cluster or settings.cluster_insecure:
        return
    link = urlsplit(settings.cluster)
    if link.scheme != "tls" and link.hostname not in LOOPBACK:
        raise RequestError(
            f"NAS_CLUSTER={settings.cluster} is not encrypted, expected tls://…; use TLS, or set "
            "NAS_CLUSTER_INSECURE=1 on a network that only you can reach."
        )
