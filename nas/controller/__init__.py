"""The controller: claims searches and jobs, carries them out, and gives them back.

Started by ``nas serve``, or alone and several times against one database; a lease says whose
work is whose, and whose turn it is on a device.
"""

from nas.controller.claims import Controller
from nas.controller.process import main

__all__ = ["Controller", "main"]
