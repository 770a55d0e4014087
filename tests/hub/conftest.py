"""The test hub, and a separate home per test for everything that huggingface_hub and datasets store.

Both libraries read the environment once, when they are imported; so the fixture sets the environment (for
processes that a test starts) and the constants that were made of it (for this process).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hub.server import HubServer

TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_HUB_TOKEN")
OFFLINE = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE")
PLACES = (
    "HUGGINGFACE_HUB_CACHE",
    "TRANSFORMERS_CACHE",
    "HF_DATASETS_DOWNLOADED_DATASETS_PATH",
    "HF_MODULES_CACHE",
)
UNSET = (*TOKENS, *OFFLINE, *PLACES, "HUGGINGFACE_CO_STAGING", "HF_HUB_DISABLE_SYMLINKS")


def settings(url: str, home: Path) -> dict[str, str]:
    """The variables that point both libraries at a hub and at a home directory."""
    return {
        "HF_ENDPOINT": url,
        "HF_HOME": str(home),
        "HF_HUB_CACHE": str(home / "hub"),
        "HF_DATASETS_CACHE": str(home / "datasets"),
        "HF_TOKEN_PATH": str(home / "token"),
        "HF_XET_CACHE": str(home / "xet"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        "HF_UPDATE_DOWNLOAD_COUNTS": "0",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }


def environment(url: str, home: Path) -> dict[str, str]:
    """This process's environment for a process that is to talk to the hub at `url`: no token, nothing kept
    but in `home`.
    """
    return {name: value for name, value in os.environ.items() if name not in UNSET} | settings(url, home)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """An empty hub that both libraries talk to, with empty caches below `tmp_path / "home"` and no token."""
    from huggingface_hub import close_session

    with HubServer() as server:
        point_at(server.url, tmp_path / "home", monkeypatch)
        yield server
        close_session()


def point_at(url: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make both libraries, here and in child processes, use a hub and a home until the test ends."""
    from huggingface_hub import HfFileSystem, close_session

    for name in UNSET:
        monkeypatch.delenv(name, raising=False)
    for name, value in settings(url, home).items():
        monkeypatch.setenv(name, value)
    _point_hub(url, home, monkeypatch)
    _point_datasets(url, home, monkeypatch)
    HfFileSystem.clear_instance_cache()  # they remember listings of another hub
    close_session()  # the client that is there may have read other proxies


def _point_hub(url: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants, hf_api
    from huggingface_hub.utils import _cache_manager

    values: dict[str, Any] = {
        "ENDPOINT": url,
        "HUGGINGFACE_CO_URL_TEMPLATE": url + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HOME": str(home),
        "HF_HUB_CACHE": str(home / "hub"),
        "HUGGINGFACE_HUB_CACHE": str(home / "hub"),
        "HF_ASSETS_CACHE": str(home / "assets"),
        "HF_XET_CACHE": str(home / "xet"),
        "HF_TOKEN_PATH": str(home / "token"),
        "HF_STORED_TOKENS_PATH": str(home / "stored_tokens"),
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_DISABLE_TELEMETRY": True,
    }
    for name, value in values.items():
        monkeypatch.setattr(constants, name, value)
    monkeypatch.setattr(_cache_manager, "HF_HUB_CACHE", str(home / "hub"))  # a copy made at import
    monkeypatch.setattr(
        hf_api.api, "endpoint", url
    )  # used by model_info() and the other module-level functions


def _point_datasets(url: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from datasets import config

    values: dict[str, Any] = {
        "HF_ENDPOINT": url,
        "HUB_DATASETS_URL": url + "/datasets/{repo_id}/resolve/{revision}/{path}",
        "HF_CACHE_HOME": str(home),
        "HF_DATASETS_CACHE": home / "datasets",
        "HF_MODULES_CACHE": home / "modules",
        "DOWNLOADED_DATASETS_PATH": home / "datasets" / "downloads",
        "EXTRACTED_DATASETS_PATH": home / "datasets" / "downloads" / "extracted",
        "HF_HUB_OFFLINE": False,
        "HF_DATASETS_OFFLINE": False,
        "HF_UPDATE_DOWNLOAD_COUNTS": False,
        "USE_PARQUET_EXPORT": False,  # would ask datasets-server.HOST, a name outside this machine
    }
    for name, value in values.items():
        monkeypatch.setattr(config, name, value)
