"""What downloading a model would involve, before any of it is downloaded.

One small request returns the repository's files and their sizes; a sharded model needs one more, for the
index of its shards. The configuration alone (a few kilobytes) is enough to know how large a model is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import ModelError
from engine.hardware.memory import disk_free
from engine.hub import settings
from engine.hub.cache import ADAPTER_CONFIG, CONFIG, INDEX, SINGLE, indexed_files, text_files, weight_files
from engine.hub.failures import no_safetensors, to_model_error

TIMEOUT = 10.0  # seconds


@dataclass(frozen=True)
class RemoteFile:
    """A file of the repository. `cached`: whether it is on this machine already."""

    name: str
    size: int
    cached: bool


@dataclass(frozen=True)
class DownloadPlan:
    """What a run needs from a repository.

    Attributes:
        commit: the version that the revision points to.
        files: the configuration first, the weights last.
        total_bytes: size of all files.
        missing_bytes: size of those that are not on this machine.
        free_disk: free bytes on the disk of the cache, None if unknown.
        gated: whether the authors require consent first.
    """

    model: str
    commit: str
    files: tuple[RemoteFile, ...]
    total_bytes: int
    missing_bytes: int
    free_disk: int | None
    gated: bool
    licence: str | None


def config_directory(model: str, revision: str | None = None) -> Path:
    """Return a directory with the `config.json` of a model; no network is used if it is cached.

    Raises:
        ModelError: there is no such model, or the hub does not answer.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache
    from huggingface_hub.errors import RemoteEntryNotFoundError

    with model_errors(model, revision):
        cached = try_to_load_from_cache(model, CONFIG, cache_dir=settings.hub_cache(), revision=revision)
        if isinstance(cached, str):  # not the marker for "known to be absent"
            return Path(cached).parent
        _require_online()
        # One small request first: it fails immediately without a network, whereas a download retries for
        # half a minute.
        url = hf_hub_url(model, CONFIG, revision=revision, endpoint=settings.endpoint())
        try:
            get_hf_file_metadata(url, endpoint=settings.endpoint())
        except RemoteEntryNotFoundError:
            _weights(model, _info(model, revision))  # names what the repository holds instead
            raise
        path = hf_hub_download(
            model, CONFIG, revision=revision, cache_dir=settings.hub_cache(), endpoint=settings.endpoint()
        )
        return Path(path).parent


def plan_download(model: str, revision: str | None = None) -> DownloadPlan:
    """Return the files of a model on the hub that a run needs.

    Raises:
        ModelError: there is no such model or revision, it has no safetensors or an adapter, or the
            hub does not answer.
    """
    with model_errors(model, revision):
        _require_online()
        info = _info(model, revision)
        weights = _weights(model, info)
        if weights != [SINGLE]:
            # The index is read at this very commit; a branch might move in between.
            weights = _shards(model, str(info.sha))
        return _plan(model, info, [*text_files(_names(info)), *weights])


def _info(model: str, revision: str | None) -> Any:
    """Return what the hub knows about a repository and its files."""
    from huggingface_hub import HfApi

    return HfApi(endpoint=settings.endpoint()).model_info(
        model, revision=revision, files_metadata=True, timeout=TIMEOUT
    )


def _names(info: Any) -> list[str]:
    return [item.rfilename for item in info.siblings or ()]


def _weights(model: str, info: Any) -> list[str]:
    """Return the names of the weight files; of shards, as far as their names tell.

    Raises:
        ModelError: there are none, or an adapter.
    """
    names = _names(info)
    if ADAPTER_CONFIG in names:
        raise ModelError(
            f"The model {model} is an adapter of another model, or has one next to it. Choose the base "
            "model, or a model into which the adapter is merged.",
            kind="adapter",
        )
    weights = weight_files(names)
    if not weights and INDEX not in names:
        raise no_safetensors(model, names)
    return weights


@contextmanager
def model_errors(model: str, revision: str | None) -> Iterator[None]:
    """Convert every exception raised inside the `with` into a ModelError that explains it."""
    try:
        yield
    except ModelError:
        raise
    except Exception as error:
        raise to_model_error(model, revision, error) from error


def _require_online() -> None:
    from huggingface_hub.errors import OfflineModeIsEnabled

    if settings.offline():
        raise OfflineModeIsEnabled


def _shards(model: str, commit: str) -> list[str]:
    """Download the index and return the files that it names."""
    from huggingface_hub import hf_hub_download

    path = hf_hub_download(
        model, INDEX, revision=commit, cache_dir=settings.hub_cache(), endpoint=settings.endpoint()
    )
    return indexed_files(Path(path))


def _plan(model: str, info: Any, wanted: Sequence[str]) -> DownloadPlan:
    sizes = {item.rfilename: int(item.size or 0) for item in info.siblings}
    directory = settings.model_cache(model) / "snapshots" / str(info.sha)
    # False sorts first: the configuration, other small files, the weights.
    ordered = sorted(wanted, key=lambda name: (name != CONFIG, name.endswith(".safetensors"), name))
    # `is_file` follows the link, so an entry whose blob is gone counts as missing.
    files = tuple(RemoteFile(name, sizes.get(name, 0), (directory / name).is_file()) for name in ordered)
    return DownloadPlan(
        model=model,
        commit=str(info.sha),
        files=files,
        total_bytes=sum(file.size for file in files),
        missing_bytes=sum(file.size for file in files if not file.cached),
        free_disk=disk_free(settings.hub_cache()),
        gated=bool(info.gated),
        licence=getattr(info.card_data, "license", None),
    )
