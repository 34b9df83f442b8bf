"""The wire protocol between a controller and the agent on a device; PROTOCOL.md is its reference.

JSON lines: one object a line, UTF-8, requests on the agent's stdin, replies on its stdout::

    -> {"id": 1, "verb": "hello", "protocol": 2}
    <- {"id": 1, "ok": true, "protocol": 2, ...}
    -> {"id": 2, "verb": "measure", "model": "<sha256>", "inputs": "<sha256>", "runtime": "onnxruntime", ...}
    <- {"id": 2, "ok": true, "latency": {"p50": {"ms": 0.03, "interval": [0.029, 0.031]}, ...}, ...}
    -> {"id": 3, "verb": "fly"}
    <- {"id": 3, "ok": false, "error": {"blame": "controller", "code": "unknown_verb", "message": "..."}}

The first request is ``hello`` and carries the version. Files are named by their SHA-256 alone,
so that no path ever comes in. Nothing is pickled and nothing is executed.
"""

from __future__ import annotations

import json
import re
from typing import Any, Callable, Dict, List, NoReturn, Optional, Tuple

VERSION = 2
MAX_LINE = 65536
"""Bytes that a request may have; replies carry raw samples and tensors and are longer."""

RUNTIMES = (
    "onnxruntime",
    "onnxruntime-cuda",
    "onnxruntime-tensorrt",
    "openvino",
    "executorch",
    "litert",
    "identity",
)

BLAMES = {
    "bad_json": "controller",
    "too_long": "controller",
    "bad_request": "controller",
    "unknown_verb": "controller",
    "wrong_version": "controller",
    "hello_first": "controller",
    "blob_missing": "controller",
    "blob_corrupt": "controller",
    "bad_inputs": "controller",
    "result_missing": "controller",
    "device_busy": "device",
    "runtime_missing": "device",
    "device_broken": "device",
    "model_failed": "candidate",
    "deadline": "candidate",
    "crashed": "candidate",
}
"""Every error code, and who is to blame for it."""


class Problem(Exception):
    """Anything that is answered with an error reply instead of a result."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def to_dict(self) -> Dict[str, str]:
        """Return the ``error`` object of the reply."""
        return {"blame": BLAMES[self.code], "code": self.code, "message": self.message}


def is_sha256(value: object) -> bool:
    """Tell whether ``value`` is 64 lower-case hex digits: the only name that a file can have."""
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def is_job(value: object) -> bool:
    """Tell whether ``value`` is 32 lower-case hex digits: the only name that a stored result can have."""
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{32}", value) is not None


def _is_whole(low: int, high: int) -> Callable[[object], bool]:
    return lambda value: type(value) is int and low <= value <= high


def _is_seconds(value: object) -> bool:
    return type(value) in (int, float) and 0 <= value <= 86400  # type: ignore[operator] # a number by now


Check = Tuple[str, Callable[[Any], bool]]

_SHA: Check = ("64 lower-case hex digits", is_sha256)
_RUNTIME: Check = ("one of " + ", ".join(RUNTIMES), lambda value: isinstance(value, str) and value in RUNTIMES)
_THREADS: Check = ("a whole number from 1 to 256", _is_whole(1, 256))
_SECONDS: Check = ("seconds from 0 to 86400", _is_seconds)
_SAMPLES: Check = ("a whole number from 1 to 200000", _is_whole(1, 200000))

_LAUNCHES: Check = ("a whole number from 1 to 1000", _is_whole(1, 1000))
_FLAG: Check = ("true or false", lambda value: type(value) is bool)

BUDGET: Dict[str, Check] = {
    "min_launches": _LAUNCHES,
    "max_launches": _LAUNCHES,
    "min_samples": _SAMPLES,
    "max_samples": _SAMPLES,
    "launch_seconds": _SECONDS,
    "warmup_max_seconds": _SECONDS,
    "gate_max_seconds": _SECONDS,
    "energy_seconds": _SECONDS,
    "tail": _FLAG,
    "audit": _FLAG,
}
REFERENCE: Dict[str, Check] = {"model": _SHA, "inputs": _SHA}
MODES: Dict[str, Dict[str, Check]] = {
    "single": {},
    "sustained": {"seconds": _SECONDS},
    "duty": {"gap_s": _SECONDS, "requests": _SAMPLES},
}
LIMITS: Dict[str, Check] = {
    "memory_mb": ("a whole number from 1 to 1048576, or null", lambda v: v is None or _is_whole(1, 1048576)(v)),
}


def _is_table(table: Dict[str, Check]) -> Callable[[Any], bool]:
    def check(value: Any) -> bool:
        return isinstance(value, dict) and set(value) == set(table) and all(table[k][1](value[k]) for k in table)

    return check


def _is_mode(value: Any) -> bool:
    known = isinstance(value, dict) and value.get("kind") in [*MODES]
    return known and _is_table(MODES[value["kind"]])({name: value[name] for name in value if name != "kind"})


_RUN: Dict[str, Check] = {
    "model": _SHA,
    "inputs": _SHA,
    "runtime": _RUNTIME,
    "threads": _THREADS,
    "deadline_s": _SECONDS,
    "limits": ("an object with " + ", ".join(LIMITS), _is_table(LIMITS)),
}
VERBS: Dict[str, Dict[str, Check]] = {
    "hello": {"protocol": ("a whole number", lambda value: type(value) is int)},
    "probe": {},
    "measure": dict(
        _RUN,
        reference=("an object with model and inputs, or null", lambda v: v is None or _is_table(REFERENCE)(v)),
        budget=("an object with " + ", ".join(BUDGET), _is_table(BUDGET)),
        mode=("an object with a kind of " + ", ".join(MODES) + " and its fields", _is_mode),
        beside_load=_FLAG,
        job=("32 lower-case hex digits", is_job),
    ),
    "sweep": {
        **dict.fromkeys(("model", "table", "recipe"), _SHA),
        **{name: _RUN[name] for name in ("runtime", "threads", "deadline_s", "limits")},
        "gate_max_seconds": _SECONDS,
        "beside_load": _FLAG,
        "job": ("32 lower-case hex digits", is_job),
    },
    "result": {"job": ("32 lower-case hex digits", is_job)},
    "run": _RUN,
    "bye": {},
}
"""Every verb with its fields; all of them are required, others are refused."""


def parse(line: Optional[bytes]) -> Dict[str, Any]:
    """Return the JSON object on a line; None stands for one that was too long.

    Raises:
        Problem: ``too_long`` or ``bad_json``.
    """
    if line is None:
        raise Problem("too_long", "The line has more than %d bytes; send less." % MAX_LINE)
    try:
        request = json.loads(line.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise Problem("bad_json", "The line is not JSON; expected one JSON object per line in UTF-8.") from None
    if not isinstance(request, dict):
        raise Problem("bad_json", 'The line is JSON but no object; expected one such as {"id": 1, "verb": "hello"}.')
    return request


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def request_id(request: Dict[str, Any]) -> Any:
    """Return the id to echo: a whole number, or None when the request carries no usable one."""
    number = request.get("id")
    return number if type(number) is int and 0 <= number < 2**53 else None


def check(request: Dict[str, Any]) -> str:
    """Check a request against ``VERBS`` and return its verb.

    Raises:
        Problem: ``bad_request`` or ``unknown_verb``.
    """
    if request_id(request) is None:
        raise Problem("bad_request", "The request has no usable id; expected a whole number of at least 0.")
    verb = request.get("verb")
    if not isinstance(verb, str) or verb not in VERBS:
        raise Problem("unknown_verb", "There is no verb %.80r; expected one of %s." % (verb, ", ".join(VERBS)))
    wanted = VERBS[verb]
    given = set(request) - {"id", "verb"}
    for name in sorted(given ^ set(wanted)):
        state = "lacks the field" if name in wanted else "has an unknown field"
        fields = ", ".join(wanted) or "no fields"
        raise Problem("bad_request", "The verb %s %s %.80r; expected %s." % (verb, state, name, fields))
    for name, (expected, accepts) in wanted.items():
        if not accepts(request[name]):
            raise Problem("bad_request", "%s of %s is %.80r; expected %s." % (name, verb, request[name], expected))
    return verb


def encode(message: Dict[str, Any]) -> bytes:
    """Return ``message`` as one line."""
    return json.dumps(message, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"


class Lines:
    """Cuts a stream of bytes into lines of at most ``limit`` bytes."""

    def __init__(self, limit: int = MAX_LINE) -> None:
        self._limit = limit
        self._rest = bytearray()
        self._dropping = False

    def feed(self, chunk: bytes) -> List[Optional[bytes]]:
        """Return the lines that ``chunk`` completes, without their ends; None stands for one that was too long."""
        lines: List[Optional[bytes]] = []
        ended = chunk.split(b"\n")
        rest = ended.pop()
        for part in ended:
            self._take(part)
            lines.append(None if self._dropping else bytes(self._rest))
            self._rest.clear()
            self._dropping = False
        self._take(rest)
        return lines

    def _take(self, part: bytes) -> None:
        self._dropping = self._dropping or len(self._rest) + len(part) > self._limit
        if self._dropping:
            self._rest.clear()
        else:
            self._rest += part
