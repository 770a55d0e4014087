"""The sets that stochRIA draws, inferred from its scores: their sizes and their distribution over seeds."""

from itertools import combinations
from typing import Any, cast

import pytest
import torch

from engine.models.block import Place
from engine.pruning.plan import Plan
from tests.pruning import oracles
from tests.pruning.calls import assert_scores, score
from tests.pruning.oracles import Layer

DRAWN_LAYER = oracles.random_layer(5, 7, seed=3)
BETA, TAU = 0.4, 2
Drawn = tuple[tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...]]


def infer_draws(layer: Layer, seed: int, beta: float = BETA, tau: int = TAU) -> Drawn:
    """Return the drawn columns per row and rows per column, the only sets that explain `1/C_j + 1/R_i`."""
    weight = layer.weight.double().abs()
    relative = (score("stochria", layer, beta=beta, alpha=0.0, seed=seed).double() / weight).tolist()
    by_row, by_column = weight.tolist(), weight.T.tolist()  # plain numbers: thousands of sums of two
    rows, columns = range(len(by_row)), range(len(by_column))

    def inverse_sum(entries: list[float], chosen: tuple[int, ...]) -> float:
        return 1 / sum(entries[index] for index in chosen)

    def explain(value: float, known: float, entries: list[float]) -> tuple[int, ...] | None:
        return next(
            (
                chosen
                for chosen in combinations(range(len(entries)), tau)
                if abs((inverse_sum(entries, chosen) + known) / value - 1) < 1e-5
            ),
            None,
        )

    answers = []
    for first in combinations(columns, tau):
        of_row = inverse_sum(by_row[0], first)
        of_columns = [explain(relative[0][j], of_row, by_column[j]) for j in columns]
        if of_columns[0] is not None and None not in of_columns:
            of_column = inverse_sum(by_column[0], of_columns[0])
            of_rows = [explain(relative[i][0], of_column, by_row[i]) for i in rows]
            if None not in of_rows:
                answers.append((tuple(of_rows), tuple(of_columns)))
    assert len(answers) == 1, f"{len(answers)} ways to draw {tau} without replacement explain the scores"
    return cast(Drawn, answers[0])


@pytest.fixture(scope="module")
def draws() -> list[Drawn]:
    return [infer_draws(DRAWN_LAYER, seed) for seed in range(250)]


def test_a_score_follows_from_the_drawn_sets(draws: list[Drawn]) -> None:
    for seed, (columns, rows) in enumerate(draws[:20]):
        expected = oracles.stochria(
            DRAWN_LAYER.weight, DRAWN_LAYER.inputs, [list(s) for s in columns], [list(s) for s in rows]
        )
        assert_scores(score("stochria", DRAWN_LAYER, beta=BETA, seed=seed), expected)


def assert_even(counts: dict[Any, int], classes: int, trials: int) -> None:
    """Assert that no class deviates from its expected count by more than five standard deviations."""
    share = trials / classes
    assert len(counts) <= classes
    assert max(counts.values()) < share + 5 * share**0.5
    if share > 25:
        assert len(counts) == classes and min(counts.values()) > share - 5 * share**0.5


def tally(items: list[Any]) -> dict[Any, int]:
    return {item: items.count(item) for item in set(items)}


def test_all_sets_are_equally_likely(draws: list[Drawn]) -> None:
    by_row = [columns for drawing, _ in draws for columns in drawing]
    by_column = [rows for _, drawing in draws for rows in drawing]
    assert_even(tally(by_row), 21, len(by_row))
    assert_even(tally(by_column), 10, len(by_column))
    # A single row over the seeds, too, not only all rows together.
    assert_even(tally([drawing[3] for drawing, _ in draws]), 21, len(draws))


def test_rows_and_columns_draw_independently(draws: list[Drawn]) -> None:
    same = sum(drawing[0] == drawing[1] for drawing, _ in draws)
    assert same < 250 / 21 + 5 * (250 / 21) ** 0.5, "two rows have the same set too often"
    same = sum(drawing[0] == drawing[1] for _, drawing in draws)
    assert same < 250 / 10 + 5 * (250 / 10) ** 0.5, "two columns have the same set too often"


@pytest.mark.parametrize(
    ("rows", "width", "beta", "tau"),
    [(3, 8, 0.3, 1), (8, 3, 0.1, 1), (3, 6, 1.0, 3), (7, 4, 0.5, 2), (9, 3, 0.99, 2)],
)
def test_tau_is_a_share_of_the_shorter_side_and_at_least_1(
    rows: int, width: int, beta: float, tau: int
) -> None:
    layer = oracles.random_layer(rows, width, seed=5)
    assert oracles.tau((rows, width), beta) == tau
    infer_draws(layer, 0, beta, tau)  # fails if no sets of this size explain the scores


def test_with_one_row_the_columns_are_drawn_uniformly() -> None:
    """With tau = 1 every column sum is the entry itself, and the row sum is one of the eight entries."""
    layer = oracles.random_layer(1, 8)
    size = layer.weight.double().abs()
    places = []
    for seed in range(400):
        row_sum = 1 / (score("stochria", layer, alpha=0.0, seed=seed).double() - 1)[0, 0] * size[0, 0]
        places.append(int((size[0] - row_sum).abs().argmin()))
    assert_even(tally(places), 8, 400)


def test_with_beta_1_a_square_layer_gives_ria() -> None:
    layer = oracles.random_layer(12, 12)
    for seed in (0, 1):
        torch.testing.assert_close(score("stochria", layer, beta=1.0, seed=seed), score("ria", layer))


def test_a_seed_determines_the_draws() -> None:
    layer = oracles.random_layer(30, 50)
    first, again, other = (score("stochria", layer, seed=seed) for seed in (4, 4, 5))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_the_mean_of_the_samples_is_unbiased() -> None:
    """With one column, tau = 1 and row sums are the entries themselves, so scores give the column sum."""
    layer = oracles.random_layer(40, 1)
    size = layer.weight.double().abs()[:, 0]
    column_sums = [
        float(size[0] / (score("stochria", layer, alpha=0.0, seed=seed)[0, 0].double() - 1))
        for seed in range(600)
    ]
    spread = float(size.std(unbiased=False))
    assert sum(column_sums) / 600 == pytest.approx(float(size.mean()), abs=5 * spread / 600**0.5)


def test_every_linear_draws_independently() -> None:
    layer = oracles.random_layer(20, 30)
    plan = Plan.of(score="stochria")
    statistics = oracles.collect_statistics(layer, plan.needs)
    first, again, other = (
        plan.prune(layer.weight, statistics, 0.5, Place(path)).keep for path in ("a.b", "a.b", "a.c")
    )
    assert torch.equal(first, again) and not torch.equal(first, other)
