"""The directory that holds all runs."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "PRUNESCOPE_HOME"
"""The environment variable that chooses another directory than the platform's data directory."""


def home() -> Path:
    """Return the directory for runs, which need not exist."""
    return Path(os.environ.get(VARIABLE) or _data_directory()).expanduser().absolute()


def _data_directory() -> str:
    # Imported only where it is needed: a machine lent for measurements may lack it.
    from platformdirs import user_data_dir

    return user_data_dir("prunescope")
