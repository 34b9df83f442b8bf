"""OpenSSH's ``known_hosts`` files: which host keys their owner has already confirmed."""

from __future__ import annotations

import base64
import binascii
import fnmatch
import hashlib
import hmac
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Known:
    """What the files say about one host.

    Attributes:
        name: The name under which it was looked up.
        keys: Key line (``ssh-ed25519 AAAA…``) -> the file that has it.
        revoked: Key lines that the files forbid -> the file that does.
    """

    name: str
    keys: dict[str, str] = field(default_factory=dict)
    revoked: dict[str, str] = field(default_factory=dict)


def known_name(host: str, port: int, alias: str = "") -> str:
    """Return the name under which OpenSSH looks a host up; an alias (``HostKeyAlias``) stands without its port."""
    return alias or (host if port == 22 else f"[{host}]:{port}")


def known(name: str, files: Iterable[str]) -> Known:
    """Look a host up by its name; files that do not exist are passed over, as OpenSSH does.

    Certificate authorities (``@cert-authority``) confirm no key here: such a host is asked about like an unknown one.
    """
    found = Known(name)
    for file in files:
        for marker, patterns, key in _entries(Path(file)):
            if marker in ("", "@revoked") and _matches(name.lower(), patterns):
                (found.revoked if marker else found.keys).setdefault(key, file)
    return found


def fingerprint(host_key: str) -> str:
    """Return the fingerprint (``SHA256:…``) of a key line, as ``ssh-keygen -l`` prints it."""
    blob = base64.b64decode(host_key.split()[1])
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def is_host_key(text: str) -> bool:
    """Tell whether a text is a key line: the type and, in base64, a key of that type."""
    kind, _, encoded = text.partition(" ")
    try:
        blob = base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error):
        return False
    return bool(kind) and blob.startswith(len(kind).to_bytes(4, "big") + kind.encode())


def _entries(file: Path) -> Iterator[tuple[str, str, str]]:
    """Yield marker, host patterns and key line of each entry."""
    try:
        lines = file.read_text(errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        words = line.split()
        marker = words.pop(0) if words and words[0].startswith("@") else ""
        if len(words) >= 3 and is_host_key(key := f"{words[1]} {words[2]}"):
            yield marker, words[0], key


def _matches(name: str, patterns: str) -> bool:
    if patterns.startswith("|1|"):
        return _is_hash_of(name, patterns)
    found = False
    for pattern in patterns.lower().split(","):
        # Brackets stand for themselves here, as in [host]:2222; fnmatch would read a set of letters.
        plain = pattern.removeprefix("!").replace("[", "[[]")
        if fnmatch.fnmatchcase(name, plain):
            if pattern.startswith("!"):
                return False
            found = True
    return found


def _is_hash_of(name: str, hashed: str) -> bool:
    try:
        salt, digest = (base64.b64decode(part, validate=True) for part in hashed[3:].split("|"))
    except (ValueError, binascii.Error):
        return False
    return hmac.compare_digest(hmac.digest(salt, name.encode(), "sha1"), digest)
