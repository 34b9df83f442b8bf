"""Measuring has this computer alone; work shares it; whoever waits to measure gets its turn."""

import fcntl
import os
import tempfile
import threading
from pathlib import Path

import pytest
from processes import PATIENCE_S, wait_until

from nas.devices import host_lock
from nas.errors import ControllerFault


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


class Holder(threading.Thread):
    """Holds a lock from when it got it until it is told to let go."""

    def __init__(self, lock):
        super().__init__(daemon=True)
        self.lock, self.got, self.let_go = lock, threading.Event(), threading.Event()
        self.start()

    def run(self):
        with self.lock():
            self.got.set()
            self.let_go.wait(PATIENCE_S)

    def stays_out(self):
        return not self.got.wait(0.1)

    def end(self):
        self.let_go.set()
        self.join()


def test_work_goes_on_beside_work():
    first, second = Holder(host_lock.working), Holder(host_lock.working)
    assert first.got.wait(PATIENCE_S)
    assert second.got.wait(PATIENCE_S)
    first.end()
    second.end()


@pytest.mark.parametrize("other", [host_lock.measuring, host_lock.working])
def test_measuring_is_alone(other):
    first = Holder(host_lock.measuring)
    assert first.got.wait(PATIENCE_S)
    second = Holder(other)
    assert second.stays_out()
    first.end()
    assert second.got.wait(PATIENCE_S)
    second.end()


def is_locked(path):
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_new_work_does_not_overtake_a_waiting_measurement(tmp_path):
    old_work = Holder(host_lock.working)
    assert old_work.got.wait(PATIENCE_S)
    measurement = Holder(host_lock.measuring)
    wait_until(lambda: is_locked(tmp_path / f"nas-{os.getuid()}" / "gate"))
    assert not measurement.got.is_set()
    new_work = Holder(host_lock.working)
    assert new_work.stays_out()
    old_work.end()
    assert measurement.got.wait(PATIENCE_S)
    assert not new_work.got.is_set()
    measurement.end()
    assert new_work.got.wait(PATIENCE_S)
    new_work.end()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_holder_that_was_killed_lets_go():
    pid = os.fork()
    if pid == 0:
        with host_lock.measuring():
            os.kill(os.getpid(), 9)
    os.waitpid(pid, 0)
    with host_lock.measuring():
        pass


def test_a_folder_that_somebody_else_laid_out_is_refused(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"nas-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ControllerFault, match="remove it"), host_lock.measuring():
        pass
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_lock_that_is_a_symlink_is_not_followed(tmp_path):
    folder = tmp_path / f"nas-{os.getuid()}"
    folder.mkdir(mode=0o700)
    (folder / "gate").symlink_to(tmp_path / "victim")
    with pytest.raises(ControllerFault, match="remove it"), host_lock.measuring():
        pass
    assert not (tmp_path / "victim").exists()


def test_this_computer_knows_itself_by_its_boot():
    assert host_lock.same_host({"boot_id": Path("/proc/sys/kernel/random/boot_id").read_text().strip()})
    assert not host_lock.same_host({"boot_id": "another"})
    assert not host_lock.same_host({"boot_id": None})
