"""Entry of the zipapp; readable by any Python, so that an old one gets a clear message."""

import sys

if sys.version_info < (3, 8):
    sys.exit("PYTHON_TOO_OLD %d.%d" % sys.version_info[:2])

if sys.argv[1:] and not sys.argv[1].startswith("-"):
    from device_agents.installer import main
else:
    from device_agents.agent import main

main()
