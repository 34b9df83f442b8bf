"""Hardware-aware architecture search for compact LSTM forecasters, measured on the device they will run on."""

__version__ = "0.1.0"
