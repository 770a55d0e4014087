"""Tiny models of every family, with random weights."""

from collections.abc import Callable, Generator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import torch
import transformers as hf
from torch import Tensor, nn

from engine.events import BlockPruned, Event, LinearPruned, Noted
from engine.hardware.device import Clock
from engine.models.language_model import LanguageModel
from engine.pruning.axes import Shares
from engine.pruning.pipeline import Streams, allocate, prune_blocks
from engine.pruning.plan import Plan
from engine.pruning.weights import BlockWeights

T = TypeVar("T")
VOCABULARY, TOKENS, WINDOWS = 64, 24, 5
SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
}
SHAPE |= {"max_position_embeddings": 64, "bos_token_id": 1, "eos_token_id": 2}
SLIDING = {"num_key_value_heads": 2, "sliding_window": 8}
PERIODS = {"attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2, "expert_layer_offset": 1}
MIXER = {
    "pad_token_id": 0,
    "mamba_n_heads": 4,
    "mamba_d_state": 8,
    "mamba_d_head": 16,
    "mamba_expand": 2,
    "mamba_chunk_size": 8,
}
IN_TURN = ["mamba", "attention"] * 2
ROTARY = {"rope_type": "default", "rope_theta": 10000.0}
SMALL = {"vocab_size": VOCABULARY, "bos_token_id": 1, "eos_token_id": 2}

FAMILIES: dict[str, Callable[[], Any]] = {
    "llama": lambda: hf.LlamaConfig(**SHAPE, num_key_value_heads=2),
    "llama-tied": lambda: hf.LlamaConfig(
        **SHAPE, num_key_value_heads=1, tie_word_embeddings=True, attention_bias=True
    ),
    "mistral": lambda: hf.MistralConfig(**SHAPE, **SLIDING, head_dim=8),
    "qwen2": lambda: hf.Qwen2Config(**SHAPE, **SLIDING, use_sliding_window=True, max_window_layers=2),
    "qwen3": lambda: hf.Qwen3Config(**SHAPE, num_key_value_heads=2, head_dim=8),
    "gemma3": lambda: hf.Gemma3TextConfig(
        **SHAPE, **SLIDING, head_dim=8, layer_types=["sliding_attention", "full_attention"] * 2
    ),
    # The last two blocks read keys and values that the first two write.
    "gemma4": lambda: hf.Gemma4TextConfig(
        **SHAPE,
        **SLIDING,
        head_dim=8,
        global_head_dim=8,
        layer_types=["sliding_attention", "full_attention"] * 2,
        num_kv_shared_layers=2,
        hidden_size_per_layer_input=8,
        vocab_size_per_layer_input=VOCABULARY,
    ),
    "phi": lambda: hf.PhiConfig(**SHAPE),
    "opt": lambda: hf.OPTConfig(
        **SMALL,
        hidden_size=32,
        ffn_dim=48,
        num_hidden_layers=4,
        num_attention_heads=4,
        word_embed_proj_dim=16,
    ),
    "opt-post-norm": lambda: hf.OPTConfig(
        **SMALL,
        hidden_size=32,
        ffn_dim=48,
        num_hidden_layers=4,
        num_attention_heads=4,
        word_embed_proj_dim=16,
        do_layer_norm_before=False,
    ),
    "gpt2": lambda: hf.GPT2Config(**SMALL, n_embd=32, n_layer=4, n_head=4, n_positions=64),
    "gpt-neox": lambda: hf.GPTNeoXConfig(**SHAPE),
    "bloom": lambda: hf.BloomConfig(**SMALL, hidden_size=32, n_layer=4, n_head=4),
    "falcon": lambda: hf.FalconConfig(**SMALL, hidden_size=32, num_hidden_layers=4, num_attention_heads=4),
    "falcon-alibi": lambda: hf.FalconConfig(
        **SMALL, hidden_size=32, num_hidden_layers=4, num_attention_heads=4, alibi=True
    ),
    "mamba": lambda: hf.MambaConfig(**SMALL, hidden_size=32, num_hidden_layers=4, state_size=4),
    "mamba2": lambda: hf.Mamba2Config(
        **SMALL,
        pad_token_id=0,
        hidden_size=32,
        num_hidden_layers=4,
        state_size=8,
        num_heads=4,
        head_dim=16,
        n_groups=1,
        chunk_size=8,
    ),
    "mixtral": lambda: hf.MixtralConfig(**SHAPE, **SLIDING, num_local_experts=4, num_experts_per_tok=2),
    "qwen2-moe": lambda: hf.Qwen2MoeConfig(
        **SHAPE,
        num_key_value_heads=2,
        num_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=24,
        shared_expert_intermediate_size=40,
    ),
    "qwen3-moe": lambda: hf.Qwen3MoeConfig(
        **SHAPE,
        num_key_value_heads=2,
        head_dim=8,
        num_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=24,
        mlp_only_layers=[1],
    ),
    "olmoe": lambda: hf.OlmoeConfig(**SHAPE, num_key_value_heads=4, num_experts=5, num_experts_per_tok=2),
    "gpt-oss": lambda: hf.GptOssConfig(
        **SHAPE,
        num_key_value_heads=2,
        head_dim=8,
        num_local_experts=4,
        num_experts_per_tok=2,
        pad_token_id=0,
        rope_parameters=ROTARY,
    ),
    "llama4": lambda: hf.Llama4TextConfig(
        **SHAPE,
        num_key_value_heads=2,
        head_dim=8,
        num_local_experts=4,
        num_experts_per_tok=1,
        intermediate_size_mlp=48,
        pad_token_id=0,
    ),
    "jamba": lambda: hf.JambaConfig(
        **SHAPE,
        **PERIODS,
        num_key_value_heads=2,
        num_experts=4,
        num_experts_per_tok=2,
        pad_token_id=0,
        mamba_d_state=4,
        mamba_dt_rank=4,
    ),
    "granite-hybrid": lambda: hf.GraniteMoeHybridConfig(
        **SHAPE,
        **MIXER,
        num_key_value_heads=2,
        num_local_experts=4,
        num_experts_per_tok=2,
        shared_intermediate_size=40,
        layer_types=IN_TURN,
    ),
    "bamba": lambda: hf.BambaConfig(**SHAPE, **MIXER, num_key_value_heads=2, attn_layer_indices=[1, 3]),
    "falcon-h1": lambda: hf.FalconH1Config(
        **SHAPE, **MIXER, num_key_value_heads=2, head_dim=8, mamba_d_ssm=64
    ),
    "lfm2": lambda: hf.Lfm2Config(
        **SHAPE, num_key_value_heads=2, pad_token_id=0, layer_types=["conv", "full_attention"] * 2
    ),
    "zamba2": lambda: hf.Zamba2Config(
        **SHAPE,
        num_key_value_heads=4,
        pad_token_id=0,
        layers_block_type=["mamba", "hybrid"] * 2,
        n_mamba_heads=4,
        mamba_d_state=8,
        mamba_headdim=16,
        chunk_size=8,
        num_mem_blocks=1,
        use_mem_rope=True,
    ),
}

SIGHT = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 5, "num_attention_heads": 4}
MULTIMODAL: dict[str, Callable[[], nn.Module]] = {
    # The tower's blocks are called `layers` as well, and there are more of them.
    "gemma3-vision": lambda: hf.Gemma3ForConditionalGeneration(
        hf.Gemma3Config(
            text_config=FAMILIES["gemma3"](),
            vision_config={**SIGHT, "image_size": 28, "patch_size": 14},
            mm_tokens_per_image=4,
            image_token_index=3,
            boi_token_index=4,
            eoi_token_index=5,
        )
    ),
    # `AutoModelForCausalLM` builds the text model alone.
    "qwen3.5-vision": lambda: hf.Qwen3_5ForConditionalGeneration(
        hf.Qwen3_5Config(
            text_config={
                **SHAPE,
                "num_key_value_heads": 2,
                "head_dim": 8,
                "linear_num_key_heads": 2,
                "linear_num_value_heads": 4,
                "linear_key_head_dim": 8,
                "linear_value_head_dim": 8,
                "layer_types": ["linear_attention", "full_attention"] * 2,
            },
            vision_config={
                "hidden_size": 32,
                "depth": 2,
                "num_heads": 4,
                "intermediate_size": 48,
                "out_hidden_size": 32,
            },
        )
    ),
}
"""Models with a vision tower, by the class of their checkpoint."""


def in_turn(values: Sequence[T], each: int = 1) -> list[tuple[str, T]]:
    """Pair every family with `each` of the values, going round, so that every value meets many families."""
    count = len(values)
    return [
        (family, values[(place + shift * (count // 2 or 1)) % count])
        for place, family in enumerate(FAMILIES)
        for shift in range(each)
    ]


def built(family: str) -> LanguageModel:
    """A model of this family, the same each time, for the caller to change."""
    return LanguageModel(deepcopy(_module(family)))


@cache
def _module(family: str) -> nn.Module:
    """A family's model, never to be changed: transformers takes twice as long for one as a copy does."""
    torch.manual_seed(0)
    return spread_out(hf.AutoModelForCausalLM.from_config(FAMILIES[family]()))


def write_checkpoint(family: str, directory: Path, **options: str) -> Path:
    """Write the files of `built(family)` to a directory, as `save_pretrained` with these options does."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in _files(family, **options).items():
        (directory / name).write_bytes(content)
    return directory


@cache
def _files(family: str, **options: str) -> dict[str, bytes]:
    """The files of a checkpoint by name, made once per family."""
    with TemporaryDirectory() as directory:
        built(family).module.save_pretrained(directory, **options)  # type: ignore[operator]
        return {path.name: path.read_bytes() for path in Path(directory).iterdir()}


def spread_out(module: T) -> T:
    """Give a model large random weights: the usual ones are so small that a wrong mask would hardly show."""
    for name, parameter in module.named_parameters():  # type: ignore[attr-defined]
        if parameter.ndim > 1 and not name.endswith("A_log"):
            nn.init.normal_(parameter, std=0.3)
    return module


def windows(count: int = WINDOWS) -> Tensor:
    """Token ids, `[windows, tokens]`."""
    return torch.randint(0, VOCABULARY, (count, TOKENS), generator=torch.Generator().manual_seed(1))


@dataclass(frozen=True)
class Pruned:
    """A run reduced to its results: what was decided, the evaluation windows after the last block, the
    events, and what was kept.
    """

    shares: Shares
    streams: Streams
    events: list[Event]
    kept: dict[int, BlockWeights]

    @property
    def linears(self) -> dict[str, LinearPruned]:
        """What was done to each linear, by its path after the list of blocks (`0.mlp.down_proj`)."""
        blocks = [event for event in self.events if isinstance(event, BlockPruned)]
        return {f"{block.index}.{linear.name}": linear for block in blocks for linear in block.linears}

    @property
    def notes(self) -> list[str]:
        return [event.message for event in self.events if isinstance(event, Noted)]


def pruned(
    model: LanguageModel, plan: Plan, sparsity: float = 0.5, batch: int = 2, count: int = WINDOWS
) -> Pruned:
    """Allocate and prune with `count` calibration windows; the evaluation windows are five of them read
    backwards.
    """
    streams = Streams(model.record(windows(count), batch))
    streams.dense = model.record(windows().flip(0).flip(1), batch)
    streams.pruned = streams.dense.fork()

    kept: dict[int, BlockWeights] = {}

    def run() -> Generator[Event, None, Shares]:
        shares = yield from allocate(model, streams.calibration, plan, sparsity)
        yield from prune_blocks(model, streams, plan, shares, kept, Clock(model.device))
        return shares

    events, running = [], run()
    while True:
        try:
            events.append(next(running))
        except StopIteration as end:
            return Pruned(end.value, streams, events, kept)
