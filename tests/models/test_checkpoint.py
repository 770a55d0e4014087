"""One model has one reading: whole, block by block, and by plain `from_pretrained`; or it is rejected."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from safetensors.torch import load_file, save_file
from torch import Tensor

from engine.errors import ModelError
from engine.hardware.memory_plan import Residence
from engine.models.checkpoint import Checkpoint
from engine.models.loading import build_skeleton, load, read_config
from tests.models.families import FAMILIES, built, in_turn, windows, write_checkpoint

CPU = torch.device("cpu")
WEIGHTS = "model.safetensors"
RESIDENCES: tuple[Residence, ...] = ("resident", "streamed")
SHARED = ("zamba2",)
"""Families whose blocks share weights, which cannot be streamed."""

Tensors = dict[str, Tensor]


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def save(tensors: Tensors, path: Path) -> None:
    save_file(tensors, path, metadata={"format": "pt"})


def change(directory: Path, edit: Callable[[Tensors], Tensors]) -> None:
    save(edit(load_file(directory / WEIGHTS)), directory / WEIGHTS)


def configure(directory: Path, **entries: object) -> None:
    path = directory / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


def shard(directory: Path, *shards: Tensors) -> None:
    """Replace the single file by an index of shards."""
    (directory / WEIGHTS).unlink()
    index: dict[str, str] = {}
    for number, tensors in enumerate(shards):
        name = f"model-{number + 1:05d}-of-{len(shards):05d}.safetensors"
        save(tensors, directory / name)
        index |= dict.fromkeys(tensors, name)
    (directory / f"{WEIGHTS}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))


def halves(directory: Path) -> tuple[Tensors, Tensors]:
    items = list(load_file(directory / WEIGHTS).items())
    middle = len(items) // 2
    return dict(items[:middle]), dict(items[middle:])


def a_matrix(tensors: Tensors) -> str:
    return next(name for name, tensor in tensors.items() if tensor.ndim == 2 and "embed" not in name)


# ---- directories that are read, each the same way
# --------------------------------------------------------------


def ordinary(_: Path) -> None:
    pass


def sharded(directory: Path) -> None:
    shard(directory, *halves(directory))


def tie(directory: Path) -> tuple[Tensor, str]:
    """Let the configuration tie the head to the embedding; return that, and the head's name in the file."""
    configure(directory, tie_word_embeddings=True)
    checkpoint, skeleton = Checkpoint(directory, "it"), build_skeleton(read_config(directory), "it")
    checkpoint.check(skeleton)
    names = {id(module): name for name, module in skeleton.named_modules()}
    inside, outside = (
        f"{names[id(module)]}.weight"
        for module in (skeleton.get_input_embeddings(), skeleton.get_output_embeddings())
    )
    stored = {target: name for name, target in checkpoint.filled.items()}
    return load_file(directory / WEIGHTS)[stored[inside]], stored.get(outside, outside)


def head_of_its_own(directory: Path) -> None:
    embedding, head = tie(directory)
    other = torch.randn(embedding.shape, generator=torch.Generator().manual_seed(2))
    change(directory, lambda tensors: {**tensors, head: other})


def stored_tied_head(directory: Path) -> None:
    embedding, head = tie(directory)
    change(directory, lambda tensors: {**tensors, head: embedding.clone()})


def without_prefix(directory: Path) -> None:
    prefix = type(hf.AutoModelForCausalLM.from_pretrained(directory)).base_model_prefix
    change(directory, lambda tensors: {name.removeprefix(f"{prefix}."): one for name, one in tensors.items()})


def single_next_to_an_index(directory: Path) -> None:
    """Both are complete; transformers reads the single file."""
    single = load_file(directory / WEIGHTS)
    shard(directory, *({name: one * 2 for name, one in half.items()} for half in halves(directory)))
    save(single, directory / WEIGHTS)


def named_by_the_configuration(directory: Path) -> None:
    """`transformers_weights` comes before the usual names."""
    tensors = load_file(directory / WEIGHTS)
    save({name: one * 2 for name, one in tensors.items()}, directory / WEIGHTS)
    save(tensors, directory / "consolidated.safetensors")
    configure(directory, transformers_weights="consolidated.safetensors")


def in_two_shards_alike(directory: Path) -> None:
    one, other = halves(directory)
    name = a_matrix(one)
    shard(directory, one, {**other, name: one[name].clone()})


def old_buffers(directory: Path) -> None:
    old = {
        "model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4),
        "transformer.h.0.attn.bias": torch.ones(1, 1, 8, 8, dtype=torch.uint8),
        "transformer.h.0.attn.masked_bias": torch.tensor(-1e9),
    }
    change(directory, lambda tensors: {**tensors, **old})


READ = [
    ordinary,
    head_of_its_own,
    without_prefix,
    single_next_to_an_index,
    sharded,
    stored_tied_head,
    named_by_the_configuration,
    in_two_shards_alike,
    old_buffers,
]


def logits(directory: Path, residence: Residence, dtype: torch.dtype = torch.float32) -> Tensor:
    model = load(directory, dtype=dtype, device=CPU, residence=residence)
    stream = model.record(windows(2), 2)
    for block in model.blocks:
        with model.present(block):
            stream.advance(block)
    return model.logits(stream.hidden[0], stream.ids[0])


@pytest.mark.parametrize(("family", "make"), in_turn(READ))
def test_every_reading_is_that_of_from_pretrained(
    family: str, make: Callable[[Path], None], tmp_path: Path
) -> None:
    write_checkpoint(family, tmp_path)
    make(tmp_path)
    plain = hf.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
    expected = plain(input_ids=windows(2), use_cache=False).logits
    for residence in RESIDENCES[:1] if family in SHARED else RESIDENCES:
        torch.testing.assert_close(logits(tmp_path, residence), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("family", ["llama", "gpt-oss"])
def test_weights_that_stay_in_float32_do_so_in_both_residences(
    family: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    write_checkpoint(family, tmp_path)
    plain = hf.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=dtype)
    expected = {name: parameter.dtype for name, parameter in plain.named_parameters()}
    streamed = load(tmp_path, dtype=dtype, device=CPU, residence="streamed")
    for block in streamed.blocks:
        with streamed.present(block):
            found = {f"{block.path}.{name}": one.dtype for name, one in block.module.named_parameters()}
            assert found == {name: expected[name] for name in found}


# ---- directories that are rejected
# ------------------------------------------------------------------------------


def extra(tensors: Tensors) -> Tensors:
    return {**tensors, f"{a_matrix(tensors).removesuffix('weight')}offset": torch.ones(32)}


def missing(tensors: Tensors) -> Tensors:
    return {name: one for name, one in tensors.items() if name != a_matrix(tensors)}


def renamed(tensors: Tensors) -> Tensors:
    return {("x." + name if name == a_matrix(tensors) else name): one for name, one in tensors.items()}


def of_another_shape(tensors: Tensors) -> Tensors:
    return {**tensors, (name := a_matrix(tensors)): tensors[name][:-1].clone()}


def of_integers(tensors: Tensors) -> Tensors:
    return {**tensors, (name := a_matrix(tensors)): tensors[name].to(torch.int8)}


def of_truth_values(tensors: Tensors) -> Tensors:
    return {**tensors, (name := a_matrix(tensors)): tensors[name].bool()}


REJECTED = [
    (extra, "offset.* would ignore"),
    (missing, "incomplete"),
    (renamed, r"do not contain .* but have x\.|would ignore"),
    (of_another_shape, "do not fit"),
    (of_integers, "quantised"),
    (of_truth_values, "has the type BOOL"),
]


@pytest.mark.parametrize(("family", "case"), in_turn(REJECTED))
def test_what_is_left_over_or_missing_is_found_before_anything_is_read(
    family: str, case: tuple[Callable[[Tensors], Tensors], str], tmp_path: Path
) -> None:
    edit, words = case
    write_checkpoint(family, tmp_path)
    change(tmp_path, edit)
    for residence in RESIDENCES:
        with pytest.raises(ModelError, match=words):
            load(tmp_path, dtype=torch.float32, device=CPU, residence=residence)


@pytest.mark.parametrize("family", ["llama", "llama-tied"])
@pytest.mark.parametrize("kind", [hf.AutoModel, hf.AutoModelForSequenceClassification])
def test_a_model_without_a_head_for_tokens(kind: Any, family: str, tmp_path: Path) -> None:
    model = kind.from_config(FAMILIES[family]())
    model.save_pretrained(tmp_path)
    for residence in RESIDENCES:
        if (kind, family) == (hf.AutoModel, "llama-tied"):  # whose head is the embedding
            load(tmp_path, dtype=torch.float32, device=CPU, residence=residence)
            continue
        with pytest.raises(ModelError, match=f"saved as {type(model).__name__}") as caught:
            load(tmp_path, dtype=torch.float32, device=CPU, residence=residence)
        assert caught.value.kind == "not-causal"


@pytest.mark.parametrize("edit", [lambda one: one + 1, lambda one: one.half(), lambda one: one[1:].clone()])
def test_a_tensor_in_two_shards_with_different_values(
    edit: Callable[[Tensor], Tensor], tmp_path: Path
) -> None:
    write_checkpoint("llama", tmp_path)
    one, other = halves(tmp_path)
    name = a_matrix(one)
    shard(tmp_path, one, {**other, name: edit(one[name])})
    with pytest.raises(ModelError, match=r"twice with different values.*00001.*00002"):
        load(tmp_path, dtype=torch.float32, device=CPU)


@pytest.mark.parametrize("same", [True, False])
def test_a_weight_with_and_without_the_prefix(same: bool, tmp_path: Path) -> None:
    write_checkpoint("llama", tmp_path)
    name = "model.layers.0.mlp.up_proj.weight"
    change(
        tmp_path,
        lambda tensors: {**tensors, name.removeprefix("model."): tensors[name].clone() + (0 if same else 1)},
    )
    if same:
        load(tmp_path, dtype=torch.float32, device=CPU)
        return
    with pytest.raises(ModelError, match="twice with different values"):
        load(tmp_path, dtype=torch.float32, device=CPU)


def test_experts_stored_twice(tmp_path: Path) -> None:
    """Fused as in the model, and separately as in most files: transformers would take either."""
    model = built("mixtral").module
    model.save_pretrained(tmp_path)
    name = "model.layers.0.mlp.experts.down_proj"
    fused = model.get_parameter(name).detach() + 1
    change(tmp_path, lambda tensors: {**tensors, name: fused})
    for residence in RESIDENCES:
        with pytest.raises(ModelError):
            load(tmp_path, dtype=torch.float32, device=CPU, residence=residence)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_tensor_is_accounted_for(family: str, tmp_path: Path) -> None:
    write_checkpoint(family, tmp_path)
    checkpoint = Checkpoint(tmp_path, "it")
    skeleton = build_skeleton(read_config(tmp_path), "it")
    checkpoint.check(skeleton)
    assert not checkpoint.left_out and checkpoint.filled.keys() == checkpoint.tensors.keys()
    blocks = {index: checkpoint.of_block(path(skeleton), index) for index in range(4)}
    assert all(blocks.values())
    assert sum(map(len, blocks.values())) + len(checkpoint.outside(path(skeleton))) == len(checkpoint.tensors)


def path(skeleton: torch.nn.Module) -> str:
    from engine.models.discovery import find_blocks

    return find_blocks(skeleton)[0].path.rpartition(".")[0]


@pytest.mark.parametrize("file", ["../elsewhere.safetensors", "model.bin"])
def test_a_weight_file_that_the_configuration_may_not_name(file: str, tmp_path: Path) -> None:
    write_checkpoint("llama", tmp_path)
    configure(tmp_path, transformers_weights=file)
    for residence in RESIDENCES:
        with pytest.raises(ModelError, match=r"are not known.*transformers_weights"):
            load(tmp_path, dtype=torch.float32, device=CPU, residence=residence)


@pytest.mark.parametrize("where", ["../", "inside/../../", "/"])
def test_an_index_that_lists_files_of_another_directory(where: str, tmp_path: Path) -> None:
    directory = tmp_path / "model"
    write_checkpoint("llama", directory)
    sharded(directory)
    moved = directory / "model-00002-of-00002.safetensors"
    moved.rename(tmp_path / moved.name)
    index = directory / f"{WEIGHTS}.index.json"
    elsewhere = f"{tmp_path}/" if where == "/" else where
    index.write_text(index.read_text().replace(moved.name, f"{elsewhere}{moved.name}"))
    for residence in RESIDENCES:
        with pytest.raises(ModelError, match=r"00002-of-00002\.safetensors, which is outside"):
            load(directory, dtype=torch.float32, device=CPU, residence=residence)


@pytest.mark.parametrize("index", ["{", "[]", '{"weight_map": {"a": "model.safetensors"}}'])
def test_an_index_that_transformers_does_not_read(index: str, tmp_path: Path) -> None:
    write_checkpoint("llama", tmp_path)
    (tmp_path / WEIGHTS).rename(tmp_path / "one.safetensors")
    (tmp_path / f"{WEIGHTS}.index.json").write_text(index)
    for residence in RESIDENCES:
        with pytest.raises(ModelError, match=r"are not known.*index"):
            load(tmp_path, dtype=torch.float32, device=CPU, residence=residence)
