"""One linear compared with the run that pruned it: stored masks, recorded errors, and reference loops."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from engine.analysis.microscope import linear as inspection
from engine.analysis.microscope.decision import Decision
from engine.analysis.microscope.findings import is_quick, row_errors
from engine.analysis.microscope.linear import Specimen, look, singular_values, study
from engine.errors import ModelError
from engine.inputs import dense_model
from engine.recipe import Recipe
from engine.run_cache import ModelCache
from tests.conftest import NARROW_BLOCKS
from tests.outcomes import computed

SMALL = {"samples": 4, "length": 64, "evaluation": None}
LINEAR, ROWS, COLUMNS = "mlp.up_proj", 96, 32
LAST = NARROW_BLOCKS - 1


@pytest.fixture(scope="module")
def specimen(narrow_model):
    """Returns a linear of a finished run of the narrow model; each run is computed once."""
    models = ModelCache()
    pruned = cache(lambda **fields: computed(Recipe.build(SMALL, model=narrow_model, **fields), models))

    def pick(block=LAST, name=LINEAR, **fields):
        return Specimen(*pruned(**fields), block, name)

    return pick


def recorded_error(found):
    block = next(block for block in found.record.blocks if block.index == found.block)
    return next(linear.output_error for linear in block.linears if linear.name == found.name)


@pytest.fixture
def decisions(monkeypatch):
    """Collect the decisions that studies turn into histograms."""
    made: list[Decision] = []
    original = inspection.score_distribution

    def noted(decision, *args, **options):
        made.append(decision)
        return original(decision, *args, **options)

    monkeypatch.setattr(inspection, "score_distribution", noted)
    return made


def lowest(scores, count):
    """Return which `count` scores of a row are the lowest; of equal ones, the earlier first."""
    return set(sorted(range(len(scores)), key=lambda place: (scores[place], place))[:count])


GROUPS = {
    "layer": lambda rows, columns: [[(i, j) for i in range(rows) for j in range(columns)]],
    "row": lambda rows, columns: [[(i, j) for j in range(columns)] for i in range(rows)],
}


@pytest.mark.parametrize("pruner", ["magnitude", "wanda", "ria"])
@pytest.mark.parametrize("block", [0, LAST])
def test_the_lowest_scores_of_each_group_are_what_the_run_removed(specimen, decisions, pruner, block):
    found = specimen(block, "self_attn.k_proj", pruner=pruner, sparsity=0.4)
    facts = study(found)
    scores, keep = decisions[0].scores.tolist(), found.pruned().keep
    rows, columns = keep.shape
    for group in GROUPS[facts.scores.group](rows, columns):
        values = [scores[i][j] for i, j in group]
        removed = lowest(values, int(0.4 * len(group) + 1e-9))
        assert removed == {place for place, (i, j) in enumerate(group) if not keep[i, j]}
    assert facts.scores.moved == 0


def test_wanda_scores_are_weight_times_norm_and_the_norms_are_those_of_the_text(specimen):
    found = specimen(pruner="wanda")
    with torch.no_grad():
        model = dense_model(found.recipe)
        weight = model.linears["model.layers.2.mlp.up_proj"].weight.double().abs()
    facts = study(found)
    scores = weight * torch.from_numpy(facts.norms).double()
    counted, _ = np.histogram(
        np.clip(scores.numpy(), facts.scores.edges[0], facts.scores.edges[-1]), facts.scores.edges
    )
    assert counted.sum() == (facts.scores.kept + facts.scores.removed).sum() == weight.numel()
    assert np.abs(counted - (facts.scores.kept + facts.scores.removed)).sum() <= 4, (
        "float32 against float64 at a bin's edge"
    )


FIELDS = [
    {"pruner": "wanda"},
    {"pruner": "sparsegpt"},
    {"pruner": "sparsegpt", "pattern": "2:4"},
    {"pruner": "wanda", "pattern": "2:4", "permutation": "zigzag"},
    {"pruner": "wanda", "update": "obs"},
    {"pruner": "apt-sm"},
    {"pruner": "stochria"},
    {"pruner": "symwanda"},
    {"pruner": "wanda", "allocation": "owl", "sparsity": 0.6},
    {"pruner": "wanda", "allocation": "neuroal", "sparsity": 0.6},
]


@pytest.mark.parametrize("fields", FIELDS, ids=lambda fields: "-".join(map(str, fields.values())))
def test_the_methods_decide_again_what_the_run_stored(specimen, fields):
    given = dict(fields)
    if "update" in given:
        given |= {"score": given.pop("pruner")}
    found = specimen(**given)
    facts = study(found)
    assert facts.scores.moved == 0
    assert facts.error == pytest.approx(recorded_error(found), rel=1e-4)
    assert facts.scores.kept.sum() == found.pruned().keep.sum()


@pytest.mark.parametrize(
    ("pruner", "running", "groups"), [("sparsegpt", True, 1), ("wanda", False, ROWS), ("magnitude", False, 1)]
)
def test_a_cut_for_each_group_and_no_kept_score_below_it(specimen, decisions, pruner, running, groups):
    facts = study(specimen(pruner=pruner)).scores
    decision = decisions[0]
    assert (facts.running, facts.groups) == (running, groups)
    least, *_, most = facts.cuts
    gone = decision.scores[~decision.keep]
    assert most == pytest.approx(float(gone.max()))
    if groups == 1:
        assert least == most <= float(decision.scores[decision.keep].min())
    else:
        highest = [
            max(s for s, stays in zip(row, keep, strict=True) if not stays)
            for row, keep in zip(decision.scores.tolist(), decision.keep.tolist(), strict=True)
        ]
        assert facts.cuts == pytest.approx(np.quantile(highest, [0, 0.05, 0.5, 0.95, 1]))


def test_changes_by_a_refinement_are_counted(specimen):
    found = specimen(name="self_attn.q_proj", pruner="wanda-dsnot", sparsity=0.6)
    event = next(block for block in found.record.blocks if block.index == LAST).linears[0]
    assert event.name == "self_attn.q_proj" and event.swaps
    assert 0 < study(found).scores.moved <= 2 * event.swaps


def test_a_method_that_decides_whole_groups_has_no_scores_of_single_weights(specimen):
    facts = study(specimen(pruner="apt-mm", pattern="2:4"))
    assert facts.scores is None and "whole groups" in facts.unscored
    assert facts.groups.kept == (0, 0, ROWS * COLUMNS // 4, 0, 0)


@pytest.mark.parametrize("permutation", ["none", "zigzag"])
def test_groups_are_those_of_the_pattern(specimen, permutation):
    found = specimen(pruner="wanda", pattern="2:4", permutation=permutation)
    facts = study(found).groups
    keep = found.pruned().keep
    assert facts.permuted == (permutation != "none")
    assert facts.violations == 0 and facts.kept[2] == sum(facts.kept) == keep.numel() // 4
    assert np.array_equal(facts.keep, keep[: facts.rows[1]][:, facts.order].numpy())
    assert (facts.keep.reshape(-1, 4).sum(1) == 2).all()


def test_rows_are_ranked_by_what_they_lost():
    generator = torch.Generator().manual_seed(3)
    inputs, dense = torch.randn(20, 6, generator=generator), torch.randn(9, 6, generator=generator)
    keep = torch.rand(9, 6, generator=generator) > 0.5
    dense[4] = 0
    pruned_weight = dense * keep
    found = row_errors(inputs, dense, pruned_weight, keep)
    errors, squares = [], []
    for row in range(9):
        before = [sum(float(x[j]) * float(dense[row, j]) for j in range(6)) for x in inputs]
        after = [sum(float(x[j]) * float(pruned_weight[row, j]) for j in range(6)) for x in inputs]
        lost, was = sum((b - a) ** 2 for b, a in zip(before, after, strict=True)), sum(b * b for b in before)
        errors.append((lost / was) ** 0.5 if was else 0.0)
        squares.append(lost)
    assert [one.row for one in found.worst] == sorted(range(9), key=lambda row: -errors[row])
    assert [one.error for one in found.worst] == pytest.approx(sorted(errors, reverse=True), abs=1e-5)
    assert [one.share for one in found.worst] == pytest.approx(
        [squares[one.row] / sum(squares) for one in found.worst], abs=1e-5
    )
    assert found.median == pytest.approx(float(np.median(errors)), abs=1e-5)


def test_singular_values_have_the_weight_s_norm(specimen):
    found = specimen(name="self_attn.k_proj", pruner="wanda")
    values, shown = singular_values(found), look(found)
    assert (values.dense**2).sum() == pytest.approx((shown.dense**2).sum(), rel=1e-4)
    assert (values.pruned**2).sum() == pytest.approx((shown.pruned**2).sum(), rel=1e-4)
    assert (np.diff(values.dense) <= 0).all()
    assert is_quick(768, 768) and not is_quick(4096, 11008)


def test_the_way_is_the_same_whether_it_is_walked_in_steps_or_at_once(specimen, monkeypatch):
    found = specimen(pruner="wanda")
    monkeypatch.setattr(inspection, "_block_inputs", inspection.BlockInputs())
    at_once = study(found).norms
    monkeypatch.setattr(inspection, "_block_inputs", inspection.BlockInputs())
    for block in (0, 1):
        study(specimen(block, pruner="wanda"))
    assert np.array_equal(study(found).norms, at_once)


@pytest.mark.parametrize(
    ("block", "name", "words"),
    [
        (NARROW_BLOCKS, LINEAR, "blocks 0 to 2"),
        (-1, LINEAR, "blocks 0 to 2"),
        (0, "mlp.nothing", "only self_attn.q_proj"),
    ],
)
def test_a_missing_block_or_linear_is_a_sentence(specimen, block, name, words):
    for question in (look, study, singular_values):
        with pytest.raises(ModelError, match=words):
            question(specimen(block, name, pruner="wanda"))


def test_running_scores_are_those_at_the_moment_of_decision(specimen, decisions):
    study(specimen(pruner="sparsegpt", pattern="2:4"))
    scores, keep = (each.reshape(ROWS, -1, 4) for each in (decisions[0].scores, decisions[0].keep))
    removed, kept = scores.masked_fill(keep, -torch.inf), scores.masked_fill(~keep, torch.inf)
    assert (removed.amax(2) <= kept.amin(2)).all()
