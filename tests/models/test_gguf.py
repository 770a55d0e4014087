"""GGUF files: what identifies them, and what they become."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from gguf import quantize
from safetensors.torch import load_file
from transformers import AutoTokenizer

from engine.errors import ModelError
from engine.inputs import model_directory
from engine.jobs import inquiries
from engine.models.gguf import unpacked, unpacking
from engine.models.gguf.unpacking import unpack
from engine.models.identity import canonical
from engine.models.loading import load, read_config
from engine.models.summary import summarise
from engine.progress import drain
from engine.recipe import Recipe, pin
from tests.models.gguf_files import CHAT, HEADS, KV_HEADS, TOKENS, WIDTH, Weights, llama_weights, write_gguf

VALUE = "blk.1.attn_v.weight"  # a matrix whose rows stay in their order


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("PRUNESCOPE_HOME", str(path))
    return path


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny-Q4_0.gguf")


def weights_of(path: Path) -> dict[str, torch.Tensor]:
    return load_file(drain(unpack(path, path.name)) / "model.safetensors")


def by_hand(matrix: np.ndarray[Any, Any], kind: Kind) -> np.ndarray[Any, Any]:
    """Quantise a matrix and decode the blocks of 32 weights as ggml-common.h describes them."""
    packed = quantize(matrix, kind).reshape(-1, {Kind.Q4_0: 18, Kind.Q4_1: 20, Kind.Q8_0: 34}[kind])
    rows = []
    for block in packed:
        scale = float(block[:2].view(np.float16)[0])
        if kind == Kind.Q8_0:
            rows.append([scale * code for code in block[2:].view(np.int8).tolist()])
            continue
        codes = block[-16:].tolist()
        nibbles = [code & 15 for code in codes] + [code >> 4 for code in codes]
        least = float(block[2:4].view(np.float16)[0]) if kind == Kind.Q4_1 else -8 * scale
        rows.append([scale * nibble + least for nibble in nibbles])
    return np.array(rows, np.float32).reshape(matrix.shape)


@pytest.mark.parametrize("kind", [Kind.Q4_0, Kind.Q4_1, Kind.Q8_0])
def test_quantised_weights_become_their_values_in_bfloat16(kind: Kind, tmp_path: Path) -> None:
    weights = weights_of(write_gguf(tmp_path / "a.gguf", kind))
    expected = torch.from_numpy(by_hand(llama_weights()[VALUE], kind)).bfloat16()
    assert torch.equal(weights["model.layers.1.self_attn.v_proj.weight"], expected)
    assert {weight.dtype for weight in weights.values()} == {torch.bfloat16}


@pytest.mark.parametrize(
    ("kind", "dtype"), [(Kind.F32, torch.float32), (Kind.F16, torch.float16), (Kind.BF16, torch.bfloat16)]
)
def test_plain_weights_keep_their_dtype(kind: Kind, dtype: torch.dtype, tmp_path: Path) -> None:
    weights = weights_of(path := write_gguf(tmp_path / "a.gguf", kind))
    expected = torch.from_numpy(llama_weights()[VALUE]).to(dtype)
    assert torch.equal(weights["model.layers.1.self_attn.v_proj.weight"], expected)
    assert {weight.dtype for weight in weights.values()} == {dtype}
    assert read_config(drain(unpack(path, "a"))).dtype == dtype == getattr(torch, summarise(str(path)).dtype)


def test_the_rows_of_query_and_key_are_put_back_in_order(tmp_path: Path) -> None:
    """llama.cpp interleaves the two halves of each head (`permute` in convert_hf_to_gguf.py)."""
    theirs = llama_weights()
    weights = weights_of(write_gguf(tmp_path / "a.gguf", Kind.F32))
    for name, heads in (("q", HEADS), ("k", KV_HEADS)):
        own = weights[f"model.layers.0.self_attn.{name}_proj.weight"].numpy()
        permuted = own.reshape(heads, 2, WIDTH // HEADS // 2, WIDTH).swapaxes(1, 2).reshape(own.shape)
        assert np.array_equal(permuted, theirs[f"blk.0.attn_{name}.weight"])


@pytest.mark.parametrize("tied", [True, False])
def test_the_head_is_tied_unless_the_file_has_one(tied: bool, tmp_path: Path) -> None:
    weights = llama_weights()
    if not tied:
        weights["output.weight"] = weights["token_embd.weight"] + 1
    directory = drain(unpack(write_gguf(tmp_path / "a.gguf", Kind.F32, weights=weights), "a"))
    model = load(directory, dtype=torch.float32, device=torch.device("cpu")).module
    head, embedding = model.get_output_embeddings().weight, model.get_input_embeddings().weight  # type: ignore[operator]
    assert torch.equal(head, embedding + (0 if tied else 1))


def test_the_tokenizer_and_the_chat_template_come_from_the_file(file: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(drain(unpack(file, "a")))
    ids = tokenizer("the tea")["input_ids"]
    assert [TOKENS[index] for index in ids] == ["t", "he", "Ġt", "e", "a"]
    assert tokenizer.decode(ids) == "the tea" and tokenizer.chat_template == CHAT
    assert tokenizer.eos_token == "</s>"


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


def test_neighbours_of_the_file_have_no_influence(file: Path, tmp_path: Path) -> None:
    (tmp_path / "a.gguf").symlink_to(file)
    for name in ("config.json", "tokenizer_config.json", "adapter_config.json", "generation_config.json"):
        (tmp_path / name).write_text('{"model_type": "gpt2", "chat_template": "other"}')
    directory = drain(unpack(tmp_path / "a.gguf", "a"))
    assert json.loads((directory / "config.json").read_text())["model_type"] == "llama"
    assert AutoTokenizer.from_pretrained(directory).chat_template == CHAT


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The directories from which weights of GGUF files are read."""
    found: list[Path] = []
    real = unpacking._read

    def read(directory: Path, *given: Any) -> Any:
        found.append(directory)
        return real(directory, *given)

    monkeypatch.setattr(unpacking, "_read", read)
    return found


def test_a_file_is_unpacked_once_whatever_its_name(file: Path, tmp_path: Path, readings: list[Path]) -> None:
    first = drain(unpack(file, "a"))
    (other := tmp_path / "other.gguf").write_bytes(file.read_bytes())
    assert drain(unpack(other, "b")) == first and len(readings) == 1


def test_the_summary_is_asked_for_again_after_unpacking(file: Path) -> None:
    before = inquiries._files_here(str(file), None)
    drain(unpack(file, "a"))
    assert inquiries._files_here(str(file), None) != before


def test_runs_of_a_file_that_was_replaced_keep_their_model(file: Path, tmp_path: Path) -> None:
    (path := tmp_path / "a.gguf").write_bytes(file.read_bytes())
    recipe = pin(Recipe.build(model=str(path)))
    write_gguf(path, Kind.Q8_0)
    with pytest.raises(ModelError, match="have changed since"):
        drain(model_directory(recipe))
    first = drain(unpack(file, "a"))
    assert drain(model_directory(recipe)) == first
    assert pin(Recipe.build(model=str(path))).key != recipe.key


def test_two_at_the_same_time_unpack_it_once(file: Path, readings: list[Path]) -> None:
    threads = [threading.Thread(target=lambda: drain(unpack(file, "a"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(readings) == 1


def test_what_a_killed_process_left_is_removed_and_unpacked_again(file: Path) -> None:
    place = unpacked.place_of(unpacked.content(file))
    partial = place.with_name(f".{place.name}.{'0' * 32}.tmp")
    partial.mkdir(parents=True)
    (partial / "model.safetensors").write_bytes(b"half")
    assert unpacked.find(unpacked.content(file)) is None
    assert drain(unpack(file, "a")) == place and not partial.exists()


def test_cancelling_leaves_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = unpack(file, "a")
    started, ended = threading.Event(), threading.Event()
    real = unpacking._watched

    def watched(report: Any, tensors: Any) -> Any:
        started.set()
        report._stop.wait(20)
        try:
            yield from real(report, tensors)
        finally:
            ended.set()

    monkeypatch.setattr(unpacking, "_watched", watched)
    next(steps)
    assert started.wait(20)
    steps.close()
    assert ended.wait(20) and not unpacked.find(unpacked.content(file))


def test_a_file_that_is_gone_is_still_the_model_of_its_runs(file: Path, tmp_path: Path) -> None:
    (path := tmp_path / "a.gguf").write_bytes(file.read_bytes())
    recipe = pin(Recipe.build(model=str(path)))
    drain(unpack(path, "a"))
    path.unlink()
    assert pin(recipe) == recipe and summarise(recipe.model, recipe.revision).blocks == 2
    by_name = recipe.model_copy(update={"model": "a.gguf"})  # as in a run from another machine
    assert pin(by_name).key == recipe.key
    with pytest.raises(ModelError, match="no such file"):
        summarise(str(path), "gguf:0123456789abcdef")


def test_memory_and_disk_space_are_checked_first(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shape = summarise(str(file))
    needed = shape.storage.unpacking_memory
    assert needed > 2 * shape.parameters  # bfloat16
    monkeypatch.setattr(unpacking, "host_free", lambda: needed - 1)
    with pytest.raises(ModelError, match="do not fit in memory while they are unpacked"):
        drain(unpack(file, "a"))
    monkeypatch.setattr(unpacking, "host_free", lambda: needed)
    monkeypatch.setattr(unpacking, "disk_free", lambda _: 1000)
    with pytest.raises(ModelError, match="do not fit on the disk"):
        drain(unpack(file, "a"))
    assert unpacked.find(unpacked.content(file)) is None


def llama3_frequencies(factor: float, theta: float = 10_000.0) -> np.ndarray[Any, Any]:
    """As convert_hf_to_gguf.py computes `rope_freqs.weight`."""
    factors = []
    for index in range(0, WIDTH // HEADS, 2):
        wavelength = 2 * np.pi * theta ** (index / (WIDTH // HEADS))
        if wavelength < 8192 / 4:
            factors.append(1.0)
        elif wavelength > 8192:
            factors.append(factor)
        else:
            smooth = (8192 / wavelength - 1) / (4 - 1)
            factors.append(1 / ((1 - smooth) / factor + smooth))
    return np.array(factors, np.float32)


def with_frequencies(factors: np.ndarray[Any, Any]) -> Weights:
    return {**llama_weights(), "rope_freqs.weight": factors}


def test_the_scaling_of_llama_3_is_restored(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "a.gguf", weights=with_frequencies(llama3_frequencies(32.0)))
    rope = read_config(drain(unpack(path, "a"))).rope_parameters
    assert rope["rope_type"] == "llama3" and rope["factor"] == 32 and rope["rope_theta"] == 10_000


def test_what_would_be_another_model_is_rejected(tmp_path: Path) -> None:
    other = with_frequencies(np.linspace(1, 9, WIDTH // HEADS // 2, dtype=np.float32))
    with pytest.raises(ModelError, match="rotary positions"):
        summarise(str(write_gguf(tmp_path / "a.gguf", weights=other)))
    path = write_gguf(tmp_path / "b.gguf", more={"llama.rope.scaling.type": "yarn"})
    with pytest.raises(ModelError, match="rotary positions"):
        summarise(str(path))
    biased = {**llama_weights(), "blk.0.attn_q.bias": np.ones(WIDTH, np.float32)}
    path = write_gguf(tmp_path / "c.gguf", weights=biased)
    for work in (lambda: summarise(str(path)), lambda: drain(unpack(path, "c"))):
        with pytest.raises(ModelError, match="weights, the file"):
            work()
    lacking = {name: weight for name, weight in llama_weights().items() if name != VALUE}
    with pytest.raises(ModelError, match="it lacks"):
        drain(unpack(write_gguf(tmp_path / "d.gguf", weights=lacking), "d"))
