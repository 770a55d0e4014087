"""A tokenizer that is there and cannot be used is named; a missing one is not an error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engine.errors import ModelError, TaskError
from engine.evaluation.generation import encode
from engine.evaluation.tasks.likelihood import Encoder
from engine.models.tokenizer import read_tokenizer
from engine.recipe import Recipe
from engine.record import RunRecord
from engine.run import run
from tests.hub import models
from tests.models.families import built


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return models.llama(tmp_path / "model")


def test_a_good_one(directory: Path) -> None:
    tokenizer, fault = read_tokenizer(directory)
    assert tokenizer("Once upon a time")["input_ids"] and not fault


def test_none_at_all(directory: Path) -> None:
    for name in models.TOKENIZER:
        (directory / name).unlink()
    assert read_tokenizer(directory) == (None, "")


def cut(path: Path) -> None:
    path.write_text(path.read_text()[:1000])


BROKEN: list[tuple[str, Callable[[Path], object], str]] = [
    ("tokenizer.json", cut, "not valid JSON"),
    (
        "tokenizer.json",
        lambda path: path.write_text("version https://git-lfs.github.com/spec/v1"),
        "Git LFS pointer",
    ),
    ("tokenizer.json", lambda path: path.write_text("{}"), "added_tokens"),
    ("tokenizer_config.json", lambda path: path.write_text("{"), "not valid JSON"),
    ("special_tokens_map.json", lambda path: path.write_text("["), "not valid JSON"),
    (
        "tokenizer_config.json",
        lambda path: path.write_text(
            json.dumps({"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": ["own.Own", None]}})
        ),
        "code of its repository",
    ),
]


@pytest.mark.parametrize(("name", "damage", "why"), BROKEN)
def test_the_file_and_the_reason_are_named(
    name: str, damage: Callable[[Path], object], why: str, directory: Path
) -> None:
    damage(directory / name)
    tokenizer, fault = read_tokenizer(directory)
    assert tokenizer is None and f"because of {name} (" in fault and why in fault


@pytest.mark.parametrize("kind", ["LlamaTokenizer", "GPT2Tokenizer", "Qwen2Tokenizer"])
def test_an_empty_vocabulary_is_not_taken_for_a_tokenizer(kind: str, directory: Path) -> None:
    """transformers builds one without tokens if the file with them is missing."""
    (directory / "tokenizer.json").unlink()
    (directory / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": kind}))
    tokenizer, fault = read_tokenizer(directory)
    assert tokenizer is None and "the file with its tokens is missing" in fault


def test_bytes_need_no_vocabulary(directory: Path) -> None:
    (directory / "tokenizer.json").unlink()
    (directory / "tokenizer_config.json").write_text('{"tokenizer_class": "ByT5Tokenizer"}')
    assert len(read_tokenizer(directory).tokenizer("word")["input_ids"]) == 5


def test_a_run_on_texts_fails_with_it_and_one_on_token_ids_notes_it(directory: Path, tmp_path: Path) -> None:
    cut(directory / "tokenizer.json")
    np.save(tmp_path / "ids.npy", np.random.default_rng(0).integers(0, 2048, (2, 16)))
    ids = str(tmp_path / "ids.npy")
    done = RunRecord.fold(run(Recipe.build(model=str(directory), calibration=ids, evaluation=None)))
    assert done.state == "finished" and any("tokenizer.json" in note for note in done.warnings)
    failed = RunRecord.fold(run(Recipe.build(model=str(directory), evaluation=None)))
    assert failed.error is not None and "stories needs a tokenizer" in failed.error
    assert "tokenizer.json" in failed.error


def test_generating_and_tasks_name_the_fault() -> None:
    model = built("llama")
    model.tokenizer_fault = "The tokenizer is broken."
    with pytest.raises(ModelError, match="tokenizer is broken"):
        encode(model, "word")
    with pytest.raises(TaskError, match="tokenizer is broken"):
        Encoder(model)
