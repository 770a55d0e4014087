"""A score tried on one linear: masks and errors against a reference, negative scores, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.analysis.microscope.preview import preview
from engine.errors import FormulaError, ModelError
from engine.inputs import dense_model
from engine.recipe import Recipe

LINEAR = "self_attn.k_proj"


def tried(expression, block=1, name=LINEAR, **fields):
    recipe = Recipe.build(
        score="formula", settings={"formula.expression": expression}, samples=2, length=32, **fields
    )
    return preview(recipe, block, name)


@pytest.fixture(scope="module")
def weight():
    """The dense weight of the linear."""
    with torch.no_grad():
        return dense_model(Recipe.build()).blocks[1].linears[LINEAR].weight.clone()


def test_a_formula_is_compared_with_wanda():
    same, other = tried("abs(W) * a"), tried("abs(W)")
    assert same.same == 1 and same.mine.error == same.other.error == other.other.error > 0
    assert np.array_equal(same.mine.picture.kept, same.other.picture.kept)
    assert 0.5 < other.same < 1 and other.mine.error != other.other.error and other.tokens == 64


def test_the_mask_is_the_formulas(weight):
    found = tried("-abs(W)", sparsity=0.25).mine
    count = weight.shape[1] // 4
    largest = weight.abs().argsort(dim=1, descending=True)[:, :count]
    expected = torch.ones_like(weight, dtype=torch.bool).scatter(1, largest, False)
    assert np.array_equal(found.picture.kept, expected.float().numpy())


def test_negative_scores_have_a_linear_axis(weight):
    scores = tried("-abs(W)").mine.scores
    assert not scores.logarithmic and np.allclose(np.diff(scores.edges), np.diff(scores.edges)[0])
    assert scores.kept.sum() + scores.removed.sum() == weight.numel()
    assert scores.edges[0] == pytest.approx(-float(weight.abs().max()))


def test_update_and_refinement_are_left_out():
    assert tried("abs(W)", update="obs").mine.error == tried("abs(W)").mine.error


@pytest.mark.parametrize(
    ("block", "name", "expression", "error", "said"),
    [
        (99, LINEAR, "abs(W)", ModelError, "has the blocks 0 to 7"),
        (0, "nothing", "abs(W)", ModelError, "has no linear nothing"),
        (0, LINEAR, "exp(a ** 64) * W", FormulaError, "layers.0.self_attn.k_proj, first"),
    ],
)
def test_what_cannot_be_tried_is_said(block, name, expression, error, said):
    with pytest.raises(error, match=said):
        tried(expression, block, name)


def test_nothing_is_downloaded_for_a_preview():
    recipe = Recipe.build(model="nobody/here", score="formula", length=32)
    with pytest.raises(ModelError, match="are not on this machine"):
        preview(recipe, 0, LINEAR)
