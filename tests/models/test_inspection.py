"""Directories that hold something else than a full-precision model are named as what they are."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.corpora.windows import evaluation_windows
from engine.errors import CorpusError, ModelError, RecipeError
from engine.models.identity import DEMO_DIRECTORY, path_fault
from engine.models.inspection import inspect
from engine.models.loading import load
from engine.models.quantisation import named_in, shown_by
from engine.models.summary import summarise
from engine.models.tokenizer import read_tokenizer
from engine.progress import drain
from engine.recipe import Recipe, pin
from tests.models.families import write_checkpoint

CPU = torch.device("cpu")

CONFIGURED: list[tuple[dict[str, Any], str, int | None]] = [
    ({"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128]}, "FP8", 8),
    ({"quant_method": "gptq", "bits": 3, "group_size": 128}, "GPTQ", 3),
    ({"quant_method": "awq", "bits": 4, "version": "gemm"}, "AWQ", 4),
    ({"quant_method": "awq", "w_bit": 4}, "AWQ", 4),
    ({"quant_method": "bitsandbytes", "load_in_4bit": True, "load_in_8bit": False}, "bitsandbytes", 4),
    ({"quant_method": "bitsandbytes", "load_in_4bit": False, "load_in_8bit": True}, "bitsandbytes", 8),
    ({"load_in_8bit": True}, "bitsandbytes", 8),
    (
        {
            "quant_method": "compressed-tensors",
            "format": "int-quantized",
            "config_groups": {"group_0": {"weights": {"num_bits": 8, "type": "int"}}},
        },
        "compressed-tensors",
        8,
    ),
    ({"quant_method": "mxfp4"}, "MXFP4", 4),
    ({"quant_method": "hqq", "quant_config": {"weight_quant_params": {"nbits": 2}}}, "HQQ", 2),
    ({"quant_method": "quanto", "weights": "int4"}, "Quanto", 4),
    ({"quant_method": "eetq", "weights": "int8"}, "EETQ", 8),
    ({"quant_method": "fbgemm_fp8"}, "FBGEMM FP8", 8),
    ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "ModelOpt", 4),
    ({"quant_method": "aqlm"}, "aqlm", None),
]


@pytest.mark.parametrize(("entry", "method", "bits"), CONFIGURED, ids=str)
def test_a_quantisation_that_the_configuration_names(
    entry: dict[str, Any], method: str, bits: int | None
) -> None:
    for config in (
        {"quantization_config": entry},
        {"compression_config": entry},
        {"text_config": {"quantization_config": entry}},
    ):
        assert named_in(config) == (method, bits)
    assert named_in({"quantization_config": None}) is named_in({"quantization_config": {}}) is None


Q = "model.layers.0.mlp.up_proj"
SHOWN: list[tuple[dict[str, str], str]] = [
    ({f"{Q}.weight": "F8_E4M3", f"{Q}.weight_scale_inv": "BF16"}, "FP8"),
    ({f"{Q}.weight": "I8", f"{Q}.weight_scale": "F32"}, "INT8"),
    ({f"{Q}.weight": "I8", f"{Q}.SCB": "F32"}, "bitsandbytes"),
    ({f"{Q}.weight": "U8", f"{Q}.weight.absmax": "F32", f"{Q}.weight.quant_map": "F32"}, "bitsandbytes"),
    ({f"{Q}.qweight": "I32", f"{Q}.qzeros": "I32", f"{Q}.scales": "F16"}, "GPTQ or AWQ"),
    ({f"{Q}.weight_packed": "I32", f"{Q}.weight_shape": "I64"}, "compressed-tensors"),
    ({"model.layers.0.mlp.experts.gate_up_proj_blocks": "U8"}, "MXFP4"),
    ({f"{Q}.weight": "U8", f"{Q}.weight_scale": "F8_E4M3", f"{Q}.weight_scale_2": "F32"}, "NVFP4"),
    ({f"{Q}.W_q": "U8"}, "HQQ"),
    ({f"{Q}.weight": "I32"}, "integer codes"),
]


@pytest.mark.parametrize(("dtypes", "method"), SHOWN, ids=[method for _, method in SHOWN])
def test_a_quantisation_that_only_the_tensors_show(dtypes: dict[str, str], method: str) -> None:
    found = shown_by({"model.embed_tokens.weight": "BF16", **dtypes})
    assert found is not None and found.method == method


def test_ordinary_tensors_show_none() -> None:
    names = ["model.layers.0.mlp.up_proj.weight", "model.norm.weight", "lm_head.bias", "vision.logit_scale"]
    assert shown_by(dict.fromkeys(names, "BF16")) is None
    assert shown_by({"h.0.attn.bias": "U8", "position_ids": "I64", "bn.num_batches_tracked": "I64"}) is None


@pytest.fixture
def model(tmp_path: Path) -> Path:
    write_checkpoint("llama", tmp_path)
    return tmp_path


def edit(path: Path, **entries: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


@pytest.mark.parametrize("residence", ["resident", "streamed"])
def test_a_quantised_model_is_rejected_before_anything_is_built(model: Path, residence: Any) -> None:
    edit(model / "config.json", quantization_config={"quant_method": "gptq", "bits": 4})
    with pytest.raises(ModelError, match=r"quantised \(GPTQ, 4 bits per weight\).*full-precision") as caught:
        load(model, dtype=torch.float32, device=CPU, residence=residence)
    assert caught.value.kind == "quantised"
    with pytest.raises(ModelError, match="quantised"):
        summarise(str(model), measure_speed=False)


def test_codes_without_an_entry_are_rejected_from_the_summary_on(model: Path) -> None:
    from safetensors.torch import load_file

    tensors = load_file(model / "model.safetensors")
    name = f"{Q}.weight"
    tensors |= {name: tensors[name].to(torch.float8_e4m3fn), f"{name}_scale_inv": torch.ones(1)}
    save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"quantised \(FP8"):
        summarise(str(model), measure_speed=False)
    with pytest.raises(ModelError, match=r"quantised \(FP8"):
        load(model, dtype=torch.float32, device=CPU, residence="streamed")


def adapter(directory: Path) -> None:
    (directory / "adapter_config.json").write_text('{"base_model_name_or_path": "org/base", "r": 8}')
    (directory / "adapter_model.safetensors").write_bytes(b"")


def test_only_an_adapter(tmp_path: Path) -> None:
    adapter(tmp_path)
    with pytest.raises(ModelError, match=r"only an adapter of org/base.*[Mm]erge it into org/base") as caught:
        inspect(tmp_path, "it")
    assert caught.value.kind == "adapter"


@pytest.mark.parametrize("left_out", ["adapter_config.json", "adapter_model.safetensors", ""])
def test_an_adapter_next_to_a_model_is_not_ignored(model: Path, left_out: str) -> None:
    adapter(model)
    (model / left_out).unlink() if left_out else None
    with pytest.raises(ModelError, match="a model and an adapter"):
        load(model, dtype=torch.float32, device=CPU)


@pytest.mark.parametrize("with_config", [False, True])
def test_gguf_files(tmp_path: Path, with_config: bool) -> None:
    (tmp_path / "model-Q4_K_M.gguf").write_bytes(b"GGUF")
    if with_config:
        (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(ModelError, match=r"GGUF.*Choose one of them"):
        load(tmp_path, dtype=torch.float32, device=CPU)


@pytest.mark.parametrize(("file", "words"), [("a.gguf", "it is empty"), ("a.safetensors", "it is a file")])
def test_a_file_in_place_of_a_directory(
    file: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / file).write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    for model in (file, str(tmp_path / file)):
        with pytest.raises(RecipeError, match=words):
            pin(Recipe.build(model=model))
        with pytest.raises(ModelError, match=words):
            summarise(model)
    assert path_fault("owner/name") is path_fault("demo") is path_fault(str(DEMO_DIRECTORY)) is None


def test_a_distributed_checkpoint(model: Path) -> None:
    (model / "shard-00001-model-00001-of-00002.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="distributed checkpoint"):
        inspect(model, "it")


# ---- files that are missing or under other names -----------------------------------------------------------

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 7356616\n".format("4d" * 32)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "model.safetensors.index.json"])
def test_a_git_lfs_pointer_in_place_of_a_file(model: Path, file: str) -> None:
    if file.endswith("index.json"):
        (model / "model.safetensors").unlink()
    (model / file).write_text(POINTER)
    for read in (partial(load, dtype=torch.float32, device=CPU), lambda path: summarise(str(path))):
        with pytest.raises(ModelError, match=rf"Git LFS pointers.*{file}.*`git lfs pull`"):
            read(model)


def test_a_git_lfs_pointer_of_a_file_that_is_not_needed(model: Path) -> None:
    (model / "consolidated.safetensors").write_text(POINTER)
    inspect(model, "model")


@pytest.mark.parametrize("file", ["tokenizer.json", "tokenizer_config.json"])
def test_a_git_lfs_pointer_in_place_of_the_tokenizer(tmp_path: Path, file: str) -> None:
    for source in DEMO_DIRECTORY.glob("tokenizer*.json"):
        shutil.copy(source, tmp_path)
    (tmp_path / file).write_text(POINTER)
    assert f"{file} (it is only a Git LFS pointer: run `git lfs pull`" in read_tokenizer(tmp_path).fault


@pytest.mark.parametrize("suffix", [".txt", ".jsonl", ".npy"])
def test_a_git_lfs_pointer_in_place_of_a_text(tmp_path: Path, suffix: str) -> None:
    (path := tmp_path / f"text{suffix}").write_text(POINTER)
    with pytest.raises(CorpusError, match=r"only a Git LFS pointer.*`git lfs pull`"):
        drain(evaluation_windows(str(path), object(), 64, length=4))


ELSEWHERE = [
    (
        "model-00001-of-00002.safetensors",
        r"shards \(model-00001.*no model\.safetensors\.index\.json.*it",
    ),
    ("model.fp16.safetensors", r"safetensors \(model\.fp16\.safetensors\), but no model\.safetensors and"),
    ("model.fp16-00001-of-00002.safetensors", r"safetensors \(model\.fp16-00001-of-"),
    ("consolidated.safetensors", r"safetensors \(consolidated\.safetensors\), but no model"),
    ("step-5/model.safetensors", r"safetensors \(step-5/model\.safetensors\).*choose the directory"),
]


@pytest.mark.parametrize(("name", "words"), ELSEWHERE)
def test_weights_under_other_names_are_named(model: Path, name: str, words: str) -> None:
    (model / name).parent.mkdir(exist_ok=True)
    (model / "model.safetensors").rename(model / name)
    with pytest.raises(ModelError, match=words) as caught:
        summarise(str(model), measure_speed=False)
    assert caught.value.kind == "no-safetensors"


WRAPPED: list[tuple[str, Callable[[str], str]]] = [
    ("_orig_mod.", lambda name: f"_orig_mod.{name}"),
    ("module.", lambda name: f"module.{name}"),
    ("base_model.model.", lambda name: f"base_model.model.{name}"),
    ("any_trainer.policy.", lambda name: f"any_trainer.policy.{name}"),
    ("_orig_mod.", lambda name: name.replace("model.", "model._orig_mod.", 1)),
    (
        "_checkpoint_wrapped_module.",
        lambda name: re.sub(r"(\.\d\.)", r"\1_checkpoint_wrapped_module.", name),
    ),
    ("base_layer.", lambda name: name.replace("proj.weight", "proj.base_layer.weight")),
]


@pytest.mark.parametrize(
    ("family", "wrapped"),
    [*(("llama", one) for one in WRAPPED), ("gpt2", WRAPPED[0]), ("mixtral", WRAPPED[1])],
)
def test_names_of_a_wrapper_are_named(
    family: str, wrapped: tuple[str, Callable[[str], str]], tmp_path: Path
) -> None:
    wrapper, rename = wrapped
    write_checkpoint(family, tmp_path)
    tensors = load_file(path := tmp_path / "model.safetensors")
    save_file({rename(name): one for name, one in tensors.items()}, path, metadata={"format": "pt"})
    with pytest.raises(ModelError) as caught:
        load(tmp_path, dtype=torch.float32, device=CPU)
    assert f"an additional `{wrapper}`" in str(caught.value)
