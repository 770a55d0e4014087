"""The catalogue is consistent with itself and with the published configurations."""

import pytest
import torch
import transformers as hf

from engine.hub.catalogue import catalogue, similar_ids
from tests.models.test_families_published import PUBLISHED

SIZES = {"float32": 4, "float16": 2, "bfloat16": 2}
SAME = {
    "meta-llama/Llama-3.2-1B": "Llama-3.2-1B",
    "TinyLlama/TinyLlama-1.1B-Chat-v1.0": "TinyLlama-1.1B",
    "meta-llama/Llama-2-7b-hf": "Llama-2-7B",
    "HuggingFaceTB/SmolLM2-135M": "SmolLM2-135M",
    "Qwen/Qwen2.5-0.5B": "Qwen2.5-0.5B",
    "Qwen/Qwen3-0.6B-Base": "Qwen3-0.6B",
    "google/gemma-3-270m": "Gemma-3-270M",
    "openai-community/gpt2": "GPT-2",
    "EleutherAI/pythia-70m": "Pythia-70M",
    "EleutherAI/pythia-160m": "Pythia-160M",
    "microsoft/phi-2": "Phi-2",
    "state-spaces/mamba-130m-hf": "Mamba-130M",
    "allenai/OLMoE-1B-7B-0924": "OLMoE-1B-7B",
}


def test_entries_are_sorted_and_unique() -> None:
    ids = [entry.id for entry in catalogue()]
    assert len(ids) >= 20 and len(set(ids)) == len(ids) and all(one.count("/") == 1 for one in ids)
    sizes = [entry.parameters for entry in catalogue()]
    assert sizes == sorted(sizes) and sizes[-1] < 14_000_000_000


def test_bytes_are_the_weights_in_their_dtype() -> None:
    assert all(entry.bytes == entry.parameters * SIZES[entry.dtype] for entry in catalogue())


def test_every_entry_has_a_reason() -> None:
    assert all(
        entry.why[0].isupper() and entry.why[-1] in ".?" and 20 < len(entry.why) < 160
        for entry in catalogue()
    )


@pytest.mark.parametrize("model", SAME)
def test_numbers_match_the_published_configuration(model: str) -> None:
    entry, published = next(entry for entry in catalogue() if entry.id == model), PUBLISHED[SAME[model]]
    assert (entry.parameters, entry.blocks) == (published.parameters, published.blocks)


@pytest.mark.parametrize(
    ("model", "config"),
    [
        (
            "meta-llama/Llama-2-13b-hf",
            hf.LlamaConfig(
                vocab_size=32000,
                hidden_size=5120,
                intermediate_size=13824,
                num_hidden_layers=40,
                num_attention_heads=40,
            ),
        ),
        (
            "state-spaces/mamba-2.8b-hf",
            hf.MambaConfig(vocab_size=50280, hidden_size=2560, num_hidden_layers=64, time_step_rank=160),
        ),
    ],
    ids=["Llama-2-13B", "Mamba-2.8B"],
)
def test_numbers_match_the_architecture(model: str, config: hf.PreTrainedConfig) -> None:
    """The published config.json, without the fields that change no size."""
    entry = next(entry for entry in catalogue() if entry.id == model)
    with torch.device("meta"):
        built = hf.AutoModelForCausalLM.from_config(config)
    built.tie_weights()
    assert sum(weight.numel() for weight in built.parameters()) == entry.parameters
    assert config.num_hidden_layers == entry.blocks


def test_a_mistyped_name_is_similar_to_the_right_one() -> None:
    assert similar_ids("openai-comunity/gpt2")[0] == "openai-community/gpt2"
    assert "HuggingFaceTB/SmolLM2-135M" in similar_ids("SmolLM2-135m")
    assert similar_ids("something/entirely-different") == []


def test_a_large_entry_computed_by_hand() -> None:
    """Mistral: embeddings, head, 32 blocks of q, o, k, v, three of the MLP and two norms; a last norm."""
    block = 2 * 4096 * 4096 + 2 * 4096 * 1024 + 3 * 4096 * 14336 + 2 * 4096
    expected = 2 * 32000 * 4096 + 32 * block + 4096
    assert next(entry.parameters for entry in catalogue() if "Mistral-7B" in entry.id) == expected
    with torch.device("meta"):
        config = hf.MistralConfig(
            hidden_size=4096,
            intermediate_size=14336,
            num_hidden_layers=32,
            num_attention_heads=32,
            num_key_value_heads=8,
        )
        assert (
            sum(weight.numel() for weight in hf.AutoModelForCausalLM.from_config(config).parameters())
            == expected
        )
