"""A fork server with one runtime, in a process of its own as on a device.

The tests' process has imported torch, compilers and every runtime: nothing to fork from.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from device_agents import runtimes
from device_agents.protocol import Problem
from device_agents.sandbox import ForkServer

DEADLINE_S = 120.0


class RuntimeHost:
    """The tests' end. Raises what the fork server raises.

    Args:
        hidden: A module that cannot be imported over there.
    """

    def __init__(self, runtime: str, hidden: str = "") -> None:
        command = [sys.executable, __file__, runtime, hidden]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            self.version = self._answer()
        except Problem:
            self.close()
            raise

    def run(self, model: Path, inputs: Path, threads: int = 1, rests: int = 0) -> dict:
        """Load in a child, run twice, and rest so often; see ``work``."""
        job = {"model": str(model), "inputs": str(inputs), "threads": threads, "rests": rests}
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _answer(self):
        answer = json.loads(self._process.stdout.readline())
        if "problem" in answer:
            raise Problem(*answer["problem"])
        return answer["result"]


def work(runtime, job):
    """In the child: what the model takes, what it gives twice, what ran it, and what its threads burn at rests."""
    import numpy as np

    loaded = runtime.load(job["model"], job["threads"])
    with np.load(job["inputs"]) as archive:
        inputs = dict(archive)
    outputs = [{name: value.tolist() for name, value in loaded.run(inputs).items()} for _ in range(2)]
    resting = [_rest(loaded, inputs) for _ in range(job["rests"])]
    inputs = {spec.name: [spec.dtype, *spec.shape] for spec in loaded.inputs}
    return {"inputs": inputs, "outputs": outputs, "provider": loaded.provider, "resting_s": resting}


def _rest(loaded, inputs):
    """What the threads burn in the moment after an inference."""
    loaded.run(inputs)
    burnt = time.process_time()
    time.sleep(0.2)
    return time.process_time() - burnt


def main() -> None:
    runtime, hidden = runtimes.find(sys.argv[1]), sys.argv[2]
    if hidden:
        sys.modules[hidden] = None
    server = None

    def answer(step):
        try:
            found = {"result": step()}
        except Problem as problem:
            found = {"problem": [problem.code, problem.message]}
        print(json.dumps(found), flush=True)

    def start():
        nonlocal server
        server = ForkServer(runtime.prepare, lambda job: _blamed(lambda: work(runtime, job)))
        return server.ready

    answer(start)
    for line in sys.stdin:
        job = json.loads(line)
        answer(lambda: server.run(job, DEADLINE_S))  # noqa: B023 # called before the next turn
    if server:
        server.close()


def _blamed(step):
    try:
        return step()
    except Problem:
        raise
    except Exception as error:
        raise Problem("model_failed", " ".join(str(error).split())) from error


if __name__ == "__main__":
    main()
