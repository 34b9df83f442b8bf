"""The agent as one file: a zipapp of ``device_agents`` with the same bytes each time."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from device_agents import protocol

_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class AgentFile:
    """The zipapp's bytes and their SHA-256."""

    content: bytes
    sha: str

    @property
    def name(self) -> str:
        """File name on the device: another agent never overwrites this one."""
        return f"agent-{self.sha}.pyz"


@cache
def agent_file() -> AgentFile:
    """Build the zipapp: files in sorted order, fixed times and rights, so that its SHA-256 names its source."""
    package = Path(protocol.__file__).parent
    sources = {f"device_agents/{path.relative_to(package).as_posix()}": path for path in package.rglob("*.py")}
    sources["__main__.py"] = package / "__main__.py"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(sources):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, sources[name].read_bytes(), zipfile.ZIP_DEFLATED, 9)
    content = buffer.getvalue()
    return AgentFile(content, hashlib.sha256(content).hexdigest())
