"""Logging in: which keys are offered, in which order, and what a refusal says."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import paramiko

from nas.devices.ssh_keys import Login, SshAgent, Unusable, certified_key, from_file, public_half
from nas.errors import ControllerFault, DeviceUnreachable, LoginRefused

MOST_OFFERS = 6
"""Keys that OpenSSH's server lets one connection try (``MaxAuthTries``); it hangs up after them."""


@dataclass(frozen=True, slots=True)
class _Offer:
    """One key as it is shown to the server, and the login that would make exactly this offer again."""

    words: str
    key: paramiko.PKey
    login: Login


def log_in(connection: paramiko.Transport, label: str, user: str, logins: Iterable[Login]) -> Login:
    """Offer one key after the other until one is accepted.

    Args:
        connection: After the key exchange, with the host's key verified.
        label: How messages call the machine: ``The device pi4``.
        user: Login name.
        logins: What may be offered, in this order; a key with a certificate is offered with it and then without.

    Returns:
        The login that was accepted.

    Raises:
        LoginRefused: None was; the message names all that were tried.
        ControllerFault: There was nothing to offer, because no key could be read here.
        DeviceUnreachable: The machine broke the login off.
    """
    tried: list[str] = []
    unusable: list[str] = []
    with contextlib.ExitStack() as stack:
        for offer in _offers(logins, unusable, stack):
            if len(tried) == MOST_OFFERS:
                unusable.append("any further key (servers hang up after 6: name the right one as its `key`)")
                break
            if _accepted(connection, label, user, offer.key):
                return offer.login
            tried.append(offer.words)
    rest = f"; not usable here: {', '.join(unusable)}" if unusable else ""
    if tried:
        raise LoginRefused(
            f"{label} refuses the login of {user} with {', then '.join(tried)}{rest}; "
            "add the public half of a key to ~/.ssh/authorized_keys there, or name another key."
        )
    if unusable:
        raise ControllerFault(
            f"{label} was not logged in to, because no private key could be used here: {', '.join(unusable)}; "
            "expected a key file readable by this user, or a key in ssh-agent."
        )
    raise LoginRefused(
        f"{label} refuses the login of {user}: it has no private key here; name the file of one with its `key`, "
        "or let it use ssh-agent."
    )


def _offers(logins: Iterable[Login], unusable: list[str], stack: contextlib.ExitStack) -> Iterator[_Offer]:
    """Yield the offers of all logins; what cannot be offered is noted in ``unusable``."""
    agent: SshAgent | None = None
    shown: set[tuple[bytes, str]] = set()
    for login in logins:
        if login.use_agent and agent is None:
            try:
                agent = stack.enter_context(contextlib.closing(SshAgent()))
            except Unusable as why:
                unusable.append(str(why))
        try:
            for offer in _offers_of(login, agent if login.use_agent else None):
                mark = (offer.key.asbytes(), offer.login.certificate)
                if mark not in shown:
                    shown.add(mark)
                    yield offer
        except Unusable as why:
            unusable.append(str(why))


def _offers_of(login: Login, agent: SshAgent | None) -> Iterator[_Offer]:
    """Yield the offers of one login: a key from the agent, which needs no passphrase, rather than from its file."""
    if not login.key and not login.certificate:
        for held in agent.get_keys() if agent else ():
            yield _Offer(f"the key {held.comment or held.fingerprint} of ssh-agent", held, login)
        return
    held_key = agent.holding(public_half(login)) if agent else None
    if held_key is None and not login.key:
        raise Unusable(f"{login.certificate} (its key is not in ssh-agent)")
    key = held_key or from_file(login.key)
    words = f"the key {login.key or login.certificate}" + (" of ssh-agent" if held_key else "")
    accepted = replace(login, use_agent=held_key is not None)
    if login.certificate:
        _certify(key, login.certificate)
        yield _Offer(f"{words} with the certificate {login.certificate}", key, accepted)
    key.public_blob = None  # the certificate; paramiko takes one that lies beside a key unasked
    yield _Offer(words, key, replace(accepted, certificate=""))


def _certify(key: paramiko.PKey, certificate: str) -> None:
    if certified_key(certificate) != key.asbytes():
        raise Unusable(f"{certificate} (it is no OpenSSH certificate of this key)")
    key.load_certificate(str(Path(certificate).expanduser()))


def _accepted(connection: paramiko.Transport, label: str, user: str, key: paramiko.PKey) -> bool:
    """Offer one key.

    Raises:
        LoginRefused: Keys are of no use there, or one alone is not enough.
        DeviceUnreachable: There was no answer.
    """
    try:
        further = connection.auth_publickey(user, key)
    except paramiko.BadAuthenticationType as error:
        raise LoginRefused(
            f"{label} takes no keys from {user}, only {', '.join(error.allowed_types) or 'nothing'}; "
            "set `PubkeyAuthentication yes` in its sshd_config."
        ) from error
    except paramiko.AuthenticationException as error:
        # paramiko raises the same when the connection ends or the deadline passes.
        if connection.is_active() and "timeout" not in str(error).lower():
            return False
        raise DeviceUnreachable(f"{label} broke off the login of {user} ({error}); try again.") from error
    except (paramiko.SSHException, OSError, EOFError) as error:
        raise DeviceUnreachable(f"{label} broke off the login of {user} ({error}); try again.") from error
    if further:
        raise LoginRefused(
            f"{label} accepts the key of {user} but wants {', '.join(further)} besides, and nobody is here to give it; "
            "let this user in with a key alone."
        )
    return True
