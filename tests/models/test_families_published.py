"""Published models, built from their configurations alone on the meta device: blocks, linears, what is
prunable, and every weight counted once.

All weights are written out as a number, the prunable ones are worked out here from the widths, neither by the
code under test.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
import transformers as hf

from engine.models.discovery import find_blocks, skipped_kind


@dataclass(frozen=True)
class Published:
    """A model: its configuration, all weights, blocks, linears a block, prunable weights a block, and whether
    head and embeddings are one.
    """

    config: Callable[[], Any]
    parameters: int
    blocks: int
    linears: int
    prunable: int
    tied: bool = True


def gated(width: int, inner: int, queries: int, keys: int) -> int:
    """Weights of a block: q and o, k and v, gate, up and down."""
    return 2 * width * queries + 2 * width * keys + 3 * width * inner


def routed(width: int, inner: int, queries: int, keys: int, experts: int) -> int:
    return gated(width, 0, queries, keys) + experts * 3 * width * inner


def plain(width: int, inner: int) -> int:
    """Weights of a block with four square matrices and two of the MLP."""
    return 4 * width**2 + 2 * width * inner


def llama(
    width: int, inner: int, blocks: int, heads: int, keys: int, vocabulary: int, *, tied: bool
) -> hf.LlamaConfig:
    return hf.LlamaConfig(
        hidden_size=width, intermediate_size=inner, num_hidden_layers=blocks, num_attention_heads=heads,
        num_key_value_heads=keys,
        vocab_size=vocabulary, tie_word_embeddings=tied,
    )  # fmt: skip


def opt(width: int, blocks: int, heads: int, **options: Any) -> hf.OPTConfig:
    return hf.OPTConfig(
        hidden_size=width,
        ffn_dim=4 * width,
        num_hidden_layers=blocks,
        num_attention_heads=heads,
        vocab_size=50272,
        **options,
    )


def pythia(width: int, blocks: int, heads: int) -> hf.GPTNeoXConfig:
    return hf.GPTNeoXConfig(
        hidden_size=width, intermediate_size=4 * width, num_hidden_layers=blocks, num_attention_heads=heads,
        vocab_size=50304
    )  # fmt: skip


PUBLISHED = {
    "Llama-3.2-1B": Published(
        lambda: llama(2048, 8192, 16, 32, 8, 128256, tied=True), 1_235_814_400, 16, 7,
        gated(2048, 8192, 2048, 512)
    ),
    "TinyLlama-1.1B": Published(
        lambda: llama(2048, 5632, 22, 32, 4, 32000, tied=False), 1_100_048_384, 22, 7,
        gated(2048, 5632, 2048, 256), tied=False
    ),
    "Llama-2-7B": Published(
        lambda: llama(4096, 11008, 32, 32, 32, 32000, tied=False), 6_738_415_616, 32, 7,
        gated(4096, 11008, 4096, 4096), tied=False
    ),
    "SmolLM2-135M": Published(
        lambda: llama(576, 1536, 30, 9, 3, 49152, tied=True), 134_515_008, 30, 7, gated(576, 1536, 576, 192)
    ),
    "Qwen2.5-0.5B": Published(
        lambda: hf.Qwen2Config(
            hidden_size=896, intermediate_size=4864, num_hidden_layers=24, num_attention_heads=14,
            num_key_value_heads=2, vocab_size=151936,
            tie_word_embeddings=True,
        ),
        494_032_768, 24, 7, gated(896, 4864, 896, 128),
    ),
    "Qwen3-0.6B": Published(
        lambda: hf.Qwen3Config(
            hidden_size=1024, intermediate_size=3072, num_hidden_layers=28, num_attention_heads=16,
            num_key_value_heads=8, head_dim=128,
            vocab_size=151936, tie_word_embeddings=True,
        ),
        596_049_920, 28, 7, gated(1024, 3072, 2048, 1024),
    ),
    "Gemma-3-270M": Published(
        lambda: hf.Gemma3TextConfig(
            hidden_size=640, intermediate_size=2048, num_hidden_layers=18, num_attention_heads=4,
            num_key_value_heads=1, head_dim=256,
            vocab_size=262144,
        ),
        268_098_176, 18, 7, gated(640, 2048, 1024, 256),
    ),
    "OPT-125M": Published(lambda: opt(768, 12, 12), 125_239_296, 12, 6, plain(768, 3072)),
    "OPT-350M": Published(
        lambda: opt(1024, 24, 16, word_embed_proj_dim=512, do_layer_norm_before=False), 331_196_416, 24, 6,
        plain(1024, 4096)
    ),
    "GPT-2": Published(hf.GPT2Config, 124_439_808, 12, 4, plain(768, 3072)),
    "Pythia-70M": Published(lambda: pythia(512, 6, 8), 70_426_624, 6, 4, plain(512, 2048), tied=False),
    "Pythia-160M": Published(lambda: pythia(768, 12, 12), 162_322_944, 12, 4, plain(768, 3072), tied=False),
    "Phi-2": Published(
        lambda: hf.PhiConfig(
            hidden_size=2560, intermediate_size=10240, num_hidden_layers=32, num_attention_heads=32,
            vocab_size=51200, partial_rotary_factor=0.4
        ),
        2_779_683_840, 32, 6, plain(2560, 10240), tied=False,
    ),
    "Mamba-130M": Published(
        lambda: hf.MambaConfig(hidden_size=768, num_hidden_layers=24, vocab_size=50280),
        129_135_360, 24, 4, 768 * 3072 + 1536 * 80 + 48 * 1536 + 1536 * 768,
    ),
    "Mamba2-130M": Published(
        lambda: hf.Mamba2Config(
            hidden_size=768, num_hidden_layers=24, num_heads=24, head_dim=64, state_size=128, n_groups=1,
            vocab_size=50288, tie_word_embeddings=True
        ),
        128_989_632, 24, 2, 768 * (2 * 1536 + 2 * 128 + 24) + 1536 * 768,
    ),
    "Mixtral-8x7B": Published(
        lambda: hf.MixtralConfig(
            hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, num_attention_heads=32,
            num_key_value_heads=8, vocab_size=32000,
            num_local_experts=8,
        ),
        46_702_792_704, 32, 4 + 2 * 8, routed(4096, 14336, 4096, 1024, 8), tied=False,
    ),
    "OLMoE-1B-7B": Published(
        lambda: hf.OlmoeConfig(
            hidden_size=2048, intermediate_size=1024, num_hidden_layers=16, num_attention_heads=16,
            num_key_value_heads=16, vocab_size=50304,
            num_experts=64, num_experts_per_tok=8,
        ),
        6_919_161_856, 16, 4 + 2 * 64, routed(2048, 1024, 2048, 2048, 64), tied=False,
    ),
    "Qwen3-30B-A3B": Published(
        lambda: hf.Qwen3MoeConfig(
            hidden_size=2048, moe_intermediate_size=768, num_hidden_layers=48, num_attention_heads=32,
            num_key_value_heads=4, head_dim=128,
            vocab_size=151936, num_experts=128, num_experts_per_tok=8, tie_word_embeddings=False,
        ),
        30_532_122_624, 48, 4 + 2 * 128, routed(2048, 768, 4096, 512, 128), tied=False,
    ),
    "Qwen1.5-MoE-A2.7B": Published(
        lambda: hf.Qwen2MoeConfig(
            hidden_size=2048, moe_intermediate_size=1408, shared_expert_intermediate_size=5632,
            num_hidden_layers=24, num_attention_heads=16,
            num_key_value_heads=16, vocab_size=151936, num_experts=60, num_experts_per_tok=4,
            tie_word_embeddings=False,
        ),
        14_315_784_192, 24, 4 + 3 + 2 * 60, routed(2048, 1408, 2048, 2048, 60) + 3 * 2048 * 5632, tied=False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_model_is_recognised(name: str) -> None:
    published = PUBLISHED[name]
    with torch.device("meta"):
        model = hf.AutoModelForCausalLM.from_config(published.config())
    blocks, kinds = find_blocks(model), skipped_kind(model)
    assert len(blocks) == published.blocks
    assert {len(block.linears) for block in blocks} == {published.linears}
    assert {sum(linear.weight.numel() for linear in block.linears.values()) for block in blocks} == {
        published.prunable
    }
    counts: Counter[str] = Counter()
    for parameter in model.parameters():
        counts[kinds.get(id(parameter), "prunable")] += parameter.numel()
    assert counts["prunable"] == published.blocks * published.prunable
    assert counts.total() == published.parameters
    assert (model.get_output_embeddings().weight is model.get_input_embeddings().weight) == published.tied
    assert (counts["head"] == 0) == published.tied
    assert counts["fused experts"] == counts["shared between blocks"] == 0
    expected = {"embeddings", "norms and biases", "prunable"} | ({"head"} if not published.tied else set())
    extra = {
        "OPT-350M": {"other"},
        "Mamba-130M": {"state space"},
        "Mamba2-130M": {"state space"},
    }  # 350M: projections around the blocks
    if any(linear.expert is not None for linear in blocks[0].linears.values()):
        expected |= {"routers"}
    assert set(+counts) == expected | extra.get(name, set())
