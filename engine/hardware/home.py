"""The directory that holds all runs."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_data_dir

VARIABLE = "PRUNESCOPE_HOME"
"""The environment variable that chooses another directory than the platform's data directory."""


def home() -> Path:
    """Return the directory for runs, which need not exist."""
    return Path(os.environ.get(VARIABLE) or user_data_dir("prunescope")).expanduser().absolute()
