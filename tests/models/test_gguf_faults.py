"""GGUF files that cannot be read: each is rejected with a sentence, as a fault of the recipe, before any
work.
"""

from __future__ import annotations

import random
import re
import struct
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Kind

from engine.cli.main import REFUSED, main
from engine.models.gguf import faults
from engine.models.gguf.faults import fault_of
from engine.models.gguf.header import DamagedHeader, read_header
from engine.recipe import Recipe, pin
from tests.models.gguf_files import WIDTH, llama_weights, write_gguf


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PRUNESCOPE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def changed(place: int, value: bytes) -> Callable[[Path], object]:
    """Write a model with other bytes at a place."""

    def write(path: Path) -> None:
        content = bytearray(write_gguf(path).read_bytes())
        content[place : place + len(value)] = value
        path.write_bytes(content)

    return write


def truncated(keep: Callable[[int], int]) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        content = write_gguf(path).read_bytes()
        path.write_bytes(content[: keep(len(content))])

    return write


def of_type(number: int) -> Callable[[Path], object]:
    """Write a model whose first matrix claims to be of another type."""

    def write(path: Path) -> None:
        header = read_header(write_gguf(path))
        content = path.read_bytes()
        first = header.tensors[0]
        entry = (
            struct.pack("<Q", len(first.name))
            + first.name.encode()
            + struct.pack("<IQQ", 2, *first.shape[::-1])
        )
        place = content.index(entry) + len(entry)
        path.write_bytes(content[:place] + struct.pack("<I", number) + content[place + 4 :])

    return write


UNREADABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda path: path.write_bytes(b""), "it is empty; download it again"),
    "text": (lambda path: path.write_text("<html>Not found</html>"), "does not begin like a GGUF file"),
    "magic alone": (lambda path: path.write_bytes(b"GGUF"), "ends within its header"),
    "half a header": (truncated(lambda _: 400), "ends within its header"),
    "half the weights": (truncated(lambda size: size // 2), r"it is incomplete: it has .* of .*; download"),
    "a byte less": (truncated(lambda size: size - 1), "it is incomplete"),
    "version 1": (changed(4, struct.pack("<I", 1)), "version 1 of the format"),
    "version 9": (changed(4, struct.pack("<I", 9)), "version 9 of the format, .*; choose another file"),
    "no version": (changed(4, b"\x4d\x4f\xbf\x9b"), r"header is damaged \(.* is no version .*; download it"),
    "big-endian": (lambda path: write_gguf(path, endian=gguf.GGUFEndian.BIG), "it is big-endian"),
    "vast counts": (changed(8, b"\xff" * 16), "header is damaged|ends within its header"),
    "vocabulary": (lambda path: write_gguf(path, weights={}), "a vocabulary without weights"),
    "no tokenizer": (lambda path: write_gguf(path, tokenizer=False), "it has no tokenizer"),
    "adapter": (
        lambda path: write_gguf(path, more={"general.type": "adapter"}),
        "merge it into its base model",
    ),
    "projector": (lambda path: write_gguf(path, architecture="clip"), "mmproj"),
    "matrix": (lambda path: write_gguf(path, more={"general.type": "imatrix"}), "importance matrix"),
    "too few blocks": (lambda path: write_gguf(path, more={"llama.block_count": 9}), "2 of 9 blocks"),
    "part": (lambda path: write_gguf(path, more={"split.no": 1, "split.count": 3}), "part 2 of 3 of a model"),
    "unknown type": (of_type(99), r"does not know \(number 99\)"),
    "integers": (of_type(Kind.I8), "quantised as I8"),
    "intermediate type": (
        lambda path: (
            write_gguf(path, weights={"token_embd.weight": np.ones((4, 256), np.float32)}, kind=Kind.F32)
            and of_type_q8_k(path)
        ),
        "quantised as Q8_K",
    ),
    "unknown architecture": (lambda path: write_gguf(path, architecture="rwkv6"), "architecture rwkv6"),
    "encoder": (lambda path: write_gguf(path, architecture="bert"), "architecture bert"),
}


def of_type_q8_k(path: Path) -> None:
    content = path.read_bytes()
    entry = struct.pack("<IQQ", 2, 256, 4)
    place = content.index(entry) + len(entry)
    path.write_bytes(content[:place] + struct.pack("<I", Kind.Q8_K) + content[place + 4 :] + bytes(4096))


@pytest.mark.parametrize("what", UNREADABLE)
def test_a_file_that_cannot_be_read(
    what: str, tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write, words = UNREADABLE[what]
    write(path := tmp_path / "model.gguf")
    assert main(["prune", "--model", str(path), "--samples", "1", "--length", "8"]) == REFUSED
    title, sentence = capsys.readouterr().err.strip().splitlines()
    assert title == "The recipe was rejected:" and sentence.startswith("  model: ")
    assert str(path) in sentence and re.search(words, sentence) and "Traceback" not in sentence
    assert not (home / "runs").exists() and not (home / "cache" / "gguf").exists()


def test_a_part_is_recognised_by_its_name(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "model-00001-of-00003.gguf")
    assert "part 1 of 3" in str(fault_of(path))


def test_several_files_in_a_directory_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.gguf", "b.gguf"):
        write_gguf(tmp_path / name)
    assert main(["prune", "--model", str(tmp_path)]) == REFUSED
    assert "several GGUF files, a.gguf and b.gguf; choose one" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["gguf", "accelerate"])
def test_missing_packages_are_asked_for(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_gguf(tmp_path / "a.gguf")
    real = faults.find_spec
    monkeypatch.setattr(faults, "find_spec", lambda name: None if name == missing else real(name))
    assert fault_of(path) == (
        "GGUF files are read with the packages gguf and accelerate, which are optional and not installed; "
        "run `pip install gguf==0.19.0 accelerate==1.15.0` and restart"
    )


def test_the_packages_are_those_of_the_extra() -> None:
    pinned = (Path(__file__).parents[2] / "requirements-dev.txt").read_text(encoding="utf-8").splitlines()
    assert {f"{name}=={release}" for name, release in faults.PACKAGES.items()} <= set(pinned)


def test_the_header_is_that_of_the_package_gguf(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "a.gguf")
    theirs, header = gguf.GGUFReader(path), read_header(path)
    assert [(one.name, one.kind, one.shape, header.data + one.offset) for one in header.tensors] == [
        (one.name, one.tensor_type, tuple(map(int, one.shape[::-1])), one.data_offset)
        for one in theirs.tensors
    ]
    assert set(header.settings) == {name for name in theirs.fields if not name.startswith("GGUF.")}
    assert header.settings["llama.embedding_length"] == WIDTH
    assert header.length("tokenizer.ggml.tokens") == len(theirs.fields["tokenizer.ggml.tokens"].data)


def test_any_damage_of_the_header_gives_a_sentence(tmp_path: Path) -> None:
    random.seed(0)
    path = write_gguf(tmp_path / "a.gguf", weights=dict(list(llama_weights().items())[:3]))
    content, end = path.read_bytes(), read_header(path).end
    for _ in range(300):
        broken = bytearray(content)
        for _ in range(random.randint(1, 3)):
            broken[random.randrange(4, end)] = random.randrange(256)
        path.write_bytes(broken[: random.choice([len(broken), random.randrange(len(broken))])])
        try:
            read_header(path)
        except DamagedHeader as error:
            assert str(error)
        fault = fault_of(path)
        assert fault is None or "Error" not in fault


def test_a_file_without_permission_gives_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_gguf(tmp_path / "a.gguf")

    def refuse(*_: object) -> object:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(faults, "read_header", refuse)
    assert fault_of(path) == "it cannot be read (Permission denied)"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for model in (str(tmp_path / "a.gguf"), "a.gguf", "owner/name/a.gguf"):
        with pytest.raises(Exception, match=r"no such file; check the path, or download it first"):
            pin(Recipe.build(model=model))
