"""Entry point of the command line: `python -m engine ...`."""

import gc
import os
import signal
import sys

from engine import COMMAND


def _cancel(*_: object) -> None:
    """End at once on Ctrl-C: nothing has been started yet, or all has ended. A library that is half imported
    might catch a KeyboardInterrupt, and the interpreter prints one when it exits.
    """
    os.write(2, b"Cancelled.\n")
    os._exit(130)


before = signal.signal(signal.SIGINT, _cancel)
gc.disable()  # looking for garbage among what is being imported would take a tenth of the time
if sys.argv[1:2] == ["doctor"]:
    # Not through the other commands' parser, which imports torch: what is missing is for `doctor` to say. All
    # that it starts ends with this process.
    from engine.cli.doctor import main
else:
    try:
        from engine.cli.main import main  # this takes a second
    except ImportError as error:
        sys.exit(f"{error}. To see what is missing: {COMMAND} doctor")
gc.freeze()  # what was imported stays: no later collection needs to look through it
gc.enable()
try:
    if sys.argv[1:2] != ["doctor"]:
        signal.signal(signal.SIGINT, before)
    status = main()
except KeyboardInterrupt:  # outside what `main` catches
    _cancel()
finally:
    signal.signal(signal.SIGINT, _cancel)
sys.exit(status)
