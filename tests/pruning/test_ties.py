"""Weights with exactly the score at the cut: counted in every pattern, summed over a run, and told to the
reader.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest
from torch import Tensor

from engine.charts.headline import run_numbers
from engine.charts.microscope.scores import score_histogram
from engine.cli.report import summary
from engine.events import BlockPruned, LinearPruned
from engine.models.language_model import LanguageModel
from engine.pruning.patterns import Group, Pattern, SemiStructured, Unstructured
from engine.pruning.plan import Plan
from engine.pruning.statistics import Statistics
from engine.recipe import Recipe
from engine.record import RunRecord
from engine.record.parts import Ties
from engine.run import run
from tests.charts.specimens import Sample
from tests.models.families import built, pruned, windows
from tests.pruning.oracles import collect_statistics, random_layer

PATTERNS: list[Pattern] = [
    Unstructured(Group.LAYER),
    Unstructured(Group.ROW),
    Unstructured(Group.BLOCK, width=5),
    SemiStructured(2, 4),
    SemiStructured(3, 4),
    SemiStructured(1, 4, "zigzag"),
    SemiStructured(4, 8, "assignment"),
]


def few_values(rows: int, columns: int, seed: int, count: int = 6) -> Tensor:
    """Scores of `count` different values, the lowest of them 0."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, count, (rows, columns), generator=generator) / 4


def groups(pattern: Pattern, values: Tensor, order: Tensor | None) -> Iterator[list[float]]:
    for part in pattern.split(values, order):
        yield from part.tolist()


def expected(pattern: Pattern, score: Tensor, sparsity: float | Tensor) -> list[int]:
    """Return the ties group by group, from the mask."""
    keep, order = pattern.keep(score, sparsity), pattern.order(score)
    tied = removed = 0
    for scores, kept in zip(groups(pattern, score, order), groups(pattern, keep.float(), order), strict=True):
        gone = [value for value, stays in zip(scores, kept, strict=True) if not stays]
        stay = [value for value, stays in zip(scores, kept, strict=True) if stays]
        if gone and 0 < max(gone) in stay:
            tied, removed = tied + scores.count(max(gone)), removed + gone.count(max(gone))
    return [tied, removed]


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_ties_are_those_that_a_loop_over_the_groups_finds(pattern: Pattern) -> None:
    found = 0
    for seed in range(6):
        for sparsity in (0.0, 0.1, 0.5, 0.9):
            score = few_values(9, 24, seed)
            ties = pattern.select(score, sparsity).ties.tolist()
            assert ties == expected(pattern, score, sparsity)
            found += ties[0]
    assert found
    assert pattern.select(torch.rand(9, 24, generator=torch.Generator().manual_seed(1)), 0.5).ties.sum() == 0


def test_rows_with_sparsities_of_their_own_have_ties() -> None:
    sparsity = torch.tensor([0.0, 0.1, 0.5, 0.6, 1.0], dtype=torch.float64)
    for seed in range(6):
        score, pattern = few_values(5, 30, seed), Unstructured(Group.ROW)
        assert pattern.select(score, sparsity).ties.tolist() == expected(pattern, score, sparsity)
    equal = torch.ones(5, 30)  # of the second, third and fourth row some are removed
    assert Unstructured(Group.ROW).select(equal, sparsity).ties.tolist() == [90, 3 + 15 + 18]


def test_ties_by_hand() -> None:
    score = torch.tensor([[1.0, 2.0, 2.0, 2.0, 3.0, 0.0], [2.0, 5.0, 5.0, 0.0, 0.0, 0.0]])
    assert Unstructured(Group.ROW).select(score, 0.5).ties.tolist() == [3, 1], "zeros cost nothing"
    assert Unstructured(Group.LAYER).select(score, 0.5).ties.tolist() == [4, 1]
    assert Unstructured(Group.LAYER).select(score, 0.75).ties.tolist() == [0, 0], "all twos are removed"


def test_ties_are_counted_across_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    score = few_values(40, 24, seed=1)
    whole = Unstructured(Group.ROW).select(score, 0.5).ties
    monkeypatch.setattr("engine.pruning.selection.ENTRIES_PER_CHUNK", 100)
    assert torch.equal(Unstructured(Group.ROW).select(score, 0.5).ties, whole) and whole[0] > 0


@pytest.mark.parametrize("pattern", ["unstructured", "2:4"])
def test_a_mask_that_is_decided_during_the_update_counts_ties_at_each_decision(pattern: str) -> None:
    """The first columns are decided on the dense weights, so a layer of one block can be checked."""
    layer = random_layer(8, 16 if pattern == "unstructured" else 4)
    layer.weight[:] = 1.0
    plan = Plan.of(score="sparsegpt", update="obs", pattern=pattern)
    statistics = collect_statistics(layer)
    score = plan.score.function(layer.weight, statistics)
    assert plan.decides_while_updating
    # Equal weights have equal scores within a column.
    assert plan.prune(layer.weight, statistics, 0.45).ties.tolist() == expected(plan.pattern, score, 0.45)


def test_a_wide_layer_adds_the_ties_of_its_blocks() -> None:
    layer = random_layer(2, 300)
    layer.weight[:] = 0.5
    plan = Plan.of(score="magnitude", group=Group.BLOCK)
    assert plan.prune(layer.weight, collect_statistics(layer), 0.5).ties.tolist() == [600, 300]


def test_an_expert_that_is_pruned_by_magnitude_counts_them() -> None:
    weight = torch.ones(4, 8)
    unseen = Statistics(8, 1, frozenset(), weight.device, routed=True)
    assert Plan.of(score="wanda").prune(weight, unseen, 0.5).ties.tolist() == [32, 16]


@pytest.fixture
def coarse() -> LanguageModel:
    """A model whose weights have few values, as after 4-bit quantisation."""
    model = built("llama")
    for linear in model.linears.values():
        linear.weight[:] = (linear.weight * 4).round() / 4
    return model


def test_a_run_counts_them_and_says_so(coarse: LanguageModel, tmp_path: Path) -> None:
    coarse.module.save_pretrained(tmp_path)
    np.save(tmp_path / "ids.npy", windows().numpy())
    ids = str(tmp_path / "ids.npy")
    recipe = Recipe.build(model=str(tmp_path), calibration=ids, evaluation=ids, pruner="magnitude")
    events = list(run(recipe))
    record = RunRecord.fold(events)
    linears = [linear for event in events if isinstance(event, BlockPruned) for linear in event.linears]
    path = {path.removeprefix("model.layers."): linear for path, linear in coarse.linears.items()}
    for block in record.blocks:
        for linear in block.linears:
            score = path[f"{block.index}.{linear.name}"].weight.abs()
            assert [linear.tied, linear.tied_removed] == expected(Unstructured(Group.LAYER), score, 0.5)
    ties = record.sparsity.ties
    assert ties.weights == sum(linear.tied for linear in linears) > 100
    assert ties.removed == sum(linear.tied_removed for linear in linears) < ties.weights
    assert ties.share == ties.weights / sum(linear.rows * linear.columns for linear in linears)
    assert f"{ties.weights:,} weights" in ties.words and ties.words.rstrip(".") in summary(record)
    protocols = {number.label: number.protocol for number in run_numbers(record)}
    assert ties.words in protocols["Sparsity achieved"]
    assert RunRecord.model_validate_json(record.model_dump_json()) == record


def test_next_to_no_ties_are_not_mentioned() -> None:
    with torch.no_grad():
        found = pruned(built("llama"), Plan.of(score="wanda"), 0.5)
    assert all(linear.tied == 0 for linear in found.linears.values())
    assert Ties(weights=9, removed=4, share=0.0009).words == ""


def test_events_of_older_versions_have_none() -> None:
    old = {"name": "q", "rows": 4, "columns": 4, "removed": 8, "sparsity": 0.5, "output_error": 0.1}
    assert LinearPruned.model_validate(old).tied == 0


def test_the_microscope_shows_those_of_a_linear() -> None:
    sample = Sample()
    sample.scores[:] = few_values(12, 8, seed=2)
    selection = sample.pattern.select(sample.scores, 0.5)
    sample.keep, sample.ties = selection.keep, selection.ties
    facts = sample.score_distribution()
    assert facts.ties.words and facts.ties.words in score_histogram(facts, "Wanda").caption
    assert (
        "exactly the score at the cut" not in score_histogram(Sample().score_distribution(), "Wanda").caption
    )


def test_explore_shows_them() -> None:
    def page() -> None:
        from engine.record import RunRecord
        from engine.record.parts import SparsityFacts, Ties
        from pages.widgets.explore.run_numbers import draw_numbers

        draw_numbers(RunRecord(sparsity=SparsityFacts(ties=Ties(weights=245976, removed=1234, share=0.0023))))

    shown = AppTest.from_function(page).run()
    assert any("245,976 weights (0.23 %)" in caption.value for caption in shown.caption)
