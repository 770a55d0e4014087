"""Entry point of the command line: `python -m engine ...`."""

import os
import signal
import sys


def _cancel(*_: object) -> None:
    """End at once on Ctrl-C: nothing has been started yet, and a library that is half imported might catch a
    KeyboardInterrupt.
    """
    os.write(2, b"Cancelled.\n")
    os._exit(130)


before = signal.signal(signal.SIGINT, _cancel)
from engine.cli.main import main  # noqa: E402 - this takes a second

signal.signal(signal.SIGINT, before)
sys.exit(main())
