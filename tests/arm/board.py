"""An Arm board: the emulated system behind a real OpenSSH of its own, reached as an ordinary user."""

from __future__ import annotations

import fcntl
import itertools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import sshd

from arm import root as arm_root
from nas.devices.device import Device

CONFIG = """\
AllowUsers {user}
ChrootDirectory {root}
SetEnv QEMU_CPU=cortex-a72
"""
"""The processor is a Pi 4's. (As qemu's own `max`, which has SME, int8 LSTMs come out wrong by a third.)"""


@dataclass
class ArmBoard(sshd.Sshd):
    """A server whose logins see only the Arm system; ``folder`` and ``root`` belong to root, as sshd wants it."""

    root: Path = field(default=Path("/"))
    _numbers: Iterator[int] = field(default_factory=itertools.count, repr=False)

    def board(self, **changes: object) -> Device:
        """A device with a folder of its own in the user's home."""
        usual = {"name": "arm", "user": arm_root.USER.pw_name}
        return self.device(Path(f".nas-agent-{next(self._numbers)}"), **{**usual, **changes})

    def path(self, device: Device) -> Path:
        """Where the folder of a device lies, seen from this computer."""
        return self.root / arm_root.USER.pw_dir.lstrip("/") / device.root


@contextmanager
def running() -> Iterator[ArmBoard]:
    """Run the board; a second one at the same time waits for the first to end.

    Raises:
        arm.root.Unready: There can be none here; the message says why.
    """
    with ExitStack() as stack:
        arm_root.FOLDER.mkdir(mode=0o755, parents=True, exist_ok=True)
        alone = stack.enter_context((arm_root.FOLDER / "lock").open("w"))
        fcntl.flock(alone, fcntl.LOCK_EX)
        root = arm_root.make_ready()
        stack.enter_context(arm_root.proc_mounted(root))
        folder = arm_root.FOLDER / "sshd"
        folder.mkdir(mode=0o755, exist_ok=True)
        board = ArmBoard(folder, extra=CONFIG.format(user=arm_root.USER.pw_name, root=root), root=root)
        board.start()
        stack.callback(board.stop)
        yield board
