"""The beds themselves: a fault that a test believes in has to be real."""

import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from processes import PATIENCE_S, is_alive, wait_until

from beds import network
from beds import proxy as proxies
from beds.cgroup import Group
from nas.devices.fleet import Fleet
from nas.errors import DeviceUnreachable


def answers(board):
    try:
        with socket.create_connection((board.namespace.address, 22), 0.5) as link:
            return link.recv(4) == b"SSH-"
    except OSError:
        return False


def test_a_board_is_a_machine_of_its_own(beds):
    boards = [beds.board("a", memory_mb=300), beds.board("b", memory_mb=600)]
    with Fleet([board.device() for board in boards]) as fleet:
        facts = {name: fleet.facts(name) for name in "ab"}
    own = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert len({own, *(found["boot_id"] for found in facts.values())}) == 3
    assert [facts[name]["memory_mb"] for name in "ab"] == [314, 629]
    assert all((board.root / "blobs").is_dir() for board in boards)


def test_a_board_has_no_more_memory_and_cores_than_it_was_given(beds):
    board = beds.board("a", cpus=0.5, memory_mb=64)
    hungry = "x = bytearray(200 << 20); print('it got them')"
    burning = "import time; e = time.time() + 1.5\nwhile time.time() < e: pass\nprint(time.process_time())"

    def on(code):
        join = [f"echo $$ > {folder}/cgroup.procs" for folder in board.group.folders]
        command = ["sh", "-c", "; ".join([*join, 'exec "$@"']), "sh", sys.executable, "-c", code]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert on(hungry).returncode == -9
    assert float(on(burning).stdout) < 1.1  # seconds of 1.5, for half a core


def test_a_board_can_be_cut_off_and_mended(beds):
    board = beds.board("a")
    wait_until(lambda: answers(board))
    board.cut()
    assert not answers(board)
    board.mend()
    wait_until(lambda: answers(board))


def test_a_paused_board_answers_nothing_until_it_is_resumed(beds):
    board = beds.board("a")
    board.pause()
    assert not answers(board)
    board.resume()
    wait_until(lambda: answers(board))


def test_a_reboot_kills_everything_and_shows_in_the_boot_id(beds):
    board = beds.board("a")
    with Fleet([board.device()]) as fleet:
        before = fleet.facts("a")["boot_id"]
        agents = board.agents()
        assert agents
        board.reboot()
        assert not any(map(is_alive, agents))
        fleet.close()
        assert fleet.facts("a")["boot_id"] != before


def test_a_board_behind_another_is_reached_only_through_it(beds):
    bastion = beds.board("bastion")
    hidden = beds.board("hidden", behind=bastion)
    assert not answers(hidden)
    inside = f"exec 3<>/dev/tcp/{hidden.namespace.address}/22; head -c 4 <&3"
    command = ["nsenter", f"--net={bastion.namespace.path}", "bash", "-c", inside]
    assert subprocess.check_output(command) == b"SSH-"


def test_a_board_with_a_disk_of_its_own_has_no_more_than_that(beds):
    board = beds.board("a", disk_kb=512)
    key = ["-i", board.folder / "user_key", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
    command = ["ssh", "-q", *key, f"root@{board.namespace.address}", f"head -c 1000000 /dev/zero > {board.root}x"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "No space left on device" in done.stderr
    assert not list(board.root.parent.glob("*"))  # nobody else sees it


def test_a_killed_run_is_cleaned_up_by_the_next(beds):
    code = """
import os, sys
from beds.board import Beds
board = Beds().board("left")
print(board.namespace.name, *board.group.pids(), flush=True)
sys.stdin.read()
"""
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stdin=-1, stdout=-1, text=True) as run:
        name, *pids = run.stdout.readline().split()
        run.kill()
    assert pids and all(is_alive(int(pid)) for pid in pids)
    network.sweep()
    wait_until(lambda: not any(is_alive(int(pid)) for pid in pids))
    assert not (network.NETNS / name).exists()
    assert name not in Group.named("nas-bed-*")
    assert f"nb{run.pid}" not in network.run("ip", "link")


@pytest.fixture
def echo():
    """An address that sends back what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            while True:
                try:
                    end, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=back, args=(end,), daemon=True).start()

        def back(end):
            with end, suppress(ConnectionError):  # a link that was cut is cut on this side, too
                while data := end.recv(1 << 16):
                    end.sendall(data)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()
        server.shutdown(socket.SHUT_RDWR)


def sent(proxy, data):
    """What comes back, until the connection ends or all is there."""
    found = b""
    with socket.create_connection(("127.0.0.1", proxy.port), PATIENCE_S) as link, suppress(ConnectionError):
        link.sendall(data)
        while len(found) < len(data) and (part := link.recv(1 << 16)):
            found += part
    return found


def test_a_link_that_nobody_spoils_changes_nothing(echo, link):
    data = os.urandom(300_000)
    assert sent(link(*echo), data) == data


def test_a_link_that_is_silent_for_longer_than_it_may_take_to_connect_stays(echo, link, monkeypatch):
    monkeypatch.setattr(proxies, "CONNECT_S", 0.5)
    proxy = link(*echo)
    with socket.create_connection(("127.0.0.1", proxy.port), PATIENCE_S) as end:
        end.sendall(b"y")
        assert end.recv(1) == b"y"
        time.sleep(1)
        end.sendall(b"x")
        assert end.recv(1) == b"x"


def test_a_link_flips_one_bit_once(echo, link):
    proxy, data = link(*echo), bytes(100_000)
    proxy.spoil.flip_after = 50_000
    assert [(n, byte) for n, byte in enumerate(sent(proxy, data)) if byte] == [(50_000, 1)]
    assert sent(proxy, data) == data


def test_a_link_is_cut_once_in_the_middle(echo, link):
    proxy, data = link(*echo), bytes(100_000)
    proxy.spoil.cut_after = 50_000
    assert len(sent(proxy, data)) <= 50_000
    assert sent(proxy, data) == data


def test_a_slow_link_is_slow_and_a_stalled_one_holds_back(echo, link):
    proxy = link(*echo)
    proxy.spoil.delay_s, proxy.spoil.bytes_per_s = 0.1, 100_000
    started = time.monotonic()
    assert sent(proxy, bytes(10_000)) == bytes(10_000)
    assert time.monotonic() - started > 0.35
    proxy.spoil.delay_s, proxy.spoil.bytes_per_s = 0.0, 0.0
    proxy.stall()
    with socket.create_connection(("127.0.0.1", proxy.port), PATIENCE_S) as end:
        end.sendall(b"hold")
        end.settimeout(0.3)
        with pytest.raises(TimeoutError):
            end.recv(4)
        proxy.flow()
        end.settimeout(PATIENCE_S)
        assert end.recv(4) == b"hold"


def test_a_board_whose_sshd_is_gone_does_not_take_connections(beds):
    board = beds.board("a")
    board.kill_sshd()
    with Fleet([board.device()]) as fleet:
        with pytest.raises(DeviceUnreachable, match="refused"):
            fleet.facts("a")
        board.start()
        assert fleet.facts("a")
