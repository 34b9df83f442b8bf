"""Private keys: in files with or without a passphrase, in an ssh-agent, with or without an OpenSSH certificate."""

from __future__ import annotations

import base64
import binascii
import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paramiko
from paramiko.agent import AgentKey, AgentSSH
from paramiko.pkey import UnknownKeyType

from nas.errors import ControllerFault
from nas.settings import Settings

AGENT_S = 10.0
"""Seconds that an ssh-agent may take for an answer; one that asks its user for a confirmation needs some."""
_CERTIFICATE = "-cert-v01@openssh.com"
_PRIVATE_MAGIC = b"openssh-key-v1\0"
_PUBLIC_PARTS = {"ssh-ed25519": 1, "ssh-rsa": 2}
"""How many fields make a public key of a type; elliptic curves have two: the curve and the point."""


@dataclass(frozen=True, slots=True)
class Login:
    """What to log in with; it names files and never holds a secret.

    Attributes:
        key: Path of a private key; empty means whatever the ssh-agent holds.
        certificate: Path of the OpenSSH certificate that goes with the key.
        use_agent: Whether the ssh-agent may be used: for ``key`` if it holds that, for all its keys if none is named.
    """

    key: str = ""
    certificate: str = ""
    use_agent: bool = False


class Unusable(Exception):
    """A key that cannot be used here; the text says why and goes into the refusal."""


class SshAgent(AgentSSH):
    """The agent at ``SSH_AUTH_SOCK``, with a deadline for its answers, which paramiko's own has not."""

    def __init__(self) -> None:
        super().__init__()
        path = os.environ.get("SSH_AUTH_SOCK", "")
        if not path:
            raise Unusable("ssh-agent (SSH_AUTH_SOCK is not set for this process)")
        link = socket.socket(socket.AF_UNIX)
        link.settimeout(AGENT_S)
        try:
            link.connect(path)
            self._connect(link)  # type: ignore[attr-defined] # the stubs leave it out
        except (OSError, paramiko.SSHException) as error:
            link.close()
            raise Unusable(f"ssh-agent (nothing usable answers at {path}: {error})") from error

    def close(self) -> None:
        """Let go of the agent; its keys can no longer sign."""
        self._close()  # type: ignore[attr-defined] # the stubs leave it out

    def holding(self, public: bytes | None) -> AgentKey | None:
        """Return the agent's own of a key, if it holds it."""
        return next((key for key in self.get_keys() if key.blob == public), None)


def public_half(login: Login) -> bytes | None:
    """Return the public key of a login: from ``KEY.pub``, the private key's open header, or the certificate."""
    public = Path(f"{login.key}.pub").expanduser()
    for path in (public, Path(login.key).expanduser()) if login.key else ():
        try:
            content = path.read_bytes()
        except OSError:
            continue
        if half := _listed(content) or _header(content):
            return half
    return certified_key(login.certificate) if login.certificate else None


def certified_key(path: str) -> bytes | None:
    """Return the public key that an OpenSSH certificate is about; nothing for any other file."""
    try:
        blob = _listed(Path(path).expanduser().read_bytes(), certificate=True)
    except OSError:
        return None
    if blob is None:
        return None
    whole, public = paramiko.Message(blob), paramiko.Message()
    kind = whole.get_text().removesuffix(_CERTIFICATE)
    whole.get_binary()  # the nonce
    public.add_string(kind)
    for _ in range(_PUBLIC_PARTS.get(kind, 2)):
        public.add_string(whole.get_binary())
    return public.asbytes()


def certificate_beside(key: str) -> str:
    """Return the path of the certificate that lies beside a key, as OpenSSH finds it; empty if there is none."""
    path = f"{key}-cert.pub"
    return path if Path(path).expanduser().is_file() else ""


def from_file(path: str) -> paramiko.PKey:
    """Read a private key; one with a passphrase is opened with ``NAS_KEY_PASSPHRASE_FILE``.

    Raises:
        Unusable: It cannot be read or opened.
        ControllerFault: The passphrase's file cannot be used.
    """
    try:
        return paramiko.PKey.from_path(Path(path).expanduser())
    except (TypeError, paramiko.PasswordRequiredException):  # as cryptography says that a passphrase is missing
        return _opened(path)
    except OSError as error:
        raise Unusable(f"{path} (it cannot be read: {error.strerror})") from error
    except (ValueError, paramiko.SSHException, UnknownKeyType) as error:
        raise Unusable(f"{path} (it is no Ed25519, ECDSA or RSA private key in OpenSSH's or PEM form)") from error


def _opened(path: str) -> paramiko.PKey:
    file = Settings.from_environment().key_passphrase_file
    if not file:
        raise Unusable(f"{path} (it has a passphrase: add it to ssh-agent, or set NAS_KEY_PASSPHRASE_FILE)")
    try:
        passphrase: Any = _passphrase(Path(file).expanduser())  # paramiko asks for text and passes it on as bytes
        return paramiko.PKey.from_path(Path(path).expanduser(), passphrase)
    except (ValueError, TypeError, paramiko.SSHException) as error:
        raise Unusable(f"{path} (the passphrase in NAS_KEY_PASSPHRASE_FILE does not open it)") from error


def _passphrase(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno())
            if not stat.S_ISREG(mode.st_mode) or mode.st_mode & 0o077 or mode.st_uid != os.geteuid():
                raise ControllerFault(
                    f"NAS_KEY_PASSPHRASE_FILE names {path}, which others may read or own; "
                    f"make it this user's own and run `chmod 600 {path}`."
                )
            return file.read(4096).rstrip(b"\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ControllerFault(
            f"NAS_KEY_PASSPHRASE_FILE names {path}, which cannot be read ({_why(error)}); "
            "name a text file with the passphrase."
        ) from error


def _listed(content: bytes, *, certificate: bool = False) -> bytes | None:
    """Return the blob of a line such as ``ssh-ed25519 AAAA… comment``."""
    kind, _, rest = content.partition(b" ")
    if not content.startswith((b"ssh-", b"ecdsa-")) or kind.endswith(_CERTIFICATE.encode()) != certificate:
        return None
    try:
        return base64.b64decode(rest.split()[0], validate=True)
    except (IndexError, binascii.Error):
        return None


def _header(content: bytes) -> bytes | None:
    """Return the public key at the head of a private one in OpenSSH's form, which no passphrase hides."""
    body = b"".join(line for line in content.split(b"\n") if not line.startswith(b"-----"))
    try:
        blob = base64.b64decode(body, validate=True)
    except binascii.Error:
        return None
    if not blob.startswith(_PRIVATE_MAGIC):
        return None
    message = paramiko.Message(blob[len(_PRIVATE_MAGIC) :])
    for _ in ("cipher", "kdf", "kdf options"):
        message.get_binary()
    message.get_int()  # how many keys follow
    return message.get_binary()


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
