"""A model's configuration alone: a few kilobytes that say how large it is, before anything else of it is fetched."""

from __future__ import annotations

from pathlib import Path

from engine.errors import ModelError
from engine.hub import place
from engine.hub.failures import to_model_error
from engine.hub.files import CONFIG


def config_directory(model: str, revision: str | None = None) -> Path:
    """A directory that holds the `config.json` of a model of the hub; what is on this machine is used without asking the network.

    Raises:
        ModelError: there is no such model, or the hub cannot be asked.
    """
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    try:
        found = try_to_load_from_cache(model, CONFIG, cache_dir=place.hub_cache(), revision=revision)
        if isinstance(found, str):
            return Path(found).parent
        _ask_once(model, revision)
        path = hf_hub_download(model, CONFIG, revision=revision, cache_dir=place.hub_cache(), endpoint=place.endpoint())
        return Path(path).parent
    except ModelError:
        raise
    except Exception as error:
        raise to_model_error(model, revision, error) from error


def _ask_once(model: str, revision: str | None) -> None:
    """One small request: where nothing answers it fails at once, while a download would be tried for half a minute."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import OfflineModeIsEnabled

    if place.offline():
        raise OfflineModeIsEnabled
    url = hf_hub_url(model, CONFIG, revision=revision, endpoint=place.endpoint())
    get_hf_file_metadata(url, endpoint=place.endpoint())
