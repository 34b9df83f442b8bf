"""The way to a device: encrypted connections, each carried by the one before, every machine's host key pinned."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

import paramiko

from nas.devices.device import Device
from nas.devices.ssh_keys import Login
from nas.devices.ssh_login import log_in
from nas.errors import DeviceUnreachable, HostKeyChanged, HostKeyUnknown

CONNECT_S = 10.0
"""Seconds for each of: TCP or the channel that stands for it, the banner, the key exchange, the login."""
KEEPALIVE_S = 5
SILENCE_MS = 10_000
"""Milliseconds that sent data may stay unacknowledged before the kernel gives the first connection up."""
AT_ONCE = 5
"""Logins under way at one address: OpenSSH's server drops strangers at random from the tenth on (``MaxStartups``)."""
_PROHIBITED = 1
"""RFC 4254, section 5.1: the reason ``SSH_OPEN_ADMINISTRATIVELY_PROHIBITED``."""

# Whatever paramiko logs as an error is raised as well, in our words; without a handler it would land on stderr.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class Place:
    """One machine to log in to: a jump host or the device itself.

    Attributes:
        label: How messages call it, as the first words of a sentence: ``The device pi4``.
        host: Address, as the machine before it sees it.
        port: Port of its SSH server.
        user: Login name.
        host_key: The pinned key line; empty while it is being enrolled.
    """

    label: str
    host: str
    port: int
    user: str
    host_key: str = ""

    @property
    def where(self) -> str:
        """Host and port as messages show them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def stages(device: Device) -> list[tuple[Place, Login]]:
    """Return the machines on the way to an enrolled device, itself last, each with what to log in with."""
    found = []
    for hop in device.jump:
        place = Place("", hop.host, hop.port, hop.user, hop.host_key)
        login = Login(hop.key, hop.certificate, device.use_agent)
        found.append((replace(place, label=jump_label(place.where, device.name)), login))
    place = Place(f"The device {device.name}", device.host, device.port, device.user, device.host_key)
    return [*found, (place, Login(device.key, device.certificate, device.use_agent))]


def reach(device: Device) -> Way:
    """Log in to an enrolled device, through every machine on the way.

    Raises:
        HostKeyUnknown: It was never enrolled; nothing was sent.
        Fault: As for ``Way.enter``; the message names the machine.
    """
    if not device.host_key:
        raise HostKeyUnknown(
            f"The device {device.name} was never enrolled, so nothing was sent; "
            "enrol it first, which shows its host key's fingerprint and pins it."
        )
    way = Way()
    try:
        for place, login in stages(device):
            way.enter(place, [login])
    except BaseException:
        way.close()
        raise
    return way


def jump_label(where: str, device: str) -> str:
    """Return how messages call a machine on the way."""
    return f"The jump host {where} on the way to {device}"


class Way:
    """The connections that are open, in order; closing it closes all of them, the innermost first."""

    def __init__(self) -> None:
        self._open: list[tuple[Place, paramiko.Transport]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def end(self) -> paramiko.Transport:
        """The innermost connection."""
        return self._open[-1][1]

    def close(self) -> None:
        """Close every connection."""
        while self._open:
            self._open.pop()[1].close()

    def scan(self, place: Place, kinds: Iterable[str] = ()) -> str:
        """Ask the next machine for its host key; nothing else is sent to it.

        Args:
            place: The next machine.
            kinds: Types of keys that are preferred (``ssh-rsa``); a server that has none of them shows another.

        Returns:
            The key line: ``ssh-ed25519 AAAA…``.

        Raises:
            DeviceUnreachable: No SSH server answers there.
        """
        with _logins.entered(place.host, place.port):
            connection = self._greeted(place, kinds)
            try:
                return _key_line(connection.get_remote_server_key())
            finally:
                connection.close()

    def enter(self, place: Place, logins: Iterable[Login]) -> Login:
        """Log in to the next machine, once it has shown its pinned host key.

        Returns:
            The login that was accepted.

        Raises:
            HostKeyChanged: It shows another key; nothing was sent to it, nor beyond it.
            LoginRefused: It accepts none of the logins.
            DeviceUnreachable: It does not answer, or the machine before it does not let us through.
        """
        with _logins.entered(place.host, place.port):
            connection = self._greeted(place, [place.host_key.split()[0]])
            try:
                _expect_pinned(place, connection.get_remote_server_key())
                login = log_in(connection, place.label, place.user, logins)
            except BaseException:
                connection.close()
                raise
        self._open.append((place, connection))
        return login

    def _greeted(self, place: Place, kinds: Iterable[str]) -> paramiko.Transport:
        """Return a connection to the next machine after the key exchange, before any login."""
        link = self._carried(place) if self._open else _dialled(place)
        connection = paramiko.Transport(link)
        preferred = list(kinds)
        try:
            connection.banner_timeout = connection.auth_timeout = connection.channel_timeout = CONNECT_S
            offers = connection.get_security_options()
            offers.key_types = sorted(offers.key_types, key=lambda name: _rank(name, preferred))
            connection.start_client(timeout=CONNECT_S)
            connection.get_remote_server_key()
        except (paramiko.SSHException, OSError, EOFError) as error:
            connection.close()
            raise DeviceUnreachable(
                f"What answers at {place.where} is no usable SSH server ({error}); check the address and the port."
            ) from error
        connection.set_keepalive(KEEPALIVE_S)
        return connection

    def _carried(self, place: Place) -> paramiko.Channel:
        """Return a channel that the last machine connects to the next one."""
        before, connection = self._open[-1]
        try:
            return connection.open_channel(
                "direct-tcpip", (place.host, place.port), ("127.0.0.1", 0), timeout=CONNECT_S
            )
        except paramiko.ChannelException as error:
            if error.code == _PROHIBITED:
                why, mend = "refuses to pass connections on", "set `AllowTcpForwarding yes` in its sshd_config"
            else:
                why, mend = "cannot reach", f"check the address as seen from there, and that sshd runs at {place.where}"
            raise DeviceUnreachable(f"{before.label} {why} {_to(place, error)}; {mend}.") from error
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise DeviceUnreachable(
                f"{before.label} did not answer when asked for {place.where} ({error}); check it and its network."
            ) from error


def _to(place: Place, error: paramiko.ChannelException) -> str:
    return f"to {place.where}" if error.code == _PROHIBITED else f"{place.where} ({error.text})"


def _dialled(place: Place) -> socket.socket:
    """Return a TCP connection that notices within ``SILENCE_MS`` when the other side has gone."""
    try:
        link = socket.create_connection((place.host, place.port), CONNECT_S)
    except (OSError, UnicodeError) as error:  # UnicodeError: a name that is none for IDNA
        why = getattr(error, "strerror", None) or error
        raise DeviceUnreachable(
            f"No connection to {place.where} ({why}); check the address, the network, and that sshd runs."
        ) from error
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; elsewhere the deadline of each call has to do
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE_MS)
    return link


class Doors:
    """Lets only so many in at one address at the same time.

    Args:
        most: How many.
    """

    def __init__(self, most: int) -> None:
        self._lock = threading.Lock()
        self._doors: defaultdict[tuple[str, int], threading.Semaphore] = defaultdict(lambda: threading.Semaphore(most))

    @contextlib.contextmanager
    def entered(self, host: str, port: int) -> Iterator[None]:
        """Wait for a place, and hold it."""
        with self._lock:
            door = self._doors[host, port]
        with door:
            yield


_logins = Doors(AT_ONCE)


def _rank(algorithm: str, kinds: list[str]) -> int:
    """Return the place of a signature algorithm in a list of types of keys; RSA keys sign with SHA-2."""
    kind = "ssh-rsa" if algorithm.startswith("rsa-sha2-") else algorithm
    return kinds.index(kind) if kind in kinds else len(kinds)


def _key_line(key: paramiko.PKey) -> str:
    return f"{key.get_name()} {key.get_base64()}"


def _expect_pinned(place: Place, shown: paramiko.PKey) -> None:
    if _key_line(shown) != place.host_key:
        raise HostKeyChanged(
            f"{place.label} shows another host key ({shown.fingerprint}) than the one pinned at enrolment, "
            "so nothing was sent; if it was set up anew, enrol it with --replace, otherwise somebody else answers."
        )
