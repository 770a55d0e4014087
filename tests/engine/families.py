"""Tiny models of every family, with random weights."""

import torch
import transformers as hf
from torch import Tensor, nn

from engine.models.language_model import LanguageModel

VOCABULARY, TOKENS, WINDOWS = 64, 24, 5
SHAPE = {"vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4}
SHAPE |= {"max_position_embeddings": 64, "bos_token_id": 1, "eos_token_id": 2}
SLIDING = {"num_key_value_heads": 2, "sliding_window": 8}
SMALL = {"vocab_size": VOCABULARY, "bos_token_id": 1, "eos_token_id": 2}

FAMILIES = {
    "llama": lambda: hf.LlamaConfig(**SHAPE, num_key_value_heads=2),
    "llama-tied": lambda: hf.LlamaConfig(**SHAPE, num_key_value_heads=1, tie_word_embeddings=True, attention_bias=True),
    "mistral": lambda: hf.MistralConfig(**SHAPE, **SLIDING, head_dim=8),
    "qwen2": lambda: hf.Qwen2Config(**SHAPE, **SLIDING, use_sliding_window=True, max_window_layers=2),
    "qwen3": lambda: hf.Qwen3Config(**SHAPE, num_key_value_heads=2, head_dim=8),
    "gemma3": lambda: hf.Gemma3TextConfig(**SHAPE, **SLIDING, head_dim=8, layer_types=["sliding_attention", "full_attention"] * 2),
    "phi": lambda: hf.PhiConfig(**SHAPE),
    "opt": lambda: hf.OPTConfig(**SMALL, hidden_size=32, ffn_dim=48, num_hidden_layers=4, num_attention_heads=4, word_embed_proj_dim=16),
    "opt-post-norm": lambda: hf.OPTConfig(
        **SMALL, hidden_size=32, ffn_dim=48, num_hidden_layers=4, num_attention_heads=4, word_embed_proj_dim=16, do_layer_norm_before=False
    ),
    "gpt2": lambda: hf.GPT2Config(**SMALL, n_embd=32, n_layer=4, n_head=4, n_positions=64),
    "gpt-neox": lambda: hf.GPTNeoXConfig(**SHAPE),
    "bloom": lambda: hf.BloomConfig(**SMALL, hidden_size=32, n_layer=4, n_head=4),
    "falcon": lambda: hf.FalconConfig(**SMALL, hidden_size=32, num_hidden_layers=4, num_attention_heads=4),
    "falcon-alibi": lambda: hf.FalconConfig(**SMALL, hidden_size=32, num_hidden_layers=4, num_attention_heads=4, alibi=True),
    "mamba": lambda: hf.MambaConfig(**SMALL, hidden_size=32, num_hidden_layers=4, state_size=4),
}


def built(family: str) -> LanguageModel:
    """A model of this family, the same each time."""
    torch.manual_seed(0)
    module = hf.AutoModelForCausalLM.from_config(FAMILIES[family]())
    for parameter in module.parameters():  # the default start is so small that a wrong mask would hardly show
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.3)
    return LanguageModel(module)


def windows() -> Tensor:
    """Token ids, `[windows, tokens]`."""
    return torch.randint(0, VOCABULARY, (WINDOWS, TOKENS), generator=torch.Generator().manual_seed(1))
