"""OpenSSH's configuration files, made ready for paramiko, which knows no Include and would carry out ``Match exec``."""

from __future__ import annotations

import glob
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import paramiko

from nas.errors import RequestError

REFUSED = "refusedline"
"""Our keyword in place of a line that paramiko would misread, or in a block whose ``Match`` cannot be judged here."""
_CRITERIA = ("host", "originalhost", "user", "localuser")
_BARE_CRITERIA = ("all", "canonical", "final")
_DEEPEST_INCLUDE = 16


class Reader(paramiko.SSHConfig):
    """paramiko's reader, which also expands the ``%`` words of a few more keywords, and follows includes."""

    TOKENS_BY_CONFIG_KEY = {  # noqa: RUF012 # the base class's own form
        **paramiko.SSHConfig.TOKENS_BY_CONFIG_KEY,
        "hostkeyalias": ["%h", "%n"],
        "identityagent": ["~", "%d", "%h", "%l", "%u", "%r"],
        "userknownhostsfile": ["~", "%d", "%h", "%l", "%u", "%r"],
    }

    @classmethod
    def of(cls, file: Path) -> Self:
        """Read a file.

        Raises:
            RequestError: It cannot be read or understood.
        """
        try:
            return cls.from_text("\n".join(_lines(file)))
        except (paramiko.ConfigParseError, ValueError) as error:
            raise RequestError(f"{file} is no OpenSSH configuration ({error}); correct it.") from error


def _lines(file: Path, depth: int = 0) -> Iterator[str]:
    """Yield a file's lines with its includes in place, in words that paramiko understands."""
    if depth > _DEEPEST_INCLUDE:
        raise RequestError(f"{file} is included too deeply; expected at most {_DEEPEST_INCLUDE} levels.")
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(
            f"Cannot read {file} ({getattr(error, 'strerror', None) or error}); name a readable file."
        ) from error
    inside = ""
    for number, line in enumerate(text.splitlines(), start=1):
        keyword, _, value = re.sub(r"\s*=\s*|\s+", " ", line.strip(), count=1).partition(" ")
        match keyword.lower():
            case "include" if inside:
                raise RequestError(
                    f"{file}:{number} has an Include within `{inside}`, which cannot be honoured here; "
                    "move it above the first Host or Match."
                )
            case "include":
                yield from _included(value, depth)
            case "match":
                inside = line.strip()
                yield from _match(value)
            case "certificatefile":
                # paramiko keeps a list of identity files only; a certificate is told from a key by what it holds.
                yield f"IdentityFile {value}"
            case "canonicalizehostname" if value.strip().lower() != "no":
                yield f"{REFUSED} {line.strip()}"
            case word:
                inside = line.strip() if word == "host" else inside
                yield line


def _included(patterns: str, depth: int) -> Iterator[str]:
    """Yield the lines of included files; after each the condition that held before it holds again: none."""
    for path in shlex.split(patterns):
        pattern = Path("~/.ssh").expanduser() / Path(path).expanduser()
        for found in sorted(glob.glob(str(pattern))):  # noqa: PTH207 # Path.glob takes no absolute pattern
            yield from _lines(Path(found), depth + 1)
            yield "Host *"


def _match(criteria: str) -> Iterator[str]:
    """Yield a Match line; one with a criterion that cannot be judged here is marked, and refused where it applies."""
    words, judged, unknown = shlex.split(criteria), [], False
    while words:
        word = words.pop(0)
        kind = word.removeprefix("!").lower()
        value = words[:1] if kind not in _BARE_CRITERIA else []
        del words[: len(value)]
        if kind in _CRITERIA + _BARE_CRITERIA:
            judged += [word.replace(word.removeprefix("!"), kind), *value]
        else:
            unknown = True
    yield "Match " + shlex.join(judged or ["all"])
    if unknown:
        yield f"{REFUSED} Match {criteria}"
