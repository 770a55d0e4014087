"""Runs of a GGUF file: those of the same model in safetensors, which say where the weights came from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from safetensors.torch import load_file

from engine import progress
from engine.analysis.comparison.protocols import by_protocol, finished_runs
from engine.charts.report import report
from engine.charts.tables import measurement_rows
from engine.cli.report import summary
from engine.cost.estimate import estimate
from engine.events import Fetching
from engine.export.model import save_model
from engine.export.model_card import model_card
from engine.export.redaction import without_paths
from engine.hardware.memory import Capacity
from engine.models.gguf.unpacking import unpack
from engine.models.summary import summarise
from engine.progress import drain
from engine.pruning.weights import BlockWeights
from engine.recipe import Recipe, pin
from engine.record import RunRecord
from engine.run import run
from tests.models.gguf_files import TOKENS, write_gguf

TYPES = "Q4_0 (15 tensors), F32 (5)"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny-Q4_0.gguf")


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("PRUNESCOPE_HOME", str(path))
    return path


def recipe_of(model: Path, directory: Path, **fields: Any) -> Recipe:
    ids = directory / "ids.npy"
    np.save(ids, np.random.default_rng(0).integers(3, len(TOKENS), (6, 16)))
    texts = {"calibration": str(ids), "evaluation": str(ids), "samples": 4}
    return pin(Recipe.build(model=str(model), **texts, **fields))


def computed(recipe: Recipe) -> tuple[RunRecord, dict[int, BlockWeights]]:
    blocks: dict[int, BlockWeights] = {}
    record = RunRecord.fold(run(recipe, blocks))
    assert record.state == "finished", record.error
    return record, blocks


def numbers(record: RunRecord) -> list[Any]:
    scores = [(item.dense.nll, item.pruned.nll) for item in record.evaluations]
    return [*scores, *([linear for linear in block.linears] for block in record.blocks)]


def test_a_run_is_that_of_the_unpacked_model(file: Path, tmp_path: Path) -> None:
    record, _ = computed(recipe_of(file, tmp_path))
    plain, _ = computed(recipe_of(drain(unpack(file, "a")), tmp_path))
    streamed, _ = computed(recipe_of(file, tmp_path, residence="streamed"))
    assert numbers(record) == numbers(plain) == numbers(streamed)
    assert streamed.model is not None and streamed.model.residence == "streamed"


def test_unpacking_is_reported_before_the_model_is_loaded(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "PAUSE", 0.001)
    recipe = recipe_of(file, tmp_path)
    first = [event for event in run(recipe) if isinstance(event, Fetching)]
    again = [event for event in run(recipe) if isinstance(event, Fetching)]
    assert {(event.doing, event.what) for event in first} == {("unpacking", file.name)}
    assert first[-1].total == file.stat().st_size and not again  # None until the header has been read


def test_the_record_says_what_the_weights_were(file: Path, tmp_path: Path) -> None:
    (moved := tmp_path / "moved.gguf").write_bytes(file.read_bytes())
    computed(recipe_of(file, tmp_path))
    record, _ = computed(recipe_of(moved, tmp_path))
    assert record.model is not None and record.model.source is not None
    assert record.model.source.file == "moved.gguf" and record.model.source.types == TYPES
    for text in (model_card(record), report(record), str(measurement_rows(record)), summary(record)):
        assert TYPES in text and "moved.gguf" in text
    assert str(tmp_path) not in model_card(record) + report(record)
    assert RunRecord.model_validate_json(record.model_dump_json()) == record
    older = record.model_dump(mode="json")
    del older["model"]["source"]
    assert RunRecord.model_validate(older).model is not None


def test_a_saved_model_says_it_too(file: Path, tmp_path: Path) -> None:
    record, blocks = computed(recipe_of(file, tmp_path))
    save_model(record, blocks, tmp_path / "out")
    assert TYPES in (tmp_path / "out" / "README.md").read_text()
    saved = load_file(tmp_path / "out" / "model.safetensors")
    assert {weight.dtype for weight in saved.values()} == {torch.bfloat16}
    again, _ = computed(recipe_of(tmp_path / "out", tmp_path))
    assert again.model is not None and again.model.source is not None
    assert again.model.source.types == TYPES and again.model.source.file == file.name


def test_a_shared_recipe_keeps_its_key_and_loses_its_path(file: Path, tmp_path: Path) -> None:
    recipe = recipe_of(file, tmp_path)
    shared = without_paths(recipe)
    assert shared.model == file.name and shared.revision == recipe.revision
    texts = {"calibration": recipe.calibration, "evaluation": recipe.evaluation}
    assert shared.model_copy(update=texts).key == recipe.key


def test_the_cost_includes_unpacking_once(file: Path, tmp_path: Path) -> None:
    recipe, shape = recipe_of(file, tmp_path), summarise(str(file))
    before = estimate(recipe, shape)
    assert before.unpack_bytes == 2 * shape.parameters and before.unpack_seconds > 0
    assert "to unpack from the GGUF file" in before.sentence
    large = shape.storage.model_copy(update={"unpacking_memory": 10**10})
    short = estimate(recipe, shape.model_copy(update={"storage": large}), Capacity(host_free=10**10))
    assert not short.fits and "while they are unpacked" in short.problem
    full = estimate(recipe, shape, Capacity(host_free=10**12, store_free=500_000_000 + shape.parameters))
    assert not full.fits and "on the disk" in full.problem
    drain(unpack(file, "a"))
    after = estimate(recipe, summarise(str(file)))
    assert after.unpack_bytes == 0 and "unpack" not in after.sentence


def test_the_same_file_elsewhere_has_the_same_protocol(file: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (moved := tmp_path / "other" / file.name).write_bytes(file.read_bytes())
    runs = [(computed(recipe_of(path, tmp_path))[0], True) for path in (file, moved)]
    assert len(by_protocol(finished_runs(runs))) == 1


def test_half_precision_files_keep_their_range(tmp_path: Path) -> None:
    record, _ = computed(recipe_of(write_gguf(tmp_path / "half.gguf", Kind.F16), tmp_path))
    assert record.model is not None and record.model.source is not None
    assert record.model.source.types == "F16 (15 tensors), F32 (5)"
