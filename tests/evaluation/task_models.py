"""Small random models with the bundled tokenizer, that take few tokens at once."""

from __future__ import annotations

from pathlib import Path

import torch
import transformers as hf

from engine.models.language_model import LanguageModel

DEMO = Path(__file__).parents[2] / "assets" / "demo-model"
VOCABULARY, LENGTH = 2048, 40
SMALL = {"vocab_size": VOCABULARY, "bos_token_id": 0, "eos_token_id": 0}
SHAPE = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": LENGTH,
}
FAMILIES = {
    "llama": lambda: hf.LlamaConfig(**SMALL, **SHAPE),
    "gpt2": lambda: hf.GPT2Config(**SMALL, n_embd=32, n_layer=2, n_head=4, n_positions=LENGTH),
    "opt": lambda: hf.OPTConfig(
        **SMALL,
        hidden_size=32,
        ffn_dim=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        word_embed_proj_dim=32,
        max_position_embeddings=LENGTH,
    ),
    "mamba": lambda: hf.MambaConfig(**SMALL, hidden_size=32, num_hidden_layers=2, state_size=4),
}


def tiny(family: str = "llama") -> LanguageModel:
    """A random model with the bundled tokenizer, the same each time."""
    torch.manual_seed(0)
    module = hf.AutoModelForCausalLM.from_config(FAMILIES[family]())
    for parameter in module.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.2)
    return LanguageModel(module, hf.AutoTokenizer.from_pretrained(DEMO))
