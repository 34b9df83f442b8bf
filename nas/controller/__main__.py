"""``python -m nas.controller``: one controller process."""

from nas.controller.process import main

main()
