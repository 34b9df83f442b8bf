"""A measurement to hand on: ``certificate.json`` with its own hash, and a page that a person reads."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas import __version__
from nas.devices.measurement import Measurement
from nas.errors import RequestError

FORMAT = 1
JSON_NAME = "certificate.json"


@dataclass(frozen=True, slots=True)
class Certificate:
    """What was measured, when, and by which version of this project.

    Attributes:
        model_name: File name of the model; its SHA-256 stands in the measurement.
        issued: When, ISO 8601 with a time zone.
        made_by: Name and version of the project.
        measurement: Everything that the device said, every sample included.
    """

    model_name: str
    issued: str
    made_by: str
    measurement: Measurement

    @property
    def sha(self) -> str:
        """SHA-256 over the content in its canonical form: sorted keys, no spaces, ASCII."""
        return _digest(self._content())

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, ``sha256`` among them; ``from_dict`` is the inverse."""
        return {**self._content(), "sha256": self.sha}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Certificate:
        """Build from JSON values.

        Raises:
            RequestError: They are no certificate, or were changed after it was issued.
        """
        content = {name: value for name, value in values.items() if name != "sha256"}
        if values.get("format") != FORMAT or "sha256" not in values:
            raise RequestError(f"This is no certificate of format {FORMAT}; expected what `nas measure` wrote.")
        if values["sha256"] != _digest(content):
            raise RequestError(
                "The certificate was changed after it was issued: its content does not have the SHA-256 that stands in "
                "it; ask for the original or measure again."
            )
        try:
            measured = Measurement.from_dict(values["measurement"])
            return cls(values["model"], values["issued"], values["made_by"], measured)
        except (KeyError, TypeError, ValueError) as error:
            raise RequestError(f"The certificate lacks {error}; measure again with this version.") from None

    def _content(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "made_by": self.made_by,
            "issued": self.issued,
            "model": self.model_name,
            "measurement": self.measurement.to_dict(),
        }


def certify(measurement: Measurement, model_name: str, issued: str) -> Certificate:
    """Return the certificate of a measurement that was just made."""
    return Certificate(model_name, issued, f"edge-nas {__version__}", measurement)


def check(path: Path, model: bytes | None = None) -> Certificate:
    """Read a certificate, and make sure that it is whole and, with ``model``, that it is of that file.

    The hash tells of damage and of careless changes. It is no signature: who wants to can write another certificate.

    Raises:
        RequestError: It cannot be read, was changed, or is of another model.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RequestError(f"Cannot read the certificate {path} ({error.strerror}); check its name.") from None
    except ValueError:
        raise RequestError(f"{path} is no JSON; expected the {JSON_NAME} that `nas measure` wrote.") from None
    if not isinstance(values, dict):
        raise RequestError(f"{path} is no JSON object; expected the {JSON_NAME} that `nas measure` wrote.")
    found = Certificate.from_dict(values)
    if model is not None and hashlib.sha256(model).hexdigest() != found.measurement.model_sha:
        raise RequestError(
            f"The certificate is of a file with the SHA-256 {found.measurement.model_sha}, and this model has another; "
            f"expected {found.model_name} as it was measured."
        )
    return found


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
