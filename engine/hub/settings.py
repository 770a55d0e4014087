"""The hub's address, its caches on this machine, and offline mode.

The environment is read on every call, because the variables may change while the process runs (tests and the
page's process do this). The libraries read it only once, on import.
"""

from __future__ import annotations

import os
from pathlib import Path

OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
DATASETS_OFFLINE = "HF_DATASETS_OFFLINE"


def offline(*, datasets: bool = False) -> bool:
    """Return whether the user has turned network access off.

    Args:
        datasets: honour `HF_DATASETS_OFFLINE` as well.
    """
    from huggingface_hub import constants

    names = (*OFFLINE, DATASETS_OFFLINE) if datasets else OFFLINE
    values = [os.environ[name] for name in names if name in os.environ]
    if not values:  # then as the library read it on import
        return constants.is_offline_mode()
    return any(value.upper() in constants.ENV_VARS_TRUE_VALUES for value in values)


def endpoint() -> str:
    """Return the hub's base URL."""
    from huggingface_hub import constants

    # without a last slash, because paths are appended with one
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or constants.ENDPOINT


def model_page(model: str) -> str:
    """Return the URL of a model's page, to be shown to the user."""
    # The public site, even if HF_ENDPOINT is a mirror without pages.
    return f"https://huggingface.co/{model}"


def hub_cache() -> Path:
    """Return the directory of the hub's cache, which is shared with every other program that uses the hub."""
    from huggingface_hub import constants

    configured = os.environ.get("HF_HUB_CACHE")
    if not configured and "HF_HOME" in os.environ:  # the library's order of precedence
        configured = str(Path(os.environ["HF_HOME"]) / "hub")
    return Path(configured or constants.HF_HUB_CACHE).expanduser()


def model_cache(model: str) -> Path:
    """Return the folder of the hub's cache that holds one model."""
    from huggingface_hub.file_download import repo_folder_name

    # `models--owner--name`
    return hub_cache() / str(repo_folder_name(repo_id=model, repo_type="model"))


def datasets_cache() -> Path:
    """Return the directory in which the `datasets` library keeps its caches."""
    configured = os.environ.get("HF_DATASETS_CACHE")
    if configured:
        return Path(configured).expanduser()
    from huggingface_hub import constants

    return Path(os.environ.get("HF_HOME") or constants.HF_HOME).expanduser() / "datasets"
