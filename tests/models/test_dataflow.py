"""What each linear's rows become, family by family, on tiny random models: exact maps, and a block left as it
was.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers as hf
from torch import Tensor, nn

from engine.models.block import Block, Call, Linear
from engine.models.dataflow import Consumer, consumers, feeds
from engine.models.language_model import LanguageModel

WIDTH, INNER, HEAD, HEADS, WINDOWS, TOKENS = 32, 48, 8, 4, 3, 12
SMALL = {"vocab_size": 64, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
NAMED = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": HEADS}
SHAPE = SMALL | NAMED | {"intermediate_size": INNER, "max_position_embeddings": 64}

STRAIGHT = list(range(WIDTH))
INNER_STRAIGHT = list(range(INNER))
WIDE_STRAIGHT = list(range(4 * WIDTH))
THIRDS = STRAIGHT * 3
INTERLEAVED = [head * HEAD + column for head in range(HEADS) for _ in "qkv" for column in range(HEAD)]

Maps = dict[str, tuple[str, list[int]] | None]


def llama_like(*, grouped: bool = False, query: bool = False) -> Maps:
    to_output = ("self_attn.o_proj", STRAIGHT)
    return {
        "self_attn.q_proj": to_output if query or not grouped else None,
        "self_attn.k_proj": None if grouped else to_output,
        "self_attn.v_proj": None if grouped else to_output,
        "self_attn.o_proj": ("mlp.gate_proj", STRAIGHT),
        "mlp.gate_proj": ("mlp.down_proj", INNER_STRAIGHT),
        "mlp.up_proj": ("mlp.down_proj", INNER_STRAIGHT),
        "mlp.down_proj": None,
    }


def separate(output: str, first: str, second: str, *, parallel: bool = False) -> Maps:
    return {
        **{f"self_attn.{name}_proj": (output, STRAIGHT) for name in "qkv"},
        output: None if parallel else (first, STRAIGHT),
        first: (second, INNER_STRAIGHT),
        second: None,
    }


def fused(attention: str, columns: list[int] | None, inner: list[int], *, parallel: bool = False) -> Maps:
    return {
        f"{attention}.query_key_value": None if columns is None else (f"{attention}.dense", columns),
        f"{attention}.dense": None if parallel else ("mlp.dense_h_to_4h", STRAIGHT),
        "mlp.dense_h_to_4h": ("mlp.dense_4h_to_h", inner),
        "mlp.dense_4h_to_h": None,
    }


GPT2: Maps = {
    "attn.c_attn": ("attn.c_proj", THIRDS),
    "attn.c_proj": ("mlp.c_fc", STRAIGHT),
    "mlp.c_fc": ("mlp.c_proj", WIDE_STRAIGHT),
    "mlp.c_proj": None,
}
PHI3: Maps = {
    "self_attn.qkv_proj": ("self_attn.o_proj", THIRDS),
    "self_attn.o_proj": ("mlp.gate_up_proj", STRAIGHT),
    "mlp.gate_up_proj": None,
    "mlp.down_proj": None,
}
MAMBA: Maps = dict.fromkeys(["mixer.in_proj", "mixer.x_proj", "mixer.dt_proj", "mixer.out_proj"])

FAMILIES: dict[str, tuple[Callable[[], Any], Maps]] = {
    "llama": (lambda: hf.LlamaConfig(**SHAPE), llama_like()),
    "llama-grouped": (lambda: hf.LlamaConfig(**SHAPE, num_key_value_heads=2), llama_like(grouped=True)),
    "mistral": (
        lambda: hf.MistralConfig(**SHAPE, num_key_value_heads=2, sliding_window=4, head_dim=HEAD),
        llama_like(grouped=True),
    ),
    "qwen2": (lambda: hf.Qwen2Config(**SHAPE, num_key_value_heads=HEADS), llama_like()),
    "qwen2-grouped": (lambda: hf.Qwen2Config(**SHAPE, num_key_value_heads=1), llama_like(grouped=True)),
    "qwen3": (lambda: hf.Qwen3Config(**SHAPE, num_key_value_heads=HEADS, head_dim=HEAD), llama_like()),
    "qwen3-grouped": (
        lambda: hf.Qwen3Config(**SHAPE, num_key_value_heads=2, head_dim=HEAD),
        llama_like(grouped=True),
    ),
    "gemma3": (
        lambda: hf.Gemma3TextConfig(**SHAPE, num_key_value_heads=HEADS, sliding_window=4, head_dim=HEAD),
        llama_like(),
    ),
    "gemma3-grouped": (
        lambda: hf.Gemma3TextConfig(**SHAPE, num_key_value_heads=2, head_dim=HEAD),
        llama_like(grouped=True),
    ),
    "opt": (
        lambda: hf.OPTConfig(**SMALL, **NAMED, ffn_dim=INNER, word_embed_proj_dim=16),
        separate("self_attn.out_proj", "fc1", "fc2"),
    ),
    "opt-post-norm": (
        lambda: hf.OPTConfig(
            **SMALL, **NAMED, ffn_dim=INNER, word_embed_proj_dim=16, do_layer_norm_before=False
        ),
        separate("self_attn.out_proj", "fc1", "fc2"),
    ),
    "phi": (lambda: hf.PhiConfig(**SHAPE), separate("self_attn.dense", "mlp.fc1", "mlp.fc2", parallel=True)),
    "phi3": (lambda: hf.Phi3Config(**SHAPE), PHI3),
    "gpt2": (lambda: hf.GPT2Config(**SMALL, n_embd=WIDTH, n_layer=2, n_head=HEADS, n_positions=64), GPT2),
    "gpt-neox": (
        lambda: hf.GPTNeoXConfig(**SHAPE),
        fused("attention", INTERLEAVED, INNER_STRAIGHT, parallel=True),
    ),
    "gpt-neox-in-turn": (
        lambda: hf.GPTNeoXConfig(**SHAPE, use_parallel_residual=False),
        fused("attention", INTERLEAVED, INNER_STRAIGHT),
    ),
    "bloom": (
        lambda: hf.BloomConfig(**SMALL, hidden_size=WIDTH, n_layer=2, n_head=HEADS),
        fused("self_attention", INTERLEAVED, WIDE_STRAIGHT),
    ),
    "falcon": (
        lambda: hf.FalconConfig(**SMALL, **NAMED),
        fused("self_attention", None, WIDE_STRAIGHT, parallel=True),
    ),
    "falcon-in-turn": (
        lambda: hf.FalconConfig(**SMALL, **NAMED, multi_query=False, parallel_attn=False, alibi=True),
        fused("self_attention", INTERLEAVED, WIDE_STRAIGHT),
    ),
    "mamba": (lambda: hf.MambaConfig(**SMALL, hidden_size=WIDTH, num_hidden_layers=2, state_size=4), MAMBA),
}


def built(config: Any) -> LanguageModel:
    torch.manual_seed(0)
    return LanguageModel(hf.AutoModelForCausalLM.from_config(config))


def ids() -> Tensor:
    return torch.randint(3, 64, (WINDOWS, TOKENS), generator=torch.Generator().manual_seed(1))


def found(model: LanguageModel, index: int = 1, **options: Any) -> dict[str, Consumer]:
    with torch.no_grad():
        stream = model.record(ids(), 2)
        return consumers(model.blocks[index], stream.hidden[0], stream.calls[index][0], **options)


def maps(consumers: dict[str, Consumer]) -> Maps:
    return {
        name: None if one.name is None else (one.name, one.columns.tolist())
        for name, one in consumers.items()
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_the_rows_become_these_columns(family: str) -> None:
    config, expected = FAMILIES[family]
    result = found(built(config()))
    assert maps(result) == expected
    for consumer in result.values():
        assert (consumer.name is None) == (consumer.columns is None) == bool(consumer.reason)
        assert consumer.columns is None or consumer.columns.dtype == torch.int64


@pytest.mark.parametrize(
    "family", ["llama-grouped", "qwen3-grouped", "gemma3-grouped", "mistral", "qwen2-grouped"]
)
def test_queries_of_grouped_heads_may_be_mapped(family: str) -> None:
    assert maps(found(built(FAMILIES[family][0]()), heads="query")) == llama_like(grouped=True, query=True)


def test_reasons_explain_a_missing_consumer() -> None:
    grouped = found(built(FAMILIES["llama-grouped"][0]()))
    assert {grouped[f"self_attn.{name}_proj"].reason for name in "qkv"} == {
        "the linears that feed self_attn.o_proj differ in their rows (grouped-query attention)"
    }
    assert grouped["mlp.down_proj"].reason == "its output leaves the block"
    assert found(built(FAMILIES["phi"][0]()))["self_attn.dense"].reason == "its output leaves the block"
    mamba = found(built(FAMILIES["mamba"][0]()))
    assert mamba["mixer.dt_proj"].reason == "it is never called as a module"
    assert (
        mamba["mixer.in_proj"].reason
        == "its 128 rows do not map one-to-one to the 64 columns of mixer.x_proj's input"
    )


def test_feeds_names_all_readers_in_the_order_of_their_calls() -> None:
    model = built(FAMILIES["llama"][0]())
    with torch.no_grad():
        stream = model.record(ids(), 2)
        fed = feeds(model.blocks[0], stream.hidden[0], stream.calls[0][0])
    assert fed["self_attn.q_proj"] == ("self_attn.o_proj",)
    assert fed["self_attn.o_proj"] == ("mlp.gate_proj", "mlp.up_proj")
    assert fed["mlp.down_proj"] == ()


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_wide_fused_layers_in_any_dtype(dtype: torch.dtype, implementation: str) -> None:
    """More rows than a half-precision number can count."""
    width, heads = 384, 6
    config = hf.GPTNeoXConfig(
        **SMALL, hidden_size=width, num_hidden_layers=2, num_attention_heads=heads, intermediate_size=16
    )
    config._attn_implementation = implementation
    model = built(config)
    model.module.to(dtype)
    consumer = found(model)["attention.query_key_value"]
    size = width // heads
    assert consumer.columns is not None
    assert consumer.columns.tolist() == [
        head * size + column for head in range(heads) for _ in "qkv" for column in range(size)
    ]


def test_the_block_is_left_as_it_was() -> None:
    for family in ("llama-grouped", "gpt2", "mamba"):
        model = built(FAMILIES[family][0]())
        with torch.no_grad():
            before = model.module(input_ids=ids(), use_cache=False).logits
            state = torch.random.get_rng_state()
            found(model)
            assert not torch.is_grad_enabled()
            after = model.module(input_ids=ids(), use_cache=False).logits
        assert torch.equal(state, torch.random.get_rng_state())
        assert torch.equal(before, after)
        assert all(
            parameter.grad is None and not parameter.requires_grad for parameter in model.module.parameters()
        )
        assert not any(
            module._forward_hooks or module._forward_pre_hooks for module in model.module.modules()
        )


class Handmade(nn.Module):
    """Linears that are wired by a function."""

    def __init__(self, wiring: Callable[[nn.ModuleDict, Tensor], Tensor], **shapes: tuple[int, int]) -> None:
        super().__init__()
        self.linears = nn.ModuleDict(
            {name: nn.Linear(columns, rows) for name, (rows, columns) in shapes.items()}
        )
        self.wiring = wiring

    def forward(self, hidden: Tensor) -> Tensor:
        return self.wiring(self.linears, hidden)


def wired(
    wiring: Callable[[nn.ModuleDict, Tensor], Tensor], **shapes: tuple[int, int]
) -> dict[str, Consumer]:
    torch.manual_seed(0)
    module = Handmade(wiring, **shapes)
    linears = {name: Linear(name, name, child) for name, child in module.linears.items()}
    return consumers(Block(0, "0", module, linears), torch.randn(2, 5, 4), Call())


def test_a_linear_after_another_one_is_no_consumer() -> None:
    result = wired(lambda it, x: it["c"](it["b"](it["a"](x))), a=(4, 4), b=(4, 4), c=(4, 4))
    assert {name: one.name for name, one in result.items()} == {"a": "b", "b": "c", "c": None}


def test_the_order_of_calls_matters_not_that_of_registration() -> None:
    result = wired(lambda it, x: it["b"](y := it["c"](x)) + it["a"](y), a=(4, 4), b=(4, 4), c=(4, 4))
    assert {name: one.name for name, one in result.items()} == {"a": None, "b": None, "c": "b"}


def test_a_path_without_a_signal_is_still_a_path() -> None:
    """A dead activation says nothing about the structure."""
    result = wired(lambda it, x: it["b"]((it["a"](x) * 0).relu()), a=(6, 4), b=(4, 6))
    assert maps(result)["a"] == ("b", list(range(6)))


def test_in_place_changes_are_followed() -> None:
    def wiring(it: nn.ModuleDict, x: Tensor) -> Tensor:
        y = it["a"](x)
        y += x
        y.mul_(2)
        return it["b"](y)

    assert wired(wiring, a=(4, 4), b=(4, 4))["a"].name == "b"


def test_a_linear_that_is_called_twice_has_no_clear_consumer() -> None:
    result = wired(lambda it, x: it["b"](it["a"](it["a"](x))), a=(4, 4), b=(4, 4))
    assert result["a"].name is None and "more than once" in result["a"].reason


def test_thirds_that_are_not_queries_keys_and_values_have_no_clear_consumer() -> None:
    result = wired(lambda it, x: it["b"](it["a"](x).unflatten(-1, (3, 4)).sum(-2)), a=(12, 4), b=(4, 4))
    assert result["a"].name is None and "not clearly" in result["a"].reason


def test_values_first_have_no_clear_consumer() -> None:
    """A layout that the stride rule does not cover is not guessed."""
    result = wired(lambda it, x: it["b"](it["a"](x)[..., :4]), a=(12, 4), b=(4, 4))
    assert result["a"].name is None
