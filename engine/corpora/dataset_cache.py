"""Where texts of the hub lie on this machine, and whether the hub may be asked.

Whole files are in the hub's own cache, so that what another program fetched is found too. Of a long file only
the first documents are taken; they are kept beside the caches of `datasets`. The environment is read at each
call: a page's process may be told of another cache or hub while it runs.
"""

from __future__ import annotations

import os
from pathlib import Path

from engine.hub import settings
from engine.hub.settings import endpoint, hub_cache

__all__ = ["endpoint", "head", "heads", "hub_cache", "hub_file", "offline"]

DATASETS_OFFLINE = "HF_DATASETS_OFFLINE"


def offline() -> bool:
    """Whether the person has said that nothing may be asked of the network."""
    return settings.offline((DATASETS_OFFLINE,))


def hub_file(repo: str, revision: str, file: str) -> Path | None:
    """A dataset's file in the hub's cache, None where it is not there."""
    from huggingface_hub import try_to_load_from_cache

    try:
        found = try_to_load_from_cache(
            repo, file, cache_dir=hub_cache(), revision=revision, repo_type="dataset"
        )
    except OSError:
        return None
    return Path(found) if isinstance(found, str) else None


def heads() -> Path:
    """Where the first documents of long files are kept."""
    told = os.environ.get("HF_DATASETS_CACHE")
    if told:
        return Path(told).expanduser() / "prunescope"
    from huggingface_hub import constants

    return Path(os.environ.get("HF_HOME") or constants.HF_HOME).expanduser() / "datasets" / "prunescope"


def head(repo: str, revision: str, file: str, documents: int) -> Path:
    """The file that holds the first documents of a file of the hub."""
    flat = f"{repo}-{revision[:12]}-{Path(file).name.partition('.json')[0]}-{documents}.jsonl.gz"
    return heads() / flat.replace("/", "--")
