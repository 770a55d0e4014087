"""Saved models: the files of the dense model with other weights in the pruned linears, which measure what the
run recorded.
"""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from safetensors.torch import load_file, save_file
from torch import Tensor

from engine.errors import ModelError, StoreError
from engine.export.model import NO_TOKENIZER, save_model
from engine.models.identity import _sampled, digest, is_revision
from engine.models.loading import load
from engine.pruning.weights import BlockWeights, restore
from engine.recipe import Recipe, pin
from engine.record import RunRecord
from engine.run import run
from engine.run_cache import ModelCache
from tests.models.families import (
    FAMILIES,
    MULTIMODAL,
    VOCABULARY,
    built,
    spread_out,
    windows,
    write_checkpoint,
)

CPU = torch.device("cpu")
Run = tuple[RunRecord, dict[int, BlockWeights]]


def source(family: str, directory: Path, dtype: torch.dtype, **options: Any) -> Path:
    """Write a checkpoint of this family as its authors would publish it."""
    if family in FAMILIES and dtype is torch.float32:
        return write_checkpoint(family, directory, **options)
    torch.manual_seed(0)
    module = spread_out(MULTIMODAL[family]()) if family in MULTIMODAL else built(family).module
    module.to(dtype).save_pretrained(directory, **options)  # type: ignore[operator]
    return directory


def computed(directory: Path, **fields: Any) -> Run:
    """Run a recipe on the model of a directory."""
    ids = directory.parent / "ids.npy"
    np.save(ids, windows().numpy())
    given = {"calibration": str(ids), "evaluation": str(ids), "samples": 5, **fields}
    kept: dict[int, BlockWeights] = {}
    record = RunRecord.fold(run(pin(Recipe.build(model=str(directory), **given)), kept))
    assert record.state == "finished", record.error
    return record, kept


def tensors(directory: Path) -> dict[str, dict[str, Tensor]]:
    """The tensors of a directory by file and name."""
    return {path.name: load_file(path) for path in sorted(directory.glob("*.safetensors"))}


def headers(directory: Path) -> dict[str, bytes]:
    """The header of each weight file: names, shapes, dtypes, places and metadata."""
    found = {}
    for path in sorted(directory.glob("*.safetensors")):
        data = path.read_bytes()
        found[path.name] = data[: 8 + int.from_bytes(data[:8], "little")]
    return found


def nll(module: torch.nn.Module) -> float:
    """The mean negative log likelihood of the windows."""
    with torch.no_grad():
        logits = module(input_ids=windows(), use_cache=False).logits[:, :-1]
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1).double(), windows()[:, 1:].flatten()).item()


def pruned_module(directory: Path, kept: Mapping[int, BlockWeights]) -> torch.nn.Module:
    """The model of a directory with the run's weights."""
    model = load(directory, dtype=torch.float32, device=CPU)
    for block in model.blocks:
        restore(block, kept[block.index])
    return model.module


@pytest.mark.parametrize(
    ("family", "sharded", "dtype"),
    [
        (family, place % 2 == 1, (torch.float32, torch.bfloat16, torch.float16)[place % 3])
        for place, family in enumerate([*FAMILIES, *MULTIMODAL])
    ],
)
def test_only_the_pruned_linears_differ_from_the_source(
    family: str, sharded: bool, dtype: torch.dtype, tmp_path: Path
) -> None:
    directory = source(family, tmp_path / "dense", dtype, **({"max_shard_size": "40KB"} if sharded else {}))
    record, kept = computed(directory, residence="streamed" if sharded and family != "zamba2" else "resident")
    out = tmp_path / "out"
    save_model(record, kept, out)

    assert {path.name for path in out.iterdir()} == {path.name for path in directory.iterdir()} | {
        "README.md"
    }
    assert (out / "model.safetensors.index.json").exists() == sharded
    for path in directory.glob("*.json"):
        assert path.read_bytes() == (out / path.name).read_bytes(), path.name
    assert headers(out) == headers(directory)
    changed, dense = 0, tensors(directory)
    for file, saved in tensors(out).items():
        for name, pruned in saved.items():
            differs = pruned != dense[file][name]
            assert not pruned[differs].any(), f"{name} has other values than those of the source and zero"
            changed += int(differs.sum())
    # The random weights hold no zeros.
    assert changed == sum(int((~one.keep).sum()) for block in kept.values() for one in block.values())

    again = hf.AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32)
    assert record.pruned is not None and nll(again) == pytest.approx(record.pruned.nll, rel=1e-5)


def test_a_shard_that_another_one_repeats_is_saved_too(tmp_path: Path) -> None:
    directory = source("llama", tmp_path / "dense", torch.float32, max_shard_size="40KB")
    index = directory / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    first, name = min(content["weight_map"].values()), "model-repeated.safetensors"
    (directory / name).symlink_to(directory / first)
    content["weight_map"][min(content["weight_map"], key=content["weight_map"].get)] = name
    index.write_text(json.dumps(content))
    (directory / "other.safetensors.index.json").write_text("{")  # no index that the model is read by
    record, kept = computed(directory)
    save_model(record, kept, tmp_path / "out")
    again = hf.AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32)
    assert record.pruned is not None and nll(again) == pytest.approx(record.pruned.nll, rel=1e-5)


@pytest.mark.parametrize("family", ["gpt2", "mixtral", "granite-hybrid"])
def test_new_weights_are_saved_in_the_layout_of_the_source(family: str, tmp_path: Path) -> None:
    directory = source(family, tmp_path / "dense", torch.float32)
    record, kept = computed(directory, score="sparsegpt", update="obs")
    notes = save_model(record, kept, tmp_path / "out")
    assert notes == (NO_TOKENIZER,)
    again = hf.AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    expected = pruned_module(directory, kept).state_dict()
    assert all(torch.equal(weight, expected[name]) for name, weight in again.state_dict().items())
    assert record.pruned is not None and nll(again) == pytest.approx(record.pruned.nll, rel=1e-5)


def test_new_weights_are_rounded_to_the_dtype_of_the_source(tmp_path: Path) -> None:
    directory = source("mixtral", tmp_path / "dense", torch.bfloat16)
    record, kept = computed(directory, score="sparsegpt", update="obs", dtype="float32")
    notes = save_model(record, kept, tmp_path / "out")
    assert "rounded" in notes[0] and notes[0] in (tmp_path / "out" / "README.md").read_text()
    assert headers(tmp_path / "out") == headers(directory)
    again = load(tmp_path / "out", dtype=torch.bfloat16, device=CPU)
    for block in again.blocks:
        for name, one in kept[block.index].items():
            assert one.weight is not None
            assert torch.equal(block.linears[name].weight, one.weight.to(torch.bfloat16))


def test_names_without_the_prefix_of_the_model_are_kept(tmp_path: Path) -> None:
    """Checkpoints of a class without a head have no `model.`, which transformers adds."""
    directory = source("mixtral", tmp_path / "dense", torch.float32)
    file = directory / "model.safetensors"
    renamed = {name.removeprefix("model."): tensor for name, tensor in load_file(file).items()}
    save_file(renamed, file, metadata={"format": "pt"})
    record, kept = computed(directory)
    save_model(record, kept, tmp_path / "out")
    assert headers(tmp_path / "out") == headers(directory)
    assert record.pruned is not None
    again = hf.AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert nll(again) == pytest.approx(record.pruned.nll, rel=1e-5)


# ---- models with other parts than text


@pytest.mark.parametrize(
    ("family", "residence"),
    [("gemma3-vision", "resident"), ("gemma3-vision", "streamed"), ("qwen3.5-vision", "streamed")],
)
def test_the_vision_tower_is_left_alone_and_said_to_be(family: str, residence: str, tmp_path: Path) -> None:
    directory = source(family, tmp_path / "dense", torch.float32)
    record, kept = computed(directory, residence=residence)
    assert record.model is not None and record.model.blocks == 4
    tower = sum(
        tensor.numel() for name, tensor in load_file(directory / "model.safetensors").items() if "vis" in name
    )
    assert record.sparsity.skipped["vision tower"] == tower
    assert record.model.parameters == record.model.prunable + sum(record.sparsity.skipped.values())
    assert any(f"vision tower: {tower:,} weights" in note for note in record.warnings)
    save_model(record, kept, tmp_path / "out")
    assert "vision tower" in (tmp_path / "out" / "README.md").read_text()
    whole = type(MULTIMODAL[family]())
    _, info = whole.from_pretrained(tmp_path / "out", output_loading_info=True)  # type: ignore[attr-defined]
    assert not info["missing_keys"] and not info["unexpected_keys"]


# ---- the other files


def test_files_besides_the_weights_are_copied_byte_for_byte(tmp_path: Path) -> None:
    directory = source("llama", tmp_path / "dense", torch.float32)
    texts = {
        "generation_config.json": '{"eos_token_id": [0, 5, 9],\n "do_sample": true, "temperature": 0.6}',
        "chat_template.jinja": "{{ messages }}\n",
        "additional_chat_templates/tools.jinja": "{{ tools }}",
        "preprocessor_config.json": '{"size":   7}',
        "tokenizer_config.json": '{"x": 1}',
        "vocab.json": "{}",
        "merges.txt": "#version: 0.2",
        "modeling_own.py": "raise SystemExit('this must not run')",
        "LICENSE": "Do what you want.",
    }
    for name, text in texts.items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(text)
    others = (
        "README.md",
        "pytorch_model.bin",
        "model-q4.gguf",
        "notes.txt",
        ".hidden.json",
    )
    for name in others:
        (directory / name).write_text("not part of the export")
    record, kept = computed(directory)
    assert save_model(record, kept, tmp_path / "out") == ()
    for name, text in texts.items():
        assert (tmp_path / "out" / name).read_text() == text
    assert "not part" not in "".join(
        path.read_text(errors="ignore") for path in (tmp_path / "out").rglob("*") if path.is_file()
    )


def test_a_model_without_a_tokenizer_is_saved_with_a_note(tmp_path: Path) -> None:
    record, kept = computed(source("llama", tmp_path / "dense", torch.float32))
    assert save_model(record, kept, tmp_path / "out") == (NO_TOKENIZER,)
    card = (tmp_path / "out" / "README.md").read_text()
    assert NO_TOKENIZER in card and "AutoTokenizer" not in card


def test_the_bundled_model_is_saved_with_its_tokenizer(tmp_path: Path) -> None:
    kept: dict[int, BlockWeights] = {}
    record = RunRecord.fold(run(pin(Recipe.build(samples=4, length=32, evaluation=None)), kept))
    assert save_model(record, kept, tmp_path / "out") == ()
    module = hf.AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert (module.model.layers[0].mlp.up_proj.weight == 0).float().mean() == 0.5
    tokenizer = hf.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert len(tokenizer("Once upon a time")["input_ids"]) > 2


# ---- another model than that of the run


def change(directory: Path, name: str) -> None:
    """Change one entry of a tensor, which leaves the size of the file as it is."""
    file = directory / "model.safetensors"
    weights = load_file(file)
    weights[name].view(-1)[-1] += 1
    save_file(weights, file, metadata={"format": "pt"})


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Run]:
    """A model whose file is so large that old fingerprints sample it, and a run of it with such a one."""
    config = hf.LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=2,
        num_attention_heads=4,
    )
    directory: Path = tmp_path_factory.mktemp("wide") / "model"
    spread_out(hf.LlamaForCausalLM(config)).save_pretrained(directory)
    assert (directory / "model.safetensors").stat().st_size > 4 << 20
    record, kept = computed(directory)
    assert record.recipe is not None
    recipe = record.recipe.model_copy(update={"revision": _sampled(directory)})
    return directory, (record.model_copy(update={"recipe": recipe}), kept)


@pytest.mark.parametrize(
    "name", ["layers.0.input_layernorm", "layers.1.mlp.up_proj", "layers.1.mlp.down_proj"]
)
def test_a_change_between_the_samples_is_found_before_an_export(
    name: str, wide: tuple[Path, Run], tmp_path: Path
) -> None:
    directory, (record, kept) = wide
    content = (directory / "model.safetensors").read_bytes()
    change(directory, f"model.{name}.weight")
    try:
        assert record.recipe is not None and is_revision(str(directory), record.recipe.revision)
        with pytest.raises(ModelError, match="have changed since"):
            save_model(record, kept, tmp_path / "out")
        assert not (tmp_path / "out").exists()
    finally:
        (directory / "model.safetensors").write_bytes(content)  # for the next name


def test_an_older_record_is_checked_by_the_fingerprint_of_its_recipe(tmp_path: Path) -> None:
    directory = source("llama", tmp_path / "dense", torch.float32)
    record, kept = computed(directory)
    assert record.model is not None
    older = record.model_copy(update={"model": record.model.model_copy(update={"digest": None})})
    save_model(older, kept, tmp_path / "out")
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 0.1}))
    with pytest.raises(ModelError, match="have changed since"):
        save_model(older, kept, tmp_path / "other")


def test_a_run_of_a_pinned_recipe_reads_no_other_files(tmp_path: Path) -> None:
    directory = source("llama", tmp_path / "dense", torch.float32)
    record, _ = computed(directory)
    change(directory, "model.norm.weight")
    assert record.recipe is not None
    again = RunRecord.fold(run(record.recipe))
    assert again.state == "failed" and "have changed since" in str(again.error)


def test_a_cached_model_is_not_used_for_other_weights(tmp_path: Path) -> None:
    directory, models = source("llama", tmp_path / "dense", torch.float32), ModelCache()
    record, _ = computed(directory)
    assert record.recipe is not None
    list(run(record.recipe, models=models))
    change(directory, "model.embed_tokens.weight")
    recipe = pin(record.recipe)
    cached, alone = (RunRecord.fold(run(recipe, models=cache)).dense for cache in (models, None))
    assert cached is not None and cached == alone != record.dense


def test_large_files_of_the_hub_are_identified_by_their_names(tmp_path: Path) -> None:
    """The hub's cache links to files that are named after their hash, which need not be read."""
    content = b"weights"
    blob = tmp_path / sha256(content).hexdigest()
    blob.write_bytes(content)
    (tmp_path / "copy").write_bytes(content)
    (tmp_path / "link").symlink_to(blob)
    expected = digest([tmp_path / "copy"])
    assert digest([tmp_path / "link"]) == expected
    blob.write_bytes(b"never read")
    assert digest([tmp_path / "link"]) == expected
    (tmp_path / "copy").write_bytes(b"other")
    assert digest([tmp_path / "copy"]) != expected


def test_a_directory_that_is_not_empty_is_left_alone(tmp_path: Path) -> None:
    record, kept = computed(source("llama", tmp_path / "dense", torch.float32))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").touch()
    with pytest.raises(StoreError, match="not empty"):
        save_model(record, kept, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a"]
