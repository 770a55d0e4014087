"""The command `prunescope`, also `python -m prunescope`.

Without a command it starts the app, from any directory; options are Streamlit's. `prunescope COMMAND ...` is
`python -m engine COMMAND ...`.
"""

import os
import runpy
import signal
import sys

from prunescope import ROOT

OWN = ("-h", "--help", "--version")
"""The options without a command that are not Streamlit's."""


def main() -> None:
    """Run what the command line says; ends with `SystemExit`."""
    # First, because this process is ours: a module named engine in the current directory must not win.
    sys.path.insert(0, str(ROOT))
    module = "engine"
    if not sys.argv[1:] or (sys.argv[1].startswith("-") and sys.argv[1] not in OWN):
        module = "streamlit"
        # Until Streamlit's server handles it: Ctrl-C would print a traceback of its imports.
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))
        # Streamlit also reads the configuration next to the script, whatever the current directory.
        sys.argv[1:1] = ["run", str(ROOT / "app.py")]
    try:
        runpy.run_module(module, run_name="__main__")
    except ImportError as error:
        sys.exit(f"{error}. To see what is missing: prunescope doctor")
    except KeyboardInterrupt:  # before Streamlit handles it
        sys.exit(130)


if __name__ == "__main__":
    main()
