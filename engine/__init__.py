"""Prunescope's engine: everything but the pages. It runs without Streamlit, Plotly and Dask."""

from pathlib import Path

VERSION = "0.1.0"

# Installed, this directory lies in the package `prunescope`, see engine/installed.
INSTALLED = (Path(__file__).parents[1] / "__main__.py").is_file()
COMMAND = "prunescope" if INSTALLED else "python -m engine"
"""What the user types before `prune` and the other commands."""
APP = "prunescope" if INSTALLED else "streamlit run app.py"
"""What the user types to start the app."""

if __name__ != "engine":
    raise ImportError(f"Write `import prunescope`, then `import engine` instead of `import {__name__}`.")
