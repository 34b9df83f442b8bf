"""Time a command and its memory: ``clock.py LOG COMMAND…``; standard library only, so that it is small itself."""

import json
import os
import sys
import time

log, *command = sys.argv[1:]
started = time.perf_counter()
child = os.fork()
if not child:
    sink = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (sink, 1), (sink, 2)):
        os.dup2(source, target)
    os.execvp(command[0], command)
_, status, usage = os.wait4(child, 0)
seconds, code = time.perf_counter() - started, os.waitstatus_to_exitcode(status)
print(json.dumps({"seconds": seconds, "peak_mb": usage.ru_maxrss / 1024, "code": code}))
