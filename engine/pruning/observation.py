"""What passes through a block while it is pruned: statistics of its linears' inputs, and how far pruning has
moved its activations.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

import torch

from engine.errors import NonFiniteError, NumericsError
from engine.hardware.transfers import numbers
from engine.models.block import Block, Linear, hooked
from engine.numbers import plural
from engine.pruning.statistics import Need, Statistics

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.language_model import Stream


@contextmanager
def observe(
    linears: Mapping[str, Linear], windows: int, needs: Collection[Need], *, sample: int = 0, tokens: int = 0
) -> Iterator[dict[str, Statistics]]:
    """Collect statistics of `linears` inside the `with`, from calls in this thread only; other threads may
    pass other windows through the block meanwhile.

    Args:
        windows, needs, sample, tokens: see `Statistics`.

    Yields:
        Statistics by the linear's name, filled as batches pass; a linear that is never called has none.
        After the `with`, an expert that received no token has statistics of no tokens.
    """
    observer = Observer(linears, windows, needs, sample=sample, tokens=tokens)
    after = observer.add_output if Need.OUTPUT_NORM in needs else None
    with hooked(linears, before=observer.add_input, after=after):
        yield observer.statistics
    observer.add_idle_experts()


@dataclass
class _LastInput:
    """The last input tensor, its version at that time, the linears called with it, and its statistics."""

    # Weak, so that no activation outlives its batch. A dead reference equals no new tensor, unlike an `id`,
    # which may be reused.
    tensor: weakref.ref[Tensor]
    version: int  # torch's counter of in-place changes
    names: set[str]
    statistics: Statistics

    def is_repeated(self, name: str, inputs: Tensor) -> bool:
        """Whether another linear is called with the same, unchanged tensor."""
        # A second call of the same linear is a new batch, not another reader.
        return self.tensor() is inputs and self.version == inputs._version and name not in self.names


class Observer:
    """Feeds the inputs of a block's linears to their statistics.

    Linears called with the same tensor share one `Statistics`; the first batch decides which ones do.
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
        self._owners: dict[str, Statistics] = {}  # by the linear whose calls fill them
        self._options = (windows, needs, sample, tokens)
        self._shares = Need.OUTPUT_NORM not in needs  # outputs differ even if the input is the same
        self._last: _LastInput | None = None

    def add_input(self, name: str, inputs: Tensor) -> None:
        """Record one call of the linear `name`.

        Raises:
            NumericsError: the linear shared its input with another one before and does not now, so the shared
                sums are right for neither.
        """
        last = self._last if self._shares else None
        if (
            last is not None
            and last.is_repeated(name, inputs)
            and self.statistics.setdefault(name, last.statistics) is last.statistics
        ):
            # The sums contain this batch already.
            last.names.add(name)
            return
        statistics = self._owned(name, inputs.device)
        statistics.update(inputs)
        self._last = _LastInput(weakref.ref(inputs), inputs._version, {name}, statistics)

    def add_output(self, name: str, inputs: Tensor, outputs: Tensor, bias: Tensor | None) -> None:
        """Record the output of the call that was recorded last."""
        # The bias is not pruned, so norms are those of X W^T.
        self.statistics[name].update_output(outputs if bias is None else outputs - bias)

    def add_idle_experts(self) -> None:
        """Give empty statistics to experts that received no token although others of their parameter did."""
        # If no expert was called, the module was not: its experts stay dense, as other uncalled linears do.
        called = {_parameter(linear) for name, linear in self._linears.items() if name in self.statistics}
        for name, linear in self._linears.items():
            idle = linear.expert is not None and name not in self.statistics
            if idle and _parameter(linear) in called:
                statistics = self._owned(name, linear.weight.device)
                if not self._shares:
                    # no rows: only creates the sum
                    statistics.update_output(linear.weight.new_zeros(0, linear.shape[0]))

    def _owned(self, name: str, device: torch.device) -> Statistics:
        """Return the statistics that this linear fills; others may share them."""
        linear = self._linears[name]
        if name not in self.statistics:
            windows, needs, sample, tokens = self._options
            routed = linear.expert is not None
            self._owners[name] = Statistics(
                linear.shape[1], windows, needs, device, sample=sample, tokens=tokens, routed=routed
            )
            self.statistics[name] = self._owners[name]
        if name not in self._owners:  # so far it only shared another's
            raise NumericsError(
                f"The linear {name} shares its input with another one in some batches only, so their "
                "statistics cannot be separated. This model cannot be pruned with calibration data; "
                "magnitude "
                "needs none."
            )
        return self._owners[name]


def _parameter(linear: Linear) -> tuple[int, str]:
    """Identify the parameter that all experts of a module share."""
    return id(linear.module), linear.parameter


def divergence(dense: Stream, pruned: Stream) -> tuple[float, float]:
    """Return `||h - h'||_F / ||h||_F` over all tokens and the mean cosine over tokens, for the hidden states
    of two streams at the same depth.

    Raises:
        NonFiniteError: hidden states are not finite, or their squares overflow float32.
    """
    sums: list[Tensor] = []
    for h, h_pruned in zip(dense.on_device(), pruned.on_device(), strict=True):
        left, right = h.float().flatten(0, 1), h_pruned.float().flatten(0, 1)  # [tokens, width]
        # Sums in float64: they run over every entry of the windows.
        sums.append((left - right).square().sum(dtype=torch.float64))
        sums.append(left.square().sum(dtype=torch.float64))
        sums.append(torch.cosine_similarity(left, right, dim=1).sum(dtype=torch.float64))
    values = numbers(sums)
    distance, norm, cosine = sum(values[0::3]), sum(values[1::3]), sum(values[2::3])
    if not isfinite(distance + norm + cosine):
        which, stream = ("dense", dense) if _affected(dense.hidden) else ("pruned", pruned)
        raise NonFiniteError(
            f"The {which} model's hidden states are not finite in {_affected(stream.hidden)} of "
            f"{plural(stream.windows, 'evaluation window')}."
        )
    tokens = sum(ids.numel() for ids in dense.ids)
    return (distance / norm) ** 0.5 if norm else 0.0, cosine / tokens


def _affected(batches: Iterable[Tensor]) -> int:
    """Return how many windows of batches `[windows, tokens, width]` hold squares that are not finite."""
    return sum(int((~batch.float().square().isfinite().flatten(1).all(1)).sum()) for batch in batches)


def require_finite(block: Block, stream: Stream, statistics: Mapping[str, Statistics]) -> None:
    """Check the input norms of a dense block's linears, before anything is computed from them.

    Args:
        stream: the calibration windows at the block's input.

    Raises:
        NonFiniteError: one is not finite. The message names the first such linear.
    """
    finite = {name: seen.input_norm.isfinite().all() for name, seen in statistics.items()}
    # One transfer from the device for all linears.
    if not finite or torch.stack(list(finite.values())).all():
        return
    linear = block.linears[next(name for name, is_finite in finite.items() if not is_finite)]
    problem = f"The inputs of {linear.path} are not finite"
    if linear.expert is not None:  # its tokens arrive without their windows
        raise NonFiniteError(f"{problem}.")
    inputs: list[Tensor] = []
    with torch.no_grad(), hooked({linear.name: linear}, before=lambda _, given: inputs.append(given)):
        deque(stream.through(block), maxlen=0)
    windows = plural(stream.windows, "calibration window")
    raise NonFiniteError(f"{problem} in {_affected(inputs)} of {windows}.")


def alignments(norms: Iterable[tuple[Tensor, Tensor]]) -> list[float]:
    """Return the neuron alignment distance `|| d / sum(d) - q / sum(q) ||_2 / in` of each pair of activation
    norms d and q, `[in]`: how differently the input neurons of a linear fire. 0 = unchanged (NeuroAL, arXiv
    2411.07066, equation 3).
    """

    def normalised(norms: Tensor) -> Tensor:
        total = norms.sum()
        return norms / total.where(total > 0, 1)  # norms that are all zero stay zero

    pairs = list(norms)
    distances = numbers([(normalised(dense) - normalised(pruned)).norm() for dense, pruned in pairs])
    return [distance / len(dense) for distance, (dense, _) in zip(distances, pairs, strict=True)]


def alignment(dense: Tensor, pruned: Tensor) -> float:
    """Return the neuron alignment distance of one pair, see `alignments`."""
    return alignments([(dense, pruned)])[0]
