"""Enrolment: the way to a device is written down, every host key on it confirmed and pinned, the device looked at."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from nas.devices.device import Device, Hop
from nas.devices.fleet import Fleet
from nas.devices.known_hosts import fingerprint
from nas.devices.ssh_config import Options, SshConfig, Stop
from nas.devices.ssh_keys import Login
from nas.devices.ssh_link import Place, Way, jump_label
from nas.errors import HostKeyChanged, RequestError, RuntimeMissing

RUNTIME = "onnxruntime"
FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")


@dataclass(frozen=True, slots=True)
class Wish:
    """A device behind SSH as a user asks for it.

    Attributes:
        name: Name of the device.
        host: Its address, or an alias of the user's OpenSSH configuration.
        options: What beats the configuration.
        fingerprint: The ``SHA256:…`` that its host key must have; empty asks.
        host_key: The whole key line, if it is known; then the key is not asked for.
        jump_fingerprints: The same for machines on the way, by their names.
        rest: Further fields of ``Device``: ``python``, ``root``, ``pool``, ``measure_between``.
    """

    name: str
    host: str
    options: Options = field(default_factory=Options)
    fingerprint: str = ""
    host_key: str = ""
    jump_fingerprints: Mapping[str, str] = field(default_factory=dict)
    rest: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """A wish with the way to it, as the configuration has it; nothing has been sent yet."""

    wish: Wish
    route: tuple[Stop, ...]

    @classmethod
    def of(cls, wish: Wish, config: SshConfig) -> Plan:
        """Find the way.

        Raises:
            RequestError: The configuration or the wish cannot be honoured.
        """
        plan = cls(wish, config.route(wish.host, wish.options))
        plan.device((), "", Login())  # says what is wrong with the names before anything is sent
        for name in wish.jump_fingerprints:
            if name not in {word for stop in plan.route[:-1] for word in (stop.name, stop.host)}:
                raise RequestError(
                    f"The fingerprint of {name} is of no use, because that is not on the way to {wish.name}; expected "
                    f"one of: {', '.join(stop.name for stop in plan.route[:-1]) or 'none, it is reached directly'}."
                )
        return plan

    def place(self, number: int, host_key: str = "") -> Place:
        """Return the machine with this number on the way."""
        stop = self.route[number]
        place = Place(f"The device {self.wish.name}", stop.host, stop.port, stop.user, host_key)
        return place if stop is self.route[-1] else replace(place, label=jump_label(place.where, self.wish.name))

    def device(self, jump: tuple[Hop, ...], host_key: str, login: Login) -> Device:
        """Return the device as it is reached by this way."""
        stop = self.route[-1]
        return Device(
            self.wish.name,
            "ssh",
            host=stop.host,
            port=stop.port,
            user=stop.user,
            key=login.key,
            certificate=login.certificate,
            use_agent=login.use_agent,
            host_key=host_key,
            jump=jump,
            **self.wish.rest,
        )

    def expected(self, stop: Stop) -> str:
        """Return the fingerprint that was given for a machine; empty if none was."""
        if stop is self.route[-1]:
            return fingerprint(self.wish.host_key) if self.wish.host_key else self.wish.fingerprint
        given = self.wish.jump_fingerprints
        return given.get(stop.name, given.get(stop.host, ""))


class Trust:
    """Decides which host keys are pinned; each machine is decided about once, however many devices lie behind it.

    Args:
        ask: Called with a machine and the fingerprint that it shows, when nobody has vouched for it yet; raises where
            it is not confirmed.
        say: Called with a sentence for each key that was taken without asking.
    """

    def __init__(self, ask: Callable[[Stop, str], None], say: Callable[[str], None] = lambda _: None) -> None:
        self._ask = ask
        self._say = say
        self._hops: dict[tuple[str, ...], str] = {}

    def pinned(self, plan: Plan, number: int, way: Way) -> str:
        """Return the host key of the machine with this number on the way, which leads up to it.

        Raises:
            HostKeyChanged: It shows another key than ``known_hosts`` or the given fingerprint say, or a revoked one.
            RequestError: It was not confirmed.
            DeviceUnreachable: It does not answer.
        """
        stop = plan.route[number]
        if stop is plan.route[-1]:
            return self._judged(plan, stop, plan.wish.host_key or _scanned(plan, number, way))
        mark = (*(f"{s.host}:{s.port}" for s in plan.route[: number + 1]), plan.expected(stop))
        if mark not in self._hops:  # two threads may both ask; they learn the same
            self._hops[mark] = self._judged(plan, stop, _scanned(plan, number, way))
        return self._hops[mark]

    def vouched(self, plan: Plan, stop: Stop) -> str:
        """Return a machine's whole host key without asking it: from the wish or from ``known_hosts``.

        Raises:
            HostKeyChanged: The two contradict each other.
            RequestError: Neither has it.
        """
        given = plan.wish.host_key if stop is plan.route[-1] else ""
        key = given or next((key for key in stop.known.keys if _fits(key, plan.expected(stop))), "")
        if not key:
            raise RequestError(
                f"{stop.host} cannot be enrolled without speaking to it, because its whole host key is not known; "
                "give it in the column host_key, or have it in known_hosts."
            )
        return self._judged(plan, stop, key)

    def _judged(self, plan: Plan, stop: Stop, key: str) -> str:
        shown, expected, known = fingerprint(key), plan.expected(stop), stop.known
        if key in known.revoked:
            raise HostKeyChanged(
                f"{stop.host} has the host key {shown}, which {known.revoked[key]} revokes; find out why."
            )
        if known.keys and key not in known.keys:
            files = " and ".join(sorted(set(known.keys.values())))
            raise HostKeyChanged(
                f"{stop.host} has the host key {shown}, and {files} knows it by another; nothing was sent: if it was "
                f"set up anew, correct that with `ssh-keygen -R '{known.name}'`, otherwise somebody else answers."
            )
        if expected and not _fits(key, expected):
            kind = key.split(maxsplit=1)[0]
            raise HostKeyChanged(
                f"{stop.host} shows the host key {shown} ({kind}), expected {expected}; nothing was sent: find out "
                "which is right."
            )
        if key in known.keys:
            self._say(f"{stop.host} is known by {known.keys[key]} ({shown})")
        elif not expected:
            self._ask(stop, shown)
        return key


def reached(plan: Plan, trust: Trust) -> Device:
    """Go the way once, and write down what was found: each host key, and the login that was accepted.

    Raises:
        Fault: A machine on the way cannot be passed; the message names it.
        RequestError: A host key was not confirmed.
    """
    hops: list[Hop] = []
    agent_used = False
    with Way() as way:
        for number, stop in enumerate(plan.route):
            last = stop is plan.route[-1]
            place = plan.place(number, trust.pinned(plan, number, way))
            login = stop.logins[0] if last and len(stop.logins) == 1 else way.enter(place, stop.logins)
            agent_used |= login.use_agent
            if not last:
                hops.append(Hop(stop.host, stop.port, stop.user, login.key, place.host_key, login.certificate))
    return plan.device(tuple(hops), place.host_key, Login(login.key, login.certificate, agent_used))


def unseen(plan: Plan, trust: Trust) -> Device:
    """Write down a device without speaking to anything: every host key on the way is known, the first login taken.

    Raises:
        HostKeyChanged: ``known_hosts`` contradicts what was given.
        RequestError: A host key is not known.
    """
    keys = [trust.vouched(plan, stop) for stop in plan.route]
    logins = [next(iter(stop.logins), Login()) for stop in plan.route]
    hops = [
        Hop(stop.host, stop.port, stop.user, login.key, key, login.certificate)
        for stop, login, key in zip(plan.route[:-1], logins, keys, strict=False)
    ]
    use_agent = any(login.use_agent for login in logins)
    return plan.device(tuple(hops), keys[-1], Login(logins[-1].key, logins[-1].certificate, use_agent))


def probe(device: Device) -> dict[str, Any]:
    """Open a session, ask the device for its facts, and close it again.

    Raises:
        DeviceFault: It cannot be used; the subclass says why.
    """
    with Fleet([device]) as fleet:
        return fleet.facts(device.name)


def expect_able(device: Device) -> None:
    """Ask a device whether it can measure.

    Raises:
        RuntimeMissing: It has no runtime.
        DeviceFault: As for ``probe``.
    """
    if not probe(device)["runtimes"].get(RUNTIME):
        raise RuntimeMissing(
            f"{device.name} answers, but its {device.python} has no {RUNTIME}; enrol it with `nas devices add … "
            "--install`, which puts it there, or name an interpreter that has it with --python."
        )


def fingerprints(words: Sequence[str]) -> dict[str, str]:
    """Read ``HOST=SHA256:…``, the fingerprints of machines on the way.

    Raises:
        RequestError: One is not of this form.
    """
    found = {}
    for word in words:
        host, _, expected = word.partition("=")
        if not host or not FINGERPRINT.fullmatch(expected):
            raise RequestError(f"The fingerprint {word!r} cannot be read; expected HOST=SHA256:… with 43 letters.")
        found[host] = expected
    return found


def _scanned(plan: Plan, number: int, way: Way) -> str:
    kinds = [key.split()[0] for key in plan.route[number].known.keys]
    return way.scan(plan.place(number), [*kinds, "ssh-ed25519"])


def _fits(key: str, expected: str) -> bool:
    return not expected or fingerprint(key) == expected
