"""What a model's download would be, before any of it: one small request for the repository's files and sizes,
one more for an index of shards.

A model's configuration alone: a few kilobytes that say how large it is, before anything else of it is
fetched.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import ModelError
from engine.hardware.memory import disk_free
from engine.hub import settings
from engine.hub.cache import CONFIG, INDEX, has_pickles, text_files, weight_files
from engine.hub.failures import no_safetensors, to_model_error


def config_directory(model: str, revision: str | None = None) -> Path:
    """A directory that holds the `config.json` of a model of the hub; what is on this machine is used without
    asking the network.

    Raises:
        ModelError: there is no such model, or the hub cannot be asked.
    """
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    try:
        found = try_to_load_from_cache(model, CONFIG, cache_dir=settings.hub_cache(), revision=revision)
        if isinstance(found, str):
            return Path(found).parent
        _ask_once(model, revision)
        path = hf_hub_download(
            model, CONFIG, revision=revision, cache_dir=settings.hub_cache(), endpoint=settings.endpoint()
        )
        return Path(path).parent
    except ModelError:
        raise
    except Exception as error:
        raise to_model_error(model, revision, error) from error


def _ask_once(model: str, revision: str | None) -> None:
    """One small request: where nothing answers it fails at once, while a download would be tried for half a
    minute.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import OfflineModeIsEnabled

    if settings.offline():
        raise OfflineModeIsEnabled
    url = hf_hub_url(model, CONFIG, revision=revision, endpoint=settings.endpoint())
    get_hf_file_metadata(url, endpoint=settings.endpoint())


TIMEOUT = 10.0  # seconds


@dataclass(frozen=True)
class RemoteFile:
    """A file of the repository; `cached`: it is on this machine already."""

    name: str
    size: int
    cached: bool


@dataclass(frozen=True)
class Listing:
    """What a run needs of a repository.

    Attributes:
        commit: the version that the revision stands for.
        files: configuration first, then the rest.
        total_bytes: of all files.
        missing_bytes: of those that are not on this machine.
        free_disk: free bytes where they would go, None where nobody can say.
        gated: whether the authors ask for consent first.
    """

    model: str
    commit: str
    files: tuple[RemoteFile, ...]
    total_bytes: int
    missing_bytes: int
    free_disk: int | None
    gated: bool
    licence: str | None


def listing(model: str, revision: str | None = None) -> Listing:
    """The files of a model on the hub.

    Raises:
        ModelError: there is no such model or revision, it has no safetensors, or the hub cannot be asked.
    """
    try:
        info = _info(model, revision)
        names = [item.rfilename for item in info.siblings or ()]
        weights = _shards(model, str(info.sha)) if INDEX in names else weight_files(names)
        if not weights:
            raise no_safetensors(model, pickles=has_pickles(names))
        return _listed(model, info, [*text_files(names), *weights])
    except ModelError:
        raise
    except Exception as error:
        raise to_model_error(model, revision, error) from error


def _info(model: str, revision: str | None) -> Any:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import OfflineModeIsEnabled

    if settings.offline():
        raise OfflineModeIsEnabled
    return HfApi(endpoint=settings.endpoint()).model_info(
        model, revision=revision, files_metadata=True, timeout=TIMEOUT
    )


def _shards(model: str, commit: str) -> list[str]:
    """The files that the index names."""
    from huggingface_hub import hf_hub_download

    path = hf_hub_download(
        model, INDEX, revision=commit, cache_dir=settings.hub_cache(), endpoint=settings.endpoint()
    )
    return sorted(set(json.loads(Path(path).read_text(encoding="utf-8"))["weight_map"].values()))


def _listed(model: str, info: Any, wanted: Sequence[str]) -> Listing:
    sizes = {item.rfilename: int(item.size or 0) for item in info.siblings}
    directory = settings.repo_cache(model) / "snapshots" / str(info.sha)
    first = sorted(wanted, key=lambda name: (name != CONFIG, name.endswith(".safetensors"), name))
    files = tuple(RemoteFile(name, sizes.get(name, 0), (directory / name).is_file()) for name in first)
    card = info.card_data
    return Listing(
        model=model,
        commit=str(info.sha),
        files=files,
        total_bytes=sum(file.size for file in files),
        missing_bytes=sum(file.size for file in files if not file.cached),
        free_disk=disk_free(settings.hub_cache()),
        gated=bool(info.gated),
        licence=getattr(card, "license", None) if card is not None else None,
    )
