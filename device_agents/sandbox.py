"""A fork server with the runtime imported once, and a child of its own for every job.

::

    agent ── jobs ──► fork server ── fork ──► child: session and process group of its own, limits
      ▲                   │    ◄── result ──┘
      └───── outcomes ────┘        killed at its deadline, when it dies, and when the agent goes

The agent itself never loads a model, so nothing that a model does can take it down. When the
agent dies, even by SIGKILL, the fork server reads the end of its jobs and takes the child
along; when the fork server dies, the kernel kills the child (PR_SET_PDEATHSIG).
The agent's lock is inherited on purpose: the device is free when the last of them is gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import sys
import time
from typing import Any, Callable, Dict, List, NoReturn, Optional, Tuple

from device_agents.protocol import Lines, Problem, encode

MAX_RESULT = 64 * 1024 * 1024
START_S = 120.0
"""Seconds that importing a runtime may take on the slowest board."""
_GRACE_S = 10.0
_END_S = 2.0
_POLLHUP = select.POLLHUP | getattr(select, "POLLRDHUP", 0)


class Hangup(Exception):
    """The controller has gone while a job was running."""


class ForkServer:
    """One runtime's fork server, as the agent sees it.

    Args:
        prepare: Runs once in the fork server; what it returns is kept as ``ready``.
        work: Runs in a child for every job; gets the job, returns plain JSON values.
        keep: Descriptors besides stderr that the fork server may keep open.
    """

    def __init__(self, prepare: Callable[[], Any], work: Callable[[Any], Any], keep: Tuple[int, ...] = ()) -> None:
        jobs, self._jobs = os.pipe()
        self._outcomes, outcomes = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _become_server(jobs, outcomes, keep, prepare, work)
        os.close(jobs)
        os.close(outcomes)
        self._lines = Lines(MAX_RESULT)
        self.ready: Any = None
        try:
            self.ready = self._outcome(START_S, None)
        except BaseException:
            self.close()
            raise

    def run(self, job: Any, deadline_s: float, memory_mb: Optional[int] = None, hangup: Optional[int] = None) -> Any:
        """Run a job in a child of its own and return its result.

        Args:
            job: Plain JSON values, handed to ``work``.
            deadline_s: Seconds after which the child is killed.
            memory_mb: Address space that the child may take beyond the fork server's; None is no limit.
            hangup: A descriptor; when its other end is closed, the job is given up.

        Raises:
            Problem: What ``work`` raised; ``deadline``, ``crashed``; ``device_broken`` when the fork server died.
            Hangup: The other end of ``hangup`` was closed.
        """
        message = {"job": job, "deadline_s": deadline_s, "memory_mb": memory_mb}
        try:
            os.write(self._jobs, encode(message))
        except BrokenPipeError:
            raise _server_died() from None
        return self._outcome(deadline_s + _GRACE_S, hangup)

    def close(self) -> None:
        """Let the fork server end, as it does when its jobs end, and with it what its child started; or kill it."""
        for descriptor in (self._jobs, self._outcomes):
            os.close(descriptor)
        reap(self.pid, _END_S)

    def _outcome(self, seconds: float, hangup: Optional[int]) -> Any:
        poller = select.poll()
        poller.register(self._outcomes, select.POLLIN)
        if hangup is not None:
            poller.register(hangup, _POLLHUP)
        end = time.monotonic() + seconds
        while True:
            ready = dict(poller.poll(max(0.0, end - time.monotonic()) * 1000))
            if self._outcomes in ready:
                chunk = os.read(self._outcomes, 1 << 20)
                if not chunk:
                    raise _server_died()
                for line in self._lines.feed(chunk):
                    return opened(line)
            elif ready:
                raise Hangup
            elif time.monotonic() >= end:
                raise Problem(
                    "device_broken", "The fork server on the device does not answer; is the device overloaded?"
                )


def _server_died() -> Problem:
    return Problem("device_broken", "The fork server on the device died; look for out-of-memory kills in its log.")


def opened(line: Optional[bytes]) -> Any:
    """Return the result in an outcome, or raise the problem in it."""
    if line is None:
        raise Problem("model_failed", "The result has more than %d MiB; expected less." % (MAX_RESULT >> 20))
    outcome = json.loads(line)
    if "problem" in outcome:
        raise Problem(**outcome["problem"])
    return outcome["result"]


def _become_server(jobs: int, outcomes: int, keep: Tuple[int, ...], prepare: Any, work: Any) -> NoReturn:
    """Never return: serve jobs in this process until the agent closes the pipe or dies."""
    status = 1
    try:
        _close_all_but((2, jobs, outcomes, *keep))
        os.environ["OPENBLAS_NUM_THREADS"] = "1"
        ready = attempt(prepare)
        write(outcomes, ready)
        lines = Lines()
        while "result" in ready:
            chunk = os.read(jobs, 65536)
            if not chunk:
                break
            for line in lines.feed(chunk):
                write(outcomes, _child(json.loads(line or b""), jobs, work))
        status = 0
    finally:
        os._exit(status)


def _close_all_but(kept: Tuple[int, ...]) -> None:
    """Close what was inherited, so that no pipe of another fork server is held open; 0 and 1 go nowhere."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in kept:
            with contextlib.suppress(OSError):  # the descriptor of the listing itself
                os.close(int(name))
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere != 0:
        os.dup2(nowhere, 0)
    os.dup2(2, 1)
    sys.stdout = sys.stderr = os.fdopen(2, "w", closefd=False)


def attempt(step: Callable[[], Any]) -> Dict[str, Any]:
    """Return the outcome of a step: its result, or its problem."""
    try:
        return {"result": step()}
    except Problem as problem:
        return {"problem": {"code": problem.code, "message": problem.message}}
    except MemoryError:
        return {"problem": {"code": "model_failed", "message": "The model needs more memory than its limit."}}
    except Exception as error:  # noqa: BLE001 # the job may be anything; the server must live
        message = "The agent met %s: %.200s." % (type(error).__name__, error)
        return {"problem": {"code": "device_broken", "message": message}}


def _child(order: Dict[str, Any], jobs: int, work: Callable[[Any], Any]) -> Any:
    """Fork a child for one job, wait for it within its deadline, and return its outcome as a line or an object."""
    result, report = os.pipe()
    server = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(result)
            confine(server)
            limit_memory(order["memory_mb"])
            write(report, attempt(lambda: work(order["job"])))
        finally:
            os._exit(0)
    os.close(report)
    data, end = collect(result, jobs, order["deadline_s"])
    os.close(result)
    status = reap(pid, 0.1)
    kill_group(pid)
    if end == "gone":
        os._exit(0)
    return data if data.endswith(b"\n") else lost(end, status, order["deadline_s"])


def lost(end: str, status: int, deadline_s: float) -> Dict[str, Any]:
    """Return the outcome of a process that gave none, by how the waiting for it ended and its exit status."""
    if end == "deadline":
        message = "The model did not finish within its deadline of %g s and was stopped." % deadline_s
        return {"problem": {"code": "deadline", "message": message}}
    return {"problem": {"code": "crashed", "message": _death(status)}}


def limit_memory(memory_mb: Optional[int]) -> None:
    """Let this process take so many MB of address space beyond what it has; None is no limit."""
    if memory_mb is not None:
        with open("/proc/self/statm") as file:
            own = int(file.read().split()[0]) * resource.getpagesize()
        limit = own + memory_mb * 1000000
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def confine(parent: int) -> None:
    """Give this child its own process group, and tie its life to its parent's; both outlast an exec."""
    os.setsid()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")  # when memory runs out, this process goes and the agent stays
    # Without ctypes the fork server still takes this child along when the agent goes.
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(1)


def collect(result: int, hangup: Optional[int], deadline_s: float) -> Tuple[bytes, str]:
    """Read a child's result, one line, or what it wrote of it; return that and why the reading ended.

    It is ``ended``, ``deadline``, or ``gone`` when the other end of ``hangup`` was closed.
    """
    poller = select.poll()
    poller.register(result, select.POLLIN)
    if hangup is not None:
        poller.register(hangup, _POLLHUP)
    chunks: List[bytes] = []
    end = time.monotonic() + deadline_s
    while True:
        left = end - time.monotonic()
        if left <= 0:
            return b"", "deadline"
        for descriptor, _ in poller.poll(left * 1000):
            if descriptor == hangup:
                return b"", "gone"
            chunk = os.read(result, 1 << 20)
            chunks.append(chunk)
            if not chunk or chunk.endswith(b"\n"):  # the end may never come: what the child started has the pipe, too
                return b"".join(chunks), "ended"


def reap(pid: int, seconds: float) -> int:
    """Return the exit status of a child process, which is killed unless it ends within ``seconds``."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return status
        time.sleep(0.001)
    os.kill(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1]


def kill_group(pid: int) -> None:
    """Kill what a child has started and left behind."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _death(status: int) -> str:
    if not os.WIFSIGNALED(status):
        return "The measuring process ended itself (exit code %d); the model cannot run here." % os.WEXITSTATUS(status)
    name = signal.Signals(os.WTERMSIG(status)).name
    why = ", as the kernel does when memory runs out" if name == "SIGKILL" else ""
    return "The measuring process was killed by %s%s; the model cannot run here." % (name, why)


def write(descriptor: int, outcome: Any) -> None:
    """Write an outcome as one line."""
    data = memoryview(outcome if isinstance(outcome, bytes) else encode(outcome))
    while data:
        data = data[os.write(descriptor, data) :]
