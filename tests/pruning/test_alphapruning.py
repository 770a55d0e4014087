"""AlphaPruning: spectra with a known exponent, a slow version of the tail fit, and block ratios by hand."""

from collections.abc import Iterator
from math import exp, isnan, log, log10, nan
from typing import Any

import pytest
import torch
import transformers as hf
from torch import Tensor

from engine.events import BlockMeasured, Event
from engine.models.language_model import LanguageModel
from engine.pruning.allocations import alphapruning as module
from engine.pruning.allocations.alphapruning import alpha_ratios, alphapruning, eigenvalues, tail_exponent
from engine.pruning.axes import ALLOCATIONS, Shares
from engine.pruning.search import AllocationContext


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def pareto(exponent: float, count: int, lowest: float = 1.0) -> Tensor:
    """Return evenly spaced quantiles of the density `x^-exponent` above `lowest`."""
    upper = 1 - (torch.arange(count, dtype=torch.float64) + 0.5) / count
    return lowest * upper ** (-1 / (exponent - 1))


def with_spectrum(values: Tensor, rows: int) -> Tensor:
    """Return a float32 weight `[rows, columns]` whose `W^T W` has these eigenvalues and zeros."""
    generator = torch.Generator().manual_seed(3)
    count = len(values)
    left = torch.linalg.qr(torch.randn(rows, count, generator=generator, dtype=torch.float64)).Q
    right = torch.linalg.qr(torch.randn(count, count, generator=generator, dtype=torch.float64)).Q
    return (left * values.sqrt() @ right.T).float()


def slow_tail_exponent(values: list[float], window: str) -> float:
    """Return the fitted exponent as defined, one candidate and one eigenvalue at a time."""
    logs = [log10(value) for value in values]
    width = (logs[-1] - logs[0]) / 100
    counts = [0] * 100
    for value in logs:
        counts[min(99, int((value - logs[0]) / width))] += 1
    peak = 10 ** (logs[0] + counts.index(max(counts)) * width)
    least = 0.95 * peak if window == "peak" else log10(0.95 * peak)
    best, chosen = 1.0, nan
    for first in range(len(values) - 1):
        if not least <= values[first] <= 1.5 * peak:
            continue
        tail = values[first:]
        exponent = 1 + len(tail) / sum(log(value) - log(values[first]) for value in tail)
        distance = max(
            abs(1 - exp((1 - exponent) * (log(value) - log(values[first]))) - place / len(tail))
            for place, value in enumerate(tail)
        )
        if distance < best:
            best, chosen = distance, exponent
    return chosen


@pytest.mark.parametrize("exponent", [1.5, 2.0, 3.5, 6.0])
def test_the_exponent_of_a_pure_power_law_is_recovered(exponent: float) -> None:
    assert tail_exponent(pareto(exponent, 2000)) == pytest.approx(exponent, rel=0.02)


@pytest.mark.parametrize("exponent", [2.0, 3.5])
@pytest.mark.parametrize("window", ["published", "peak"])
def test_the_exponent_of_a_tail_above_a_bulk_is_recovered(exponent: float, window: str) -> None:
    """A fifth of the eigenvalues is below the tail, which starts at the histogram's peak."""
    bulk = torch.linspace(-5, 0, 400, dtype=torch.float64).exp()[:-1]
    assert tail_exponent(torch.cat([bulk, pareto(exponent, 1600)]), window) == pytest.approx(
        exponent, rel=0.03
    )


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("window", ["published", "peak"])
def test_the_fit_equals_the_slow_fit(seed: int, window: str) -> None:
    generator = torch.Generator().manual_seed(seed)
    shape = [(24, 24), (40, 24), (24, 64), (96, 96), (7, 5), (64, 128)][seed]
    strength = 10.0 ** (seed - 3)
    weight = strength * torch.randn(shape, generator=generator) * torch.rand(shape[1], generator=generator)
    values = eigenvalues(weight)
    expected = slow_tail_exponent(values.tolist(), window)
    assert tail_exponent(values, window) == pytest.approx(expected, rel=1e-6)


def test_candidates_in_small_batches_give_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    values = eigenvalues(torch.randn(80, 60, generator=torch.Generator().manual_seed(0)))
    whole = tail_exponent(values)
    for entries in (1, 60, 150, 1000):
        monkeypatch.setattr(module, "ENTRIES", entries)
        assert tail_exponent(values) == whole


def test_the_two_windows_differ_if_the_peak_is_small() -> None:
    """The logarithm of a small peak is negative, so the published window starts at the minimum."""
    weight = 0.02 * torch.randn(60, 200, generator=torch.Generator().manual_seed(1))
    values = torch.cat([torch.logspace(-6, -3, 40, dtype=torch.float64), eigenvalues(weight)]).sort().values
    assert tail_exponent(values, "published") == pytest.approx(
        slow_tail_exponent(values.tolist(), "published")
    )
    assert tail_exponent(values, "peak") == pytest.approx(slow_tail_exponent(values.tolist(), "peak"))
    assert tail_exponent(values, "peak") != pytest.approx(tail_exponent(values, "published"), rel=0.01)


@pytest.mark.parametrize("rows", [50, 120])
def test_the_eigenvalues_match_the_constructed_spectrum(rows: int) -> None:
    values = pareto(2.5, 50)
    weight = with_spectrum(values, rows)
    torch.testing.assert_close(eigenvalues(weight), values, rtol=1e-4, atol=0)
    torch.testing.assert_close(eigenvalues(weight.T), values, rtol=1e-4, atol=0)
    torch.testing.assert_close(module._by_gram(weight).sort().values, values, rtol=1e-4, atol=0)
    torch.testing.assert_close(module._by_gram(weight.T).sort().values, values, rtol=1e-4, atol=0)
    assert eigenvalues(weight.bfloat16()).dtype == torch.float64


@pytest.mark.parametrize("rank", [1, 3, 20])
def test_rounding_noise_is_not_counted_as_eigenvalues(rank: int) -> None:
    generator = torch.Generator().manual_seed(rank)
    weight = torch.randn(300, rank, generator=generator) @ torch.randn(rank, 200, generator=generator)
    assert len(eigenvalues(weight)) == rank
    gram = module._by_gram(weight)
    assert int((gram > module.NOISE * gram.max()).sum()) == rank
    weight[:, :5] = 0
    weight[7] = 0
    assert len(eigenvalues(weight)) == rank
    assert rank == 1 or not isnan(tail_exponent(eigenvalues(weight)))


def test_a_spectrum_without_a_tail_has_no_exponent() -> None:
    assert len(eigenvalues(torch.zeros(4, 6))) == 0
    for values in ([], [2.0], [3.0, 3.0, 3.0]):
        assert isnan(tail_exponent(torch.tensor(values, dtype=torch.float64)))


def test_ratios_by_hand() -> None:
    """Shape .7, 1, 1.3 has mean 1; with another .7 the mean is .925."""
    assert alpha_ratios([2.0, 3.0, 4.0], [5, 5, 5], 0.6, 0.3)[0] == pytest.approx(
        [0.42, 0.6, 0.78], abs=1e-12
    )
    expected = [0.7 * 0.6 / 0.925, 0.6 / 0.925, 1.3 * 0.6 / 0.925, 0.7 * 0.6 / 0.925]
    assert alpha_ratios([2.0, 3.0, 4.0, 2.0], [5] * 4, 0.6, 0.3)[0] == pytest.approx(expected, abs=1e-12)


def test_ratios_of_uneven_blocks_by_hand() -> None:
    """Shape .5 and 1.5 has a size-weighted mean of .75. The factor is .6 for a target of .45, and 2/3 for .5,
    which would make the second ratio 1, so it is clipped to .99.
    """
    ratios, clipped = alpha_ratios([1.0, 8.0], [300, 100], 0.5, 0.5)
    assert clipped == (1,) and ratios == pytest.approx([(0.5 - 0.99 / 4) * 4 / 3, 0.99], abs=1e-9)
    assert alpha_ratios([1.0, 8.0], [300, 100], 0.45, 0.5) == (pytest.approx([0.3, 0.9], abs=1e-12), ())


def test_a_block_without_an_exponent_gets_the_average() -> None:
    assert alpha_ratios([2.0, nan, 4.0], [5, 5, 5], 0.6, 0.3)[0] == pytest.approx(
        [0.42, 0.6, 0.78], abs=1e-12
    )


@pytest.mark.parametrize("exponents", [[3.0], [nan], [2.0, 2.0, 2.0], [nan, nan], [nan, 2.5]])
def test_equal_blocks_get_equal_ratios(exponents: list[float]) -> None:
    assert alpha_ratios(exponents, [11, 22, 5][: len(exponents)], 0.7, 0.3) == ([0.7] * len(exponents), ())


@pytest.mark.parametrize("target", [0.0, 0.005, 0.05, 0.5, 0.93, 0.99])
@pytest.mark.parametrize("spread", [0.0, 0.3, 0.9])
def test_the_size_weighted_mean_is_the_target(target: float, spread: float) -> None:
    sizes = [100, 300, 1000, 7]
    ratios, _ = alpha_ratios([1.5, 9.0, 4.0, 2.0], sizes, target, spread)
    assert sum(ratio * size for ratio, size in zip(ratios, sizes, strict=True)) / sum(sizes) == pytest.approx(
        target, abs=1e-9
    )
    assert all(0 <= ratio <= 0.99 + 1e-12 for ratio in ratios)


def make_context(target: float, blocks: int = 3) -> AllocationContext:
    torch.manual_seed(0)
    shape = {
        "vocab_size": 64,
        "n_embd": 32,
        "n_head": 2,
        "n_positions": 64,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    model = LanguageModel(hf.AutoModelForCausalLM.from_config(hf.GPT2Config(**shape, n_layer=blocks)))
    for linear in model.linears.values():
        linear.write(torch.randn(linear.shape) * torch.rand(linear.shape[1]).pow(2))
    return AllocationContext(target, model.sizes, model=model)  # no windows: AlphaPruning uses none


def run(context: AllocationContext, **parameters: Any) -> tuple[list[Event], Shares]:
    events, steps = [], alphapruning(context, **({"spread": 0.3, "window": "published"} | parameters))
    while True:
        try:
            events.append(next(steps))
        except StopIteration as end:
            return events, end.value


@pytest.mark.parametrize("window", ["published", "peak"])
def test_the_measured_value_is_the_mean_over_the_linears(window: str) -> None:
    context = make_context(0.6)
    events, shares = run(context, window=window)
    expected = []
    for block in context.blocks:
        spectra = [
            torch.linalg.eigvalsh(linear.weight.double().T @ linear.weight.double())
            for linear in block.linears.values()
        ]
        values = [
            values[-min(linear.shape) :].tolist()
            for values, linear in zip(spectra, block.linears.values(), strict=True)
        ]
        expected.append(sum(slow_tail_exponent(spectrum, window) for spectrum in values) / len(values))
    assert [event.event for event in events] == ["block_measured"] * 3
    measured = [event.value for event in events if isinstance(event, BlockMeasured)]
    assert measured == pytest.approx(expected, rel=1e-4) and len(set(measured)) == 3
    assert shares.blocks == pytest.approx(alpha_ratios(expected, context.sizes, 0.6, 0.3)[0], abs=1e-4)


@pytest.mark.parametrize("target", [0.0, 0.99])
def test_one_block_gets_the_target(target: float) -> None:
    assert run(make_context(target, blocks=1))[1] == Shares((target,))


def test_the_registry_entry() -> None:
    method = ALLOCATIONS["alphapruning"]
    assert method.measure and method.paper is not None and method.paper.arxiv == "2410.10912"
    assert {parameter.name: parameter.default for parameter in method.parameters} == {
        "spread": 0.3,
        "window": "published",
    }
