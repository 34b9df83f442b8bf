"""Time a command and its memory: ``clock.py LOG COMMAND…``; standard library only, so that it is small itself."""

import ctypes
import json
import os
import signal
import sys
import time


def end_with_parent() -> None:
    """A runner that is killed leaves nothing running behind it."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


PR_SET_PDEATHSIG = 1
log, *command = sys.argv[1:]
end_with_parent()
started = time.perf_counter()
child = os.fork()
if not child:
    end_with_parent()
    sink = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (sink, 1), (sink, 2)):
        os.dup2(source, target)
    os.execvp(command[0], command)
_, status, usage = os.wait4(child, 0)
seconds, code = time.perf_counter() - started, os.waitstatus_to_exitcode(status)
print(json.dumps({"seconds": seconds, "peak_mb": usage.ru_maxrss / 1024, "code": code}))
