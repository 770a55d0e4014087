"""Slow, obvious float64 versions of the methods, written statement by statement, and layers to test on.

Nothing here follows the code under test: groups are Python loops, the obs update eliminates one column after
another from the full inverse Hessian, statistics are sums over windows. Every score and update must have an
entry here; a test checks that.
"""

from collections.abc import Callable, Sequence
from math import sqrt

import numpy as np
import torch
from torch import Tensor

from engine.laws.counts import BLOCK, floor_share, groups, removed_count, removed_per_group  # noqa: F401
from engine.laws.layers import EDGE_CASES, Layer, collect_statistics, random_layer  # noqa: F401
from engine.pruning.patterns import parse_pattern

DecideMask = Callable[[int, Tensor, list[Tensor]], Tensor | None]


def input_norm(inputs: Tensor) -> Tensor:
    """Return `a_j = sqrt(1/N * sum_n ||X_n[:, j]||^2)`."""
    return (sum(window.double().square().sum(0) for window in inputs) / len(inputs)).sqrt()


def hessian(inputs: Tensor) -> Tensor:
    """Return `H = 2/N * sum_n X_n^T X_n`."""
    return 2 / len(inputs) * sum(window.double().T @ window.double() for window in inputs)


def is_dead(inputs: Tensor) -> Tensor:
    return hessian(inputs).diagonal() == 0


def damped(matrix: Tensor, damping: float = 0.01) -> Tensor:
    """Return H with 1 in the diagonal of dead columns, plus `damping * mean(diag H)` on the diagonal."""
    matrix = matrix.double().clone()
    for column in range(len(matrix)):
        if matrix[column, column] == 0:
            matrix[column, column] = 1
    return matrix + damping * matrix.diagonal().mean() * torch.eye(len(matrix), dtype=torch.float64)


def remaining_inverse(matrix: Tensor, column: int) -> Tensor:
    """Return the inverse Hessian of the columns from `column` on; earlier columns no longer change."""
    return torch.linalg.inv(matrix[column:, column:])


def eliminate(matrix: Tensor) -> list[Tensor]:
    """Return `remaining_inverse` of every column, each from the previous one by a Schur complement."""
    inverses = [np.linalg.inv(matrix.numpy())]
    while len(inverses[-1]) > 1:
        inverse = inverses[-1]
        inverses.append(inverse[1:, 1:] - np.outer(inverse[1:, 0], inverse[0, 1:]) / inverse[0, 0])
    return [torch.from_numpy(inverse) for inverse in inverses]


# ---- scores: (weight, inputs) -> [out, in]


def magnitude(weight: Tensor, inputs: Tensor) -> Tensor:
    return torch.tensor(
        [[abs(entry) for entry in row] for row in weight.double().tolist()], dtype=torch.float64
    ).view(weight.shape)


def wanda(weight: Tensor, inputs: Tensor) -> Tensor:
    norms = input_norm(inputs).tolist()
    return torch.tensor(
        [
            [abs(entry) * norm for entry, norm in zip(row, norms, strict=True)]
            for row in weight.double().tolist()
        ],
        dtype=torch.float64,
    ).view(weight.shape)


def stade(weight: Tensor, inputs: Tensor) -> Tensor:
    deviations = []
    for column in inputs.double().flatten(0, 1).T.tolist():
        mean = sum(column) / len(column)
        deviations.append(sqrt(sum((entry - mean) ** 2 for entry in column) / len(column)))
    return weight.double().abs() * torch.tensor(deviations, dtype=torch.float64)


def sparsegpt(weight: Tensor, inputs: Tensor) -> Tensor:
    """Return the loss of removing one weight if the later columns compensate; 0 in dead columns."""
    inverses, unused = eliminate(damped(hessian(inputs))), is_dead(inputs)
    result = torch.zeros(weight.shape, dtype=torch.float64)
    for column in range(weight.shape[1]):
        if not unused[column]:
            result[:, column] = weight[:, column].double().square() / inverses[column][0, 0]
    return result


def output_norm(weight: Tensor, inputs: Tensor) -> Tensor:
    """Return `b_i = sqrt(1/N * sum_n ||(X_n W^T)[:, i]||^2)`."""
    return (
        sum((window.double() @ weight.double().T).square().sum(0) for window in inputs) / len(inputs)
    ).sqrt()


def norm(values: Sequence[float], p: float = 2) -> float:
    return sum(abs(value) ** p for value in values) ** (1 / p)


def ratio(part: float, whole: float) -> float:
    """Return `part / whole`, 0 if `whole` is 0."""
    return part / whole if whole else 0.0


def per_entry(weight: Tensor, value: Callable[[int, int, float], float]) -> Tensor:
    """Return `value(i, j, |W_ij|)` for every entry."""
    rows = weight.double().abs().tolist()
    return torch.tensor(
        [[value(i, j, entry) for j, entry in enumerate(row)] for i, row in enumerate(rows)],
        dtype=torch.float64,
    )


def relative(weight: Tensor, p: float = 1) -> Tensor:
    """Return `|W_ij| / ||W_:j||_p + |W_ij| / ||W_i:||_p`; p = 1 is the relative importance of RIA."""
    rows = [norm(row, p) for row in weight.double().tolist()]
    columns = [norm(column, p) for column in weight.double().T.tolist()]
    return per_entry(weight, lambda i, j, entry: ratio(entry, columns[j]) + ratio(entry, rows[i]))


def ri(weight: Tensor, inputs: Tensor) -> Tensor:
    return relative(weight)


def ria(weight: Tensor, inputs: Tensor, alpha: float = 0.5) -> Tensor:
    return relative(weight) * input_norm(inputs) ** alpha


def stochria(
    weight: Tensor, inputs: Tensor, columns: list[list[int]], rows: list[list[int]], alpha: float = 0.5
) -> Tensor:
    """Return RIA with sampled sums: row i sums over `columns[i]`, column j over `rows[j]`, not rescaled."""
    size, norms = weight.double().abs().tolist(), input_norm(inputs).tolist()

    def value(i: int, j: int, entry: float) -> float:
        row_sum = sum(size[i][place] for place in columns[i])
        column_sum = sum(size[place][j] for place in rows[j])
        return (ratio(entry, column_sum) + ratio(entry, row_sum)) * norms[j] ** alpha

    return per_entry(weight, value)


def tau(shape: Sequence[int], beta: float) -> int:
    return max(1, floor_share(min(shape), beta))


def symwanda(
    weight: Tensor,
    inputs: Tensor,
    form: str = "general",
    alpha_in: float = 1,
    alpha_out: float = 1,
    p: float = 1,
    alpha: float = 0.5,
) -> Tensor:
    entering, leaving = input_norm(inputs).tolist(), output_norm(weight, inputs).tolist()
    if form == "relative":
        return relative(weight, p) * input_norm(inputs) ** alpha
    if form == "input":
        return per_entry(weight, lambda i, j, entry: entry * entering[j])
    if form == "output":
        return per_entry(weight, lambda i, j, entry: entry * leaving[i])
    if form == "symmetric":
        entering = [norm(column) for column in weight.double().T.tolist()]
        leaving = [norm(row) for row in weight.double().tolist()]
    return per_entry(weight, lambda i, j, entry: entry * (alpha_in * entering[j] + alpha_out * leaving[i]))


def multiflow(weight: Tensor, inputs: Tensor) -> Tensor:
    strength = wanda(weight, inputs).tolist()
    rows = [sum(row) / len(row) for row in strength]
    columns = [sum(column) / len(column) for column in zip(*strength, strict=True)]
    return per_entry(weight, lambda i, j, entry: entry * rows[i] * columns[j])


SCORE_ORACLES: dict[str, Callable[..., Tensor]] = {
    "magnitude": magnitude,
    "wanda": wanda,
    "stade": stade,
    "sparsegpt": sparsegpt,
    "ri": ri,
    "ria": ria,
    "symwanda": symwanda,
    "multiflow": multiflow,
}
"""Scores of the weight and inputs alone: `stochria` also needs the drawn sets, a joint score the pattern, a
formula the place (`test_formulas.py` computes those)."""
RUNNING_ORACLES = {"sparsegpt": lambda weight, inverse: weight.square() / inverse[0, 0]}
"""Score of one column of running weights, given the inverse Hessian of the remaining columns."""
OTHER_SCORES = {"stochria", "joint", "formula"}


# ---- patterns: scores -> mask


def keep_mask(scores: Tensor, pattern: str, group: str | None, sparsity: float) -> Tensor:
    """Return the mask without the lowest entries of each group; on a tie the earlier entry is removed."""
    mask = torch.ones(scores.shape, dtype=torch.bool)
    values = scores.tolist()
    for entries in groups(*scores.shape, pattern, group):
        ranked = sorted(entries, key=lambda place: values[place[0]][place[1]])
        for i, j in ranked[: removed_count(len(entries), pattern, sparsity)]:
            mask[i, j] = False
    return mask


# ---- updates: (weight, inputs, mask) -> new weight


def none(weight: Tensor, inputs: Tensor, mask: Tensor) -> Tensor:
    return torch.where(mask, weight.double(), 0.0)


def obs(weight: Tensor, inputs: Tensor, mask: Tensor) -> Tensor:
    return update_columns(
        weight, damped(hessian(inputs)), is_dead(inputs), lambda column, *_: mask[:, [column]]
    )[0]


def mrp(weight: Tensor, inputs: Tensor, mask: Tensor) -> Tensor:
    return optimal(weight, damped(hessian(inputs)), mask)


def optimal(weight: Tensor, matrix: Tensor, mask: Tensor) -> Tensor:
    """Return `w - w_P (B_PP)^-1 B_P:` row by row, B the inverse of the given Hessian."""
    inverse = torch.linalg.inv(matrix)
    rows = []
    for row, keep in zip(weight.double(), mask, strict=True):
        removed = [place for place, kept in enumerate(keep.tolist()) if not kept]
        change = torch.linalg.solve(inverse[removed][:, removed], row[removed]) @ inverse[removed]
        rows.append(torch.where(keep, row - change, 0.0))
    return torch.stack(rows)


def least_squares(weight: Tensor, inputs: Tensor, mask: Tensor) -> Tensor:
    """Return the weights on the kept inputs that best reproduce the dense output, without damping."""
    tokens = inputs.flatten(0, 1).double()
    result = torch.zeros(weight.shape, dtype=torch.float64)
    for new, row, kept in zip(result, weight.double(), mask, strict=True):
        if kept.any():
            new[kept] = torch.linalg.lstsq(tokens[:, kept], tokens @ row).solution
    return result


def input_scale(inputs: Tensor) -> Tensor:
    """Return the root of the Hessian's diagonal, 1 for dead columns."""
    return torch.tensor([sqrt(entry) or 1.0 for entry in hessian(inputs).diagonal().tolist()]).double()


def scaled_hessian(inputs: Tensor, damping: float) -> Tensor:
    """Return the Hessian of the inputs scaled to norm 1, with `damping` on the diagonal."""
    scale = torch.diag(1 / input_scale(inputs))
    return scale @ hessian(inputs) @ scale + damping * torch.eye(len(scale), dtype=torch.float64)


def admm(
    weight: Tensor,
    inputs: Tensor,
    mask: Tensor | None = None,
    *,
    iterations: int = 20,
    penalty: float = 1.0,
    damping: float = 0.1,
    choose: Callable[[int, Tensor], Tensor | None] = lambda iteration, current: None,
) -> Tensor:
    """Return what ADMM gives for a mask. `choose(iteration, W + U)` returns the mask of an iteration, from 0,
    or None to keep the last one.
    """
    scale, matrix = input_scale(inputs), scaled_hessian(inputs, damping)
    inverse = torch.linalg.inv(matrix + penalty * torch.eye(len(matrix), dtype=torch.float64))
    dense = weight.double() * scale
    new, dual = dense, torch.zeros_like(dense)
    for iteration in range(iterations):
        chosen = choose(iteration, (new + dual) / scale)
        mask = mask if chosen is None else chosen
        split = torch.where(mask, new + dual, 0.0)  # Z
        dual = dual + new - split
        new = (dense @ matrix + penalty * (split - dual)) @ inverse
    return torch.where(mask, (new + dual) / scale, 0.0)


def alps(
    weight: Tensor,
    inputs: Tensor,
    mask: Tensor | None = None,
    *,
    penalty: float = 0.1,
    polish: int = 10,
    choose: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Return what ALPS gives for a mask, or for the masks that `choose(weight)` returns for each iterate."""
    matrix = damped(hessian(inputs))
    scale = matrix.diagonal().sqrt()
    matrix, dense = matrix / torch.outer(scale, scale), weight.double() * scale
    new = dense if choose is None else _alps_iterates(dense, matrix, penalty, lambda at: choose(at / scale))
    mask = mask if choose is None else choose(new / scale)
    result = torch.zeros_like(dense)
    for row, start, whole, keep in zip(result, new, dense, mask, strict=True):
        part = matrix[keep][:, keep]
        row[keep] = conjugate_gradients(part, (whole @ matrix)[keep], start[keep], polish)
    return result / scale


def _alps_iterates(
    dense: Tensor, matrix: Tensor, penalty: float, choose: Callable[[Tensor], Tensor]
) -> Tensor:
    """Return W at the end of ALPS's first algorithm, with the published schedule of the penalty."""
    before, grown = choose(dense), False
    new, split, dual = dense, torch.where(before, dense, 0.0), torch.zeros_like(dense)
    for iteration in range(1, 301):
        shifted = matrix + penalty * torch.eye(len(matrix), dtype=torch.float64)
        new = torch.linalg.solve(shifted, dense @ matrix - dual + penalty * split, left=False)
        mask = choose(new + dual / penalty)
        split = torch.where(mask, new + dual / penalty, 0.0)
        dual = dual + penalty * (new - split)
        if iteration % 3:
            continue
        changed = int((mask != before).sum()) / int(mask.sum())
        before = mask
        if not grown and changed <= 0.005 and penalty > 0.001:
            penalty /= 5
            split, dual = torch.where(choose(dense), dense, 0.0), torch.zeros_like(dense)
            continue
        if changed == 0 or (iteration > 30 and changed < 0.0003):
            break
        grown = True
        penalty *= 1.3 if changed > 0.1 else 1.2 if changed > 0.005 else 1.1
    return new


def conjugate_gradients(matrix: Tensor, right: Tensor, start: Tensor, steps: int) -> Tensor:
    """Return the textbook's iterate for `x M = right` after some steps from `start`."""
    solution, residual = start, right - start @ matrix
    direction = residual
    for _ in range(steps):
        if residual.norm() <= 1e-14 * right.norm():
            break
        step = (residual @ residual) / (direction @ matrix @ direction)
        following = residual - step * (direction @ matrix)
        solution = solution + step * direction
        direction = following + (following @ following) / (residual @ residual) * direction
        residual = following
    return solution


def thanos(
    weight: Tensor,
    inputs: Tensor,
    mask: Tensor | None = None,
    *,
    block: int = BLOCK,
    choose: Callable[[int, Tensor, Tensor], Tensor] = lambda start, running, mask: mask,
) -> Tensor:
    """Return the weights after removing the columns of one block after the other, each row's in one optimal
    step. `choose(start, running, mask)` returns the mask, of which this block is final.
    """
    matrix, running = damped(hessian(inputs)), weight.double().clone()
    running[:, is_dead(inputs)] = 0
    for start in range(0, weight.shape[1], block):
        inverse = torch.linalg.inv(matrix[start:, start:])
        mask = choose(start, running, mask)
        for row, keep in zip(running, mask, strict=True):
            places = range(start, min(start + block, len(row)))
            removed = [place - start for place in places if not keep[place]]
            step = torch.linalg.solve(inverse[removed][:, removed], row[start:][removed])
            row[start:] -= step @ inverse[removed]
            row[start:][removed] = 0
    return running


UPDATE_ORACLES: dict[str, Callable[..., Tensor]] = {
    "none": none,
    "obs": obs,
    "mrp": mrp,
    "admm": admm,
    "alps": alps,
    "thanos": thanos,
}


def update_columns(
    weight: Tensor, matrix: Tensor, unused: Tensor, decide: DecideMask
) -> tuple[Tensor, Tensor]:
    """Process the columns from left to right, later columns compensating; return the new weight and mask.

    `decide(column, running, inverses)` returns the mask of some columns from `column` on, or None.
    """
    inverses = eliminate(matrix)
    running = weight.double().clone()
    running[:, unused] = 0
    mask = torch.ones(weight.shape, dtype=torch.bool)
    for column in range(weight.shape[1]):
        decided = decide(column, running, inverses)
        if decided is not None:
            mask[:, column : column + decided.shape[1]] = decided
        inverse = inverses[column]
        pruned = torch.where(mask[:, column], 0.0, running[:, column])  # [out]
        running[:, column:] -= torch.outer(pruned / inverse[0, 0], inverse[0])
        running[~mask[:, column], column] = 0
    return running, mask


def running_obs(
    name: str, weight: Tensor, inputs: Tensor, pattern: str, sparsity: float
) -> tuple[Tensor, Tensor]:
    """Return obs with masks decided on the running weights, every m columns (N:M) or every 128 columns."""
    n_of_m = parse_pattern(pattern)
    step = BLOCK if n_of_m is None else n_of_m[1]
    unused = is_dead(inputs)

    def decide(column: int, running: Tensor, inverses: list[Tensor]) -> Tensor | None:
        if column % step:
            return None
        places = range(column, min(column + step, weight.shape[1]))
        scores = torch.stack([RUNNING_ORACLES[name](running[:, at], inverses[at]) for at in places], dim=1)
        scores[:, unused[column : places.stop]] = 0
        return keep_mask(scores, pattern, "layer", sparsity)

    return update_columns(weight, damped(hessian(inputs)), unused, decide)
