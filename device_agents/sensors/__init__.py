"""The device's senses: facts about it, and looks at what happens to it; both through a root prefix."""

from device_agents.sensors.facts import facts
from device_agents.sensors.senses import Look, Senses

__all__ = ["Look", "Senses", "facts"]
