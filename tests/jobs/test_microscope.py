"""The worker's answers about one linear: of a run in the store, of a bundled run without a store, and
messages for what does not exist.
"""

from __future__ import annotations

import shutil

import pytest

from engine.analysis.microscope.types import Picture, Spectrum, Study
from engine.errors import PrunescopeError
from engine.jobs import worker
from engine.jobs.execute import execute
from engine.jobs.requests import LinearRequest
from engine.recipe import Recipe
from engine.store import runs
from engine.store.runs import Store

RECIPE = Recipe.build(samples=2, length=32, evaluation=None)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A store with one finished run."""
    place = tmp_path_factory.mktemp("home")
    assert execute(RECIPE, Store(place).folder(RECIPE.key)).state == "finished"
    return place


@pytest.fixture
def request_one():
    return LinearRequest(RECIPE.key, 1, "self_attn.k_proj")


def ask_all(home, request):
    return (
        worker.call(worker.picture_linear, str(home), request, None, None),
        worker.call(worker.study_linear, str(home), request),
        worker.call(worker.spectrum_linear, str(home), request),
    )


def test_a_run_of_the_store(home, request_one):
    assert [type(answer.value) for answer in ask_all(home, request_one)] == [Picture, Study, Spectrum]
    part = worker.picture_linear(str(home), request_one, (8, 16), (0, 4))
    assert isinstance(part, Picture) and part.dense.shape == (8, 4)


def test_a_bundled_run_needs_no_store(home, request_one, tmp_path, monkeypatch):
    recorded = tmp_path / "recorded"
    shutil.copytree(Store(home).folder(RECIPE.key).path, recorded / RECIPE.key)
    monkeypatch.setattr(runs.Store.__init__, "__defaults__", (None, recorded))
    assert [type(answer.value) for answer in ask_all(tmp_path / "nothing", request_one)] == [
        Picture,
        Study,
        Spectrum,
    ]


def test_a_run_without_weights_is_reported(home, request_one, tmp_path, monkeypatch):
    recorded = tmp_path / "recorded"
    shutil.copytree(
        Store(home).folder(RECIPE.key).path, recorded / RECIPE.key, ignore=shutil.ignore_patterns("blocks")
    )
    monkeypatch.setattr(runs.Store.__init__, "__defaults__", (None, recorded))
    assert all(
        "without its weights" in answer.message for answer in ask_all(tmp_path / "nothing", request_one)
    )


def test_a_missing_block_linear_or_run_is_reported(home):
    assert all(
        "blocks 0 to 7" in answer.message for answer in ask_all(home, LinearRequest(RECIPE.key, 99, "x"))
    )
    assert all(
        "This run pruned no linear" in answer.message
        for answer in ask_all(home, LinearRequest(RECIPE.key, 0, "x"))
    )
    assert all(answer.failed for answer in ask_all(home, LinearRequest("nobody", 0, "x")))
    with pytest.raises(PrunescopeError, match="Zoom out"):
        worker.picture_linear(str(home), LinearRequest(RECIPE.key, 0, "self_attn.k_proj"), (0, 999), None)
