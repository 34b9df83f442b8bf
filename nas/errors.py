"""Every error that a user can meet, as one tree.

::

    NasError
    ├── InputError              what was given is wrong                      422
    │   ├── SpaceError          a search space file
    │   ├── DataError           a data set; carries the list of problems
    │   └── RequestError        a search, an export, a device to add
    ├── NotFound                no such search, trial, device, student       404
    ├── Conflict                the object's state does not allow it         409
    ├── MissingExtra            an optional package is not installed         501
    └── Fault                   something broke while working
        ├── CandidateFault      blame the architecture: never tried again
        ├── ControllerFault     blame this side: tried again, bounded
        │   ├── BlobLost            a file is missing or damaged on the device: sent again
        │   └── LeaseLost           another controller took the device meanwhile: its result is refused
        └── DeviceFault         blame the device: tried again, bounded
            ├── DeviceUnreachable   no answer, or it stopped answering
            ├── DeviceAway          it is given no work now: quarantined, draining, or outside its window
            ├── DeviceFull          it cannot store what it is sent
            ├── DeviceBusy          another agent holds the device
            ├── LoginRefused        the device refuses this user or key
            ├── HostKeyUnknown      never enrolled: nothing was sent
            ├── HostKeyChanged      not the pinned key: nothing was sent
            ├── PythonMissing       no python3, or one that is too old
            └── RuntimeMissing      the inference runtime is not on the device

A message is one sentence that says what happened, what was expected and what to do.
"""

from __future__ import annotations

from collections.abc import Sequence


class NasError(Exception):
    """Root of the tree; ``str(error)`` is the one sentence that the user reads."""


class InputError(NasError):
    """What was given is wrong; nothing was started."""


class SpaceError(InputError):
    """A search space file that cannot be used; the message names file and line."""


class DataError(InputError):
    """A data set that cannot be used.

    ``problems`` lists each finding with its row and column; the message sums them up.
    """

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class RequestError(InputError):
    """A request that cannot be carried out as written."""


class NotFound(NasError):
    """The named object does not exist."""


class Conflict(NasError):
    """The object exists, but its state does not allow the move."""


class MissingExtra(NasError):
    """An optional package is needed; the message says how to install it."""


class Fault(NasError):
    """Something broke while working; the subclass says who is to blame."""

    blame = "controller"


class CandidateFault(Fault):
    """The architecture itself cannot run on the device; trying again would not help."""

    blame = "candidate"


class ControllerFault(Fault):
    """This side broke; another attempt may succeed."""


class BlobLost(ControllerFault):
    """A model or its inputs are missing or damaged on the device; sending them again mends it."""


class LeaseLost(ControllerFault):
    """Another controller took the device meanwhile; whatever it still said is refused, and asked for again."""


class DeviceFault(Fault):
    """The device broke or is not usable; another attempt may succeed.

    Attributes:
        device: Name of the device; empty where the fault was met before it was known.
    """

    blame = "device"
    device = ""


class DeviceAway(DeviceFault):
    """The device is given no work now; the message says what it waits for."""


class DeviceUnreachable(DeviceFault):
    """The device does not answer, or stopped answering."""


class DeviceFull(DeviceFault):
    """The device cannot store what it is sent: its disk is full, or its folder may not be written."""


class DeviceBusy(DeviceFault):
    """Another agent holds the device's lock."""


class LoginRefused(DeviceFault):
    """The device refuses this user or key."""


class HostKeyUnknown(DeviceFault):
    """The device was never enrolled; nothing was sent."""


class HostKeyChanged(DeviceFault):
    """The device shows another host key than the pinned one; nothing was sent."""


class PythonMissing(DeviceFault):
    """No usable python3 on the device."""


class RuntimeMissing(DeviceFault):
    """The inference runtime is not installed on the device."""
