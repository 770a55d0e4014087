"""Latencies: what is passed through, in which order it is timed, and that the model is left as it was. No
assertion on how long anything takes.
"""

from __future__ import annotations

from itertools import count as counting

import pytest
import torch
from torch import nn

from engine.analysis import size_speed
from engine.analysis.size_speed import Measurement, measure
from engine.errors import ModelError
from engine.evaluation import speed as subject
from engine.evaluation.speed import (
    Placed,
    SpeedReport,
    Timing,
    put,
    semi_structured,
    speed,
    variant,
    why_no_kernels,
)
from engine.pruning.patterns import SemiStructured
from engine.pruning.weights import PrunedLinear
from engine.recipe import Recipe
from tests.models.families import FAMILIES, built


class Ticks:
    """A clock that only the model's passes move, by as many seconds as its first linear costs."""

    def __init__(self, model, costs):
        self.time, self.passes = 0.0, []
        linear = next(iter(model.linears.values()))

        def tick(module, args, kwargs):
            name = costs[id(linear.stored)][0]
            self.passes.append((name, kwargs["input_ids"].shape[1]))
            self.time += costs[id(linear.stored)][1]

        model.module.register_forward_pre_hook(tick, with_kwargs=True)

    def now(self):
        return self.time


def kept_of(model, keep):
    """What a run would keep: `keep` of each weight's magnitude."""
    return {
        block.index: {name: PrunedLinear(keep(linear.weight.abs())) for name, linear in block.linears.items()}
        for block in model.blocks
    }


def half(score):
    return score > score.median()


@pytest.fixture
def pair():
    """A model, its dense and its pruned parameters."""
    model = built("llama")
    return model, variant(list(model.linears.values())), size_speed._pruned(model, kept_of(model, half))[0]


def test_models_are_timed_alternately_in_both_orders(pair):
    model, dense, pruned = pair
    clock = Ticks(model, {id(dense[0].parameter): ("dense", 2.0), id(pruned[0].parameter): ("pruned", 3.0)})
    report = speed(model, dense, pruned, two_of_four=False, seconds=1e9, clock=clock)
    prompts = [name for name, tokens in clock.passes if tokens == report.prompt]
    assert prompts[:4] == ["dense", "pruned", "pruned", "dense"] and report.prompt == 32
    single = [name for name, tokens in clock.passes if tokens == 1]
    assert single[:4] == ["dense", "pruned", "pruned", "dense"] and len(clock.passes) == len(prompts) + len(
        single
    )
    assert [(item.stage, item.model, item.median) for item in report.timings] == [
        ("prefill", "dense", 2.0),
        ("prefill", "pruned", 3.0),
        ("token", "dense", 2.0),
        ("token", "pruned", 3.0),
    ]
    assert report.ratio("prefill") == report.ratio("token") == 1.5 and report.ratio("token", "2:4") is None
    rounds = {item.stage: item.rounds for item in report.timings}
    assert rounds == {"prefill": subject.MOST, "token": 64 - 32 - subject.WARM_UP}, (
        "as many as the model has room for"
    )


def test_at_least_three_rounds_are_counted(pair):
    model, dense, pruned = pair
    clock = Ticks(
        model, {id(dense[0].parameter): ("dense", 100.0), id(pruned[0].parameter): ("pruned", 100.0)}
    )
    report = speed(model, dense, pruned, two_of_four=False, seconds=1.0, clock=clock)
    assert {item.rounds for item in report.timings} == {subject.FEWEST}
    assert len(clock.passes) == 2 * 2 * (subject.FEWEST + subject.WARM_UP)


def test_the_median_lies_between_the_quartiles():
    low, high = (
        subject._timings("prefill", {"dense": values})[0] for values in ([5.0], [1.0, 2.0, 3.0, 4.0, 50.0])
    )
    assert (low.low, low.median, low.high, low.rounds) == (5.0, 5.0, 5.0, 1)
    assert (high.low, high.median, high.high, high.rounds) == (2.0, 3.0, 4.0, 5)


@pytest.mark.parametrize(
    "family", [family for family in FAMILIES if family != "bamba"]
)  # which must be told positions: the work is the same without
def test_decoding_with_a_cache_equals_the_full_forward_pass_in_every_family(family):
    model = built(family)
    ids, prompt = subject._window(model)
    ids, prompt = ids[:, :14], 12
    seen = []
    model.module.register_forward_hook(
        lambda module, args, output: seen.append(output.logits[:, -1].detach())
    )
    own = subject._Pass(model.module, variant(list(model.linears.values())), ids, prompt)
    with torch.no_grad():
        own.prefill()
        assert own.cache is not None
        own.token()
        own.token()
        model.module(input_ids=ids, use_cache=False)
    assert own.room == 0
    torch.testing.assert_close(seen[2], seen[3], rtol=1e-2, atol=2e-2)


@pytest.fixture
def one_round(monkeypatch):
    """Count one round. With those to warm up they are three, so the last pass is one of the pruned model."""
    monkeypatch.setattr(subject, "FEWEST", 1)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.usefixtures("one_round")
def test_measuring_leaves_every_family_unchanged(family):
    model = built(family)
    before = {name: (parameter, parameter.clone()) for name, parameter in model.module.named_parameters()}
    size, report = size_speed._measured(model, kept_of(model, half), 0.0)
    for name, parameter in model.module.named_parameters():
        assert parameter is before[name][0] and torch.equal(parameter, before[name][1]), name
    weights = sum(linear.weight.numel() for linear in model.linears.values())
    assert size.weights == weights and size.kept == pytest.approx(weights / 2, rel=0.05)
    assert (
        size.dense
        == sum(parameter.nbytes for parameter in model.module.parameters())
        == size.rest + 4 * weights
    )
    assert len(report.timings) == 4 and report.no_token == ""


def test_the_pruned_model_has_the_updated_weights_of_the_run():
    model = built("gpt2")
    keep = kept_of(model, half)
    path = next(iter(model.blocks[1].linears))
    updated = torch.randn(model.blocks[1].linears[path].shape)
    keep[1][path] = PrunedLinear(updated != 0, updated)
    dense = variant(list(model.linears.values()))
    pruned, counts = size_speed._pruned(model, keep)
    assert len(counts) == len(model.linears) == len(pruned)
    put(pruned)
    assert torch.equal(model.blocks[1].linears[path].weight, updated)
    linear = model.blocks[0].linears[path]
    assert int((linear.weight == 0).sum()) >= linear.weight.numel() // 2
    put(dense)
    assert int((linear.weight == 0).sum()) == 0


def test_a_model_without_a_cache_is_timed_on_prompts_alone(pair, monkeypatch):
    model, dense, pruned = pair
    monkeypatch.setattr(subject, "CACHES", ("nothing_is_called_so",))
    report = speed(model, dense, pruned, two_of_four=False, seconds=0.0)
    assert {item.stage for item in report.timings} == {"prefill"} and "no cache" in report.no_token


@pytest.mark.parametrize(
    ("device", "dtype", "two_of_four", "sentence"),
    [
        ("cuda", torch.float16, True, ""),
        ("cuda", torch.bfloat16, True, ""),
        ("cuda", torch.float32, True, "float16 or bfloat16"),
        ("cpu", torch.bfloat16, True, "no CUDA"),
        ("mps", torch.float16, True, "no CUDA"),
        ("cuda", torch.float16, False, "not 2:4"),
    ],
)
def test_a_message_says_why_kernels_were_not_tried(device, dtype, two_of_four, sentence):
    found = why_no_kernels(device, dtype, two_of_four)
    assert (sentence in found and "not measured" in found) if sentence else found == ""


def picky(weight):
    """In place of the library's conversion: takes what is 32 wide."""
    if weight.shape[1] != 32:
        raise RuntimeError("Error original_tensor.shape is not supported!")
    return weight.clone()


def test_only_linears_that_the_kernels_support_are_converted(pair):
    _, _, pruned = pair
    found, converted = semi_structured(pruned, picky)
    assert 0 < converted < len(pruned) and converted == sum(
        placed.parameter.shape[1] == 32 for placed in pruned
    )
    for old, new in zip(pruned, found, strict=True):
        assert (new.module, new.name) == (old.module, old.name) and (new is old) == (
            old.parameter.shape[1] != 32
        )
        assert not new.parameter.requires_grad


def test_other_classes_than_linear_are_left_dense():
    stacked = Placed(nn.Module(), "gate_up_proj", nn.Parameter(torch.zeros(4, 8, 32)))
    assert semi_structured((stacked,), picky) == ((stacked,), 0)


def test_running_out_of_memory_is_not_reported_as_an_unsupported_shape(pair):
    def full(weight):
        raise torch.OutOfMemoryError("full")

    with pytest.raises(torch.OutOfMemoryError):
        semi_structured(pair[2], full)


@pytest.fixture
def as_on_cuda(monkeypatch):
    """The kernels are tried wherever the test runs."""
    monkeypatch.setattr(
        subject, "why_no_kernels", lambda device, dtype, two_of_four: "" if two_of_four else "not 2:4"
    )


def test_the_kernels_are_timed_as_a_third_model(pair, as_on_cuda):
    model, dense, pruned = pair
    report = speed(model, dense, pruned, two_of_four=True, seconds=0.0, convert=picky)
    assert [item.model for item in report.timings] == ["dense", "pruned", "2:4"] * 2
    assert report.converted == 24 and report.linears == 28 and "24 of 28 linears" in report.not_converted
    assert report.ratio("token", "2:4") is not None
    whole = speed(model, dense, pruned, two_of_four=True, seconds=0.0, convert=torch.clone)
    assert whole.converted == 28 and whole.not_converted == ""
    assert all(placed.parameter is getattr(placed.module, placed.name) for placed in dense)


def test_unsupported_or_failing_kernels_are_reported(pair, as_on_cuda):
    model, dense, pruned = pair

    def refuse(weight):
        raise RuntimeError("no")

    report = speed(model, dense, pruned, two_of_four=True, seconds=0.0, convert=refuse)
    assert (
        report.converted == 0
        and "none of this model's shapes" in report.not_converted
        and len(report.timings) == 4
    )
    report = speed(model, dense, pruned, two_of_four=True, seconds=0.0, convert=lambda weight: weight[:, :-1])
    assert "they failed: " in report.not_converted and len(report.timings) == 4
    assert all(placed.parameter is getattr(placed.module, placed.name) for placed in dense)


def test_the_model_is_restored_after_a_failed_pass(pair):
    model, dense, pruned = pair
    calls = counting()

    def fail(module, args):
        if next(calls) == 5:
            raise ValueError("broken")

    model.module.register_forward_pre_hook(fail)
    with pytest.raises(ValueError, match="broken"):
        speed(model, dense, pruned, two_of_four=False)
    assert all(placed.parameter is getattr(placed.module, placed.name) for placed in dense)


@pytest.mark.usefixtures("one_round")
def test_a_measurement_of_the_bundled_model(monkeypatch):
    """From the recipe and what a run keeps to a report that a page can be sent."""
    from engine.models.identity import DEMO_DIRECTORY
    from engine.models.loading import load

    recipe = Recipe.build({"pattern": "2:4", "device": "cpu"})
    model = load(DEMO_DIRECTORY, dtype=torch.float32, device=torch.device("cpu"))
    pattern = SemiStructured(2, 4)
    threads = torch.get_num_threads()
    found = measure(recipe, kept_of(model, lambda score: pattern.keep(score, 0.5)), seconds=0.0)
    assert torch.get_num_threads() == threads and found.threads == 1
    assert found.size.kept * 2 == found.size.weights == 1_572_864 and found.size.dtype == "float32"
    assert found.size.semi_structured == found.size.rest + 1_572_864 // 2 * 4 + 1_572_864 // 8
    assert found.size.compressed.pruned < found.size.compressed.dense and found.size.compressed.share == 1.0
    assert found.speed.prompt == 256 and "no CUDA" in found.speed.not_converted and found.device == "cpu"
    assert Measurement.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory")])
def test_a_model_that_does_not_fit_twice_is_reported(monkeypatch, error):
    def full(*args):
        raise error

    monkeypatch.setattr("engine.inputs.dense_model", full)
    with pytest.raises(ModelError, match="do not fit in memory") as caught:
        measure(Recipe.build({"device": "cpu"}), {})
    assert caught.value.kind == "memory"


def test_no_second_copy_is_made_without_memory_for_it(monkeypatch):
    model = built("llama")
    need = sum(linear.weight.nbytes for linear in model.linears.values())
    monkeypatch.setattr(size_speed, "_pruned", None)
    for free in (0, need):
        monkeypatch.setattr(size_speed, "host_free", lambda free=free: free)
        with pytest.raises(MemoryError):
            size_speed._measured(model, {}, 0.0)


def test_the_report_of_what_was_not_timed():
    timing = Timing(stage="prefill", model="dense", median=1.0, low=1.0, high=1.0, rounds=3)
    report = SpeedReport(prompt=8, timings=(timing,), linears=1)
    assert report.timing("token", "dense") is None and report.ratio("prefill") is None
    assert SpeedReport.model_validate_json(report.model_dump_json()) == report
