"""Sums over the calibration input, against float64 sums over windows; sharing, sampling, and what is left
behind.
"""

import itertools
from collections.abc import Iterator
from contextlib import suppress

import pytest
import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from engine.errors import NumericsError
from engine.models.block import Linear
from engine.pruning.observation import observe
from engine.pruning.statistics import GRAM_PANEL, Need, Statistics
from tests.pruning import oracles

EVERYTHING = frozenset(Need) - {Need.OUTPUT_NORM}  # with it, linears do not share


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def linear(name: str, width: int = 6, rows: int = 3, dtype: torch.dtype = torch.float32) -> Linear:
    return Linear(name, f"layers.0.{name}", nn.Linear(width, rows, bias=False, dtype=dtype))


def linears(*names: str, width: int = 6) -> dict[str, Linear]:
    return {name: linear(name, width) for name in names}


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def assert_describes(
    seen: Statistics, inputs: Tensor, relative: float = 1e-5, *, variance: bool = True
) -> None:
    """`inputs` are all windows, `[windows, tokens, in]`."""
    torch.testing.assert_close(
        seen.input_norm.double(), oracles.input_norm(inputs), rtol=relative, atol=1e-12
    )
    windows = inputs.double()
    size = float(windows.abs().max())
    torch.testing.assert_close(
        seen.input_sum.double(), windows.sum(1).mean(0), rtol=relative, atol=10 * relative * size
    )
    if variance:
        torch.testing.assert_close(
            seen.input_variance.double(),
            windows.var(dim=1, correction=0).mean(0),
            rtol=relative,
            atol=relative * size**2,
        )
    expected = oracles.hessian(inputs)
    assert seen.hessian.dtype == torch.float32 and seen.input_norm.dtype == torch.float32
    torch.testing.assert_close(
        seen.hessian.double(), expected, rtol=relative, atol=relative * float(expected.abs().max())
    )


@pytest.mark.parametrize("batch", [1, 2, 3, 7])
def test_norm_and_hessian_are_those_of_all_windows(batch: int) -> None:
    layer = oracles.random_layer(4, 20, windows=7, tokens=11)
    assert_describes(oracles.observed(layer, batch=batch), layer.inputs)


def test_hand_worked_sums() -> None:
    one = linears("it", width=2)
    with observe(one, 2, EVERYTHING, sample=4, tokens=4) as seen:
        one["it"].module(torch.tensor([[[1.0, 2.0], [0.0, 2.0]]]))
        one["it"].module(torch.tensor([[[1.0, 0.0], [0.0, 0.0]]]))
    torch.testing.assert_close(
        seen["it"].input_norm, torch.tensor([1.0, 2.0])
    )  # sqrt((1 + 1) / 2), sqrt((8 + 0) / 2)
    torch.testing.assert_close(seen["it"].hessian, torch.tensor([[2.0, 2.0], [2.0, 8.0]]))  # 2/2 * X^T X


def test_two_dimensional_inputs_count_like_windows() -> None:
    layer = oracles.random_layer(4, 9, windows=4, tokens=5)
    one = linears("it", width=9)
    with observe(one, 4, EVERYTHING, sample=8, tokens=20) as seen:
        for window in layer.inputs:
            one["it"].module(window)
    assert_describes(seen["it"], layer.inputs)


def test_no_input_shape_matters_but_the_last() -> None:
    inputs = noise(2, 3, 4, 6)
    one = linears("it")
    with observe(one, 2, EVERYTHING, sample=8, tokens=24) as seen:
        one["it"].module(inputs)
    assert_describes(seen["it"], inputs.view(2, 12, 6))


def test_inputs_that_are_views() -> None:
    inputs = noise(6, 5, 4).permute(1, 2, 0)  # [5, 4, 6], strides all wrong
    one = linears("it")
    with observe(one, 5, EVERYTHING, sample=8, tokens=20) as seen:
        one["it"].module(inputs)
    assert_describes(seen["it"], inputs)


@pytest.mark.parametrize("width", [GRAM_PANEL - 1, GRAM_PANEL + 32])
def test_wide_hessians_are_whole_and_symmetric(width: int) -> None:
    inputs = noise(2, 9, width)
    one = linears("it", width=width)
    with observe(one, 2, EVERYTHING, sample=8, tokens=18) as seen:
        one["it"].module(inputs[:1])
        one["it"].module(inputs[1:])
    assert torch.equal(seen["it"].hessian, seen["it"].hessian.T)
    assert_describes(seen["it"], inputs)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_inputs_are_summed_in_float32(dtype: torch.dtype) -> None:
    """Sums of ones in bfloat16 would stand still at 256."""
    inputs = (noise(20, 40, 6) + 1).to(dtype)
    one = {"it": linear("it", dtype=dtype)}
    with observe(one, 20, EVERYTHING, sample=8, tokens=800) as seen:
        for window in inputs:
            one["it"].module(window[None])
    assert_describes(seen["it"], inputs)
    assert seen["it"].sample.dtype == dtype


def test_large_values_of_float16_do_not_overflow() -> None:
    inputs = torch.full((2, 100, 6), 3e4, dtype=torch.float16)
    one = {"it": linear("it", dtype=torch.float16)}
    with observe(one, 2, EVERYTHING, sample=8, tokens=200) as seen:
        one["it"].module(inputs)
    assert_describes(seen["it"], inputs)


def test_the_factor_leaves_the_hessian_as_it_is() -> None:
    layer = oracles.random_layer(4, 20)
    seen = oracles.observed(layer)
    before = seen.hessian.clone()
    assert seen.factor is seen.factor
    assert torch.equal(seen.hessian, before)


def test_a_conv1d_is_the_linear_that_it_is() -> None:
    module = Conv1D(3, 6)
    inputs = noise(2, 5, 6)
    with observe(
        {"it": Linear("it", "it", module, transposed=True)}, 2, EVERYTHING, sample=8, tokens=10
    ) as seen:
        module(inputs)
    assert_describes(seen["it"], inputs)


# ---- sharing
# --------------------------------------------------------------------------------------------------------


def test_linears_with_the_same_tensor_share() -> None:
    inputs, other, some = noise(4, 5, 6), noise(4, 5, 6, seed=1), linears("q", "k", "v", "o")
    with observe(some, 4, EVERYTHING, sample=8, tokens=20) as seen:
        for part, other_part in zip(inputs.split(2), other.split(2), strict=True):
            for name in "qkv":
                some[name].module(part)
            some["o"].module(other_part)
    assert seen["q"] is seen["k"] is seen["v"]
    assert seen["o"] is not seen["q"]
    assert_describes(seen["q"], inputs)
    assert_describes(seen["o"], other)


def test_equal_values_in_another_tensor_are_described_all_the_same() -> None:
    inputs, some = noise(4, 5, 6), linears("q", "k")
    with observe(some, 4, EVERYTHING, sample=8, tokens=20) as seen:
        for part in inputs.split(1):
            some["q"].module(part)
            some["k"].module(part.clone())
    assert_describes(seen["q"], inputs)
    assert_describes(seen["k"], inputs)


ORDERS = {
    "never": [False, False, False],
    "first": [True, False, False],
    "later": [False, True, True],
    "changing": [True, False, True],
    "always": [True, True, True],
}


def feed(same: list[bool]) -> tuple[dict[str, Statistics], Tensor, Tensor]:
    """Two linears that see one tensor in some batches and different ones in the others; their statistics, and
    what each has seen.
    """
    first, second, some = noise(3, 5, 6), noise(3, 5, 6, seed=1), linears("a", "b")
    seen_by_b = [first[n] if same[n] else second[n] for n in range(3)]
    with observe(some, 3, EVERYTHING, sample=8, tokens=15) as seen:
        for n in range(3):
            mine = first[n][None]
            some["a"].module(mine)
            some["b"].module(mine if same[n] else second[n][None])
    return seen, first, torch.stack(seen_by_b)


@pytest.mark.parametrize("order", ["never", "later", "always"])
def test_tensors_that_are_shared_from_the_start_never_or_later(order: str) -> None:
    seen, by_a, by_b = feed(ORDERS[order])
    assert_describes(seen["a"], by_a)
    assert_describes(seen["b"], by_b)


@pytest.mark.parametrize("order", ["first", "changing"])
def test_tensors_that_are_shared_at_first_only_are_refused_rather_than_mixed_up(order: str) -> None:
    with pytest.raises(
        NumericsError, match="linear b shares its input with another one in some batches only"
    ):
        feed(ORDERS[order])


def test_a_tensor_changed_in_place_is_another_input() -> None:
    original, some = noise(3, 5, 6), linears("a", "b")
    with observe(some, 3, EVERYTHING, sample=8, tokens=15) as seen:
        for window in original.clone().split(1):
            some["a"].module(window)
            window.mul_(2)
            some["b"].module(window)
    assert_describes(seen["a"], original)
    assert_describes(seen["b"], 2 * original)


def test_a_buffer_filled_anew_for_each_batch() -> None:
    inputs, some = noise(4, 5, 6), linears("a", "b")
    buffer = torch.empty(1, 5, 6)
    with observe(some, 4, EVERYTHING, sample=8, tokens=20) as seen:
        for window in inputs:
            buffer.copy_(window[None])
            some["a"].module(buffer)
            some["b"].module(buffer)
    assert_describes(seen["a"], inputs)
    assert_describes(seen["b"], inputs)


def test_a_freed_tensors_place_in_memory_does_not_share() -> None:
    inputs, some = noise(6, 5, 6), linears("a", "b")
    with observe(some, 3, EVERYTHING, sample=8, tokens=15) as seen:
        for n in range(3):
            some["a"].module(
                inputs[2 * n][None].clone()
            )  # freed at once; the next clone often lands in its place
            some["b"].module(inputs[2 * n + 1][None].clone())
    assert_describes(seen["a"], inputs[0::2])
    assert_describes(seen["b"], inputs[1::2])


def test_shared_tensors_with_another_linear_between() -> None:
    inputs, other, some = noise(3, 5, 6), noise(3, 5, 6, seed=1), linears("a", "between", "b")
    with observe(some, 3, EVERYTHING, sample=8, tokens=15) as seen:
        for part, other_part in zip(inputs.split(1), other.split(1), strict=True):
            some["a"].module(part)
            some["between"].module(other_part)
            some["b"].module(part)
    assert_describes(seen["a"], inputs)
    assert_describes(seen["between"], other)
    assert_describes(seen["b"], inputs)


def test_a_linear_called_twice_a_pass_counts_both_calls() -> None:
    inputs, other, some = noise(3, 5, 6), noise(3, 5, 6, seed=1), linears("a")
    with observe(some, 3, EVERYTHING, sample=8, tokens=30) as seen:
        for part, other_part in zip(inputs.split(1), other.split(1), strict=True):
            some["a"].module(part)
            some["a"].module(other_part)
    assert_describes(
        seen["a"], torch.cat([inputs, other], dim=1), variance=False
    )  # each call has a variance of its own


# ---- the sample
# -----------------------------------------------------------------------------------------------------


def sampled(tokens: int, sample: int, windows: int, batch: int) -> list[int]:
    """Which tokens are kept when each token's input is its own number."""
    one = linears("it", width=1)
    numbers = torch.arange(tokens, dtype=torch.float32).view(windows, -1, 1)
    with observe(one, windows, {Need.SAMPLE}, sample=sample, tokens=tokens) as seen:
        for part in numbers.split(batch):
            one["it"].module(part)
    return seen["it"].sample.flatten().int().tolist()


@pytest.mark.parametrize(
    ("tokens", "sample"), [(60, 6), (60, 7), (60, 59), (60, 1), (600, 512), (1026, 513), (60, 60), (12, 60)]
)
def test_the_sample_is_evenly_spread(tokens: int, sample: int) -> None:
    rows = sampled(tokens, sample, windows=6, batch=1)
    assert len(rows) == min(sample, tokens)
    assert rows == sorted(set(rows))
    gaps = [later - earlier for earlier, later in itertools.pairwise(rows)]
    assert not gaps or max(gaps) - min(gaps) <= 1
    spacing = tokens / len(rows)
    assert rows[0] < spacing and rows[-1] >= tokens - 1 - spacing


@pytest.mark.parametrize("sample", [7, 60])
def test_the_sample_does_not_depend_on_the_batches(sample: int) -> None:
    assert (
        sampled(60, sample, windows=6, batch=1)
        == sampled(60, sample, windows=6, batch=4)
        == sampled(60, sample, windows=6, batch=6)
    )


def test_sampled_rows_survive_an_input_that_is_overwritten() -> None:
    inputs, one = noise(1, 5, 6), linears("it")
    buffer = inputs.clone()
    with observe(one, 1, {Need.SAMPLE}, sample=5, tokens=5) as seen:
        one["it"].module(buffer)
        buffer.zero_()
    assert torch.equal(seen["it"].sample, inputs[0])


# ---- what is not there, and what is left
# ----------------------------------------------------------------------------


def test_a_linear_that_is_never_called_has_no_statistics() -> None:
    some = linears("called", "idle")
    with observe(some, 1, EVERYTHING, sample=4, tokens=5) as seen:
        some["called"].module(noise(1, 5, 6))
    assert set(seen) == {"called"}


def test_no_hook_is_left() -> None:
    some = linears("a", "b")
    for fail in (False, True):
        with suppress(RuntimeError), observe(some, 1, EVERYTHING, sample=4, tokens=5):
            some["a"].module(noise(1, 5, 6))
            if fail:
                raise RuntimeError("in the middle")
        for one in some.values():
            assert not one.module._forward_hooks and not one.module._forward_pre_hooks


def test_a_linear_that_fails_leaves_no_hook() -> None:
    some = linears("a")
    with pytest.raises(RuntimeError), observe(some, 1, EVERYTHING, sample=4, tokens=5):
        some["a"].module(noise(1, 5, 9))
    assert not some["a"].module._forward_hooks and not some["a"].module._forward_pre_hooks


def test_calls_after_the_with_do_not_count() -> None:
    some, inputs = linears("a"), noise(1, 5, 6)
    with observe(some, 1, EVERYTHING, sample=5, tokens=5) as seen:
        some["a"].module(inputs)
    some["a"].module(inputs)
    assert_describes(seen["a"], inputs)


def test_the_output_is_the_linears_own() -> None:
    some, inputs = linears("a"), noise(2, 5, 6)
    expected = some["a"].module(inputs)
    with observe(some, 2, EVERYTHING, sample=5, tokens=10):
        assert torch.equal(some["a"].module(inputs), expected)


def test_observing_twice_starts_anew() -> None:
    some, inputs = linears("a"), noise(2, 5, 6)
    for part in inputs:
        with observe(some, 1, EVERYTHING, sample=5, tokens=5) as seen:
            some["a"].module(part[None])
        assert_describes(seen["a"], part[None])


def test_variances_are_weighted_by_tokens() -> None:
    one = linears("it", width=1)
    with observe(one, 2, {Need.INPUT_VARIANCE, Need.INPUT_SUM}) as seen:
        one["it"].module(torch.tensor([[[1.0], [3.0]]]))  # variance 1 over 2 tokens
        one["it"].module(torch.tensor([[[0.0], [0.0], [4.0], [4.0]]]))  # variance 4 over 4
    assert seen["it"].input_variance.item() == pytest.approx((2 * 1 + 4 * 4) / 6)
    assert seen["it"].input_sum.item() == pytest.approx((4 + 8) / 2)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("batch", [1, 2, 4])
def test_output_norms_are_those_of_the_weight_alone(batch: int, bias: bool) -> None:
    inputs = noise(4, 5, 6)
    some = {name: Linear(name, name, nn.Linear(6, 3, bias=bias)) for name in "qk"}
    with observe(some, 4, {Need.OUTPUT_NORM, Need.INPUT_NORM}) as seen:
        for part in inputs.split(batch):
            for one in some.values():
                one.module(part)
    for name, one in some.items():
        outputs = inputs.double() @ one.weight.double().T
        expected = (outputs.square().sum((0, 1)) / 4).sqrt()
        torch.testing.assert_close(seen[name].output_norm.double(), expected, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(
            seen[name].input_norm.double(), oracles.input_norm(inputs), rtol=1e-5, atol=1e-6
        )
    assert not torch.equal(seen["q"].output_norm, seen["k"].output_norm), (
        "each has its own, though they share the input"
    )
