"""`make bench-measuring`: all rows, on this computer through real OpenSSH on loopback."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.benchmarks.measuring import EVERYWHERE, HERE, board  # isort: skip # puts tests/ on the path

from sshd import Sshd

from benchmarks.report import write

INTRODUCTION = """Real candidates drawn from `lstm_compact`, onnxruntime, one thread unless a candidate says otherwise,
measured through real OpenSSH on loopback. *Paired* is the ratio to the reference model, *refused* the share of
measurements that the device rejected instead of answering; a row with more than 20 % of them does not hold. The
machine is a shared virtual one without sensors: heat, power and absolute milliseconds of a board are not proven by it,
and throttling is scripted."""


def main() -> None:
    """Measure and report."""
    with tempfile.TemporaryDirectory() as folder:
        server = Sshd(Path(folder))
        server.start()
        try:
            figures = board(server.device(Path(folder) / "agent", python=sys.executable), EVERYWHERE + HERE)
        finally:
            server.stop()
    write("measuring", INTRODUCTION, figures)


if __name__ == "__main__":
    main()
