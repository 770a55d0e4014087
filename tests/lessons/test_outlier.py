"""Lesson 2: what a loud input does to the masks and errors, and what the bundled model reads."""

from statistics import median

import pytest
import torch

from engine.inputs import dense_model, read_windows
from engine.lessons import outlier
from engine.lessons.outlier import COLUMN, SMALL, STRENGTHS
from engine.progress import drain
from engine.recipe import Recipe


def test_one_input_gets_louder_and_nothing_else_changes():
    quiet, loud = outlier.layer(1), outlier.layer(8)
    others = [column for column in range(8) if column != COLUMN]
    assert torch.equal(quiet.weight, loud.weight)
    assert quiet.weight[:, COLUMN].abs().max() <= SMALL + 1e-7
    assert torch.equal(quiet.inputs[:, others], loud.inputs[:, others])
    assert loud.strengths[COLUMN] == pytest.approx(8 * quiet.strengths[COLUMN], rel=1e-5)


def test_magnitude_never_changes_its_mind_and_wanda_ends_by_keeping_all_of_it():
    magnitude = {outlier.pruned(strength, "magnitude").kept for strength in STRENGTHS}
    removed = [outlier.pruned(strength, "wanda").removed_there for strength in STRENGTHS]
    assert len(magnitude) == 1
    assert removed == sorted(removed, reverse=True) and removed[0] > 4 and removed[-1] == 0


def test_what_the_lesson_says_of_the_errors():
    curves = outlier.curves()
    assert curves["magnitude"][0] == pytest.approx(curves["wanda"][0], rel=0.1)
    assert curves["magnitude"][-1] > 0.8 and curves["wanda"][-1] < 0.1
    assert list(curves["magnitude"]) == sorted(curves["magnitude"])


@pytest.fixture(scope="module")
def inputs():
    return outlier.inputs_of_model()


@pytest.fixture(scope="module")
def seen():
    """What each linear of the bundled model is called with, and its weight, by an independent forward pass of
    the whole model.
    """
    recipe = Recipe.build(samples=outlier.WINDOWS, evaluation=None)
    model = dense_model(recipe)
    windows, _ = drain(read_windows(recipe, model, None))
    found = {}
    handles = [
        linear.module.register_forward_pre_hook(
            lambda _, given, key=(block.index, name), weight=linear.weight: found.update(
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
    return found


def test_the_models_inputs_are_those_of_a_forward_pass(inputs, seen):
    assert [(each.block, each.linear) for each in inputs] == list(seen)
    for each in inputs:
        strengths = seen[each.block, each.linear][1].square().mean(0).sqrt().tolist()
        assert each.strengths == pytest.approx(strengths, rel=1e-3)
        assert each.loudest == strengths.index(max(strengths))
        assert each.ratio == pytest.approx(max(strengths) / median(strengths), rel=1e-3)


def test_the_models_errors_are_those_of_the_outputs(inputs, seen):
    for each in inputs[:7]:
        weight, rows = seen[each.block, each.linear]
        smallest = weight.float().abs().flatten().argsort(stable=True)[: weight.numel() // 2]
        pruned = weight.clone().view(-1)
        pruned[smallest] = 0
        error = (rows @ (weight - pruned.view_as(weight)).T).norm() / (rows @ weight.T).norm()
        assert each.errors["magnitude"] == pytest.approx(float(error), rel=1e-3)


def test_what_the_lesson_says_of_the_model(inputs):
    loudest, times = outlier.shared_loudest(inputs)
    assert times > len(inputs) / 2
    assert times == sum(each.loudest == loudest for each in inputs)
    loud = [each for each in inputs if each.ratio > 4]
    quiet = [each for each in inputs if each.ratio < 2.5]
    assert all(each.errors["wanda"] < each.errors["magnitude"] for each in loud)
    assert median(each.errors["wanda"] / each.errors["magnitude"] for each in quiet) == pytest.approx(
        1, abs=0.03
    )
