"""The fingerprint of a local model: every byte that is read counts, and a large file is read once."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.hardware import file_hash
from engine.models import identity
from engine.models.identity import DEMO, DEMO_DIRECTORY, digest, fingerprint, is_revision
from tests.models.families import write_checkpoint

WEIGHTS = "model.safetensors"


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A model directory whose weights are larger than what samples would cover."""
    directory = Path(shutil.copytree(DEMO_DIRECTORY, tmp_path / "model"))
    assert (directory / WEIGHTS).stat().st_size > 4 * identity.SAMPLES * identity.SAMPLE_BYTES
    return directory


def poke(path: Path, place: int) -> None:
    """Change one byte in place; the size stays."""
    with path.open("r+b") as file:
        file.seek(place)
        old = file.read(1)
        file.seek(place)
        file.write(bytes([old[0] ^ 1]))


def test_the_bundled_model_and_a_copy_keep_the_fingerprint_of_its_runs(large: Path) -> None:
    assert fingerprint(DEMO) == fingerprint(str(large)) == "f24452901c34f412"


@pytest.mark.parametrize("place", [20_000, 1_000_003, -1, -20_000, -300_007])
def test_every_byte_of_the_weights_counts(place: int, large: Path) -> None:
    weights = large / WEIGHTS
    before, times = fingerprint(str(large)), weights.stat()
    poke(weights, place % times.st_size)
    os.utime(weights, ns=(times.st_atime_ns, times.st_mtime_ns))  # as tools do that preserve times
    assert fingerprint(str(large)) != before


def test_earlier_runs_of_unchanged_files_keep_their_model(large: Path) -> None:
    poke(large / WEIGHTS, 1_000_003)
    sampled, full = identity._sampled(large), fingerprint(str(large))
    assert sampled != full
    assert (
        is_revision(str(large), sampled) and is_revision(str(large), full) and is_revision(str(large), None)
    )
    poke(large / WEIGHTS, 8)  # within the first sample
    assert not is_revision(str(large), sampled) and not is_revision(str(large), full)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The names of the files whose content is read, with a home directory and every file a large one."""
    names: list[str] = []
    real: Callable[..., object] = file_hash.hashlib.file_digest

    def read(file: object, name: str) -> object:
        names.append(Path(file.name).name)  # type: ignore[attr-defined]
        return real(file, name)

    monkeypatch.setattr(file_hash.hashlib, "file_digest", read)
    monkeypatch.setenv("PRUNESCOPE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(file_hash, "LARGE", 1)
    monkeypatch.setattr(file_hash, "SETTLED", -1)  # as if nothing had changed for a while
    return names


def test_a_file_is_read_again_only_if_it_changed(
    reads: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"one")
    first = digest([path])
    assert digest([path]) == first and len(reads) == 1
    monkeypatch.setattr(file_hash, "_known", {})  # another process
    assert digest([path]) == first and len(reads) == 1
    path.write_bytes(b"two")
    assert digest([path]) != first and len(reads) == 2
    monkeypatch.setattr(file_hash, "_known", {})
    for stored in (tmp_path / "home").rglob("*.json"):
        stored.write_text("[")
    path.write_bytes(b"one")
    assert digest([path]) == first, "a damaged note counts as absent"


def test_a_file_that_has_just_changed_is_not_remembered(
    reads: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_hash, "SETTLED", 10**18)
    (path := tmp_path / "a.safetensors").write_bytes(b"one")
    digest([path])
    digest([path])
    assert len(reads) == 2 and not (tmp_path / "home").exists()


def test_small_files_leave_nothing_on_the_disk(
    reads: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_hash, "LARGE", 4)
    (path := tmp_path / "a.safetensors").write_bytes(b"one")
    digest([path])
    digest([path])
    assert len(reads) == 1 and not (tmp_path / "home").exists()


def test_the_fingerprint_covers_the_weight_files_that_are_read(tmp_path: Path) -> None:
    write_checkpoint("llama", tmp_path)
    first = fingerprint(str(tmp_path))
    save_file({"a": torch.ones(2)}, tmp_path / "consolidated.safetensors")
    (tmp_path / "model-00001-of-00001.safetensors").write_bytes(b"not read either")
    assert fingerprint(str(tmp_path)) == first
    poke(tmp_path / WEIGHTS, -1 % (tmp_path / WEIGHTS).stat().st_size)
    assert fingerprint(str(tmp_path)) != first


def test_the_fingerprint_covers_shards_in_another_folder(tmp_path: Path) -> None:
    write_checkpoint("llama", tmp_path)
    (tmp_path / "parts").mkdir()
    (tmp_path / WEIGHTS).rename(tmp_path / "parts" / "one.safetensors")
    tensors = load_file(tmp_path / "parts" / "one.safetensors")
    (tmp_path / f"{WEIGHTS}.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": dict.fromkeys(tensors, "parts/one.safetensors")})
    )
    first = fingerprint(str(tmp_path))
    save_file({name: one + 1 for name, one in tensors.items()}, tmp_path / "parts" / "one.safetensors")
    assert fingerprint(str(tmp_path)) != first
