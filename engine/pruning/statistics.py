"""Running statistics of one linear's calibration input, and of its output if a method needs it: float32 sums,
only those that the chosen methods declare.

Cost: the input norms read every activation once (about 2 % of a forward pass); the Gram matrix takes
`tokens * in^2` multiply-adds, because only the blocks on and above the diagonal are computed. Linears that
receive the same tensor (q, k, v; gate, up) share one `Statistics`, see `engine.pruning.observation`.

An expert's statistics are sums over the tokens that the router sent to it, divided by the same number of
windows as for every other linear, so rarely used experts count less. Its variance is that of all its tokens
pooled (they arrive without their windows), and its sample is a quarter of the usual size. Experts never share
statistics: with a Hessian that is `4 * in^2` bytes per expert and linear, 1.3 GB for a block of OLMoE's 64
experts.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import torch

from engine.hardware.transfers import numbers
from engine.pruning.hessian import DAMPING_LADDER, InverseFactor, factor_with, inverse_factor

if TYPE_CHECKING:
    from torch import Tensor


GRAM_PANEL, GRAM_PANEL_ON_GPU = 192, 2048
"""Columns of the Gram matrix computed together: wide enough for the matrix product to run at nearly full
speed, narrow enough to skip most of what is below the diagonal.
"""
SQUARED_ROWS, SUMMED_COLUMNS = 256, 32
"""Rows squared together on a CPU: few enough for their squares to stay in its cache. The sum is that over all
rows at a time to the last bit, because PyTorch itself adds up sums of 16 rows, then of 256, for as many
columns together; the columns that are left over it adds up in another order.
"""
ROUTED_SAMPLE = 4
"""An expert keeps this many times fewer sampled rows, because there are many experts."""


class Need(StrEnum):
    """A statistic that a method can declare."""

    INPUT_NORM = "input_norm"
    INPUT_SUM = "input_sum"
    INPUT_VARIANCE = "input_variance"
    INPUT_DEVIATION = "input_deviation"
    OUTPUT_NORM = "output_norm"
    HESSIAN = "hessian"
    SAMPLE = "sample"


class Sample(Protocol):
    """A few rows of a stream of activations, spread evenly over it."""

    def add(self, rows: Tensor) -> None:
        """Take the next rows of the stream, `[tokens, in]`."""

    @property
    def rows(self) -> Tensor:
        """The sampled rows `[sampled tokens, in]`, in the order of the stream."""


class EvenSample:
    """Up to `most` rows of a stream of exactly `tokens` rows."""

    def __init__(self, most: int, tokens: int) -> None:
        count = min(most, tokens)
        self._positions = [place * tokens // count for place in range(count)]  # of the samples in the stream
        self._passed = 0
        self._chunks: list[Tensor] = []

    def add(self, rows: Tensor) -> None:
        # The samples among the rows `passed` to `passed + len(rows)` of the stream.
        first, last = (
            bisect_left(self._positions, place) for place in (self._passed, self._passed + len(rows))
        )
        places = torch.tensor(
            [place - self._passed for place in self._positions[first:last]], dtype=torch.long
        )
        self._chunks.append(rows.index_select(0, places.to(rows.device, non_blocking=True)))
        self._passed += len(rows)

    @property
    def rows(self) -> Tensor:
        return torch.cat(self._chunks)


class ThinnedSample:
    """Every n-th row of a stream of unknown length, n being the smallest power of two that yields at most
    `most` rows (hence at least half of `most` if enough rows pass).
    """

    def __init__(self, most: int, width: int, device: torch.device) -> None:
        self._most = max(1, most)
        self._step = 1
        self._passed = 0
        self._rows = torch.empty(0, width, device=device)

    def add(self, rows: Tensor) -> None:
        # From the first row whose place in the whole stream is a multiple of the step.
        chosen = rows[-self._passed % self._step :: self._step]
        self._rows = torch.cat([self._rows.to(rows), chosen])  # the empty start is float32 whatever the model
        self._passed += len(rows)
        while len(self._rows) > self._most:
            self._rows = self._rows[::2].clone()  # a view would keep the whole tensor alive
            self._step *= 2

    @property
    def rows(self) -> Tensor:
        return self._rows


class PooledVariance:
    """The variance of each column of a stream of rows, accurate even if the mean is large.

    Squared distances from the mean are summed batch by batch (Chan, Golub, LeVeque 1979); a difference of two
    large sums would lose them.
    """

    def __init__(self, width: int, device: torch.device) -> None:
        self._tokens = 0
        self._mean = torch.zeros(width, device=device)
        self._squares = torch.zeros(width, device=device)

    def add(self, rows: Tensor) -> None:
        """Take the next rows of the stream, `[tokens, in]` float32."""
        away, total = rows.mean(0) - self._mean, self._tokens + len(rows)  # [in], count
        self._mean = self._mean + away * (len(rows) / total)
        # M2 of both parts: M2_A + M2_B + delta^2 n_A n_B / (n_A + n_B).
        self._squares += rows.var(dim=0, unbiased=False) * len(rows) + away.square() * (
            self._tokens * len(rows) / total
        )
        self._tokens = total

    @property
    def variance(self) -> Tensor:
        """The population variance of each column, `[in]`; 0 if no row passed."""
        return self._squares / max(1, self._tokens)


class Statistics:
    """Sums over the calibration input `X`, `[tokens, in]`, of one linear, and over its output `X W^T`.

    Args:
        width: number of input columns.
        windows: number of calibration windows N that will pass.
        needs: the statistics to collect.
        device: where the sums are stored.
        sample: how many input rows to sample for `Need.SAMPLE`.
        tokens: number of tokens that will pass; only the sample uses it.
        routed: whether a router selects the tokens, so that their number is unknown and they arrive without
            their windows.
    """

    def __init__(
        self,
        width: int,
        windows: int,
        needs: Collection[Need],
        device: torch.device,
        *,
        sample: int = 0,
        tokens: int = 0,
        routed: bool = False,
    ) -> None:
        self.width = width
        self.windows = windows
        self.routed = routed
        self.tokens = 0
        """Input rows seen."""
        self._square_sum = torch.zeros(width, device=device) if Need.INPUT_NORM in needs else None
        self._sum = torch.zeros(width, device=device) if Need.INPUT_SUM in needs else None
        within_windows = Need.INPUT_VARIANCE in needs and not routed
        self._variance_sum = torch.zeros(width, device=device) if within_windows else None
        over_all_tokens = Need.INPUT_DEVIATION in needs or (Need.INPUT_VARIANCE in needs and routed)
        self._pooled = PooledVariance(width, device) if over_all_tokens else None
        self._output_square_sum: Tensor | None = None
        self._gram = torch.zeros(width, width, device=device) if Need.HESSIAN in needs else None
        self._sample: Sample | None = None
        if Need.SAMPLE in needs:
            self._sample = (
                ThinnedSample(sample // ROUTED_SAMPLE, width, device)
                if routed
                else EvenSample(sample, tokens)
            )

    def update(self, inputs: Tensor) -> None:
        """Add the activations of a batch of windows, `[windows, ..., in]`, or of the tokens of the batch that
        an expert received, `[tokens, in]`.
        """
        rows = inputs.reshape(-1, self.width)  # [tokens, in]
        if not len(rows):
            return
        if self._variance_sum is not None:
            self._variance_sum += _token_weighted_variance(inputs, self.width)
        if self._pooled is not None:
            self._pooled.add(rows.float())
        if self._sample is not None:
            self._sample.add(rows)  # in the dtype of the model
        self.tokens += len(rows)
        if rows.device.type == "cpu":
            rows = rows.float()
        if self._gram is not None:
            _add_gram(self._gram, rows)
        if self._square_sum is not None:
            self._square_sum += _square_sum(rows)
        if self._sum is not None:
            self._sum += rows.sum(0, dtype=torch.float32)

    def update_output(self, outputs: Tensor) -> None:
        """Add the outputs of a batch, `[..., out]`, without the bias."""
        squares = _square_sum(outputs.reshape(-1, outputs.shape[-1]))
        self._output_square_sum = (
            squares if self._output_square_sum is None else self._output_square_sum + squares
        )

    @property
    def input_norm(self) -> Tensor:
        """`a_j = sqrt(1/N * sum_n ||X_n[:, j]||^2)`, `[in]` (Wanda's activation norm)."""
        assert self._square_sum is not None, "the methods did not declare Need.INPUT_NORM"
        return (self._square_sum / self.windows).sqrt()

    @property
    def input_sum(self) -> Tensor:
        """`m_j = 1/N * sum over windows and tokens of X_n[t, j]`, `[in]`: a sum over the tokens of a window,
        not a mean.
        """
        assert self._sum is not None, "the methods did not declare Need.INPUT_SUM"
        return self._sum / self.windows

    @property
    def input_mean(self) -> Tensor:
        """The mean of each input over all tokens, `[in]`."""
        assert self._sum is not None, "the methods did not declare Need.INPUT_SUM"
        return self._sum / max(1, self.tokens)

    @property
    def input_variance(self) -> Tensor:
        """`v_j`, `[in]`: the population variances of the windows, weighted by their tokens; for an expert,
        that of all its tokens.
        """
        if self.routed and self._pooled is not None:
            return self._pooled.variance
        assert self._variance_sum is not None, "the methods did not declare Need.INPUT_VARIANCE"
        return self._variance_sum / max(1, self.tokens)

    @property
    def input_deviation(self) -> Tensor:
        """The population standard deviation of each input over all tokens of all windows, `[in]`."""
        assert self._pooled is not None, "the methods did not declare Need.INPUT_DEVIATION"
        return self._pooled.variance.sqrt()

    @property
    def output_norm(self) -> Tensor:
        """`b_i = sqrt(1/N * sum_n ||(X_n W^T)[:, i]||^2)`, `[out]`."""
        assert self._output_square_sum is not None, "the methods did not declare Need.OUTPUT_NORM"
        return (self._output_square_sum / self.windows).sqrt()

    @property
    def hessian(self) -> Tensor:
        """`H = 2/N * sum_n X_n^T X_n`, `[in, in]`, symmetric; a new tensor each time."""
        assert self._gram is not None, "the methods did not declare Need.HESSIAN"
        # Below the diagonal, only the blocks on it are filled. Of the ways to mirror a matrix, a contiguous
        # transpose reads it in the order of the caches.
        lower = self._gram.T.clone(memory_format=torch.contiguous_format).tril_(-1)
        return lower.add_(self._gram.triu()).mul_(2 / self.windows)

    @property
    def has_hessian_to_factor(self) -> bool:
        """Whether the host would wait for an accelerator in order to compute `factor`."""
        return self._gram is not None and self._gram.device.type != "cpu" and "factor" not in vars(self)

    @cached_property
    def factor(self) -> InverseFactor:
        """The inverse factor of the damped Hessian, computed once for all linears that share these
        statistics.
        """
        return inverse_factor(self.hessian)

    @property
    def sample(self) -> Tensor:
        """Sampled input rows `[sampled tokens, in]`, in the dtype of the model."""
        assert self._sample is not None, "the methods did not declare Need.SAMPLE"
        return self._sample.rows


def factorise(statistics: Collection[Statistics]) -> None:
    """Compute the inverse factors on an accelerator, where the host then waits once for all of them. One that
    needs more than the first damping is left to `Statistics.factor`.
    """
    distinct = {id(each): each for each in statistics if each.has_hessian_to_factor}.values()
    found = [factor_with(each.hessian, DAMPING_LADDER[0]) for each in distinct]
    for each, (factor, _), works in zip(distinct, found, numbers([works for _, works in found]), strict=True):
        if works:
            each.factor = factor


@dataclass(frozen=True)
class Reordered:
    """The column statistics of a linear whose columns are permuted, `order[position] = column`."""

    # Refinements get this in place of `Statistics`: one that declares another need requires it here.
    original: Statistics
    order: Tensor

    @property
    def input_norm(self) -> Tensor:
        return self.original.input_norm[self.order]

    @property
    def input_sum(self) -> Tensor:
        return self.original.input_sum[self.order]

    @property
    def input_variance(self) -> Tensor:
        return self.original.input_variance[self.order]

    @property
    def hessian(self) -> Tensor:
        return self.original.hessian[self.order][:, self.order]


def _token_weighted_variance(inputs: Tensor, width: int) -> Tensor:
    """Return `sum_n tokens_n * population variance of X_n`, `[in]`, for inputs `[windows, ..., in]`;
    `[tokens, in]` is one window.
    """
    count = len(inputs) if inputs.dim() > 2 else 1
    # Sequences of one batch are equally long, so one token count holds for all windows of it.
    windows = inputs.reshape(count, -1, width).float()  # [windows, tokens, in]
    return windows.var(dim=1, unbiased=False).sum(0) * windows.shape[1]


def _square_sum(rows: Tensor) -> Tensor:
    """Return the sum of the squares of each column of `rows`, `[tokens, in]`, in float32."""
    if rows.device.type == "cpu":  # where `vector_norm` over this dimension takes six times as long
        step = len(rows) if rows.shape[1] % SUMMED_COLUMNS else min(SQUARED_ROWS, len(rows))
        total, squares = torch.zeros(rows.shape[1]), torch.empty(step, rows.shape[1])
        for some in rows.split(max(1, step)):
            values = some.float()
            total += torch.mul(values, values, out=squares[: len(some)]).sum(0)
        return total
    # Reads half-precision activations once and writes no float32 copies of them, each twice as large.
    return torch.linalg.vector_norm(rows, dim=0, dtype=torch.float32).square()


def _add_gram(gram: Tensor, rows: Tensor) -> None:
    """Add `rows^T rows` to `gram`, `[in, in]` float32, in place: blocks on and above the diagonal only.

    Products of half-precision numbers are exact in float32, in which they are summed. So on a GPU the tensor
    cores take bfloat16 and float16 as they are. Float32 is never rounded to TF32, see `full_precision`.
    """
    on_tensor_cores = rows.device.type == "cuda" and rows.dtype in (torch.bfloat16, torch.float16)
    rows = rows if on_tensor_cores else rows.float()
    width, panel = rows.shape[1], GRAM_PANEL_ON_GPU if rows.device.type == "cuda" else GRAM_PANEL
    for start in range(0, width, panel):
        stop = min(start + panel, width)
        left, right = rows[:, start:stop].T, rows[:, start:]  # [panel, tokens], [tokens, in - start]
        if on_tensor_cores:
            gram[start:stop, start:] += torch.mm(left, right, out_dtype=torch.float32)
        else:
            gram[start:stop, start:].addmm_(left, right)  # written into `gram` through the view
