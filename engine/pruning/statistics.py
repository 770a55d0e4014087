"""Running statistics of one linear's calibration input (and output, when asked): float32 sums, only those that the chosen methods declare they need.

Cost: the input norms read every activation once (about 2 % of a forward pass); the Gram matrix is `tokens * in^2` multiply-adds, of which
only the blocks on and above the diagonal are computed. Linears that receive the same tensor (q, k, v; gate, up) share one `Statistics`.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import torch
from torch import Tensor, nn

from engine.errors import NumericsError
from engine.models.block import Linear
from engine.pruning.hessian import InverseFactor, inverse_factor

GRAM_PANEL = 768  # columns of the Gram matrix computed at once: wide enough for the matrix product to run at full speed


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
    """

    def __init__(self, width: int, windows: int, needs: Collection[Need], device: torch.device, *, sample: int = 0, tokens: int = 0) -> None:
        self.width = width
        self.windows = windows
        self._places = torch.arange(min(sample, tokens)) * tokens // max(1, min(sample, tokens))  # of the sampled rows among all tokens
        self._passed = 0
        self._square_sum = torch.zeros(width, device=device) if Need.INPUT_NORM in needs else None
        self._sum = torch.zeros(width, device=device) if Need.INPUT_SUM in needs else None
        self._variance_sum = torch.zeros(width, device=device) if Need.INPUT_VARIANCE in needs else None
        self._output_square_sum: Tensor | None = None
        self._gram = torch.zeros(width, width, device=device) if Need.HESSIAN in needs else None
        self._rows: list[Tensor] | None = [] if Need.SAMPLE in needs else None

    def update(self, inputs: Tensor) -> None:
        """Add the activations of a batch of windows, `[windows, ..., in]`."""
        if self._variance_sum is not None:
            self._variance_sum += _token_weighted_variance(inputs, self.width)
        rows = inputs.reshape(-1, self.width)  # [tokens, in]
        if self._rows is not None:
            first, last = torch.searchsorted(self._places, torch.tensor([self._passed, self._passed + len(rows)])).tolist()
            self._rows.append(rows[(self._places[first:last] - self._passed).to(rows.device)])
        self._passed += len(rows)
        rows = rows.float()
        if self._gram is not None:
            _add_gram(self._gram, rows)
        if self._square_sum is not None:
            self._square_sum += rows.square().sum(0)  # a vector_norm over this dimension takes six times as long on a CPU
        if self._sum is not None:
            self._sum += rows.sum(0)

    def update_output(self, outputs: Tensor) -> None:
        """Add what the weight made of a batch, `[..., out]`, without the bias."""
        squares = outputs.reshape(-1, outputs.shape[-1]).float().square().sum(0)
        self._output_square_sum = squares if self._output_square_sum is None else self._output_square_sum + squares

    @property
    def input_norm(self) -> Tensor:
        """`a_j = sqrt(1/N * sum_n ||X_n[:, j]||^2)`, `[in]` (methods.md section 0; Wanda's activation norm)."""
        assert self._square_sum is not None, "the methods did not declare Need.INPUT_NORM"
        return (self._square_sum / self.windows).sqrt()

    @property
    def input_sum(self) -> Tensor:
        """`m_j = 1/N * sum over windows and tokens of X_n[t, j]`, `[in]`: a sum over the tokens of a window, not a mean (methods.md section 0)."""
        assert self._sum is not None, "the methods did not declare Need.INPUT_SUM"
        return self._sum / self.windows

    @property
    def input_variance(self) -> Tensor:
        """`v_j`, `[in]`: the windows' population variances, each weighted by its tokens."""
        assert self._variance_sum is not None, "the methods did not declare Need.INPUT_VARIANCE"
        return self._variance_sum / max(1, self._passed)

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
        """The inverse factor of the damped Hessian, computed once for all linears that share these statistics."""
        return inverse_factor(self.hessian)

    @property
    def sample(self) -> Tensor:
        """Input rows `[sampled tokens, in]`, evenly spaced over the calibration tokens, in the model's dtype."""
        assert self._rows is not None, "the methods did not declare Need.SAMPLE"
        return torch.cat(self._rows)


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
    """`sum_n tokens_n * population variance of X_n`, `[in]`, for inputs `[windows, ..., in]` (`[tokens, in]` is one window)."""
    windows = inputs.reshape(len(inputs) if inputs.dim() > 2 else 1, -1, width).float()  # [windows, tokens, in]
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
    """Feeds the inputs of a block's linears to their statistics; linears called with the same tensor share one.

    Who shares is decided by the first batch.
    """

    def __init__(self, windows: int, needs: Collection[Need], *, sample: int = 0, tokens: int = 0) -> None:
        self.statistics: dict[str, Statistics] = {}
        self._owners: dict[str, Statistics] = {}
        self._options = (windows, needs, sample, tokens)
        self._shares = Need.OUTPUT_NORM not in needs  # outputs are a linear's own, whoever has the same input
        self._last: _Seen | None = None

    def see(self, name: str, inputs: Tensor) -> None:
        """Note one call of the linear `name`.

        Raises:
            NumericsError: it shared another linear's input before, and now has one of its own, so the shared sums fit neither.
        """
        last = self._last if self._shares else None
        if last is not None and last.is_again(name, inputs) and self.statistics.setdefault(name, last.statistics) is last.statistics:
            last.names.add(name)
            return
        statistics = self._own(name, inputs)
        statistics.update(inputs)
        self._last = _Seen(weakref.ref(inputs), inputs._version, {name}, statistics)

    def see_output(self, name: str, outputs: Tensor) -> None:
        """Note what the linear made of the call that was seen last."""
        self.statistics[name].update_output(outputs)

    def _own(self, name: str, inputs: Tensor) -> Statistics:
        """The statistics that belong to this linear, and perhaps to others that follow it."""
        if name not in self.statistics:
            windows, needs, sample, tokens = self._options
            self._owners[name] = Statistics(inputs.shape[-1], windows, needs, inputs.device, sample=sample, tokens=tokens)
            self.statistics[name] = self._owners[name]
        if name not in self._owners:
            raise NumericsError(
                f"The linear {name} shares its input with another one in some batches only, so their statistics cannot be told apart. "
                "This model cannot be pruned with calibration data; magnitude needs none."
            )
        return self._owners[name]


@contextmanager
def observe(
    linears: Mapping[str, Linear], windows: int, needs: Collection[Need], *, sample: int = 0, tokens: int = 0
) -> Iterator[dict[str, Statistics]]:
    """Collect statistics of `linears` while the `with` lasts, from calls of this thread: other windows may pass in another.

    Yields:
        Statistics by the linear's name, filled as batches pass; a linear that is never called has none.
    """
    observer = Observer(windows, needs, sample=sample, tokens=tokens)
    mine = threading.get_ident()
    with ExitStack() as undo:
        for name, linear in linears.items():

            def see(module: nn.Module, args: tuple[Tensor, ...], name: str = name) -> None:
                if threading.get_ident() == mine:
                    observer.see(name, args[0])

            undo.callback(linear.module.register_forward_pre_hook(see).remove)
            if Need.OUTPUT_NORM in needs:

                def see_output(module: nn.Module, args: tuple[Tensor, ...], output: Tensor, name: str = name) -> None:
                    if threading.get_ident() == mine:
                        bias = getattr(module, "bias", None)
                        observer.see_output(name, output if bias is None else output - bias)

                undo.callback(linear.module.register_forward_hook(see_output).remove)
        yield observer.statistics
