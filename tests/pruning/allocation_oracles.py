"""Slow float64 versions of OWL and AlphaPruning from weights and norms, and of NeuroAL's search.

The search runs every candidate through all blocks; candidates share nothing, and none is stopped early. It
identifies linears by name and supports only Llama-like models and OPT.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from math import floor, log, log10
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

LOWEST, HIGHEST = 0.01, 0.99
BLOCK_LAMBDAS = [0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09, 0.10, 0.12, 0.15, 0.20, 0.25]
ROW_LAMBDAS = [0.0, *BLOCK_LAMBDAS]
SEARCH_WINDOWS = 8


# ---- ratios


def mean(ratios: Sequence[float], sizes: Sequence[float]) -> float:
    return sum(ratio * size for ratio, size in zip(ratios, sizes, strict=True)) / sum(sizes)


def clip(ratio: float) -> float:
    return min(max(ratio, LOWEST), HIGHEST)


def to_target(ratios: Sequence[float], sizes: Sequence[float], target: float) -> list[float]:
    """Return the ratios clipped to [0.01, 0.99]: `clip(c * ratio)` with the factor c that keeps the mean."""
    if all(clip(ratio) == ratio for ratio in ratios):
        return list(ratios)
    low, high = 0.0, 1e6
    for _ in range(200):
        c = (low + high) / 2
        if c in (low, high):  # no number lies between them
            break
        low, high = (c, high) if mean([clip(c * ratio) for ratio in ratios], sizes) < target else (low, c)
    return [clip(high * ratio) for ratio in ratios]


def centred(ratios: Sequence[float], sizes: Sequence[float], target: float) -> list[float]:
    shift = target - mean(ratios, sizes)
    return to_target([ratio + shift for ratio in ratios], sizes, target)


def minmax(values: Sequence[float]) -> list[float]:
    """Scale the values to 0...1; equal values all become 0.5."""
    low, high = min(values), max(values)
    return [(value - low) / (high - low) if high > low else 0.5 for value in values]


# ---- OWL


def outliers(scores: Sequence[Tensor], threshold: float = 5) -> float:
    """Return the percentage of a block's Wanda scores above `threshold` times their mean."""
    entries = [entry for score in scores for entry in score.double().flatten().tolist()]
    limit = threshold * sum(entries) / len(entries)
    return 100 * sum(entry > limit for entry in entries) / len(entries)


def owl(
    measured: Sequence[float], sizes: Sequence[int], target: float, strength: float = 0.08
) -> list[float]:
    """Return block sparsities in a range of `2 * strength`: the more outliers, the lower the sparsity."""
    return centred([-2 * strength * place for place in minmax(measured)], sizes, target)


# ---- AlphaPruning


def eigenvalues(weight: Tensor) -> list[float]:
    """Return the eigenvalues of `W^T W` (or of the smaller `W W^T`), ascending."""
    return sorted(
        value * value for value in np.linalg.svd(weight.detach().double().numpy(), compute_uv=False).tolist()
    )


def peak(spectrum: Sequence[float], bins: int = 100) -> float:
    """Return the left edge of the fullest bin of the log10 histogram, the first one on a tie."""
    logs = [log10(value) for value in spectrum]
    low, width = min(logs), (max(logs) - min(logs)) / bins
    counts = [0] * bins
    for value in logs:
        counts[min(int((value - low) / width), bins - 1)] += 1
    return 10 ** (low + width * counts.index(max(counts)))


def tail(spectrum: Sequence[float], start: int) -> tuple[float, float]:
    """Return the maximum-likelihood exponent from `start` on, and its Kolmogorov-Smirnov distance."""
    xmin, n = spectrum[start], len(spectrum) - start
    alpha = 1 + n / (sum(log(value) for value in spectrum[start:]) - n * log(xmin))
    if alpha <= 1:
        return alpha, 1.0
    return alpha, max(
        abs(1 - (value / xmin) ** (1 - alpha) - k / n) for k, value in enumerate(spectrum[start:])
    )


def exponent(spectrum: Sequence[float], window: str = "published") -> float:
    """Return the tail exponent for the xmin near the peak with the best fit.

    The published code compares eigenvalues with the logarithm of 0.95 times the peak instead of the `peak`.
    """
    top = peak(spectrum)
    lowest = 0.95 * top if window == "peak" else log10(0.95 * top)
    starts = [i for i, value in enumerate(spectrum[:-1]) if lowest <= value <= 1.5 * top]
    return min((tail(spectrum, start) for start in starts), key=lambda fit: fit[1])[0]


def alphapruning(
    values: Sequence[float], sizes: Sequence[int], target: float, spread: float = 0.3
) -> list[float]:
    """Return block sparsities; `values` are the mean exponents over each block's linears."""
    raw = [1 - spread + 2 * spread * place for place in minmax(values)]
    factor = target / mean(raw, sizes)
    return to_target([factor * value for value in raw], sizes, target)


# ---- NeuroAL

ScoreOf = Callable[[Tensor, Tensor], Tensor]
Rows = dict[int, dict[str, list[float]]]


@dataclass
class CandidateResult:
    """One candidate: the alignment of each block, and `d - q` of every linear's input by block and name."""

    strength: float
    blocks: list[float]
    rows: Rows = field(default_factory=dict)
    alignment: list[float] = field(default_factory=list)
    delta: list[dict[str, Tensor]] = field(default_factory=list)

    @property
    def objective(self) -> float:
        return sum(self.alignment)


@dataclass
class SearchResult:
    block_step: list[CandidateResult]
    row_step: list[CandidateResult]
    best: CandidateResult


class ReferenceSearch:
    """NeuroAL's search on a tiny float64 model, with the recorded arguments of its blocks."""

    def __init__(
        self,
        model: nn.Module,
        ids: Tensor,
        score: ScoreOf,
        group: str,
        block_lambdas: Sequence[float] = BLOCK_LAMBDAS,
        row_lambdas: Sequence[float] = ROW_LAMBDAS,
    ) -> None:
        self.model = deepcopy(model).double().eval()
        self.score, self.group = score, group
        self.block_lambdas, self.row_lambdas = block_lambdas, row_lambdas
        inner = self.model.model
        self.blocks: list[nn.Module] = list(
            inner.layers if hasattr(inner, "layers") else inner.decoder.layers
        )
        self.calls = self.calls_of(ids[:SEARCH_WINDOWS])

    def calls_of(self, windows: Tensor) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
        """Return the arguments that each block is called with for these windows, hidden states first."""
        calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

        def record(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            given = dict(kwargs)
            hidden = args[0] if args else given.pop("hidden_states")
            calls.append(((hidden, *args[1:]), given))

        hooks = [block.register_forward_pre_hook(record, with_kwargs=True) for block in self.blocks]
        with torch.no_grad():
            self.model(input_ids=windows, use_cache=False)
        for hook in hooks:
            hook.remove()
        return calls

    def linears(self, block: nn.Module) -> dict[str, nn.Linear]:
        return {name: module for name, module in block.named_modules() if isinstance(module, nn.Linear)}

    @property
    def sizes(self) -> list[int]:
        return [
            sum(linear.weight.numel() for linear in self.linears(block).values()) for block in self.blocks
        ]

    @property
    def first_inputs(self) -> Tensor:
        """The first block's inputs, `[windows, tokens, width]`."""
        (hidden, *_), _ = self.calls[0]
        return hidden

    def run(self, index: int, inputs: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the block's outputs, and the activation norms of every linear's input columns."""
        args, kwargs = self.calls[index]
        with squared_input_sums(self.linears(self.blocks[index])) as sums, torch.no_grad():
            output = self.blocks[index](inputs, *args[1:], **kwargs)
        outputs = output[0] if isinstance(output, tuple) else output
        return outputs, {name: (total / len(inputs)).sqrt() for name, total in sums.items()}

    def mask(self, weight: Tensor, norms: Tensor, share: float, rows: list[float] | None) -> Tensor:
        """Return the mask that removes `floor(n * s)` per group, or keeps `floor((1 - r_i) * in)` per row."""
        scores = self.score(weight, norms)
        width = scores.shape[1]
        if rows is not None:
            removed = [width - exact_floor((1 - ratio) * width) for ratio in rows]
        elif self.group == "row":
            removed = [exact_floor(share * width)] * len(scores)
        else:
            removed, scores = [exact_floor(share * scores.numel())], scores.view(1, -1)
        ascending = np.argsort(scores.numpy(), axis=1, kind="stable")  # on a tie the earlier one first
        places = np.argsort(ascending, axis=1)
        return torch.from_numpy(places >= np.array(removed)[:, None]).view(weight.shape)

    def evaluate(self, strength: float, blocks: list[float], rows: Rows | None = None) -> CandidateResult:
        """Run each block dense, then pruned; the pruned outputs are the next block's inputs."""
        result = CandidateResult(strength, blocks, rows or {})
        inputs = self.first_inputs
        for index, block in enumerate(self.blocks):
            _, dense = self.run(index, inputs)
            weights = {name: linear.weight.data.clone() for name, linear in self.linears(block).items()}
            for name, linear in self.linears(block).items():
                linear.weight.data *= self.mask(
                    weights[name], dense[name], blocks[index], result.rows.get(index, {}).get(name)
                )
            inputs, sparse = self.run(index, inputs)
            for name, linear in self.linears(block).items():
                linear.weight.data = weights[name]
            result.alignment.append(sum(alignment(dense[name], sparse[name]) for name in dense))
            result.delta.append({name: dense[name] - sparse[name] for name in dense})
        return result

    def block_step(self, target: float) -> list[CandidateResult]:
        lambdas = [strength for strength in self.block_lambdas if strength < 0.25 or target < 0.8]
        return [self.evaluate(strength, block_ratios(strength, self.sizes, target)) for strength in lambdas]

    def row_step(self, base: CandidateResult, *, query: bool = False) -> list[CandidateResult]:
        """Evaluate candidates that give every row of every linear a ratio.

        The ratio follows from the consumer's columns; it is the block's in the last block and for linears
        without a consumer. Uniform rows also keep `floor((1 - r_i) * in)`.
        """
        results = []
        for strength in self.row_lambdas:
            rows: Rows = {}
            for index, block in enumerate(self.blocks):
                linears = self.linears(block)
                consumer_of = consumers(linears, query=query) if block is not self.blocks[-1] else {}
                uniform = {
                    name: [base.blocks[index]] * linear.out_features for name, linear in linears.items()
                }
                deltas = {
                    name: base.delta[index][consumer].tolist() for name, consumer in consumer_of.items()
                }
                rows[index] = uniform | {
                    name: row_ratios(delta, base.blocks[index], strength) for name, delta in deltas.items()
                }
            results.append(self.evaluate(strength, base.blocks, rows))
        return results

    def search(self, target: float, step: str, *, query: bool = False) -> SearchResult:
        """Run the search; `step` is block, row or both. The row step alone starts from uniform blocks."""
        candidates = self.block_step(target) if step != "row" else []
        base = smallest(candidates) if candidates else self.evaluate(0.0, [target] * len(self.blocks))
        rows = self.row_step(base, query=query) if step != "block" else []
        return SearchResult(candidates, rows, smallest(rows) if rows else base)


@contextmanager
def squared_input_sums(linears: dict[str, nn.Linear]) -> Iterator[dict[str, Tensor]]:
    """Accumulate the sums of squared inputs per column inside the `with` block."""
    sums: dict[str, Tensor] = {}

    def record(name: str) -> Callable[..., None]:
        def accumulate(module: nn.Module, args: tuple[Tensor, ...]) -> None:
            entries = args[0].reshape(-1, args[0].shape[-1])
            sums[name] = sums.get(name, 0) + entries.square().sum(0)

        return accumulate

    hooks = [linear.register_forward_pre_hook(record(name)) for name, linear in linears.items()]
    yield sums
    for hook in hooks:
        hook.remove()


def smallest(candidates: list[CandidateResult]) -> CandidateResult:
    return min(candidates, key=lambda candidate: candidate.objective)


def exact_floor(value: float) -> int:
    """Return `floor(value)`, corrected for the binary representation of decimal numbers."""
    return floor(round(value, 9))


def lowest(values: Tensor, count: int) -> list[int]:
    """Return the positions of the `count` lowest values; on a tie the earlier one."""
    return np.argsort(values.numpy(), kind="stable")[:count].tolist()


def alignment(dense: Tensor, sparse: Tensor) -> float:
    """Return `||d/sum(d) - q/sum(q)||_2 / in`; norms that are all 0 are left as they are."""
    shares = [norms / norms.sum() if norms.sum() else norms for norms in (dense, sparse)]
    return float((shares[0] - shares[1]).square().sum().sqrt()) / len(dense)


def block_ratios(strength: float, sizes: Sequence[int], target: float) -> list[float]:
    last = len(sizes) - 1
    raw = [target - strength + 2 * strength * index / last if last else target for index in range(len(sizes))]
    return centred(raw, sizes, target)


def row_ratios(delta: Sequence[float], target: float, strength: float) -> list[float]:
    """Return the row sparsities: the more the norm of the consumer's column i fell, the more row i keeps."""
    if max(delta) == min(delta):
        return [target] * len(delta)
    return centred([-2 * strength * place for place in minmax(delta)], [1] * len(delta), target)


def consumers(linears: dict[str, nn.Linear], *, query: bool = False) -> dict[str, str]:
    """Return, by name, the linear that reads a linear's output rows as its input columns (Llama-like models
    and OPT).

    With fewer key-value heads than query heads, all three are left out; with `query`, only the queries count.
    """
    output = next(name for name in linears if name.endswith(("o_proj", "out_proj")))
    first = next(name for name in linears if name.endswith(("gate_proj", "fc1")))
    last = next(name for name in linears if name.endswith(("down_proj", "fc2")))
    result = {output: first}
    result |= {name: last for name in linears if name.endswith(("gate_proj", "up_proj", "fc1"))}
    attention = [name for name in linears if name.endswith(("q_proj", "k_proj", "v_proj"))]
    alike = [name for name in attention if linears[name].out_features == linears[output].in_features]
    if len(alike) == len(attention) or query:
        result |= dict.fromkeys(alike, output)
    return result
