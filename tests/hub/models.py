"""Tiny model directories as repositories hold them: good ones, and every kind that a loader has to refuse.

The weights are random normal float32 (seeded), written with numpy: about 0.4 MB and a few milliseconds a
model, without importing torch or transformers (except `only_bin` and `duplicates`, whose pickle needs torch).
The tokenizer is the bundled model's, so that text can be tokenised; what the models predict means nothing.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

BUNDLED = Path(__file__).parents[2] / "assets" / "demo-model"
TOKENIZER = ("tokenizer.json", "tokenizer_config.json")
VOCABULARY = 2048  # of the bundled tokenizer
WEIGHTS = "model.safetensors"

Tensors = dict[str, np.ndarray]


def llama(directory: Path, *, shards: int = 1, tokenizer: bool = True, width: int = 32) -> Path:
    """A Llama with 2 blocks of `width` channels, in so many files; returns the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    _write_json(directory / "config.json", _llama_config(width))
    tensors = _llama_tensors(width)
    if shards == 1:
        save_file(tensors, directory / WEIGHTS, metadata={"format": "pt"})
    else:
        _save_sharded(tensors, directory, shards)
    if tokenizer:
        for name in TOKENIZER:
            shutil.copy(BUNDLED / name, directory / name)
    return directory


def sharded(directory: Path) -> Path:
    """A Llama in three files and an index."""
    return llama(directory, shards=3)


def large(directory: Path) -> Path:
    """A Llama of about 7 MB: enough to watch on a slow line."""
    return llama(directory, width=256)


def only_bin(directory: Path) -> Path:
    """A Llama whose weights are there only as a pickle."""
    _pickle(load_file(llama(directory) / WEIGHTS), directory / "pytorch_model.bin")
    (directory / WEIGHTS).unlink()
    return directory


def damaged(directory: Path) -> Path:
    """A Llama whose weight file ends in the middle."""
    path = llama(directory) / WEIGHTS
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return directory


def remote_code(directory: Path) -> Path:
    """A model that only its own Python files know how to build; to run them is an error that says so."""
    config = {
        "architectures": ["HomemadeForCausalLM"],
        "auto_map": {
            "AutoConfig": "modeling_homemade.HomemadeConfig",
            "AutoModelForCausalLM": "modeling_homemade.HomemadeForCausalLM",
        },
        "model_type": "homemade",
        "vocab_size": VOCABULARY,
    }
    _write_json(llama(directory) / "config.json", config)
    (directory / "modeling_homemade.py").write_text('raise RuntimeError("code of the repository was run")\n')
    return directory


def not_causal(directory: Path) -> Path:
    """A T5: known to transformers, but no model that continues text."""
    sizes = {"d_ff": 32, "d_kv": 8, "d_model": 16, "num_heads": 2, "num_layers": 1, "vocab_size": VOCABULARY}
    config = {
        "architectures": ["T5ForConditionalGeneration"],
        "model_type": "t5",
        "is_encoder_decoder": True,
        **sizes,
    }
    _write_json(llama(directory) / "config.json", config)
    save_file(
        {"shared.weight": np.zeros((VOCABULARY, 16), np.float32)},
        directory / WEIGHTS,
        metadata={"format": "pt"},
    )
    return directory


def duplicates(directory: Path) -> Path:
    """A Llama whose weights are there three times: safetensors, the publisher's own layout, and a pickle."""
    shutil.copy(llama(directory) / WEIGHTS, directory / "consolidated.safetensors")
    _pickle(load_file(directory / WEIGHTS), directory / "pytorch_model.bin")
    return directory


KINDS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "good": (llama, "a Llama with 2 blocks and a tokenizer"),
    "sharded": (sharded, "the same in three files"),
    "gated": (llama, "asks for an approved token that no user has"),
    "only-bin": (only_bin, "weights only as a pickle"),
    "remote-code": (remote_code, "needs Python files of its own"),
    "not-causal": (not_causal, "a T5"),
    "damaged": (damaged, "the weight file is cut off"),
    "duplicates": (duplicates, "the weights in three formats"),
    "slow": (large, "about 7 MB: to be watched with --bytes-per-second 500000"),
}


def _llama_config(width: int) -> dict[str, object]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "bos_token_id": 0,
        "dtype": "float32",
        "eos_token_id": 0,
        "head_dim": width // 2,
        "hidden_act": "silu",
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "max_position_embeddings": 512,
        "model_type": "llama",
        "num_attention_heads": 2,
        "num_hidden_layers": 2,
        "num_key_value_heads": 1,
        "rms_norm_eps": 1e-05,
        "tie_word_embeddings": True,
        "vocab_size": VOCABULARY,
    }


def _llama_tensors(width: int) -> Tensors:
    """All tensors of the model, the output layer being the embedding's."""
    half = width // 2
    shapes = {
        "self_attn.q_proj": (width, width),
        "self_attn.k_proj": (half, width),
        "self_attn.v_proj": (half, width),
        "self_attn.o_proj": (width, width),
        "mlp.gate_proj": (2 * width, width),
        "mlp.up_proj": (2 * width, width),
        "mlp.down_proj": (width, 2 * width),
    }
    draw = np.random.default_rng(0)
    tensors = {
        "model.embed_tokens.weight": _normal(draw, (VOCABULARY, width)),
        "model.norm.weight": np.ones(width, np.float32),
    }
    for block in range(2):
        for name, shape in shapes.items():
            tensors[f"model.layers.{block}.{name}.weight"] = _normal(draw, shape)
        for name in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"model.layers.{block}.{name}.weight"] = np.ones(width, np.float32)
    return tensors


def _normal(draw: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return (0.02 * draw.standard_normal(shape)).astype(np.float32)


def _save_sharded(tensors: Tensors, directory: Path, shards: int) -> None:
    """Tensors in turn over the files, and the index that says where each is."""
    names = [f"model-{number:05}-of-{shards:05}.safetensors" for number in range(1, shards + 1)]
    places = {tensor: names[position % shards] for position, tensor in enumerate(sorted(tensors))}
    for name in names:
        part = {tensor: tensors[tensor] for tensor, place in places.items() if place == name}
        save_file(part, directory / name, metadata={"format": "pt"})
    total = sum(tensor.nbytes for tensor in tensors.values())
    _write_json(
        directory / f"{WEIGHTS}.index.json", {"metadata": {"total_size": total}, "weight_map": places}
    )


def _pickle(tensors: Tensors, path: Path) -> None:
    import torch

    torch.save({name: torch.from_numpy(tensor) for name, tensor in tensors.items()}, path)


def _write_json(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")
