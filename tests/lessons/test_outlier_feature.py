"""Lesson 2: the effect of an outlier input on masks and errors, and the inputs of the bundled model."""

from statistics import median

import pytest
import torch

from engine.inputs import dense_model, read_windows
from engine.lessons import outlier_feature
from engine.lessons.outlier_feature import COLUMN, SMALL, STRENGTHS
from engine.progress import drain
from engine.recipe import Recipe


def test_one_input_gets_stronger_and_nothing_else_changes():
    weak, strong = outlier_feature.layer(1), outlier_feature.layer(8)
    others = [column for column in range(8) if column != COLUMN]
    assert torch.equal(weak.weight, strong.weight)
    assert weak.weight[:, COLUMN].abs().max() <= SMALL + 1e-7
    assert torch.equal(weak.inputs[:, others], strong.inputs[:, others])
    assert strong.strengths[COLUMN] == pytest.approx(8 * weak.strengths[COLUMN], rel=1e-5)


def test_magnitudes_mask_never_changes_and_wanda_finally_keeps_all_weights_of_the_outlier():
    magnitude = {outlier_feature.pruned(strength, "magnitude").kept for strength in STRENGTHS}
    removed = [outlier_feature.pruned(strength, "wanda").removed_from_outlier for strength in STRENGTHS]
    assert len(magnitude) == 1
    assert removed == sorted(removed, reverse=True) and removed[0] > 4 and removed[-1] == 0


def test_the_facts_stated_about_the_errors():
    curves = outlier_feature.curves()
    assert curves["magnitude"][0] == pytest.approx(curves["wanda"][0], rel=0.1)
    assert curves["magnitude"][-1] > 0.8 and curves["wanda"][-1] < 0.1
    assert list(curves["magnitude"]) == sorted(curves["magnitude"])


@pytest.fixture(scope="module")
def inputs():
    return outlier_feature.inputs_of_model()


@pytest.fixture(scope="module")
def forward_inputs():
    """The weight and the inputs of each linear of the bundled model, from an independent forward pass of the
    whole model.
    """
    recipe = Recipe.build(samples=outlier_feature.WINDOWS, evaluation=None)
    model = dense_model(recipe)
    windows, _ = drain(read_windows(recipe, model, None))
    captured = {}
    handles = [
        linear.module.register_forward_pre_hook(
            lambda _, given, key=(block.index, name), weight=linear.weight: captured.update(
                {key: (weight.double(), given[0].flatten(0, 1).double())}
            )
        )
        for block in model.blocks
        for name, linear in block.linears.items()
    ]
    with torch.no_grad():
        model.module(input_ids=windows.ids)
    for handle in handles:
        handle.remove()
    return captured


def test_the_models_inputs_are_those_of_a_forward_pass(inputs, forward_inputs):
    assert [(each.block, each.linear) for each in inputs] == list(forward_inputs)
    for each in inputs:
        strengths = forward_inputs[each.block, each.linear][1].square().mean(0).sqrt().tolist()
        assert each.strengths == pytest.approx(strengths, rel=1e-3)
        assert each.strongest == strengths.index(max(strengths))
        assert each.ratio == pytest.approx(max(strengths) / median(strengths), rel=1e-3)


def test_the_models_errors_are_those_of_the_outputs(inputs, forward_inputs):
    for each in inputs[:7]:
        weight, rows = forward_inputs[each.block, each.linear]
        smallest = weight.float().abs().flatten().argsort(stable=True)[: weight.numel() // 2]
        pruned = weight.clone().view(-1)
        pruned[smallest] = 0
        error = (rows @ (weight - pruned.view_as(weight)).T).norm() / (rows @ weight.T).norm()
        assert each.errors["magnitude"] == pytest.approx(float(error), rel=1e-3)


def test_the_facts_stated_about_the_model(inputs):
    strongest, linears = outlier_feature.shared_strongest(inputs)
    assert linears > len(inputs) / 2
    assert linears == sum(each.strongest == strongest for each in inputs)
    strong = [each for each in inputs if each.ratio > 4]
    weak = [each for each in inputs if each.ratio < 2.5]
    assert all(each.errors["wanda"] < each.errors["magnitude"] for each in strong)
    assert median(each.errors["wanda"] / each.errors["magnitude"] for each in weak) == pytest.approx(
        1, abs=0.03
    )
