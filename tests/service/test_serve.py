import os
import signal
import socket
import subprocess
import sys
import time

import httpx
import pytest
from ports import free_port

from nas.errors import RequestError
from nas.service.serve import environment, listening, serve, supervised
from nas.settings import Settings

# Stands in for the controller: notes each start, and what it learns of its parent.
CONTROLLER = """
import os, sys, pathlib
notes = pathlib.Path(os.environ["NAS_HOME"], "notes")
def note(word):
    with notes.open("a") as file:
        file.write(f"{word} {os.getpid()}\\n")
note("started")
sys.stdin.buffer.read()
note("alone")
"""
SERVICE = f"""
import sys
from nas.service import serve
from nas.settings import Settings
serve._CONTROLLER = (sys.executable, "-c", {CONTROLLER!r})
serve.serve(Settings())
"""


def until(condition):
    """Wait for another process; a minute only bounds a broken run."""
    end = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class Notes:
    def __init__(self, home):
        self._file = home / "notes"

    def of(self, word):
        """Process ids that noted this word."""
        lines = self._file.read_text().splitlines() if self._file.exists() else []
        return [int(line.split()[1]) for line in lines if line.startswith(word)]


@pytest.fixture
def notes(settings):
    return Notes(settings.folder)


@pytest.fixture
def port():
    return free_port()


@pytest.fixture
def service(settings, port, notes):
    """``nas serve`` in a process of its own, answering, and its controller started."""
    home = str(settings.folder)
    env = {"NAS_HOME": home, "NAS_PORT": str(port), "PYTHONPATH": ":".join(sys.path)}
    log = settings.folder / "log"
    with log.open("w") as stderr:
        process = subprocess.Popen([sys.executable, "-W", "error", "-c", SERVICE], env=env, stderr=stderr)

    def answers():
        assert process.poll() is None, log.read_text()
        try:
            return httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    try:
        until(answers)
        until(lambda: notes.of("started"))
        yield process
    finally:
        process.kill()
        process.wait()
        until(lambda: not any(alive(pid) for pid in notes.of("started")))


@pytest.mark.parametrize("signal_", [signal.SIGTERM, signal.SIGINT])
def test_the_service_answers_and_leaves_in_order(service, settings, notes, signal_):
    service.send_signal(signal_)
    assert service.wait() == 0
    assert "Traceback" not in (settings.folder / "log").read_text()
    (controller,) = notes.of("started")
    assert not alive(controller)


def test_the_controller_learns_of_a_kill_of_the_service(service, notes):
    (controller,) = notes.of("started")
    service.kill()
    until(lambda: notes.of("alone") == [controller])


def test_a_controller_that_dies_is_started_again_and_the_log_says_so(service, settings, notes):
    (first,) = notes.of("started")
    os.kill(first, signal.SIGKILL)
    _, second = until(lambda: len(notes.of("started")) == 2 and notes.of("started"))
    assert alive(second)
    service.terminate()
    service.wait()
    log = (settings.folder / "log").read_text()
    assert not alive(second)
    (line,) = [line for line in log.splitlines() if "controller ended" in line]
    assert "level='warning' event='controller ended, starting it again' exit_code=-9" in line  # by nas.logs


def test_a_second_service_on_the_same_port_is_refused(service, settings, port):
    second = settings.model_copy(update={"port": port})
    with pytest.raises(RequestError, match=rf"^Port {port} on 127.0.0.1 cannot be had: address already in use; stop"):
        serve(second)
    assert service.poll() is None


def supervise(script, notes, *, starts=1):
    """Supervise a script until it was started so often, and return its process ids."""
    with supervised((sys.executable, "-c", script), {"NAS_HOME": str(notes._file.parent)}):
        until(lambda: len(notes.of("started")) == starts)
    return notes.of("started")


def test_a_child_that_runs_is_stopped_at_the_end(notes):
    (child,) = supervise(CONTROLLER, notes)
    assert not alive(child)
    assert notes.of("alone") == []


def test_the_child_is_not_told_that_it_is_alone_before_it_is(notes):
    """Its stdin is a pipe that stays open: nothing to read, and no end."""
    script = CONTROLLER.replace(
        "sys.stdin.buffer.read()",
        "import select, stat, time\n"
        "assert stat.S_ISFIFO(os.fstat(0).st_mode)\n"
        "assert select.select([0], [], [], 0.2)[0] == []\n"
        "note('quiet')\n"
        "time.sleep(60)",
    )
    with supervised((sys.executable, "-c", script), {"NAS_HOME": str(notes._file.parent)}):
        until(lambda: notes.of("quiet"))


def test_a_controller_that_ignores_the_signal_is_killed(notes, monkeypatch):
    monkeypatch.setattr("nas.service.serve._GRACE", 0.1)
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + CONTROLLER
    (child,) = supervise(deaf, notes)
    assert not alive(child)


def test_a_controller_of_its_own_group_does_not_hear_the_terminal(notes):
    script = CONTROLLER.replace('note("started")', 'note("started") if os.getpgid(0) == os.getpid() else None')
    assert len(supervise(script, notes)) == 1


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.com", ""])
def test_only_loopback_is_served(settings, host):
    with pytest.raises(RequestError, match=rf"^The service cannot listen on {host}: .*only loopback is allowed; set"):
        serve(settings.model_copy(update={"host": host}))


def test_a_port_in_use_is_one_clear_sentence():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(RequestError, match=rf"^Port {port} on 127.0.0.1 cannot be had: .*; stop the other service"):
            listening("127.0.0.1", port).__enter__()


def test_any_free_port_will_do():
    with listening("127.0.0.1", 0) as listener:
        assert listener.getsockname()[1] > 0


def test_a_child_gets_these_very_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("NAS_TRAIN_WORKERS", "7")
    monkeypatch.setenv("ELSEWHERE", "kept")
    ours = Settings(home=tmp_path / "100% mine", train_workers=3, cluster_insecure=True, lease_ttl=2.5)
    child = environment(ours)
    assert child["ELSEWHERE"] == "kept"
    for name, value in child.items():
        monkeypatch.setenv(name, value)
    assert Settings() == ours
