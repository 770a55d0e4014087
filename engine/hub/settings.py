"""Where the hub is, where its files lie on this machine, and whether it may be asked.

The environment is read at each call: a page's process may be told of another cache or hub while it runs.
"""

from __future__ import annotations

import os
from pathlib import Path

OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


def offline(more: tuple[str, ...] = ()) -> bool:
    """Whether the person has said that nothing may be asked of the network; `more` are other variables that
    say so.
    """
    from huggingface_hub import constants

    told = [os.environ[name] for name in (*OFFLINE, *more) if name in os.environ]
    return (
        any(value.upper() in constants.ENV_VARS_TRUE_VALUES for value in told)
        if told
        else constants.is_offline_mode()
    )


def endpoint() -> str:
    """The hub's address."""
    from huggingface_hub import constants

    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or constants.ENDPOINT


def page(model: str) -> str:
    """The model's page, for a person."""
    return f"https://huggingface.co/{model}"


def hub_cache() -> Path:
    """The hub's cache of whole files."""
    from huggingface_hub import constants

    told = os.environ.get("HF_HUB_CACHE")
    if not told and "HF_HOME" in os.environ:
        told = str(Path(os.environ["HF_HOME"]) / "hub")
    return Path(told or constants.HF_HUB_CACHE).expanduser()


def repo_cache(model: str) -> Path:
    """The part of the cache that holds one model."""
    from huggingface_hub.file_download import repo_folder_name

    return hub_cache() / str(repo_folder_name(repo_id=model, repo_type="model"))
