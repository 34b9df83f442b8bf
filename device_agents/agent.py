"""The agent: reads requests from stdin, answers on stdout, and holds the device for as long as it lives."""

from __future__ import annotations

import argparse
import fcntl
import functools
import os
import sys
import time
from typing import Any, Callable, Dict, List, Optional, Tuple

from device_agents import energy, installer, jobs, listen, measure, protocol, runtimes, sensors, sweep, timing
from device_agents.blobs import Blobs
from device_agents.gate import Gate
from device_agents.levels import Levels
from device_agents.protocol import Problem
from device_agents.results import Results
from device_agents.sandbox import ForkServer, Hangup
from device_agents.turn import turn

LOCK_WAIT_S = 3.0
_BASELINE_S = 60.0


class Agent:
    """Answers requests, one at a time.

    Args:
        root: Folder for blobs and the lock.
        sysroot: Prefix of /proc and /sys.
        stdin: Descriptor that the requests come from; its end ends a running job.
    """

    def __init__(self, root: str, sysroot: str = "/", stdin: Optional[int] = None) -> None:
        self.ended = False
        self._root = root
        self._sysroot = sysroot
        self._stdin = stdin
        self._blobs = Blobs(os.path.join(root, "blobs"))
        self._results = Results(os.path.join(root, "results"))
        self._lock: Optional[int] = None
        self._servers: Dict[str, ForkServer] = {}
        self._baselines: Dict[Tuple[str, int], float] = {}

    def answer(self, line: Optional[bytes]) -> Dict[str, Any]:
        """Return the reply to a request line (None: it was too long).

        Raises:
            Hangup: The controller has gone in the middle of a job.
        """
        number = None
        try:
            request = protocol.parse(line)
            number = protocol.request_id(request)
            return dict(self._result(protocol.check(request), request), id=number, ok=True)
        except Problem as problem:
            return {"id": number, "ok": False, "error": problem.to_dict()}
        except Hangup:
            raise
        except Exception as error:  # noqa: BLE001 # whatever it is, the controller must hear of it
            broken = Problem("device_broken", "The agent met %s: %.200s." % (type(error).__name__, error))
            return {"id": number, "ok": False, "error": broken.to_dict()}

    def close(self) -> None:
        """Kill the fork servers; their children go with them."""
        while self._servers:
            self._servers.popitem()[1].close()

    def release(self) -> None:
        """Let go of the device and keep the fork servers: the next controller finds the runtimes imported."""
        self.ended = False
        if self._lock is not None:
            fcntl.flock(self._lock, fcntl.LOCK_UN)  # the fork servers have it, too
            os.close(self._lock)
            self._lock = None

    def attend(self, link: int) -> None:
        """Serve one controller that called a warm agent; its end ends a running job."""
        self._stdin = link
        serve(self, link, link)
        self.release()

    def _result(self, verb: str, request: Dict[str, Any]) -> Dict[str, Any]:
        if verb != "hello" and self._lock is None:
            raise Problem("hello_first", "The first request is %s; expected hello with the version." % verb)
        verbs: Dict[str, Callable[[Dict[str, Any]], Dict[str, Any]]] = {
            "hello": self._hello,
            "probe": self._probe,
            "measure": self._measure,
            "sweep": self._sweep,
            "result": lambda request: self._results.get(request["job"]),
            "run": self._run,
            "bye": self._bye,
        }
        return verbs[verb](request)

    def _hello(self, request: Dict[str, Any]) -> Dict[str, Any]:
        if request["protocol"] != protocol.VERSION:
            raise Problem(
                "wrong_version",
                "The controller speaks protocol %.20r and this agent %d; let the controller upload its own agent."
                % (request["protocol"], protocol.VERSION),
            )
        if self._lock is None:
            os.makedirs(self._blobs.folder, mode=0o700, exist_ok=True)
            self._lock = _locked(os.path.join(self._root, "lock"))
            self._blobs.prune()
            installer.delete_agents(self._root, kept=os.path.basename(sys.argv[0]))
        return {"protocol": protocol.VERSION, "pid": os.getpid()}

    def _probe(self, _request: Dict[str, Any]) -> Dict[str, Any]:
        return {"facts": dict(sensors.facts(self._sysroot), runtimes=runtimes.versions())}

    def _measure(self, request: Dict[str, Any]) -> Dict[str, Any]:
        runtime, threads = request["runtime"], request["threads"]
        facts = sensors.facts(self._sysroot)
        job = self._job(request)
        with turn(self._sysroot, request["budget"]["gate_max_seconds"]):
            baseline = self._baseline(runtime, threads)
            child, key = self._children(runtime, request), _key(request, self._servers)
            reply = measure.measure(job, child, self._device(facts), key)
        peak = reply["memory"]["peak_mb"]
        reply["memory"].update(baseline_mb=baseline, model_mb=None if peak is None else max(0.0, peak - baseline))
        named = {name: request[name] for name in ("model", "runtime", "threads")}
        version = self._servers[runtime].ready
        reply.update(fingerprint=dict(facts, protocol=protocol.VERSION, runtime_version=version, **named), **named)
        reply["file_size_kb"] = os.path.getsize(self._blobs.path(request["model"])) / 1000
        self._blobs.prune()
        self._results.put(request["job"], reply)
        return reply

    def _sweep(self, request: Dict[str, Any]) -> Dict[str, Any]:
        runtime, facts = request["runtime"], sensors.facts(self._sysroot)
        with turn(self._sysroot, request["gate_max_seconds"]):
            version = self._server(runtime).ready  # says at once when it is missing, and has read it from the disk
            place = sweep.Place(self._root, self._stdin, self._kept(), request["deadline_s"])
            job = dict(request, **{name: self._blobs.path(request[name]) for name in ("model", "table", "recipe")})
            reply = sweep.sweep(job, self._device(facts), place)
        named = {name: request[name] for name in ("model", "runtime", "threads")}
        reply.update(fingerprint=dict(facts, protocol=protocol.VERSION, runtime_version=version, **named), **named)
        self._blobs.prune()
        self._results.put(request["job"], reply)
        return reply

    def _run(self, request: Dict[str, Any]) -> Dict[str, Any]:
        return self._children(request["runtime"], request)(dict(self._job(request), kind="run"))

    def _job(self, request: Dict[str, Any]) -> Dict[str, Any]:
        """The request as children get it: blobs are verified paths."""
        job = dict(request, **{name: self._blobs.path(request[name]) for name in ("model", "inputs")})
        if job.get("reference"):
            job["reference"] = {name: self._blobs.path(sha) for name, sha in request["reference"].items()}
        return job

    def _children(self, runtime: str, request: Dict[str, Any]) -> measure.Child:
        """Run jobs one after the other, all of them within the one deadline of the request."""
        end = time.monotonic() + request["deadline_s"]
        memory_mb = request["limits"]["memory_mb"]
        return lambda job: self._child(runtime, job, max(0.1, end - time.monotonic()), memory_mb)

    def _device(self, facts: Dict[str, Any]) -> measure.Device:
        state = "|".join(str(facts[name]) for name in ("boot_id", "governor", "power_mode"))
        senses = sensors.Senses(self._sysroot)
        return measure.Device(
            senses,
            Gate(senses),
            energy.find(self._sysroot),
            Levels(os.path.join(self._root, "levels.json"), state),
            facts["emulated"],
        )

    def _bye(self, _request: Dict[str, Any]) -> Dict[str, Any]:
        self.ended = True
        return {}

    def _child(
        self, runtime: str, job: Dict[str, Any], deadline_s: float, memory_mb: Optional[int] = None
    ) -> Dict[str, Any]:
        """Run a job in the runtime's fork server."""
        server = self._server(runtime)
        try:
            return dict(server.run(job, deadline_s, memory_mb, self._stdin))
        except Problem as problem:
            if problem.code == "device_broken":  # a fork server that died or hangs is started anew next time
                self._servers.pop(runtime).close()
            raise

    def _server(self, runtime: str) -> ForkServer:
        """Return the runtime's fork server, which is started first where needed."""
        if runtime not in self._servers:
            module = runtimes.find(runtime)
            prepare = functools.partial(timing.prepare, module)
            work = functools.partial(jobs.work, module, self._sysroot)
            self._servers[runtime] = ForkServer(prepare, work, keep=self._kept())
        return self._servers[runtime]

    def _kept(self) -> Tuple[int, ...]:
        """Descriptors that every child keeps: the device is free when the last of them is gone."""
        return () if self._lock is None else (self._lock,)

    def _baseline(self, runtime: str, threads: int) -> float:
        """Return the peak memory in MB of the identity model in this runtime, measured once."""
        if (runtime, threads) not in self._baselines:
            blobs = {"model": runtimes.find(runtime).IDENTITY_MODEL, "inputs": runtimes.identity_inputs()}
            job: Dict[str, Any] = {name: self._blobs.path(self._blobs.add(blob)) for name, blob in blobs.items()}
            job.update(threads=threads)
            try:
                found = measure.peak(job, lambda job: self._child(runtime, job, _BASELINE_S))
            except Problem as problem:
                if problem.code == "runtime_missing":
                    raise
                message = "The device cannot even run an identity model: %s" % problem.message
                raise Problem("device_broken", message) from problem
            self._baselines[runtime, threads] = found["peak_mb"]
        return self._baselines[runtime, threads]


def _key(request: Dict[str, Any], servers: Dict[str, ForkServer]) -> str:
    """What the usual level of a reference depends on, besides the state of the device."""
    if request["reference"] is None:
        return ""
    version = servers[request["runtime"]].ready
    return "%s %s %d %s" % (request["runtime"], version, request["threads"], request["reference"]["model"])


def _locked(path: str) -> int:
    """Return a descriptor that holds the exclusive lock on ``path``.

    Raises:
        Problem: ``device_busy`` when another agent holds it for longer than ``LOCK_WAIT_S``.
    """
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    end = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                os.close(lock)
                message = "Another agent holds the device; wait until it is done, or end the other controller."
                raise Problem("device_busy", message) from None
            time.sleep(0.05)
        else:
            return lock


def serve(agent: Agent, stdin: int, stdout: int) -> None:
    """Answer every line until bye, or until the controller has gone."""
    lines = protocol.Lines()
    try:
        while not agent.ended:
            chunk = os.read(stdin, 65536)
            if not chunk:
                return
            for line in lines.feed(chunk):
                reply = memoryview(protocol.encode(agent.answer(line)))
                while reply:
                    reply = reply[os.write(stdout, reply) :]
                if agent.ended:
                    return
    except (Hangup, BrokenPipeError, ConnectionResetError):
        return


def main(arguments: Optional[List[str]] = None) -> None:
    """Serve one controller over stdin and stdout; everything else that is printed goes to stderr."""
    parser = argparse.ArgumentParser(prog="agent.pyz", description="Measures models on this device; see PROTOCOL.md.")
    parser.add_argument("--root", required=True, help="folder for blobs and the lock")
    parser.add_argument("--sysroot", default="/", help="prefix of /proc and /sys, for scripted sensors")
    parser.add_argument("--listen", action="store_true", help="stay warm: wait for controllers on a socket there")
    options = parser.parse_args(arguments)
    replies = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    root = os.path.abspath(options.root)
    agent = Agent(root, options.sysroot, stdin=0)
    try:
        if options.listen:
            listen.listen(root, agent.attend)
        elif not listen.pass_on(root, 0, replies):
            serve(agent, 0, replies)
    finally:
        agent.close()
