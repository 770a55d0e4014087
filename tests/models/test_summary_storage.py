"""Where a model's files are: the cache is checked first, then the hub."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from engine.errors import ModelError
from engine.hub import cache, planning
from engine.models.identity import DEMO_DIRECTORY
from engine.models.summary import summarise


@pytest.fixture
def hub(monkeypatch):
    """A hub that has the bundled model under another name; `cached` and `files` are its answers."""
    found = SimpleNamespace(cached=None, files=None)
    monkeypatch.setattr(planning, "config_directory", lambda model, revision: DEMO_DIRECTORY)
    monkeypatch.setattr(cache, "snapshot", lambda model, revision: found.cached)

    def listed(model, revision):
        if isinstance(found.files, Exception):
            raise found.files
        return SimpleNamespace(**found.files)

    monkeypatch.setattr(planning, "plan_download", listed)
    return found


def test_a_model_on_the_hub(hub):
    hub.files = {"total_bytes": 900, "missing_bytes": 300, "licence": "mit", "gated": True, "commit": "abc"}
    storage = summarise("some/model").storage
    assert storage.model_dump(exclude_defaults=True) == {
        "place": "hub",
        "total": 900,
        "missing": 300,
        "licence": "mit",
        "gated": True,
        "commit": "abc",
    }


def test_a_cached_model_needs_no_hub(hub):
    hub.cached, hub.files = DEMO_DIRECTORY, AssertionError("the hub was asked")
    found = summarise("some/model")
    assert (found.storage.place, found.storage.missing, found.local) == ("cache", 0, True)
    assert found.storage.total > 7_000_000


def test_an_unknown_size_is_left_open(hub):
    hub.files = ModelError("The hub cannot be reached.", kind="offline")
    storage = summarise("some/model").storage
    assert (storage.place, storage.missing, storage.note) == ("hub", None, "The hub cannot be reached.")
