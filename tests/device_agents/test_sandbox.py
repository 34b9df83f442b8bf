"""The fork server: whatever a job does to its own process, the next job finds a working server."""

import os
import resource
import signal
import time
from pathlib import Path

import pytest
from processes import is_alive, wait_until

from device_agents.protocol import Problem, encode
from device_agents.sandbox import ForkServer, Hangup

# The agent forks before it has threads; this test process may have some.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

LONG_S = 60.0
"""A deadline that no test comes to, however busy this computer is."""


def work(job):
    return globals()[job["do"]](**{name: value for name, value in job.items() if name != "do"})


def echo(value):
    return value


def recite(length):
    return "x" * length


def hang():
    time.sleep(600)


def die(number):
    os.kill(os.getpid(), number)


def leave():
    os._exit(7)


def refuse():
    raise Problem("model_failed", "no")


def stumble():
    return 1 // 0


def eat(mb):
    return len(bytearray(mb * 1_000_000))


def chatter():
    print("not the protocol")
    os.write(1, b"nor this\n")
    return "quiet"


def describe():
    return {"group": os.getpgid(0), "pid": os.getpid(), "core": resource.getrlimit(resource.RLIMIT_CORE)}


def leave_a_grandchild():
    pid = os.fork()
    if pid == 0:
        hang()
    return pid


def tell_pid_and_hang(path):
    Path(path).write_text(str(os.getpid()))
    hang()


@pytest.fixture(scope="module")
def server():
    server = ForkServer(lambda: "ready", work)
    yield server
    server.close()


def test_a_result_comes_back(server):
    assert server.ready == "ready"
    assert server.run({"do": "echo", "value": {"a": [1, 2.5, None]}}, LONG_S) == {"a": [1, 2.5, None]}


def test_a_result_of_megabytes_comes_back(server):
    assert server.run({"do": "recite", "length": 3_000_000}, LONG_S) == "x" * 3_000_000


@pytest.mark.parametrize(
    ("job", "code", "words"),
    [
        ({"do": "hang"}, "deadline", "deadline of 0.3 s"),
        ({"do": "die", "number": int(signal.SIGSEGV)}, "crashed", "SIGSEGV"),
        ({"do": "die", "number": int(signal.SIGKILL)}, "crashed", "memory runs out"),
        ({"do": "leave"}, "crashed", "exit code 7"),
        ({"do": "refuse"}, "model_failed", "no"),
        ({"do": "stumble"}, "device_broken", "ZeroDivisionError"),
    ],
)
def test_a_job_that_fails_says_how_and_the_server_lives(server, job, code, words):
    with pytest.raises(Problem, match=words) as failed:
        server.run(job, 0.3 if code == "deadline" else LONG_S)
    assert failed.value.code == code
    assert server.run({"do": "echo", "value": "still here"}, LONG_S) == "still here"


def test_a_memory_bomb_is_stopped_at_its_limit_and_the_server_lives(server):
    with pytest.raises(Problem) as failed:
        server.run({"do": "eat", "mb": 500}, LONG_S, memory_mb=100)
    assert failed.value.code == "model_failed"
    assert server.run({"do": "eat", "mb": 50}, LONG_S, memory_mb=100) == 50_000_000
    assert server.run({"do": "eat", "mb": 200}, LONG_S) == 200_000_000


def test_what_a_job_prints_does_not_reach_the_protocol(server):
    assert server.run({"do": "chatter"}, LONG_S) == "quiet"


def test_every_job_has_a_process_group_of_its_own_and_leaves_no_core(server):
    described = server.run({"do": "describe"}, LONG_S)
    assert described["group"] == described["pid"] != server.pid
    assert described["core"] == [0, 0]


def test_what_a_job_leaves_behind_goes_with_it(server):
    pid = server.run({"do": "leave_a_grandchild"}, LONG_S)
    wait_until(lambda: not is_alive(pid))


def test_a_closed_hangup_descriptor_gives_the_job_up():
    server = ForkServer(lambda: None, work)
    reader, writer = os.pipe()
    os.close(writer)
    with pytest.raises(Hangup):
        server.run({"do": "hang"}, LONG_S, hangup=reader)
    os.close(reader)
    server.close()


def test_when_the_fork_server_is_killed_its_child_goes_too(tmp_path):
    server = ForkServer(lambda: None, work)
    note = tmp_path / "pid"
    job = {"do": "tell_pid_and_hang", "path": str(note)}
    os.write(server._jobs, encode({"job": job, "deadline_s": 600, "memory_mb": None}))
    wait_until(note.exists)
    wait_until(note.read_text)
    os.kill(server.pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(int(note.read_text())))
    with pytest.raises(Problem, match="died") as failed:
        server.run({"do": "echo", "value": 1}, LONG_S)
    assert failed.value.code == "device_broken"
    server.close()


def test_a_server_that_cannot_prepare_says_why():
    def prepare():
        raise Problem("runtime_missing", "install it")

    with pytest.raises(Problem, match="install it"):
        ForkServer(prepare, work)
