"""Data: long table -> validated Panel -> windows; accuracy by slice."""

from nas.data.load import load_panel
from nas.data.panel import Panel
from nas.data.split import Split
from nas.data.windows import Windows

__all__ = ["Panel", "Split", "Windows", "load_panel"]
