"""Tiny configurations of every family in transformers' causal registry.

A configuration's integer fields are made small by their names: widths, layers, heads, experts, positions and
so on, in nested configurations as well. What does not follow from names is in `SPECIAL`.
"""

import dataclasses
import re
from typing import Any

from transformers.models.auto.configuration_auto import CONFIG_MAPPING

VOCABULARY = 128
LAYERS = 4  # hybrids often have one attention layer in four
RULES: tuple[tuple[str, int], ...] = (
    (r".*vocab\w*", VOCABULARY),
    (r"pad_token_id", 0),
    (r"bos_token_id|decoder_start_token_id", 1),
    (r"eos_token_id|forced_eos_token_id", 2),
    (r"\w*token_(id|index)|(unk|mask)_index|bo\w_token_\w+|eo\w_token_\w+", 3),
    (r"(num|n)_(hidden_|decoder_|encoder_)?layers?|(de|en)coder_layers|num_blocks|depth", LAYERS),
    (r"(num|n)_(global_)?(key_value|kv)_heads|kv_n_heads|swa_num_key_value_heads|linear_num_key_heads", 2),
    (r"\w*(n|num|attention|mamba)_heads?", 4),
    (r"\w*(num|routed|local)_experts", 4),
    (r"num_experts_per_tok(en)?|moe_?(top)?_?k|moe_topk|top_k_experts", 2),
    (r"(n|topk)_groups?", 1),
    (r"num_kv_shared_layers|\w*num_shared_experts|first_k_dense_replace|num_dense_layers", 1),
    (r"\w*(head_dim|head_size|d_head|dim_head|kv_channels|_rank|lowrank)", 8),
    (r"\w*(intermediate_size\w*|ffn_dim|ffn_hidden_size|n_inner|d_inner|dff|dim_ff|feed_forward_size)", 48),
    (r"hidden_size_per_layer_input|index_topk|\w*(d_state|state_size)", 8),
    (r"\w*(position\w*_embeddings|n_positions|n_ctx|max_seq_len|context_length|target_positions)", 64),
    (r"\w*(sliding_window|window_size|window_len|local_attention|chunk_size|block_size)\w*", 8),
    (r"(original_)?rotary_dim", 4),
)
"""Patterns of names, the first one that fits decides, and the largest value of such a field."""
OTHERS = 32
"""The largest value of any other field, such as a width."""
ROPE = {"rope_type": "default", "rope_theta": 10_000.0}
SHARED = {"layer_types": ["sliding_attention", "full_attention"] * 2, "num_kv_shared_layers": 2}
MOE = {"n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2}
SPECIAL: dict[str, dict[str, Any]] = {
    "cohere_compass_text": {"rope_parameters": {"full_attention": ROPE, "sliding_attention": ROPE}},
    "dbrx": {"attn_config": {"rope_theta": 10_000.0, "clip_qkv": 8.0}},
    "deepseek_v2": MOE,
    "dots1": MOE | {"n_group": 1, "topk_group": 1},
    "dots3_note_text": {"num_key_value_heads": 4},
    "gemma4_text": SHARED,
    "gemma4_unified_text": SHARED,
    "gemma4_assistant": {
        "text_config": {
            "num_kv_shared_layers": 0,
            "hidden_size_per_layer_input": 0,
            "vocab_size_per_layer_input": 0,
        }
    },
    "gemma4_unified_assistant": {"text_config": {"num_kv_shared_layers": 0}},
    "gpt_neo": {"attention_types": [[["global", "local"], LAYERS // 2]]},
    "hunyuan_v1_dense": {"head_dim": 8},
    "hunyuan_v1_moe": {"head_dim": 8},
    "ministral": {"head_dim": 8},
    "moshi": {"audio_vocab_size": VOCABULARY},
    "inkling2_text": {"n_layers_per_attn_res_block": 2},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 2},
    "nemotron": {"num_key_value_heads": 2},
    "phi4_multimodal": {"vision_config": {"num_hidden_layers": 2}, "audio_config": {"num_blocks": 1}},
    "qwen4_exp_text": {
        "indexer_n_heads": 2,
        "indexer_kv_heads": 1,
        "indexer_head_dim": 8,
        "indexer_budget": 8,
        "indexer_compress_ratio": 4,
    },
    "reformer": {
        "is_decoder": True,
        "axial_pos_embds": False,
        "attn_layers": ["local", "lsh"] * 2,
        "local_attn_chunk_length": 8,
        "lsh_attn_chunk_length": 8,
        "num_buckets": 4,
    },
    "xlstm": {"hidden_size": 128, "chunk_size": 16, "max_inference_chunksize": 64},
    "xmod": {"default_language": "en_XX"},
    "zamba": {"layers_block_type": ["linear_attention", "hybrid"] * 2},
    "zamba2": {"layers_block_type": ["linear_attention", "hybrid"] * 2},
    "mamba2": {"head_dim": 16},  # heads * head_dim = expand * hidden_size
}
"""What a family's configuration needs in addition, by its model type."""


def tiny_config(config_class: Any) -> Any:
    """Return a configuration of this class for a model of some ten thousand weights."""
    return config_class(**_fields(config_class))


def _fields(config_class: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        field.name: _smaller(field.name, field.default)
        for field in dataclasses.fields(config_class)
        if type(field.default) is int and not field.name.startswith("_")  # `bool` is no size
    }
    for name, default in config_class.sub_configs_defaults.items():
        if default.model_type:  # of the classes that this part of a model may have, the usual one
            fields[name] = _fields(CONFIG_MAPPING[default.model_type]) | {"model_type": default.model_type}
        elif dataclasses.is_dataclass(default.config_class):
            fields[name] = _fields(default.config_class)
    if "kv_lora_rank" in fields:  # latent attention has a key for every head
        fields["num_key_value_heads"] = fields["num_attention_heads"]
    for name, value in SPECIAL.get(config_class.model_type, {}).items():
        merges = isinstance(value, dict) and isinstance(fields.get(name), dict)
        fields[name] = fields[name] | value if merges else value
    return fields


def _smaller(name: str, value: int) -> int:
    largest = next((largest for pattern, largest in RULES if re.fullmatch(pattern, name)), OTHERS)
    return min(value, largest)
