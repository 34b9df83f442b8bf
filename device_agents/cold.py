"""A fresh process for one job, as a store starts it: a new interpreter that has imported nothing yet.

::

    agent ── fork ──► waits, confined ── job arrives: exec ──► python3: device_agents.nightly
      ▲                                                            │
      └──────────────── outcome, and the moment of its end ◄───────┘

It is made ready first (cores, cgroup, limits outlast an exec), so that the clock starts with the interpreter.
"""

from __future__ import annotations

import math
import os
import select
import signal
import sys
import time
from typing import Any, Callable, Dict, NamedTuple, NoReturn, Optional, Tuple

import device_agents
from device_agents.protocol import encode
from device_agents.sandbox import Hangup, collect, confine, kill_group, lost, opened, reap

_PROGRAM = "from device_agents.nightly import main; main()"
_END_S = 10.0
"""Seconds that an interpreter may take to end after its outcome."""


class Finished(NamedTuple):
    """What the process reported, and when it was started and had ended, on the monotonic clock."""

    result: Dict[str, Any]
    begin_ns: int
    end_ns: int


class Cold:
    """A process that stands ready; it becomes a fresh interpreter when its job is sent.

    Args:
        before: Runs in it while it waits, such as pinning and joining a cgroup.
        deadline_s: Seconds after which it is killed; it also ends by itself a second later.
        keep: Descriptors that it keeps open, such as the agent's lock.
    """

    def __init__(self, before: Callable[[], None], deadline_s: float, keep: Tuple[int, ...] = ()) -> None:
        self._deadline_s = deadline_s
        job, self._job = os.pipe()
        self._report, report = os.pipe()
        agent = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                os.close(self._job)
                confine(agent)
                signal.alarm(math.ceil(deadline_s) + 1)
                before()
                _become(job, report, keep)
            finally:
                os._exit(127)
        os.close(job)
        os.close(report)

    def run(self, job: Dict[str, Any], hangup: Optional[int] = None) -> Finished:
        """Send the job, wait for the process to end, and return what it reported.

        Raises:
            Problem: What it reported; ``deadline`` or ``crashed``.
            Hangup: The other end of ``hangup`` was closed; the process is killed.
        """
        line = encode(job)
        begin = time.monotonic_ns()
        data, end = collect(self._report, hangup, self._deadline_s) if self._sent(line) else (b"", "ended")
        status = reap(self._pid, _END_S if end == "ended" else 0.0)
        ended = time.monotonic_ns()
        kill_group(self._pid)
        os.close(self._report)
        if end == "gone":
            raise Hangup
        outcome = data if data.endswith(b"\n") else encode(lost(end, status, self._deadline_s))
        return Finished(dict(opened(outcome)), begin, ended)

    def _sent(self, line: bytes) -> bool:
        try:
            os.write(self._job, line)
        except BrokenPipeError:  # it died while it waited
            return False
        finally:
            os.close(self._job)
        return True


def _become(job: int, report: int, keep: Tuple[int, ...]) -> NoReturn:
    """Wait for the job, without reading it, and become an interpreter that finds it on its stdin."""
    os.dup2(job, 0)
    os.dup2(report, 1)
    for descriptor in keep:
        os.set_inheritable(descriptor, True)
    home = os.path.dirname(os.path.dirname(os.path.abspath(device_agents.__file__)))  # in the zipapp: the zipapp
    paths = filter(None, [home, os.environ.get("PYTHONPATH")])
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(paths))
    os.chdir("/")  # -c puts the current folder before all others, and only root can put a module here
    poller = select.poll()
    poller.register(0, select.POLLIN)
    poller.poll()
    os.execve(sys.executable, [sys.executable, "-c", _PROGRAM], environment)  # noqa: S606 # a fixed program, no shell
