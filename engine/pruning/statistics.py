"""Running statistics of one linear's calibration input (and output, when asked): float32 sums, only those
that the chosen methods declare they need.

Cost: the input norms read every activation once (about 2 % of a forward pass); the Gram matrix is `tokens *
in^2` multiply-adds, of which only the blocks on and above the diagonal are computed. Linears that receive the
same tensor (q, k, v; gate, up) share one `Statistics`.

An expert's statistics are sums over the tokens that the router sent to it, divided by the same number of
windows as everybody's, so experts that are asked less often count less. Its variance is that of all its
tokens together (they come without their windows), its sample a quarter as large. Every expert has statistics
of its own: with a Hessian that is `4 * in^2` bytes an expert and linear, 1.3 GB for a block of OLMoE's 64
experts.
"""

from __future__ import annotations

import weakref
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import torch
from torch import Tensor

from engine.errors import NumericsError
from engine.models.block import Linear
from engine.models.hooks import hooked
from engine.pruning.hessian import InverseFactor, inverse_factor
from engine.pruning.sampling import EvenSample, Sample, ThinnedSample

# columns of the Gram matrix computed at once: wide enough for the matrix product to run at full speed
GRAM_PANEL = 768
ROUTED_SAMPLE = 4
"""An expert keeps this many times fewer sampled rows: there are many experts."""


class Need(StrEnum):
    """A statistic that a method asks for."""

    INPUT_NORM = "input_norm"
    INPUT_SUM = "input_sum"
    INPUT_VARIANCE = "input_variance"
    OUTPUT_NORM = "output_norm"
    HESSIAN = "hessian"
    SAMPLE = "sample"


class Statistics:
    """Sums over the calibration input `X`, `[tokens, in]`, of one linear, and over its output `X W^T`.

    Args:
        width: number of input columns.
        windows: number of calibration windows N that will pass.
        needs: the statistics to keep.
        device: where the sums live.
        sample: how many input rows to keep for `Need.SAMPLE`, spread evenly over the `tokens` that will pass.
        tokens: number of tokens that will pass (used by the sample alone).
        routed: whether a router decides which tokens these are, so that their number is not known and they
            come without their windows.
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
        self._variance_sum = torch.zeros(width, device=device) if Need.INPUT_VARIANCE in needs else None
        self._output_square_sum: Tensor | None = None
        self._gram = torch.zeros(width, width, device=device) if Need.HESSIAN in needs else None
        self._mean = torch.zeros(width, device=device)
        self._sample: Sample | None = None
        if Need.SAMPLE in needs:
            self._sample = (
                ThinnedSample(sample // ROUTED_SAMPLE, width, device)
                if routed
                else EvenSample(sample, tokens)
            )

    def update(self, inputs: Tensor) -> None:
        """Add the activations of a batch of windows, `[windows, ..., in]`, or an expert's tokens of the
        batch, `[tokens, in]`.
        """
        rows = inputs.reshape(-1, self.width)  # [tokens, in]
        if not len(rows):
            return
        if self._variance_sum is not None:
            self._variance_sum += (
                self._pooled(rows.float()) if self.routed else _token_weighted_variance(inputs, self.width)
            )
        if self._sample is not None:
            self._sample.add(rows)
        self.tokens += len(rows)
        rows = rows.float()
        if self._gram is not None:
            _add_gram(self._gram, rows)
        if self._square_sum is not None:
            self._square_sum += rows.square().sum(
                0
            )  # a vector_norm over this dimension takes six times as long on a CPU
        if self._sum is not None:
            self._sum += rows.sum(0)

    def _pooled(self, rows: Tensor) -> Tensor:
        """What these rows `[tokens, in]` add to the sum of squared distances from the mean of all rows so
        far, `[in]` (Chan, Golub, LeVeque 1979).
        """
        away, total = rows.mean(0) - self._mean, self.tokens + len(rows)
        self._mean = self._mean + away * (len(rows) / total)
        return rows.var(dim=0, unbiased=False) * len(rows) + away.square() * (self.tokens * len(rows) / total)

    def update_output(self, outputs: Tensor) -> None:
        """Add what the weight made of a batch, `[..., out]`, without the bias."""
        squares = outputs.reshape(-1, outputs.shape[-1]).float().square().sum(0)
        self._output_square_sum = (
            squares if self._output_square_sum is None else self._output_square_sum + squares
        )

    @property
    def input_norm(self) -> Tensor:
        """`a_j = sqrt(1/N * sum_n ||X_n[:, j]||^2)`, `[in]` (methods.md section 0; Wanda's activation norm)."""
        assert self._square_sum is not None, "the methods did not declare Need.INPUT_NORM"
        return (self._square_sum / self.windows).sqrt()

    @property
    def input_sum(self) -> Tensor:
        """`m_j = 1/N * sum over windows and tokens of X_n[t, j]`, `[in]`: a sum over the tokens of a window,
        not a mean (methods.md section 0).
        """
        assert self._sum is not None, "the methods did not declare Need.INPUT_SUM"
        return self._sum / self.windows

    @property
    def input_variance(self) -> Tensor:
        """`v_j`, `[in]`: the windows' population variances, each weighted by its tokens; an expert's is that
        of all its tokens.
        """
        assert self._variance_sum is not None, "the methods did not declare Need.INPUT_VARIANCE"
        return self._variance_sum / max(1, self.tokens)

    @property
    def output_norm(self) -> Tensor:
        """`b_i = sqrt(1/N * sum_n ||(X_n W^T)[:, i]||^2)`, `[out]`."""
        assert self._output_square_sum is not None, "the methods did not declare Need.OUTPUT_NORM"
        return (self._output_square_sum / self.windows).sqrt()

    @property
    def hessian(self) -> Tensor:
        """`H = 2/N * sum_n X_n^T X_n`, `[in, in]`, symmetric: a new tensor each time."""
        assert self._gram is not None, "the methods did not declare Need.HESSIAN"
        upper = self._gram.triu()
        return (upper + upper.triu(1).T).mul_(2 / self.windows)

    @cached_property
    def factor(self) -> InverseFactor:
        """The inverse factor of the damped Hessian, computed once for all linears that share these
        statistics.
        """
        return inverse_factor(self.hessian)

    @property
    def sample(self) -> Tensor:
        """Input rows `[sampled tokens, in]`, evenly spaced over the calibration tokens, in the model's dtype."""
        assert self._sample is not None, "the methods did not declare Need.SAMPLE"
        return self._sample.rows


@dataclass(frozen=True)
class Reordered:
    """The column statistics of a linear whose columns stand in another order, `order[place] = column`."""

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


def _token_weighted_variance(inputs: Tensor, width: int) -> Tensor:
    """`sum_n tokens_n * population variance of X_n`, `[in]`, for inputs `[windows, ..., in]` (`[tokens, in]`
    is one window).
    """
    windows = inputs.reshape(
        len(inputs) if inputs.dim() > 2 else 1, -1, width
    ).float()  # [windows, tokens, in]
    return windows.var(dim=1, unbiased=False).sum(0) * windows.shape[1]


def _add_gram(gram: Tensor, rows: Tensor) -> None:
    """`gram += rows^T rows`, blocks on and above the diagonal only."""
    width = rows.shape[1]
    for start in range(0, width, GRAM_PANEL):
        stop = min(start + GRAM_PANEL, width)
        gram[start:stop, start:].addmm_(rows[:, start:stop].T, rows[:, start:])


@dataclass
class _Seen:
    """The tensor that was seen last, as it was then, who was called with it, and where it went."""

    tensor: weakref.ref[Tensor]
    version: int
    names: set[str]
    statistics: Statistics

    def is_again(self, name: str, inputs: Tensor) -> bool:
        """Whether another linear is called with the same, unchanged tensor."""
        return self.tensor() is inputs and self.version == inputs._version and name not in self.names


class Observer:
    """Feeds the inputs of a block's linears to their statistics; linears called with the same tensor share
    one.

    Who shares is decided by the first batch.
    """

    def __init__(
        self,
        linears: Mapping[str, Linear],
        windows: int,
        needs: Collection[Need],
        *,
        sample: int = 0,
        tokens: int = 0,
    ) -> None:
        self.statistics: dict[str, Statistics] = {}
        self._linears = linears
        self._owners: dict[str, Statistics] = {}
        self._options = (windows, needs, sample, tokens)
        self._shares = Need.OUTPUT_NORM not in needs  # outputs are a linear's own, whoever has the same input
        self._last: _Seen | None = None

    def see(self, name: str, inputs: Tensor) -> None:
        """Note one call of the linear `name`.

        Raises:
            NumericsError: it shared another linear's input before, and now has one of its own, so the shared
                sums fit neither.
        """
        last = self._last if self._shares else None
        if (
            last is not None
            and last.is_again(name, inputs)
            and self.statistics.setdefault(name, last.statistics) is last.statistics
        ):
            last.names.add(name)
            return
        statistics = self._own(name, inputs.device)
        statistics.update(inputs)
        self._last = _Seen(weakref.ref(inputs), inputs._version, {name}, statistics)

    def see_output(self, name: str, inputs: Tensor, outputs: Tensor, bias: Tensor | None) -> None:
        """Note what the linear made of the call that was seen last."""
        self.statistics[name].update_output(outputs if bias is None else outputs - bias)

    def see_idle(self) -> None:
        """Note that experts to which the router sent nothing have seen no tokens, where others of the same
        parameter were seen.
        """
        seen = {_fused(linear) for name, linear in self._linears.items() if name in self.statistics}
        for name, linear in self._linears.items():
            if linear.expert is not None and name not in self.statistics and _fused(linear) in seen:
                statistics = self._own(name, linear.weight.device)
                if not self._shares:
                    statistics.update_output(linear.weight.new_zeros(0, linear.shape[0]))

    def _own(self, name: str, device: torch.device) -> Statistics:
        """The statistics that belong to this linear, and perhaps to others that follow it."""
        linear = self._linears[name]
        if name not in self.statistics:
            windows, needs, sample, tokens = self._options
            routed = linear.expert is not None
            self._owners[name] = Statistics(
                linear.shape[1], windows, needs, device, sample=sample, tokens=tokens, routed=routed
            )
            self.statistics[name] = self._owners[name]
        if name not in self._owners:
            raise NumericsError(
                f"The linear {name} shares its input with another one in some batches only, so their statistics cannot be told apart. "
                "This model cannot be pruned with calibration data; magnitude needs none."
            )
        return self._owners[name]


def _fused(linear: Linear) -> tuple[int, str]:
    return id(linear.module), linear.parameter


@contextmanager
def observe(
    linears: Mapping[str, Linear], windows: int, needs: Collection[Need], *, sample: int = 0, tokens: int = 0
) -> Iterator[dict[str, Statistics]]:
    """Collect statistics of `linears` while the `with` lasts, from calls of this thread: other windows may
    pass in another.

    Yields:
        Statistics by the linear's name, filled as batches pass; a linear that is never called has none.
        Behind the `with`, an expert that got no token has statistics of no tokens.
    """
    observer = Observer(linears, windows, needs, sample=sample, tokens=tokens)
    after = observer.see_output if Need.OUTPUT_NORM in needs else None
    with hooked(linears, before=observer.see, after=after):
        yield observer.statistics
    observer.see_idle()
