"""Hardware-aware architecture search for compact LSTM forecasters, measured on the device they will run on."""

import os

__version__ = "0.1.0"
# From 1.29 on onnxruntime reports to its maker unless this is set before it is first imported; workers inherit it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
