"""Entry of the zipapp; readable by any Python, so that an old one gets a clear message."""

import os
import sys

if sys.version_info < (3, 8):
    sys.exit("PYTHON_TOO_OLD %d.%d" % sys.version_info[:2])

# From 1.29 on onnxruntime reports to its maker and keeps a file in the home folder; read when it is first imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

if sys.argv[1:] and not sys.argv[1].startswith("-"):
    from device_agents.installer import main
else:
    from device_agents.agent import main

main()
