"""Faults of devices, links, controllers and databases, and what must hold after each (``history``)."""
