"""Converts an exported program into a LiteRT model; runs in an environment of its own, without nas.

    python litert_converter.py PROGRAM FOLDER

PROGRAM is a file of ``torch.export.save``; FOLDER receives ``model.tflite`` and ``version``. The
converter pins packages that nas needs newer, so the two cannot share an environment.
"""

import sys
from importlib import metadata
from pathlib import Path

import litert_torch
import torch


def main() -> None:
    """Convert; 64-bit inputs stay 64-bit, as the model's contract has them."""
    program, folder = torch.export.load(sys.argv[1]), Path(sys.argv[2])
    _, request = program.example_inputs
    litert_torch.convert(program.module(), sample_kwargs=request, enable_x64=True).export(str(folder / "model.tflite"))
    (folder / "version").write_text(metadata.version("litert-torch"), encoding="utf-8")


if __name__ == "__main__":
    main()
