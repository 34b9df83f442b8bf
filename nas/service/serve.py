"""Runs the service, and beside it one controller that it keeps alive."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

import structlog
import uvicorn

from nas.errors import RequestError
from nas.logs import configure
from nas.service.app import create_app
from nas.service.local_only import is_loopback
from nas.settings import Settings

_CONTROLLER = (sys.executable, "-m", "nas.controller")
_GRACE = 15.0  # seconds that a controller gets to give its work back
_LONGEST_PAUSE = 30.0  # seconds between two starts of a controller that keeps dying
_log = structlog.get_logger(__name__)


def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM, with one controller as a child process.

    Raises:
        RequestError: The host is not loopback, or the port cannot be had; nothing was started.
        ControllerFault: The database does not open.
    """
    with listening(settings.host, settings.port) as listener:
        configure(settings.log_level)
        _log.info("serving", url=f"http://{settings.host}:{listener.getsockname()[1]}", documentation="/docs")
        app = create_app(settings)
        server = uvicorn.Server(uvicorn.Config(app, log_level=settings.log_level.lower(), access_log=False))
        # uvicorn ends in peace and then sends itself the signal again: as an exception it
        # leaves through the contexts here, and the controller is stopped.
        signal.signal(signal.SIGTERM, _leave)
        with supervised(_CONTROLLER, environment(settings)), suppress(KeyboardInterrupt):
            server.run(sockets=[listener])


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """Bind the service's socket; port 0 takes any free one.

    Raises:
        RequestError: The host is not loopback, or the port cannot be had.
    """
    if not is_loopback(f"//[{host}]" if ":" in host else f"//{host}"):
        raise RequestError(
            f"The service cannot listen on {host}: it knows no logins yet, so only loopback is allowed; "
            "set NAS_HOST to 127.0.0.1 and reach it from elsewhere through an SSH tunnel."
        )
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a restart need not wait for old connections
        try:
            listener.bind((host, port))
            listener.listen(128)  # now, so that a second service on this port fails here too
        except OSError as error:
            raise RequestError(
                f"Port {port} on {host} cannot be had: {(error.strerror or str(error)).lower()}; "
                "stop the other service, or set NAS_PORT to a free port (and NAS_URL for the command line)."
            ) from error
        yield listener


def environment(settings: Settings) -> dict[str, str]:
    """This process's environment with these very settings in it, for a child."""
    ours = {f"NAS_{name.upper()}": str(value) for name, value in settings.model_dump().items()}
    # Without the safe path, a folder named nas where the user stands would be imported in our place.
    return {**os.environ, **ours, "NAS_HOME": str(settings.folder), "PYTHONSAFEPATH": "1"}


@contextmanager
def supervised(command: tuple[str, ...], env: Mapping[str, str]) -> Iterator[None]:
    """Keep one child process running for as long as the context is open.

    A child that dies is started again after a pause that doubles up to half a minute. Its stdin is a pipe
    that nothing is written to: end of file there tells it that this process is gone, even after kill -9.
    """
    over = threading.Event()
    thread = threading.Thread(target=_keep_alive, args=(command, env, over), name="supervisor")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _keep_alive(command: tuple[str, ...], env: Mapping[str, str], over: threading.Event) -> None:
    pause = 1.0
    while not over.is_set():
        started = time.monotonic()
        # A group of its own: Ctrl-C in the terminal reaches us alone, and we stop it in order.
        with subprocess.Popen(command, stdin=subprocess.PIPE, env=dict(env), process_group=0) as child:  # noqa: S603 - our own interpreter and module
            code = _wait(child, over)
        if over.is_set():
            return
        pause = 1.0 if time.monotonic() - started > 60 else min(2 * pause, _LONGEST_PAUSE)
        _log.warning("controller ended, starting it again", exit_code=code, pause_s=pause)
        over.wait(pause)


def _wait(child: subprocess.Popen[bytes], over: threading.Event) -> int:
    """Wait for the child to end by itself, or end it when it is over."""
    while child.poll() is None and not over.wait(0.2):
        pass
    child.terminate()
    try:
        return child.wait(_GRACE)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()


def _leave(_signal: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(0)
