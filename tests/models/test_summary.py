"""A model's shape from its configuration alone."""

from __future__ import annotations

import json

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, OlmoeConfig

from engine.errors import ModelError
from engine.hardware.device import SMALL_THREADS
from engine.hardware.speed import Speed, speed_of
from engine.models import summary as module
from engine.models.identity import DEMO_DIRECTORY
from engine.models.shape import ModelSummary
from engine.models.summary import skipped_weights, summarise

SMALL = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 64,
}


def saved(directory, config, *, weights=True):
    """A directory with a configuration, and with weights of random numbers."""
    if weights:
        AutoModelForCausalLM.from_config(config).save_pretrained(directory)
    else:
        config.save_pretrained(directory)
    return str(directory)


def in_all(summary: ModelSummary) -> int:
    return summary.prunable + sum(summary.skipped.values())


def test_the_bundled_model():
    found = summarise("demo")
    assert (found.blocks, found.width, found.vocabulary, found.device) == (
        8,
        128,
        2048,
        "cpu",
    ) or torch.cuda.is_available()
    assert (found.storage.place, found.storage.missing, found.local) == ("bundled", 0, True)
    assert found.storage.total == sum(
        path.stat().st_size
        for pattern in ("*.safetensors", "*.json")
        for path in DEMO_DIRECTORY.glob(pattern)
    )
    assert (
        found.prunable
        == sum(found.sizes)
        == sum(kind.rows * kind.columns * kind.count for kind in found.linears)
        == found.active
    )


def test_a_tied_weight_counts_once(tmp_path):
    tied, untied = (
        summarise(saved(tmp_path / str(tie), LlamaConfig(**SMALL, tie_word_embeddings=tie)))
        for tie in (True, False)
    )
    assert untied.parameters - tied.parameters == 64 * 32
    assert tied.skipped["embeddings"] == untied.skipped["embeddings"] == untied.skipped["head"] == 64 * 32
    assert tied.outside == 64 * 32 + 32 and untied.outside == 2 * 64 * 32 + 32
    assert in_all(tied) == tied.parameters == tied.outside + 2 * tied.largest_block


def test_linears_of_one_kind_are_listed_once(tmp_path):
    found = summarise(saved(tmp_path, LlamaConfig(**SMALL)))
    assert {(kind.path, kind.rows, kind.columns): kind.count for kind in found.linears} == {
        ("model.layers.0.self_attn.q_proj", 32, 32): 2,
        ("model.layers.0.self_attn.k_proj", 16, 32): 2,
        ("model.layers.0.self_attn.v_proj", 16, 32): 2,
        ("model.layers.0.self_attn.o_proj", 32, 32): 2,
        ("model.layers.0.mlp.gate_proj", 48, 32): 2,
        ("model.layers.0.mlp.up_proj", 48, 32): 2,
        ("model.layers.0.mlp.down_proj", 32, 48): 2,
    }
    assert found.largest_grams == 6 * 32**2 + 48**2
    assert found.widths["model.layers.0.mlp.down_proj"] == 48


def test_a_mixture_of_experts_has_a_small_summary_and_its_token_share(tmp_path):
    config = OlmoeConfig(**{**SMALL, "num_experts": 16, "num_experts_per_tok": 4})
    found = summarise(saved(tmp_path, config))
    experts = [kind for kind in found.linears if ".experts." in kind.path]
    assert {(kind.count, kind.share) for kind in experts} == {(2 * 16, 0.25)} and len(found.linears) < 10
    fused = sum(kind.rows * kind.columns * kind.count for kind in experts)
    assert found.active == found.prunable - 0.75 * fused
    assert found.largest_grams == 4 * 32**2 + 16 * (32**2 + 48**2), (
        "q, k, v and o; gate and up together, and down, of each expert"
    )
    assert found.skipped["routers"] == 2 * 16 * 32
    assert in_all(found) == found.parameters
    assert len(found.model_dump_json()) < 3000


def test_the_bytes_and_dtype_are_those_of_the_file(tmp_path):
    half = summarise(saved(tmp_path, LlamaConfig(**SMALL, dtype="bfloat16")))
    assert (half.dtype, half.bytes) == ("bfloat16", 2 * half.parameters)
    assert summarise("demo").dtype == "float32"


def test_the_context_length(tmp_path):
    assert summarise(saved(tmp_path, LlamaConfig(**SMALL, max_position_embeddings=77))).context_length == 77


@pytest.mark.parametrize("ending", ["", "/"])
def test_a_directory_may_be_typed_in_any_way(tmp_path, monkeypatch, ending):
    saved(tmp_path / "model", LlamaConfig(**SMALL))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert summarise(f"~/model{ending}").storage.place == "directory"
    assert summarise(f"{tmp_path}/model{ending}").parameters == summarise("~/model").parameters


@pytest.mark.parametrize(
    ("files", "sentence", "kind"),
    [
        ({}, "holds no config.json", "missing"),
        (
            {"config.json": json.dumps(LlamaConfig(**SMALL).to_dict())},
            "has no weights; safetensors are required",
            "no-safetensors",
        ),
        (
            {"config.json": json.dumps(LlamaConfig(**SMALL).to_dict()), "pytorch_model.bin": ""},
            "has only pickled weights",
            "no-safetensors",
        ),
        (
            {"config.json": '{"model_type": "vit"}', "model.safetensors": ""},
            "is not a causal language model",
            "not-causal",
        ),
        (
            {"config.json": '{"model_type": "t5"}', "model.safetensors": ""},
            "is an encoder-decoder model",
            "not-causal",
        ),
        (
            {"config.json": '{"model_type": "qwen2_vl"}', "model.safetensors": ""},
            "combines a language model with other parts",
            "not-causal",
        ),
    ],
)
def test_what_a_directory_lacks_is_reported(tmp_path, files, sentence, kind):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ModelError, match=sentence) as caught:
        summarise(str(tmp_path))
    assert caught.value.kind == kind


def test_a_missing_directory():
    with pytest.raises(ModelError, match="no such directory") as caught:
        summarise("/nowhere/at/all")
    assert caught.value.kind == "missing"


def test_a_model_is_built_again_only_if_its_configuration_has_changed(tmp_path, monkeypatch):
    """A sweep asks for the same model with every run."""
    directory = saved(tmp_path, LlamaConfig(**SMALL))
    found = summarise(directory)
    with monkeypatch.context() as patch:
        patch.setattr(module, "build_skeleton", None)
        assert summarise(directory) == found
    saved(tmp_path, LlamaConfig(**SMALL | {"num_hidden_layers": 3}), weights=False)
    assert summarise(directory).blocks == 3


def test_the_speed_is_measured_once_per_device():
    speed_of.cache_clear()
    found = summarise("demo")
    summarise("demo")
    assert speed_of.cache_info().misses == len(found.speeds) == len(found.bandwidths)
    assert found.speed("cpu") > 0 and found.bandwidth("cpu") > 0


def test_a_small_model_is_measured_with_the_threads_that_its_run_uses(monkeypatch):
    asked = []
    monkeypatch.setattr(
        module, "speed_of", lambda device, dtype, most: asked.append((device, dtype, most)) or Speed(1, 1)
    )
    summarise("demo")
    assert ("cpu", torch.float32, SMALL_THREADS) in asked, "a CPU computes in float32, whatever is stored"


def test_every_weight_has_one_kind(tmp_path):
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(OlmoeConfig(**SMALL, num_experts=4))
    counts = skipped_weights(model)
    assert set(counts) == {"embeddings", "head", "norms and biases", "routers"}
    assert counts["norms and biases"] == sum(
        parameter.numel() for parameter in model.parameters() if parameter.ndim == 1
    )
