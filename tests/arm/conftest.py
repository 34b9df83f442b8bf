"""The Arm board as a fixture: ``from arm.conftest import arm_board`` in another folder's conftest takes it along."""

from __future__ import annotations

import pytest

from arm import root as arm_root
from arm.board import running


@pytest.fixture(scope="session")
def arm_board():
    """An emulated aarch64 Debian behind OpenSSH; ``arm_board.board()`` is a device there."""
    try:
        with running() as board:
            yield board
    except arm_root.Unready as reason:
        pytest.fail(str(reason))
