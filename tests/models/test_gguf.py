"""GGUF files: what identifies them, what they become, and what is rejected."""

from __future__ import annotations

from pathlib import Path

import pytest
from gguf import GGMLQuantizationType as Kind

from engine.models.identity import canonical
from engine.recipe import Recipe, pin
from tests.models.gguf_files import write_gguf


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("PRUNESCOPE_HOME", str(path))
    return path


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny-Q4_0.gguf")


def test_the_content_of_a_file_identifies_it(file: Path, tmp_path: Path) -> None:
    (other := tmp_path / "renamed.GGUF").write_bytes(file.read_bytes())
    (blob := tmp_path / "sha256-0123").write_bytes(file.read_bytes())  # as Ollama names it
    one, *others = (pin(Recipe.build(model=str(path))) for path in (file, other, blob))
    assert one.model == str(file) and (one.revision or "").startswith("gguf:")
    assert {each.key for each in others} == {one.key}
    write_gguf(other, Kind.Q8_0)
    assert pin(Recipe.build(model=str(other))).key != one.key


def test_a_directory_with_one_file_stands_for_it(file: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "a.gguf").symlink_to(file)
    assert canonical(str(tmp_path)) == str(tmp_path / "a.gguf")
    assert pin(Recipe.build(model=str(tmp_path))).key == pin(Recipe.build(model=str(file))).key
