"""A known allocation is recovered by each way of looking; a cgroup is made where that is allowed, and removed."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from device_agents import memory
from device_agents.memory import CGROUP1, CGROUP2, own_cgroup
from device_agents.protocol import Problem

MIB = 1 << 20
ALLOWED = own_cgroup()
if ALLOWED:
    ALLOWED.close()

needs_cgroup = pytest.mark.skipif(
    ALLOWED is None, reason="no memory cgroup may be made here: neither root nor delegated"
)
EATER = """
import mmap, sys
size = int(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
with mmap.mmap(-1, size or mmap.PAGESIZE) as block:  # not of the heap, which may have room already
    for page in range(0, size, mmap.PAGESIZE):
        block[page] = 1
print("done", flush=True)
sys.stdin.readline()
"""


class Eater:
    """A process that, when told, allocates and touches so many MiB, frees them, and lives on until killed.

    It is no fork of this one: that would begin with whatever the tests before have left in memory.
    """

    def __init__(self, mebibytes):
        command = [sys.executable, "-I", "-S", "-c", EATER, str(mebibytes * MIB)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self._process.pid
        assert self._process.stdout.readline() == "ready\n"

    def eat(self):
        self._process.stdin.write("eat\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n"

    def end(self):
        self._process.kill()
        self._process.communicate()


def peak_of(mebibytes, with_cgroup):
    eater = Eater(mebibytes)
    group = own_cgroup() if with_cgroup else None
    try:
        if group:
            group.join(eater.pid)
        eater.eat()
        return memory.peak(eater.pid, group)
    finally:
        eater.end()
        if group:
            group.close()
            assert not Path(group.path).exists()


def test_an_allocation_of_64_mib_is_recovered_by_the_high_water_mark():
    little, much = (peak_of(size, with_cgroup=False) for size in (0, 64))
    assert much.peak_mb - little.peak_mb == pytest.approx(64 * MIB / 1e6, abs=2 * MIB / 1e6)
    assert much.source == "VmHWM"
    assert much.peak_mb == much.hwm_mb


@needs_cgroup
def test_an_allocation_of_64_mib_is_recovered_by_a_cgroup():
    little, much = (peak_of(size, with_cgroup=True) for size in (0, 64))
    assert much.peak_mb - little.peak_mb == pytest.approx(64 * MIB / 1e6, abs=2 * MIB / 1e6)
    assert much.source in {CGROUP1, CGROUP2}
    assert much.hwm_mb - little.hwm_mb == pytest.approx(64 * MIB / 1e6, abs=2 * MIB / 1e6)


def test_the_share_of_shared_pages_is_counted():
    assert 0 < memory.pss_mb() <= memory.hwm_mb() * 1.05
    assert memory.pss_mb("no such process") is None


def test_megabytes_are_of_ten_to_the_six_bytes(tmp_path):
    (tmp_path / "status").write_text("Name:\tmodel\nVmHWM:\t   12500 kB\n")
    assert memory._field(str(tmp_path / "status"), "VmHWM:") == 12.8


def test_a_process_that_is_gone_has_no_peak():
    with pytest.raises(Problem, match="VmHWM of process 4194305"):
        memory.hwm_mb(4194305)


@needs_cgroup
def test_a_group_is_left_only_once_it_is_empty(monkeypatch):
    monkeypatch.setattr(memory, "_EMPTY_S", 0.05)
    eater, group = Eater(0), own_cgroup()
    group.join(eater.pid)
    with pytest.raises(OSError, match="busy"):
        group.close()
    monkeypatch.undo()
    eater.end()
    group.close()
    assert not Path(group.path).exists()


@needs_cgroup
def test_a_process_that_is_just_ending_is_waited_for(monkeypatch):
    monkeypatch.setattr(memory, "_EMPTY_S", 60.0)
    eater, group = Eater(0), own_cgroup()
    group.join(eater.pid)
    end = threading.Timer(0.1, eater.end)
    end.start()
    group.close()
    end.join()
    assert not Path(group.path).exists()


def test_a_group_that_may_not_be_removed_is_said_at_once(tmp_path):
    (tmp_path / "group").mkdir()
    (tmp_path / "group" / "kept").touch()
    with pytest.raises(OSError, match="not empty"):
        memory.Cgroup(str(tmp_path / "group"), CGROUP1).close()


@needs_cgroup
def test_groups_do_not_collide():
    with own_cgroup() as one, own_cgroup() as other:
        assert one.path != other.path
        assert Path(one.path).parent == Path(other.path).parent


class Tree:
    """A scripted hierarchy that does as the kernel does: new groups have control files, ``+x`` turns x on."""

    def __init__(self, root, monkeypatch, files):
        self.root = root
        make, remove = os.mkdir, os.rmdir

        def mkdir(path, *rest, **more):
            make(path, *rest, **more)
            for name, text in files.items():
                Path(path, name).write_text(text)

        def rmdir(path, *rest, **more):
            for control in Path(path).iterdir():
                control.unlink()
            remove(path, *rest, **more)

        monkeypatch.setattr(os, "mkdir", mkdir)
        monkeypatch.setattr(os, "rmdir", rmdir)
        monkeypatch.setattr(memory, "_write", lambda path, text: Path(path).write_text(text.lstrip("+")))

    def write(self, path, text=""):
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def read(self, path):
        return (self.root / path).read_text()


@pytest.fixture
def two(tmp_path, monkeypatch):
    """Version 2: this process is in a service that was delegated to it."""
    tree = Tree(tmp_path, monkeypatch, {"memory.peak": "73400320\n", "cgroup.procs": ""})
    tree.write("proc/self/cgroup", "0::/system.slice/agent.service\n")
    tree.write("sys/fs/cgroup/cgroup.subtree_control", "cpu\n")
    tree.write("sys/fs/cgroup/cgroup.procs", "1\n")
    tree.write("sys/fs/cgroup/system.slice/agent.service/cgroup.subtree_control", "cpu memory pids\n")
    tree.write("sys/fs/cgroup/system.slice/agent.service/cgroup.procs", "")
    return tree


SERVICE = "sys/fs/cgroup/system.slice/agent.service/"


def test_version_2_makes_its_group_where_it_was_delegated(two):
    with own_cgroup(sysroot=str(two.root)) as group:
        assert group.path.startswith(str(two.root / SERVICE))
        assert group.source == CGROUP2
        group.join(4242)
        assert Path(group.path, "cgroup.procs").read_text() == "4242"
        assert memory.peak("self", group)[:2] == (73.40032, CGROUP2)
    assert not Path(group.path).exists()


def test_version_2_turns_the_controller_on_where_this_process_is_alone(two):
    two.write(SERVICE + "cgroup.subtree_control", "")
    two.write(SERVICE + "cgroup.procs", f"{os.getpid()}\n")
    with own_cgroup(sysroot=str(two.root)) as group:
        assert Path(group.path).parent == two.root / SERVICE
    assert two.read(SERVICE + "agent/cgroup.procs") == str(os.getpid())
    assert two.read(SERVICE + "cgroup.subtree_control") == "memory"


def test_version_2_moves_nobody_else(two):
    two.write(SERVICE + "cgroup.subtree_control", "")
    two.write(SERVICE + "cgroup.procs", f"{os.getpid()}\n1\n")
    own_cgroup(str(two.root / SERVICE))
    assert not (two.root / SERVICE / "agent").exists()


def test_a_kernel_without_memory_peak_gives_no_group(tmp_path, monkeypatch):
    tree = Tree(tmp_path, monkeypatch, {"cgroup.procs": ""})
    tree.write("group/cgroup.subtree_control", "memory\n")
    assert own_cgroup(str(tmp_path / "group")) is None
    assert not list((tmp_path / "group").glob("nas-*"))


def test_version_1_uses_the_root_group_where_its_own_is_out_of_sight(tmp_path, monkeypatch):
    tree = Tree(tmp_path, monkeypatch, {"memory.max_usage_in_bytes": "1000000\n"})
    tree.write("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/docker/abc\n0::/\n")
    tree.write("sys/fs/cgroup/memory/memory.max_usage_in_bytes", "9\n")
    with own_cgroup(sysroot=str(tmp_path)) as group:
        assert Path(group.path).parent == tmp_path / "sys/fs/cgroup/memory"
        assert (group.peak_mb(), group.source) == (1.0, CGROUP1)


def test_no_cgroups_at_all(tmp_path):
    assert own_cgroup(sysroot=str(tmp_path)) is None
