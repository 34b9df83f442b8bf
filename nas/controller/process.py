"""One controller as a process: its signals, and the end of its parent."""

from __future__ import annotations

import os
import signal
import stat
import sys
import threading

from nas.controller.claims import Controller
from nas.errors import NasError
from nas.logs import configure
from nas.settings import Settings
from nas.store.database import open_database


def main() -> None:
    """Run one controller until SIGTERM, SIGINT, or the end of its parent."""
    try:
        settings = Settings.from_environment()
    except NasError as error:
        sys.exit(str(error))
    configure(settings.log_level)
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    if stat.S_ISFIFO(os.fstat(0).st_mode):
        threading.Thread(target=_watch_parent, args=(over,), daemon=True).start()
    db = open_database(settings)
    try:
        Controller(settings, db, over).run()
    except NasError as error:
        sys.exit(str(error))
    finally:
        db.close()


def _watch_parent(over: threading.Event) -> None:
    """``nas serve`` holds the other end of our stdin; when it ends, however it ends, so do we."""
    os.read(0, 1)
    over.set()
