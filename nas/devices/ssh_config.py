"""The user's own OpenSSH configuration, read once at enrolment and turned into explicit facts about the way.

What OpenSSH would do and this cannot is refused by name; nothing that decides whom we speak to is passed over.
"""

from __future__ import annotations

import getpass
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import paramiko

from nas.devices.known_hosts import Known, known, known_name
from nas.devices.ssh_config_file import REFUSED, Reader
from nas.devices.ssh_keys import Login, certificate_beside, certified_key, public_half
from nas.errors import RequestError

DEFAULT = Path("~/.ssh/config")
_KEYS = ("~/.ssh/id_rsa", "~/.ssh/id_ecdsa", "~/.ssh/id_ed25519")
_KNOWN_HOSTS = "~/.ssh/known_hosts ~/.ssh/known_hosts2"
_ALL_KNOWN_HOSTS = "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"
_CANNOT: Mapping[str, tuple[str, ...]] = {
    "BindAddress": (),
    "BindInterface": (),
    "KnownHostsCommand": ("none",),
    "PKCS11Provider": ("none",),
    "PubkeyAuthentication": ("yes",),
    "RevokedHostKeys": ("none",),
    REFUSED: (),
}
"""Keywords that cannot be honoured -> the values with which they change nothing."""
_MOST_JUMPS = 8
_JUMP = re.compile(r"(?:ssh://)?(?:(?P<user>\S+)@)?(?:\[(?P<v6>[^\]\s]+)\]|(?P<host>[^:@\s]+))(?::(?P<port>\d+))?/?")


@dataclass(frozen=True, slots=True)
class Stop:
    """One machine on the way, as the configuration describes it; nothing has been sent to it yet.

    Attributes:
        name: What the user calls it.
        host: Its address.
        port: Port of its SSH server.
        user: Login name.
        logins: What may be offered to it, in this order.
        known: What the user's ``known_hosts`` say about it.
    """

    name: str
    host: str
    port: int
    user: str
    logins: tuple[Login, ...]
    known: Known


@dataclass(frozen=True, slots=True)
class Options:
    """What was given explicitly and beats the configuration; None leaves it to that.

    Attributes:
        user: Login name on the device.
        port: Port of the device.
        key: Path of the only private key to offer to the device.
        jump: The machines on the way as OpenSSH's ``-J`` takes them: ``pi@gate:2222,inner``; ``none`` goes directly.
    """

    user: str | None = None
    port: int | None = None
    key: str | None = None
    jump: str | None = None


class SshConfig:
    """One configuration file with what it includes.

    Args:
        path: The file; None is ``~/.ssh/config``, which need not exist.

    Raises:
        RequestError: It cannot be read or understood.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = (path or DEFAULT).expanduser()
        self._config = Reader() if path is None and not self._path.exists() else Reader.of(self._path)

    def route(self, host: str, options: Options) -> tuple[Stop, ...]:
        """Return the machines on the way to a host, itself last.

        Raises:
            RequestError: The configuration asks for something that cannot be honoured; the message names it.
        """
        return tuple(self._route(host, options, ()))

    def _route(self, host: str, options: Options, seen: tuple[tuple[str, int], ...]) -> list[Stop]:
        found = self._lookup(host)
        mark = host, self._port(host, found, options)
        if mark in seen or len(seen) > _MOST_JUMPS:
            raise RequestError(f"The way to {seen[0][0]} leads in a circle through {host}; correct its jumps.")
        wanted = options.jump
        if wanted is None:
            wanted = _jump_of(found)
            if wanted == "none" and found.get("proxycommand") is not None:
                raise self._cannot(f"ProxyCommand {found['proxycommand']}", host)
        jumps = [_jump(word.strip()) for word in _words(wanted)]
        if options.jump is None and jumps and (jumps[0][0], jumps[0][1].port or mark[1]) == mark:
            jumps = []  # as in OpenSSH: a `Host *` may name the jump host that it covers itself
        before: list[Stop] = []
        for number, (name, given) in enumerate(jumps):
            # The configuration says how the first of them is reached, and the list how the others are.
            before += self._route(name, given if number == 0 else replace(given, jump="none"), (*seen, mark))
        return [*before, self._stop(host, found, options)]

    def _port(self, name: str, found: Mapping[str, Any], options: Options) -> int:
        try:
            return options.port or int(found.get("port", 22))
        except ValueError:
            raise RequestError(f"{self._path} gives {name} the port {found['port']!r}; expected a number.") from None

    def _lookup(self, host: str) -> dict[str, Any]:
        try:
            found = dict(self._config.lookup(host))
        except (paramiko.SSHException, ValueError, KeyError) as error:
            raise RequestError(f"{self._path} cannot be applied to {host} ({error}); correct it.") from error
        for keyword, harmless in _CANNOT.items():
            value = found.get(keyword.lower())
            if value is not None and value.lower() not in harmless:
                raise self._cannot(value if keyword == REFUSED else f"{keyword} {value}", host)
        return found

    def _cannot(self, line: str, host: str) -> RequestError:
        return RequestError(
            f"{self._path} wants `{line}` for {host}, which cannot be honoured here; give a configuration without it "
            "by --ssh-config FILE (/dev/null for none), and options such as --jump in its place."
        )

    def _stop(self, name: str, found: Mapping[str, Any], options: Options) -> Stop:
        host = found["hostname"]
        port = self._port(name, found, options)
        files = [
            os.path.expanduser(file)  # noqa: PTH111 # words of OpenSSH's, which may be relative or none
            for key, usual in (("userknownhostsfile", _KNOWN_HOSTS), ("globalknownhostsfile", _ALL_KNOWN_HOSTS))
            for file in shlex.split(found.get(key, usual))
            if file != "none"
        ]
        return Stop(
            name=name,
            host=host,
            port=port,
            user=options.user or found.get("user") or getpass.getuser(),
            logins=tuple(self._logins(name, found, options.key)),
            known=known(known_name(host, port, found.get("hostkeyalias", "")), files),
        )

    def _logins(self, name: str, found: Mapping[str, Any], key: str | None) -> Iterator[Login]:
        """Yield what OpenSSH would offer: the named keys, each with its certificate, then the agent's others."""
        use_agent = self._agent_allowed(name, found)
        identities = [path for path in found.get("identityfile", ()) if path.lower() != "none"]
        certificates = [path for path in map(_absolute, identities) if certified_key(path)]
        if key is not None:
            keys = [key]
        else:
            keys = [path for path in map(_absolute, identities or _KEYS) if path not in certificates and _usable(path)]
        paired = set()
        for path in keys:
            half = public_half(Login(path))
            mine = next((file for file in certificates if half and certified_key(file) == half), "")
            paired.add(mine)
            yield Login(path, mine or certificate_beside(path), use_agent)
        if key is None and use_agent:
            yield from (Login("", file, use_agent=True) for file in certificates if file not in paired)
            if found.get("identitiesonly", "no").lower() != "yes":
                yield Login(use_agent=True)

    def _agent_allowed(self, name: str, found: Mapping[str, Any]) -> bool:
        """Tell whether the ssh-agent may be used; the controller can only ask the one at ``SSH_AUTH_SOCK``."""
        ours, wanted = os.environ.get("SSH_AUTH_SOCK", ""), found.get("identityagent", "SSH_AUTH_SOCK")
        if wanted.lower() == "none":
            return False
        if wanted not in ("SSH_AUTH_SOCK", "$SSH_AUTH_SOCK", "${SSH_AUTH_SOCK}", ours):
            raise RequestError(
                f"{self._path} wants `IdentityAgent {wanted}` for {name}, but only the one at SSH_AUTH_SOCK is asked; "
                f"run this and `nas serve` with SSH_AUTH_SOCK={wanted}."
            )
        return bool(ours)


def _jump_of(found: Mapping[str, Any]) -> str:
    """Return the configured ProxyJump; as in OpenSSH, the first of ProxyJump and ProxyCommand counts."""
    names = [name for name in found if name in ("proxyjump", "proxycommand")]
    return str(found["proxyjump"]) if names[:1] == ["proxyjump"] else "none"


def _words(jumps: str) -> list[str]:
    return [] if jumps.lower() in ("", "none") else jumps.split(",")


def _jump(word: str) -> tuple[str, Options]:
    """Read one ``[user@]host[:port]``."""
    parts = _JUMP.fullmatch(word)
    if parts is None:
        raise RequestError(f"The jump host {word!r} cannot be read; expected [USER@]HOST[:PORT], several with commas.")
    port = int(parts["port"]) if parts["port"] else None
    return parts["v6"] or parts["host"], Options(user=parts["user"], port=port)


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute())


def _usable(path: str) -> bool:
    """Tell whether a key is there, if only its public half, whose private one an agent may hold."""
    return Path(path).is_file() or Path(f"{path}.pub").is_file()
