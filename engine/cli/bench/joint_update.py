"""`bench --shape mrp`: the joint update by a factorisation per row and by conjugate gradients.

Inputs are random with a spectrum that falls like those of language models: a few strong directions and a long
tail. Layers that would take too long are measured on some of their rows; the time is that of all rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor

from engine.hardware.device import pick_device, wait_for
from engine.pruning.conjugate_gradients import fit_kept
from engine.pruning.hessian import damped, inverse_factor
from engine.pruning.updates.mrp import by_factorisations

LAYERS = ((768, 384, 768), (768, 768, 768), (768, 1536, 384), (768, 3072, 96), (4096, 11008, 16))
"""Rows, columns, and how many of the rows are factorised."""
LEAST = 128
"""Rows that are fitted by conjugate gradients at least: products with fewer are slower per row."""
SPARSITIES = (0.5, 0.7)


@torch.no_grad()
def bench_joint_update() -> None:
    """Print the seconds of both and the difference between their losses."""
    print(
        "| layer | sparsity | factorisations | conjugate gradients | not converged | loss |\n"
        "|---|---|---|---|---|---|"
    )
    for rows, columns, factorised in LAYERS:
        hessian = damped(_hessian(columns), 0.01)
        upper = inverse_factor(hessian, ladder=(0.0,)).upper
        inverse = upper.T @ upper
        weight = torch.randn(max(factorised, LEAST), columns, device=hessian.device)
        some = slice(factorised)
        for sparsity in SPARSITIES:
            keep = torch.rand(weight.shape, device=hessian.device) >= sparsity
            (direct, _), slow = _timed(lambda: by_factorisations(weight[some], keep[some], hessian, upper))  # noqa: B023
            (close, failed), fast = _timed(lambda: fit_kept(weight, keep, hessian, inverse))  # noqa: B023
            more = _loss((close - weight)[some], hessian) / _loss(direct - weight[some], hessian) - 1
            print(
                f"| {rows} x {columns} | {sparsity:.0%} | {rows / factorised * slow:,.1f} s "
                f"| {rows / len(weight) * fast:,.1f} s | {failed.sum() / len(weight):.0%} | {more:+.0e} |",
                flush=True,
            )


def _hessian(columns: int) -> Tensor:
    device = pick_device()
    mixing = torch.randn(columns, columns, device=device) / columns**0.5
    strength = torch.arange(1, columns + 1, device=device) ** -0.5
    inputs = (torch.randn(2 * columns, columns, device=device) * strength) @ mixing
    return inputs.T @ inputs


def _timed(work: Callable[[], tuple[Tensor, Tensor]]) -> tuple[tuple[Tensor, Tensor], float]:
    start = time.perf_counter()
    result = work()
    wait_for(result[0].device)
    return result, time.perf_counter() - start


def _loss(error: Tensor, hessian: Tensor) -> float:
    return float(((error.double() @ hessian.double()) * error.double()).sum())
