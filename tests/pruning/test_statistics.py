"""Statistics of the calibration input against float64 sums over windows; sharing, sampling, and hooks."""

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

EVERYTHING = frozenset(Need) - {Need.OUTPUT_NORM}  # output norms prevent sharing


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def make_linear(name: str, width: int = 6, rows: int = 3, dtype: torch.dtype = torch.float32) -> Linear:
    return Linear(name, f"layers.0.{name}", nn.Linear(width, rows, bias=False, dtype=dtype))


def make_linears(*names: str, width: int = 6) -> dict[str, Linear]:
    return {name: make_linear(name, width) for name in names}


def random_inputs(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def assert_statistics_of(
    statistics: Statistics, inputs: Tensor, relative: float = 1e-5, *, variance: bool = True
) -> None:
    """Assert that the statistics match `inputs`, all windows `[windows, tokens, in]`."""
    torch.testing.assert_close(
        statistics.input_norm.double(), oracles.input_norm(inputs), rtol=relative, atol=1e-12
    )
    windows = inputs.double()
    size = float(windows.abs().max())
    torch.testing.assert_close(
        statistics.input_sum.double(), windows.sum(1).mean(0), rtol=relative, atol=10 * relative * size
    )
    if variance:
        torch.testing.assert_close(
            statistics.input_variance.double(),
            windows.var(dim=1, correction=0).mean(0),
            rtol=relative,
            atol=relative * size**2,
        )
    expected = oracles.hessian(inputs)
    assert statistics.hessian.dtype == torch.float32 and statistics.input_norm.dtype == torch.float32
    torch.testing.assert_close(
        statistics.hessian.double(), expected, rtol=relative, atol=relative * float(expected.abs().max())
    )


@pytest.mark.parametrize("batch", [1, 2, 3, 7])
def test_statistics_cover_all_windows(batch: int) -> None:
    layer = oracles.random_layer(4, 20, windows=7, tokens=11)
    assert_statistics_of(oracles.collect_statistics(layer, batch=batch), layer.inputs)


def test_sums_by_hand() -> None:
    linears = make_linears("it", width=2)
    with observe(linears, 2, EVERYTHING, sample=4, tokens=4) as statistics:
        linears["it"].module(torch.tensor([[[1.0, 2.0], [0.0, 2.0]]]))
        linears["it"].module(torch.tensor([[[1.0, 0.0], [0.0, 0.0]]]))
    # sqrt((1 + 1) / 2), sqrt((8 + 0) / 2)
    torch.testing.assert_close(statistics["it"].input_norm, torch.tensor([1.0, 2.0]))
    # 2/2 * X^T X
    torch.testing.assert_close(statistics["it"].hessian, torch.tensor([[2.0, 2.0], [2.0, 8.0]]))


def test_two_dimensional_inputs_are_single_windows() -> None:
    layer = oracles.random_layer(4, 9, windows=4, tokens=5)
    linears = make_linears("it", width=9)
    with observe(linears, 4, EVERYTHING, sample=8, tokens=20) as statistics:
        for window in layer.inputs:
            linears["it"].module(window)
    assert_statistics_of(statistics["it"], layer.inputs)


def test_only_the_last_input_dimension_matters() -> None:
    inputs = random_inputs(2, 3, 4, 6)
    linears = make_linears("it")
    with observe(linears, 2, EVERYTHING, sample=8, tokens=24) as statistics:
        linears["it"].module(inputs)
    assert_statistics_of(statistics["it"], inputs.view(2, 12, 6))


def test_inputs_may_be_views() -> None:
    inputs = random_inputs(6, 5, 4).permute(1, 2, 0)  # [5, 4, 6], not contiguous
    linears = make_linears("it")
    with observe(linears, 5, EVERYTHING, sample=8, tokens=20) as statistics:
        linears["it"].module(inputs)
    assert_statistics_of(statistics["it"], inputs)


@pytest.mark.parametrize("width", [GRAM_PANEL - 1, GRAM_PANEL + 32])
def test_wide_hessians_are_complete_and_symmetric(width: int) -> None:
    inputs = random_inputs(2, 9, width)
    linears = make_linears("it", width=width)
    with observe(linears, 2, EVERYTHING, sample=8, tokens=18) as statistics:
        linears["it"].module(inputs[:1])
        linears["it"].module(inputs[1:])
    assert torch.equal(statistics["it"].hessian, statistics["it"].hessian.T)
    assert_statistics_of(statistics["it"], inputs)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_inputs_are_summed_in_float32(dtype: torch.dtype) -> None:
    """A bfloat16 sum of ones would stop growing at 256."""
    inputs = (random_inputs(20, 40, 6) + 1).to(dtype)
    linears = {"it": make_linear("it", dtype=dtype)}
    with observe(linears, 20, EVERYTHING, sample=8, tokens=800) as statistics:
        for window in inputs:
            linears["it"].module(window[None])
    assert_statistics_of(statistics["it"], inputs)
    assert statistics["it"].sample.dtype == dtype


def test_large_float16_values_do_not_overflow() -> None:
    inputs = torch.full((2, 100, 6), 3e4, dtype=torch.float16)
    linears = {"it": make_linear("it", dtype=torch.float16)}
    with observe(linears, 2, EVERYTHING, sample=8, tokens=200) as statistics:
        linears["it"].module(inputs)
    assert_statistics_of(statistics["it"], inputs)


def test_computing_the_factor_does_not_modify_the_hessian() -> None:
    layer = oracles.random_layer(4, 20)
    statistics = oracles.collect_statistics(layer)
    before = statistics.hessian.clone()
    assert statistics.factor is statistics.factor
    assert torch.equal(statistics.hessian, before)


def test_a_conv1d_is_observed_like_a_linear() -> None:
    module = Conv1D(3, 6)
    inputs = random_inputs(2, 5, 6)
    with observe(
        {"it": Linear("it", "it", module, transposed=True)}, 2, EVERYTHING, sample=8, tokens=10
    ) as statistics:
        module(inputs)
    assert_statistics_of(statistics["it"], inputs)


# ---- sharing


def test_linears_with_the_same_input_tensor_share_statistics() -> None:
    inputs, other, linears = (
        random_inputs(4, 5, 6),
        random_inputs(4, 5, 6, seed=1),
        make_linears("q", "k", "v", "o"),
    )
    with observe(linears, 4, EVERYTHING, sample=8, tokens=20) as statistics:
        for part, other_part in zip(inputs.split(2), other.split(2), strict=True):
            for name in "qkv":
                linears[name].module(part)
            linears["o"].module(other_part)
    assert statistics["q"] is statistics["k"] is statistics["v"]
    assert statistics["o"] is not statistics["q"]
    assert_statistics_of(statistics["q"], inputs)
    assert_statistics_of(statistics["o"], other)


def test_equal_values_in_different_tensors_give_correct_statistics() -> None:
    inputs, linears = random_inputs(4, 5, 6), make_linears("q", "k")
    with observe(linears, 4, EVERYTHING, sample=8, tokens=20) as statistics:
        for part in inputs.split(1):
            linears["q"].module(part)
            linears["k"].module(part.clone())
    assert_statistics_of(statistics["q"], inputs)
    assert_statistics_of(statistics["k"], inputs)


ORDERS = {
    "never": [False, False, False],
    "first": [True, False, False],
    "later": [False, True, True],
    "changing": [True, False, True],
    "always": [True, True, True],
}


def feed(same: list[bool]) -> tuple[dict[str, Statistics], Tensor, Tensor]:
    """Feed two linears the same tensor in the batches marked True; return their statistics and inputs."""
    first, second, linears = random_inputs(3, 5, 6), random_inputs(3, 5, 6, seed=1), make_linears("a", "b")
    inputs_of_b = [first[n] if same[n] else second[n] for n in range(3)]
    with observe(linears, 3, EVERYTHING, sample=8, tokens=15) as statistics:
        for n in range(3):
            window = first[n][None]
            linears["a"].module(window)
            linears["b"].module(window if same[n] else second[n][None])
    return statistics, first, torch.stack(inputs_of_b)


@pytest.mark.parametrize("order", ["never", "later", "always"])
def test_inputs_shared_always_never_or_from_a_later_batch_on(order: str) -> None:
    statistics, by_a, by_b = feed(ORDERS[order])
    assert_statistics_of(statistics["a"], by_a)
    assert_statistics_of(statistics["b"], by_b)


@pytest.mark.parametrize("order", ["first", "changing"])
def test_inputs_shared_only_at_first_are_rejected(order: str) -> None:
    with pytest.raises(
        NumericsError, match="linear b shares its input with another one in some batches only"
    ):
        feed(ORDERS[order])


def test_a_tensor_modified_in_place_is_a_different_input() -> None:
    original, linears = random_inputs(3, 5, 6), make_linears("a", "b")
    with observe(linears, 3, EVERYTHING, sample=8, tokens=15) as statistics:
        for window in original.clone().split(1):
            linears["a"].module(window)
            window.mul_(2)
            linears["b"].module(window)
    assert_statistics_of(statistics["a"], original)
    assert_statistics_of(statistics["b"], 2 * original)


def test_a_buffer_that_is_refilled_for_each_batch() -> None:
    inputs, linears = random_inputs(4, 5, 6), make_linears("a", "b")
    buffer = torch.empty(1, 5, 6)
    with observe(linears, 4, EVERYTHING, sample=8, tokens=20) as statistics:
        for window in inputs:
            buffer.copy_(window[None])
            linears["a"].module(buffer)
            linears["b"].module(buffer)
    assert_statistics_of(statistics["a"], inputs)
    assert_statistics_of(statistics["b"], inputs)


def test_a_reused_memory_address_is_not_shared() -> None:
    inputs, linears = random_inputs(6, 5, 6), make_linears("a", "b")
    with observe(linears, 3, EVERYTHING, sample=8, tokens=15) as statistics:
        for n in range(3):
            # The clone is freed immediately, and the next one often gets the same address.
            linears["a"].module(inputs[2 * n][None].clone())
            linears["b"].module(inputs[2 * n + 1][None].clone())
    assert_statistics_of(statistics["a"], inputs[0::2])
    assert_statistics_of(statistics["b"], inputs[1::2])


def test_sharing_with_another_linear_in_between() -> None:
    inputs, other, linears = (
        random_inputs(3, 5, 6),
        random_inputs(3, 5, 6, seed=1),
        make_linears("a", "between", "b"),
    )
    with observe(linears, 3, EVERYTHING, sample=8, tokens=15) as statistics:
        for part, other_part in zip(inputs.split(1), other.split(1), strict=True):
            linears["a"].module(part)
            linears["between"].module(other_part)
            linears["b"].module(part)
    assert_statistics_of(statistics["a"], inputs)
    assert_statistics_of(statistics["between"], other)
    assert_statistics_of(statistics["b"], inputs)


def test_a_linear_called_twice_per_pass_counts_both_calls() -> None:
    inputs, other, linears = random_inputs(3, 5, 6), random_inputs(3, 5, 6, seed=1), make_linears("a")
    with observe(linears, 3, EVERYTHING, sample=8, tokens=30) as statistics:
        for part, other_part in zip(inputs.split(1), other.split(1), strict=True):
            linears["a"].module(part)
            linears["a"].module(other_part)
    # The variance is computed per call, so it differs from that of the joined inputs.
    assert_statistics_of(statistics["a"], torch.cat([inputs, other], dim=1), variance=False)


# ---- the sample


def sampled(tokens: int, sample: int, windows: int, batch: int) -> list[int]:
    """Return the sampled tokens, each token's input being its own index."""
    linears = make_linears("it", width=1)
    numbers = torch.arange(tokens, dtype=torch.float32).view(windows, -1, 1)
    with observe(linears, windows, {Need.SAMPLE}, sample=sample, tokens=tokens) as statistics:
        for part in numbers.split(batch):
            linears["it"].module(part)
    return statistics["it"].sample.flatten().int().tolist()


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
def test_the_sample_does_not_depend_on_the_batch_size(sample: int) -> None:
    assert (
        sampled(60, sample, windows=6, batch=1)
        == sampled(60, sample, windows=6, batch=4)
        == sampled(60, sample, windows=6, batch=6)
    )


def test_sampled_rows_are_copies() -> None:
    inputs, linears = random_inputs(1, 5, 6), make_linears("it")
    buffer = inputs.clone()
    with observe(linears, 1, {Need.SAMPLE}, sample=5, tokens=5) as statistics:
        linears["it"].module(buffer)
        buffer.zero_()
    assert torch.equal(statistics["it"].sample, inputs[0])


# ---- unused linears and removal of hooks


def test_a_linear_that_is_never_called_has_no_statistics() -> None:
    linears = make_linears("called", "idle")
    with observe(linears, 1, EVERYTHING, sample=4, tokens=5) as statistics:
        linears["called"].module(random_inputs(1, 5, 6))
    assert set(statistics) == {"called"}


def test_all_hooks_are_removed() -> None:
    linears = make_linears("a", "b")
    for fail in (False, True):
        with suppress(RuntimeError), observe(linears, 1, EVERYTHING, sample=4, tokens=5):
            linears["a"].module(random_inputs(1, 5, 6))
            if fail:
                raise RuntimeError("in the middle")
        for linear in linears.values():
            assert not linear.module._forward_hooks and not linear.module._forward_pre_hooks


def test_hooks_are_removed_if_a_linear_fails() -> None:
    linears = make_linears("a")
    with pytest.raises(RuntimeError), observe(linears, 1, EVERYTHING, sample=4, tokens=5):
        linears["a"].module(random_inputs(1, 5, 9))
    assert not linears["a"].module._forward_hooks and not linears["a"].module._forward_pre_hooks


def test_calls_after_the_with_block_do_not_count() -> None:
    linears, inputs = make_linears("a"), random_inputs(1, 5, 6)
    with observe(linears, 1, EVERYTHING, sample=5, tokens=5) as statistics:
        linears["a"].module(inputs)
    linears["a"].module(inputs)
    assert_statistics_of(statistics["a"], inputs)


def test_the_output_is_not_changed() -> None:
    linears, inputs = make_linears("a"), random_inputs(2, 5, 6)
    expected = linears["a"].module(inputs)
    with observe(linears, 2, EVERYTHING, sample=5, tokens=10):
        assert torch.equal(linears["a"].module(inputs), expected)


def test_observing_twice_starts_from_zero() -> None:
    linears, inputs = make_linears("a"), random_inputs(2, 5, 6)
    for part in inputs:
        with observe(linears, 1, EVERYTHING, sample=5, tokens=5) as statistics:
            linears["a"].module(part[None])
        assert_statistics_of(statistics["a"], part[None])


def test_variances_are_weighted_by_tokens() -> None:
    linears = make_linears("it", width=1)
    with observe(linears, 2, {Need.INPUT_VARIANCE, Need.INPUT_SUM}) as statistics:
        linears["it"].module(torch.tensor([[[1.0], [3.0]]]))  # variance 1 over 2 tokens
        linears["it"].module(torch.tensor([[[0.0], [0.0], [4.0], [4.0]]]))  # variance 4 over 4
    assert statistics["it"].input_variance.item() == pytest.approx((2 * 1 + 4 * 4) / 6)
    assert statistics["it"].input_sum.item() == pytest.approx((4 + 8) / 2)


@pytest.mark.parametrize("mean", [0.0, 1.0, -1e4])
def test_a_deviation_survives_a_large_mean(mean: float) -> None:
    """As the difference of the mean square and the squared mean it would be lost in float32."""
    inputs = random_inputs(40, 16, 3) * torch.tensor([0.03, 0.1, 0.0]) + mean  # [windows, tokens, in]
    inputs[20:] += 0.5  # the mean differs between windows, which counts too
    linears = make_linears("it", width=3)
    with observe(linears, 40, {Need.INPUT_DEVIATION}) as statistics:
        for part in inputs.split(7):
            linears["it"].module(part)
    expected = inputs.double().flatten(0, 1).std(0, correction=0)
    resolution = abs(mean) * 1e-7  # of the inputs themselves
    torch.testing.assert_close(
        statistics["it"].input_deviation.double(), expected, rtol=1e-3, atol=1e-6 + resolution
    )


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("batch", [1, 2, 4])
def test_output_norms_exclude_the_bias(batch: int, bias: bool) -> None:
    inputs = random_inputs(4, 5, 6)
    linears = {name: Linear(name, name, nn.Linear(6, 3, bias=bias)) for name in "qk"}
    with observe(linears, 4, {Need.OUTPUT_NORM, Need.INPUT_NORM}) as statistics:
        for part in inputs.split(batch):
            for linear in linears.values():
                linear.module(part)
    for name, linear in linears.items():
        outputs = inputs.double() @ linear.weight.double().T
        expected = (outputs.square().sum((0, 1)) / 4).sqrt()
        torch.testing.assert_close(statistics[name].output_norm.double(), expected, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(
            statistics[name].input_norm.double(), oracles.input_norm(inputs), rtol=1e-5, atol=1e-6
        )
    assert not torch.equal(statistics["q"].output_norm, statistics["k"].output_norm), (
        "linears that share the input must have separate output norms"
    )


@pytest.mark.parametrize("tokens", [0, 16, 300, 1024, 2000])
@pytest.mark.parametrize("width", [1, 100, 128, 129, 255, 256, 385, 1100, 1536])
def test_square_sums_are_those_of_all_rows_together(width: int, tokens: int) -> None:
    """Rows are squared a few at a time, which must not change a bit."""
    rows = torch.randn(tokens, width, generator=torch.Generator().manual_seed(0))
    statistics = Statistics(width, 1, {Need.INPUT_NORM}, torch.device("cpu"))
    statistics.update(rows)
    assert torch.equal(statistics.input_norm, rows.square().sum(0).sqrt())
