"""Fused experts: what each one sees against a plain loop over tokens in float64, and what becomes of those
that see too little.
"""

import copy
import math
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from torch import Tensor, nn
from torch.overrides import _get_current_function_mode_stack

from engine.models.block import Block, Call, Linear, hooked, zeroed
from engine.models.dataflow import consumers, feeds
from engine.models.discovery import find_blocks, skipped_kind
from engine.models.language_model import LanguageModel
from engine.pruning.observation import observe
from engine.pruning.patterns import Group
from engine.pruning.plan import TOKENS_PER_INPUT, TOKENS_PER_INPUT_WITH_HESSIAN, Plan
from engine.pruning.statistics import Need, Statistics, ThinnedSample
from tests.models.families import VOCABULARY, built, pruned, windows

ROUTED = ["mixtral", "qwen2-moe", "qwen3-moe", "olmoe", "jamba", "granite-hybrid"]
ALL_BUT_OUTPUTS = frozenset(Need) - {Need.OUTPUT_NORM}


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def mixture(block: Block) -> nn.Module:
    """The module that holds router and experts."""
    expert = next(linear for linear in block.linears.values() if linear.expert is not None)
    return block.module.get_submodule(expert.name.split(".experts.")[0])


def with_experts(model: LanguageModel) -> Block:
    return next(
        block for block in model.blocks if any(linear.expert is not None for linear in block.linears.values())
    )


def at(model: LanguageModel, block: Block, ids: Tensor, batch: int) -> Any:
    """The stream at this block's input."""
    stream = model.record(ids, batch)
    for earlier in model.blocks[: block.index]:
        stream.advance(earlier)
    return stream


# ---- an obvious loop
# ------------------------------------------------------------------------------------------------


def routed_tokens(
    moe: nn.Module, hidden: Tensor, top: int
) -> tuple[dict[int, list[Tensor]], dict[int, list[Tensor]]]:
    """By expert, the inputs of its gate_up and of its down, one token at a time, from the router's matrix
    alone. `hidden` is `[tokens, width]`.
    """
    router = (moe.gate if hasattr(moe, "gate") else moe.router).weight.double()
    gate_up, down = moe.experts.gate_up_proj.double(), moe.experts.down_proj.double()
    first: dict[int, list[Tensor]] = {expert: [] for expert in range(len(gate_up))}
    second: dict[int, list[Tensor]] = {expert: [] for expert in range(len(down))}
    for token in hidden.double():
        for expert in (router @ token).topk(top).indices.tolist():  # a softmax keeps the order
            first[expert].append(token)
            both = gate_up[expert] @ token
            half = len(both) // 2
            gate = both[:half]
            second[expert].append(gate * gate.sigmoid() * both[half:])
    return first, second


@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize("family", ROUTED)
def test_every_expert_sees_what_a_plain_loop_sends_to_it(family: str, batch: int) -> None:
    model = built(family)
    block = with_experts(model)
    moe, given = mixture(block), []
    stream = at(model, block, windows(), batch)
    hook = moe.register_forward_pre_hook(
        lambda module, args: given.append(args[0].reshape(-1, args[0].shape[-1]))
    )
    with observe(block.linears, len(windows()), ALL_BUT_OUTPUTS, sample=64, tokens=windows().numel()) as seen:
        list(stream.through(block))
    hook.remove()
    inputs = torch.cat(given)
    assert len(inputs) == windows().numel()
    tokens = 0
    for parameter, by_expert in zip(
        ("gate_up_proj", "down_proj"), routed_tokens(moe, inputs, 2), strict=True
    ):
        for expert, rows in by_expert.items():
            name = next(name for name in block.linears if name.endswith(f"experts.{expert}.{parameter}"))
            assert seen[name].tokens == len(rows)
            tokens += len(rows)
            if not rows:
                continue
            x = torch.stack(rows)
            size, n = float(x.abs().max()), len(windows())
            torch.testing.assert_close(
                seen[name].input_norm.double(), (x.square().sum(0) / n).sqrt(), rtol=1e-4, atol=1e-5 * size
            )
            torch.testing.assert_close(
                seen[name].input_sum.double(), x.sum(0) / n, rtol=1e-4, atol=1e-4 * size
            )
            torch.testing.assert_close(
                seen[name].hessian.double(), 2 / n * x.T @ x, rtol=1e-4, atol=1e-4 * size**2
            )
            torch.testing.assert_close(
                seen[name].input_variance.double(), x.var(dim=0, correction=0), rtol=1e-3, atol=1e-4 * size**2
            )
            sample = seen[name].sample.double()
            assert 1 <= len(sample) <= 16
            assert all(float((x - row).abs().amax(1).min()) < 1e-4 * size for row in sample), (
                "a sampled row is no input"
            )
    assert tokens == 2 * 2 * windows().numel(), (
        "each token goes to two experts, and through two linears in each"
    )


@pytest.mark.parametrize("family", ROUTED)
def test_output_norms_are_those_of_the_slice(family: str) -> None:
    model = built(family)
    block = with_experts(model)
    stream, given = at(model, block, windows(), 2), {}
    with (
        observe(block.linears, len(windows()), {Need.OUTPUT_NORM}) as seen,
        hooked(
            block.linears,
            before=lambda name, inputs: given.setdefault(name, []).append(
                inputs.reshape(-1, inputs.shape[-1])
            ),
        ),
    ):
        list(stream.through(block))
    for name, linear in block.linears.items():
        if linear.expert is not None and name in given:
            outputs = torch.cat(given[name]).double() @ linear.weight.double().T
            expected = (outputs.square().sum(0) / len(windows())).sqrt()
            torch.testing.assert_close(
                seen[name].output_norm.double(), expected, rtol=1e-4, atol=1e-5 * float(expected.max())
            )


# ---- what surrounds the observation
# ---------------------------------------------------------------------------------


def test_another_threads_windows_are_not_counted() -> None:
    model = built("olmoe")
    block, ids = model.blocks[0], windows()
    alone, both = at(model, block, ids, 2), at(model, block, ids.flip(0), 2)
    with observe(block.linears, len(ids), ALL_BUT_OUTPUTS, sample=8, tokens=ids.numel()) as expected:
        list(alone.through(block))
    with observe(block.linears, len(ids), ALL_BUT_OUTPUTS, sample=8, tokens=ids.numel()) as seen:
        other = threading.Thread(target=torch.no_grad()(lambda: list(both.through(block))))
        other.start()
        list(alone.through(block))
        other.join()
    assert seen.keys() == expected.keys()
    for name in seen:
        assert seen[name].tokens == expected[name].tokens
        assert torch.equal(seen[name].hessian, expected[name].hessian)


@pytest.mark.parametrize("fail", [False, True])
def test_hooks_are_removed_after_the_with(fail: bool) -> None:
    model = built("mixtral")
    block = model.blocks[0]
    try:
        with observe(block.linears, 5, {Need.INPUT_NORM}), zeroed(block.linears.values()):
            assert len(_get_current_function_mode_stack()) == 2
            if fail:
                raise RuntimeError("in the middle")
    except RuntimeError:
        assert fail
    assert not _get_current_function_mode_stack()
    assert not any(
        "forward" in vars(module) or module._forward_hooks or module._forward_pre_hooks
        for module in block.module.modules()
    )


def test_observing_changes_no_bit_of_the_output() -> None:
    model = built("qwen2-moe")
    block = model.blocks[0]
    stream = at(model, block, windows(), 2)
    plain = torch.cat(list(stream.through(block)))
    with observe(block.linears, 5, frozenset(Need), sample=8, tokens=120):
        assert torch.equal(torch.cat(list(stream.through(block))), plain)


def test_the_grouped_product_gives_the_same_up_to_rounding() -> None:
    model = built("mixtral")
    ours = model.module(input_ids=windows(), use_cache=False).logits
    assert model.module.config._experts_implementation == "eager"
    model.module.set_experts_implementation("grouped_mm")
    torch.testing.assert_close(
        ours, model.module(input_ids=windows(), use_cache=False).logits, rtol=1e-3, atol=1e-3
    )


def test_a_copy_is_observed_separately() -> None:
    model = built("mixtral")
    twin = LanguageModel(copy.deepcopy(model.module))
    stream = at(twin, twin.blocks[0], windows(), 2)
    with observe(model.blocks[0].linears, 5, {Need.INPUT_NORM}) as seen:
        list(stream.through(twin.blocks[0]))
    assert not seen


# ---- experts of the tests' own making
# -------------------------------------------------------------------------------


class Mixture(nn.Module):
    """Experts with separate gate and up and with biases; token t goes to expert `to[t]`, and every expert is
    called, some with no rows.
    """

    is_transposed = False

    def __init__(self, to: list[int], experts: int = 3, width: int = 4, inner: int = 6) -> None:
        super().__init__()
        self.gate, self.up = (nn.Parameter(torch.randn(experts, inner, width)) for _ in range(2))
        self.down = nn.Parameter(torch.randn(experts, width, inner))
        self.bias = nn.Parameter(torch.randn(experts, inner))
        self.to = torch.tensor(to)

    def forward(self, hidden: Tensor) -> Tensor:
        rows = hidden.reshape(-1, hidden.shape[-1])
        result = torch.zeros_like(rows)
        for expert in range(len(self.gate)):
            mine = rows[self.to == expert]
            inner = nn.functional.linear(mine, self.gate[expert], bias=self.bias[expert]).relu()
            inner = inner * nn.functional.linear(input=mine, weight=self.up[expert])
            result[self.to == expert] = nn.functional.linear(inner, self.down[expert])
        return result.view_as(hidden)


class Layer(nn.Module):
    def __init__(self, to: list[int], shared: bool) -> None:
        super().__init__()
        self.before = nn.Linear(4, 4, bias=False)
        self.experts = Mixture(to)
        self.shared = nn.Linear(4, 4, bias=False) if shared else None

    def forward(self, hidden: Tensor) -> Tensor:
        given = self.before(hidden)
        result = hidden + self.experts(given)
        return result if self.shared is None else result + self.shared(given)


def handmade(to: list[int], *, shared: bool = False) -> Block:
    torch.manual_seed(0)
    return find_blocks(nn.ModuleDict({"layers": nn.ModuleList([Layer(to, shared)])}))[0]


def test_separate_parameters_of_an_expert_share_what_they_see() -> None:
    block = handmade([0, 1, 0, 1, 1, 0])
    with observe(block.linears, 2, {Need.HESSIAN}) as seen:
        block(torch.randn(2, 3, 4), Call())
    assert (
        seen["experts.0.gate"] is seen["experts.0.up"]
        and seen["experts.0.gate"] is not seen["experts.1.gate"]
    )
    assert [seen[f"experts.{expert}.gate"].tokens for expert in range(3)] == [3, 3, 0]


def test_an_output_is_counted_without_its_bias() -> None:
    block, inputs = handmade([0] * 6), torch.randn(2, 3, 4)
    with observe(block.linears, 2, {Need.OUTPUT_NORM}) as seen:
        block(inputs, Call())
    given = block.linears["before"].module(inputs).reshape(-1, 4)
    for name in ("gate", "up"):
        outputs = given.double() @ block.linears[f"experts.0.{name}"].weight.double().T
        torch.testing.assert_close(
            seen[f"experts.0.{name}"].output_norm.double(),
            (outputs.square().sum(0) / 2).sqrt(),
            rtol=1e-5,
            atol=1e-6,
        )
    assert seen["experts.2.gate"].output_norm.tolist() == [0.0] * 6


def test_an_expert_without_tokens_has_empty_statistics() -> None:
    model = built("olmoe")
    block = model.blocks[0]
    experts = mixture(block)
    experts.gate.weight[3] = 0
    experts.gate.weight[3, 0] = -1e6  # what is sent there is then a matter of one sign
    stream = at(model, block, windows()[:1, :2], 1)
    with observe(block.linears, 1, frozenset(Need), sample=8, tokens=2) as seen:
        list(stream.through(block))
    idle = [linear for name, linear in block.linears.items() if seen[name].tokens == 0]
    assert idle and all(linear.expert is not None for linear in idle), (
        "two tokens cannot reach five experts twice"
    )
    for linear in idle:
        statistics = seen[linear.name]
        assert statistics.routed and statistics.sample.shape == (0, linear.shape[1])
        assert (
            not statistics.input_norm.any()
            and not statistics.hessian.any()
            and not statistics.input_variance.any()
        )
        assert statistics.output_norm.shape == (linear.shape[0],)


def test_experts_that_are_never_observed_have_no_statistics() -> None:
    """Multiplied all at once, they would otherwise pass for experts that nothing was sent to."""
    model = built("mixtral")
    model.module.set_experts_implementation("grouped_mm")
    stream = at(model, model.blocks[0], windows(), 2)
    with observe(model.blocks[0].linears, 5, {Need.INPUT_NORM}) as seen:
        list(stream.through(model.blocks[0]))
    assert seen and not any(".experts." in name for name in seen)


def test_variances_and_sums_do_not_depend_on_the_batches() -> None:
    rows = torch.randn(60, 4, generator=torch.Generator().manual_seed(0)) * 3 + 100
    found = []
    for parts in ([60], [1] * 60, [7, 0, 53]):
        statistics = Statistics(4, 5, ALL_BUT_OUTPUTS, rows.device, sample=400, tokens=0, routed=True)
        for part in rows.split(parts):
            statistics.update(part)
        found.append(statistics)
        torch.testing.assert_close(
            statistics.input_variance.double(), rows.double().var(dim=0, correction=0), rtol=1e-4, atol=0
        )
    assert {one.tokens for one in found} == {60}
    assert all(torch.equal(one.sample, rows) for one in found)


@pytest.mark.parametrize("parts", [[1000], [1] * 1000, [333, 0, 667]], ids=len)
@pytest.mark.parametrize("most", [1, 7, 16, 999, 1000, 2000])
def test_a_sample_of_unknown_length_is_bounded_and_even(most: int, parts: list[int]) -> None:
    numbers = torch.arange(1000, dtype=torch.float32)[:, None]
    sample = ThinnedSample(most, 1, numbers.device)
    for part in numbers.split(parts):
        sample.add(part)
    kept = sample.rows.flatten().int().tolist()
    assert min(most, 1000) / 2 <= len(kept) <= most
    assert kept == list(range(0, 1000, 2 ** math.ceil(math.log2(max(1, 1000 / most)))))


# ---- too few tokens
# -------------------------------------------------------------------------------------------------


def statistics_of(tokens: int, needs: frozenset[Need], *, width: int = 16, routed: bool = True) -> Statistics:
    statistics = Statistics(width, 4, needs, torch.device("cpu"), sample=8, tokens=tokens, routed=routed)
    if tokens:
        statistics.update(
            torch.randn(tokens, width, generator=torch.Generator().manual_seed(tokens))
            * torch.arange(1.0, width + 1)
        )
    return statistics


FALLING = {
    "wanda": (Plan.of(score="wanda"), TOKENS_PER_INPUT),
    "ria": (Plan.of(score="ria"), TOKENS_PER_INPUT),
    "dsnot": (Plan.of(score="wanda", refinement="dsnot"), TOKENS_PER_INPUT),
    "sparsegpt": (Plan.of(score="sparsegpt", update="obs"), TOKENS_PER_INPUT_WITH_HESSIAN),
    "mrp": (Plan.of(score="magnitude", update="mrp"), TOKENS_PER_INPUT_WITH_HESSIAN),
    "2:4": (Plan.of(score="sparsegpt", update="obs", pattern="2:4"), TOKENS_PER_INPUT_WITH_HESSIAN),
    "permuted": (Plan.of(score="ria", pattern="2:4", permutation="zigzag"), TOKENS_PER_INPUT),
}


@pytest.mark.parametrize(("plan", "fewest"), FALLING.values(), ids=FALLING)
def test_from_the_fewest_tokens_on_the_methods_are_used(plan: Plan, fewest: float) -> None:
    weight, enough = torch.randn(8, 16, generator=torch.Generator().manual_seed(3)), int(16 * fewest)
    assert plan.fewest_tokens(16) == enough
    assert not plan.prune(weight, statistics_of(enough, plan.needs), 0.5).warnings
    for tokens in (0, 1, enough - 1):
        outcome = plan.prune(weight, statistics_of(tokens, plan.needs), 0.5)
        alone = (
            Plan.of(score="magnitude", group=plan.pattern.group)
            if plan.pattern.__class__.__name__ == "Unstructured"
            else None
        )
        if alone is not None:
            assert torch.equal(outcome.keep, alone.prune(weight, statistics_of(enough, plan.needs), 0.5).keep)
        assert torch.equal(outcome.weight, weight * outcome.keep), "what stays is as it was"
        assert int((~outcome.keep).sum()) == weight.numel() // 2
        assert outcome.refined is None and outcome.unrefined is None
        (sentence,) = outcome.warnings
        assert (
            f"sent it {tokens} token" in sentence
            and f"fewer than the {enough}" in sentence
            and "magnitude alone" in sentence
        )


def test_the_pattern_holds_without_statistics() -> None:
    weight = torch.randn(8, 16)
    plan = FALLING["2:4"][0]
    keep = plan.prune(weight, statistics_of(0, plan.needs), 0.5).keep
    assert (keep.view(8, 4, 4).sum(2) == 2).all()
    rows = torch.linspace(0.1, 0.9, 8, dtype=torch.float64)
    uneven = Plan.of(score="wanda", group=Group.ROW)
    keep = uneven.prune(weight, statistics_of(0, uneven.needs), rows).keep
    assert keep.sum(1).tolist() == [math.floor(round(16 * (1 - share), 6)) for share in rows.tolist()]


def test_magnitude_needs_no_tokens_and_ordinary_linears_never_fall_back() -> None:
    weight = torch.randn(8, 16)
    assert not Plan.of(score="magnitude").prune(weight, statistics_of(0, frozenset()), 0.5).warnings
    wanda = Plan.of(score="wanda")
    assert not wanda.prune(weight, statistics_of(1, wanda.needs, routed=False), 0.5).warnings


@pytest.mark.parametrize(
    ("family", "count"), [*((family, 5) for family in ROUTED), *((family, 60) for family in ROUTED[::2])]
)
def test_a_run_says_which_experts_fell_back_and_updates_the_others(family: str, count: int) -> None:
    model = built(family)
    dense = {path: linear.weight.clone() for path, linear in model.linears.items()}
    result = pruned(model, Plan.of(score="sparsegpt", update="obs"), batch=5, count=count)
    experts = {path: linear for path, linear in model.linears.items() if linear.expert is not None}
    fell = set()
    for note in result.notes:
        if "magnitude alone" in note:
            pattern, _, rest = note.partition(", experts ")
            fell |= {pattern.replace("*", number.strip()) for number in rest.partition(";")[0].split(",")}
    assert len(result.notes) <= 2 * len(model.blocks) + 2, "many experts, few sentences"
    unchanged = {
        path
        for path, linear in experts.items()
        if torch.equal(linear.weight, dense[path] * (linear.weight != 0))
    }
    assert fell == unchanged
    assert fell if count == 5 else len(fell) < len(experts) / 2
    ends = result.streams.pruned
    assert ends is not None
    logits = torch.cat([model.logits(hidden, ids) for hidden, ids in zip(ends.hidden, ends.ids, strict=True)])
    torch.testing.assert_close(
        logits, model.module(input_ids=torch.cat(ends.ids), use_cache=False).logits, rtol=1e-3, atol=1e-3
    )


# ---- where the linears are, and what stays dense
# --------------------------------------------------------------------


def test_names_and_shapes_of_slices() -> None:
    model = built("mixtral")
    linears = model.blocks[1].linears
    assert [name for name in linears if ".experts." in name] == [
        f"mlp.experts.{expert}.{parameter}"
        for expert in range(4)
        for parameter in ("gate_up_proj", "down_proj")
    ]
    one = linears["mlp.experts.3.gate_up_proj"]
    assert (one.path, one.expert, one.shape) == ("model.layers.1.mlp.experts.3.gate_up_proj", 3, (96, 32))
    assert one.stored is one.module.gate_up_proj and one.weight.data_ptr() == one.stored[3].data_ptr()


def test_writing_a_slice_leaves_the_others() -> None:
    linear = built("mixtral").blocks[0].linears["mlp.experts.2.down_proj"]
    parameter, before = linear.stored, linear.stored.clone()
    linear.write(torch.zeros(linear.shape))
    assert linear.stored is parameter and not parameter[2].any()
    assert torch.equal(parameter[[0, 1, 3]], before[[0, 1, 3]])


KINDS = {
    "mixtral": {"routers": 4 * 4 * 32},
    "qwen2-moe": {"routers": 4 * (4 + 1) * 32},  # with the gate of the shared expert
    "qwen3-moe": {"routers": 3 * 4 * 32},  # one block has no experts
    "olmoe": {"routers": 4 * 5 * 32},
    "gpt-oss": {"routers": 4 * 4 * 32, "fused experts": 4 * 4 * (32 * 96 + 48 * 32)},
    "llama4": {"routers": 4 * 4 * 32, "fused experts": 4 * 4 * (32 * 96 + 48 * 32)},
    "jamba": {"routers": 2 * 4 * 32, "state space": 2 * (64 * 4 + 64 + 64 * 4 + 64)},
    "granite-hybrid": {"routers": 4 * 4 * 32, "state space": 2 * (3 * 4 + 80 * 4 + 80)},
    "mamba2": {"state space": 4 * (3 * 4 + 80 * 4 + 80)},
    "lfm2": {"other": 2 * 32 * 3},  # short convolutions
    "zamba2": {
        "state space": 4 * (3 * 4 + 80 * 4 + 80),
        "shared between blocks": 3 * 64 * 64 + 32 * 64 + 96 * 32 + 32 * 48 + 2 * (128 * 32 + 96 * 128),
    },
    "llama": {},
}


@pytest.mark.parametrize("family", KINDS)
def test_kinds_of_what_is_never_pruned(family: str) -> None:
    model, counts = built(family), dict[str, int]()
    kinds = skipped_kind(model.module)
    for parameter in model.module.parameters():
        if id(parameter) in kinds:
            counts[kinds[id(parameter)]] = counts.get(kinds[id(parameter)], 0) + parameter.numel()
    usual = ("embeddings", "head", "norms and biases")
    assert {kind: count for kind, count in counts.items() if kind not in usual} == KINDS[family]


def test_a_shared_expert_as_narrow_as_there_are_experts_is_no_router() -> None:
    """Qwen3-Next has 512 experts, and a shared one with 512 inner neurons."""
    config = hf.Qwen2MoeConfig(
        vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=1, num_attention_heads=4,
        num_key_value_heads=4, num_experts=8,
        num_experts_per_tok=2, moe_intermediate_size=16, shared_expert_intermediate_size=8,
    )  # fmt: skip
    block = LanguageModel(hf.AutoModelForCausalLM.from_config(config)).blocks[0]
    assert {f"mlp.shared_expert.{name}_proj" for name in ("gate", "up", "down")} <= block.linears.keys()
    assert "mlp.shared_expert_gate" not in block.linears


def test_a_linear_that_blocks_share_belongs_to_none() -> None:
    model = built("zamba2")
    one, other = (model.blocks[index].module.shared_transformer.self_attn.q_proj.weight for index in (1, 3))
    assert one is other
    assert not any("shared_transformer" in path for path in model.linears)
    assert "model.layers.1.linear" in model.linears, "the hybrid blocks' own linears are pruned"


@pytest.mark.parametrize("family", ["mixtral", "qwen3-moe", "olmoe"])
def test_a_pruned_model_is_saved_and_read_back_as_it_is(family: str, tmp_path: Path) -> None:
    """Files hold experts apart, under other names; every slice comes back with its zeros."""
    model = built(family)
    pruned(model, Plan.of(score="wanda"))
    model.module.save_pretrained(tmp_path)
    again = LanguageModel(hf.AutoModelForCausalLM.from_pretrained(tmp_path))
    assert "eager" not in (tmp_path / "config.json").read_text(), (
        "how experts are computed is no part of the model"
    )
    assert again.linears.keys() == model.linears.keys()
    assert all(
        torch.equal(again.linears[path].weight, linear.weight) for path, linear in model.linears.items()
    )


# ---- the wiring
# -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ROUTED)
@pytest.mark.parametrize("tokens", [2, 24])
def test_every_expert_is_wired_like_the_others(family: str, tokens: int) -> None:
    """Two tokens reach only some of the experts."""
    model = built(family)
    block = with_experts(model)
    stream = at(model, block, windows()[:1, :tokens], 1)
    fed = feeds(block, stream.hidden[0], stream.calls[block.index][0])
    result = consumers(block, stream.hidden[0], stream.calls[block.index][0])
    for name, linear in block.linears.items():
        if linear.expert is None:
            continue
        if name.endswith("gate_up_proj"):
            assert fed[name] == (name.replace("gate_up", "down"),)
            assert result[name].name is None and "do not map one-to-one" in result[name].reason
        else:
            assert fed[name] == () and result[name].reason == "its output leaves the block"


def test_attention_feeds_a_shared_expert_and_no_single_routed_one() -> None:
    for family, reader in (("qwen2-moe", "mlp.shared_expert.gate_proj"), ("mixtral", None)):
        model = built(family)
        stream = model.record(windows(), 5)
        found = consumers(model.blocks[0], stream.hidden[0], stream.calls[0][0])["self_attn.o_proj"]
        assert found.name == reader
        assert found.reason == (
            "" if reader else "its readers are experts, each of which processes other tokens"
        )


def test_a_shared_expert_is_the_reader_also_where_it_is_called_last() -> None:
    for shared, reader in ((True, "shared"), (False, None)):
        assert (
            consumers(handmade([0, 1, 0, 1, 1, 0], shared=shared), torch.randn(2, 3, 4), Call())[
                "before"
            ].name
            == reader
        )


def test_separate_gate_and_up_become_the_columns_of_their_own_down() -> None:
    block = handmade([0, 1, 0, 1, 1, 0])
    result = consumers(block, torch.randn(2, 3, 4), Call())
    for expert in range(3):
        for name in ("gate", "up"):
            found = result[f"experts.{expert}.{name}"]
            assert (
                found.name == f"experts.{expert}.down"
                and found.columns is not None
                and found.columns.tolist() == list(range(6))
            )


@pytest.mark.parametrize("family", ROUTED)
def test_zeroing_what_leaves_the_block_changes_no_statistics(family: str) -> None:
    """The wiring is read from one window, in which not every expert is called; others are in the windows that
    follow.
    """
    model = built(family)
    block = with_experts(model)
    one = at(model, block, windows()[:1, :2], 1)
    fed = feeds(block, one.hidden[0], one.calls[block.index][0])
    leaving = [block.linears[name] for name, readers in fed.items() if not readers]
    assert any(linear.expert is not None for linear in leaving)
    stream = at(model, block, windows(), 2)
    with observe(block.linears, 5, {Need.INPUT_NORM}) as expected:
        list(stream.through(block))
    with observe(block.linears, 5, {Need.INPUT_NORM}) as seen, zeroed(leaving):
        list(stream.through(block))
    assert seen.keys() == expected.keys()
    assert all(torch.equal(seen[name].input_norm, expected[name].input_norm) for name in seen)


def test_zeroed_linears_return_zeros() -> None:
    block, heard = handmade([0, 1, 0, 1, 1, 0]), list[tuple[str, Tensor]]()
    down: list[Linear] = [linear for name, linear in block.linears.items() if name.endswith("down")]
    inputs = torch.randn(2, 3, 4)
    with (
        hooked(block.linears, after=lambda name, given, gave, bias: heard.append((name, gave))),
        zeroed(down),
    ):
        assert torch.equal(block(inputs, Call()), inputs)
    assert [name for name, gave in heard if name.endswith("down") and not gave.any()] == [
        f"experts.{expert}.down" for expert in range(3)
    ]
    assert not torch.equal(block(inputs, Call()), inputs)
