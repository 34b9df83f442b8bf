"""Entry of the zipapp; readable by any Python, so that an old one gets a clear message."""

import sys

if sys.version_info < (3, 8):
    sys.exit("PYTHON_TOO_OLD %d.%d" % sys.version_info[:2])

from device_agents.agent import main

main()
