"""Small GGUF files, written with the package `gguf` as llama.cpp's converter writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Kind

WIDTH, HEADS, KV_HEADS, WIDEST, BLOCKS = 64, 4, 2, 96, 2
LETTERS = [chr(code) for code in range(33, 127)]
TOKENS = ["<unk>", "<s>", "</s>", "Ġ", "Ċ", *LETTERS, "Ġt", "he"]
MERGES = ["Ġ t", "h e"]
CHAT = "{% for message in messages %}{{ message['content'] }}{% endfor %}"

Weights = dict[str, np.ndarray[Any, Any]]


def llama_weights(seed: int = 0) -> Weights:
    """Random weights of a llama under the names of the format, in float32."""
    random = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray[Any, Any]:
        return random.normal(0, 0.05, shape).astype(np.float32)

    weights = {"token_embd.weight": normal(len(TOKENS), WIDTH), "output_norm.weight": 1 + normal(WIDTH)}
    for block in range(BLOCKS):
        narrow = WIDTH // HEADS * KV_HEADS
        weights |= {
            f"blk.{block}.attn_norm.weight": 1 + normal(WIDTH),
            f"blk.{block}.attn_q.weight": normal(WIDTH, WIDTH),
            f"blk.{block}.attn_k.weight": normal(narrow, WIDTH),
            f"blk.{block}.attn_v.weight": normal(narrow, WIDTH),
            f"blk.{block}.attn_output.weight": normal(WIDTH, WIDTH),
            f"blk.{block}.ffn_norm.weight": 1 + normal(WIDTH),
            f"blk.{block}.ffn_gate.weight": normal(WIDEST, WIDTH),
            f"blk.{block}.ffn_up.weight": normal(WIDEST, WIDTH),
            f"blk.{block}.ffn_down.weight": normal(WIDTH, WIDEST),
        }
    return weights


def write_gguf(
    path: Path,
    kind: Kind = Kind.Q4_0,
    *,
    weights: Weights | None = None,
    architecture: str = "llama",
    tokenizer: bool = True,
    more: dict[str, Any] | None = None,
    endian: gguf.GGUFEndian = gguf.GGUFEndian.LITTLE,
) -> Path:
    """Write a llama whose matrices have a type of ggml, and its vectors float32.

    Args:
        more: further settings, strings or numbers.
    """
    writer = gguf.GGUFWriter(path, architecture, endianess=endian)
    writer.add_type("model")
    writer.add_context_length(256)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(BLOCKS)
    writer.add_feed_forward_length(WIDEST)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(len(TOKENS))
    if tokenizer:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("default")
        writer.add_token_list(TOKENS)
        writer.add_token_types([3, 3, 3, *[1] * (len(TOKENS) - 3)])
        writer.add_token_merges(MERGES)
        writer.add_unk_token_id(0)
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)
        writer.add_chat_template(CHAT)
    for name, value in (more or {}).items():
        writer.kv_data[-1].pop(name, None)
        if isinstance(value, str):
            writer.add_string(name, value)
        else:
            writer.add_uint32(name, value)
    for name, weight in (llama_weights() if weights is None else weights).items():
        plain = weight.ndim == 1 or kind == Kind.F32
        data = weight if plain else gguf.quantize(weight, kind)
        writer.add_tensor(name, data, raw_dtype=None if plain else kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
