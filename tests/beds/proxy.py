"""A TCP link that can be spoiled: slow, throttled, stalled, cut, or flipping a bit. The kernel here has no netem."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

CONNECT_S = 5.0
_CHUNK = 1 << 14


@dataclass
class Spoil:
    """What is wrong with a link; may be changed while it runs.

    Attributes:
        delay_s: Each chunk waits for so long, in both directions.
        bytes_per_s: No more gets through, in each direction; 0 is no limit.
        cut_after: Bytes towards the device after which the connection is cut; None never. Happens once.
        flip_after: Bytes towards the device after which one bit is flipped; None never. Happens once.
    """

    delay_s: float = 0.0
    bytes_per_s: float = 0.0
    cut_after: int | None = None
    flip_after: int | None = None


class Proxy:
    """Forwards connections from a port on loopback to an address.

    Attributes:
        spoil: What is wrong with the link.
        carried: Bytes that went towards the device.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self.spoil = Spoil()
        self.carried = 0
        self._target = target
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._flowing = threading.Event()
        self._flowing.set()
        self._links: list[_Link] = []
        self._threads: list[threading.Thread] = []
        self._begin(self._accept)

    def stall(self) -> None:
        """Hold every byte back from now on; the connections stay open."""
        self._flowing.clear()

    def flow(self) -> None:
        self._flowing.set()

    def cut(self) -> None:
        """Break every connection off; new ones are taken as before."""
        for link in list(self._links):
            link.cut()

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self.flow()
        self.cut()
        for thread in self._threads:
            thread.join()
        self._server.close()

    def _begin(self, run: object, *given: object) -> None:
        self._threads.append(threading.Thread(target=run, args=given, daemon=True))  # type: ignore[arg-type] # ours
        self._threads[-1].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._server.accept()
                try:
                    far = socket.create_connection(self._target, CONNECT_S)
                except OSError:
                    near.close()
                    continue
                far.settimeout(None)  # silence is no fault
                link = _Link(near, far)
                self._links.append(link)
                self._begin(self._carry, link, link.near, link.far)
                self._begin(self._carry, link, link.far, link.near)

    def _carry(self, link: _Link, source: socket.socket, sink: socket.socket) -> None:
        with link.end(), contextlib.suppress(OSError):
            while chunk := source.recv(_CHUNK):
                self._flowing.wait()
                rate = self.spoil.bytes_per_s
                time.sleep(self.spoil.delay_s + (len(chunk) / rate if rate else 0.0))
                data = self._spoiled(chunk) if source is link.near else chunk
                if not data:
                    return
                sink.sendall(data)

    def _spoiled(self, chunk: bytes) -> bytes:
        """The chunk as it arrives; nothing when the connection is to be cut."""
        before, self.carried = self.carried, self.carried + len(chunk)
        if self.spoil.cut_after is not None and self.carried > self.spoil.cut_after:
            self.spoil.cut_after = None
            return b""
        if self.spoil.flip_after is not None and self.carried > self.spoil.flip_after:
            place = max(0, self.spoil.flip_after - before)
            self.spoil.flip_after = None
            return chunk[:place] + bytes([chunk[place] ^ 1]) + chunk[place + 1 :]
        return chunk


@dataclass
class _Link:
    """Two sockets and the two threads that carry between them; the last thread to end closes both."""

    near: socket.socket
    far: socket.socket
    carrying: int = 2
    ending: threading.Lock = field(default_factory=threading.Lock)

    def cut(self) -> None:
        for end in (self.near, self.far):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    @contextlib.contextmanager
    def end(self) -> Iterator[None]:
        yield
        self.cut()
        with self.ending:
            self.carrying -= 1
            if not self.carrying:
                for end in (self.near, self.far):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    end.close()


@pytest.fixture
def link() -> Iterator[object]:
    """host, port -> a proxy in front of it."""
    made: list[Proxy] = []

    def link(host: str, port: int) -> Proxy:
        made.append(Proxy((host, port)))
        return made[-1]

    yield link
    for proxy in made:
        proxy.close()
