"""The search against a plain one: a dense and a pruned pass per block, nothing shared, every model family."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from engine.cli.bench.search import PlainSearch
from engine.hardware import device
from engine.models.block import Linear
from engine.models.language_model import LanguageModel
from engine.pruning import search
from engine.pruning.axes import Shares
from engine.pruning.patterns import Group, Sparsity
from engine.pruning.plan import Plan
from engine.pruning.search import Search
from engine.pruning.statistics import Statistics
from tests.models.families import FAMILIES, built, in_turn, windows

CANDIDATES = [Shares((0.5 - rise, 0.5, 0.5, 0.5 + rise)) for rise in (0.0, 0.1, 0.2, 0.3, 0.4)]


@pytest.fixture(params=FAMILIES)
def model(request: pytest.FixtureRequest) -> LanguageModel:
    return built(request.param)


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def make_search(kind: type[Search], model: LanguageModel, score: str, **choices: str) -> Search:
    plan = Plan.of(score=score, **choices)

    def prune(linear: Linear, statistics: Statistics, sparsity: Sparsity) -> Tensor:
        return plan.prune(linear.weight, statistics, sparsity, linear.place).weight

    return kind(model, model.record(windows(3), 2), prune, plan.needs)  # two batches, the last of one window


def copy_weights(model: LanguageModel) -> dict[str, Tensor]:
    return {name: parameter.clone() for name, parameter in model.module.named_parameters()}


def test_every_objective_matches_the_plain_search(model: LanguageModel) -> None:
    before = copy_weights(model)
    trials = list(make_search(Search, model, "wanda").trials(CANDIDATES[::4]))
    plain = list(make_search(PlainSearch, model, "wanda").trials(CANDIDATES[::4]))
    for trial, expected in zip(trials, plain, strict=True):
        assert trial.shares is expected.shares and not trial.stopped
        assert trial.alignment == pytest.approx(expected.alignment, rel=1e-4)
        for losses, others in zip(trial.lost, expected.lost, strict=True):
            assert losses.keys() == others.keys()
            assert all(torch.allclose(losses[name], others[name], atol=1e-3) for name in losses)
    assert all(torch.equal(parameter, before[name]) for name, parameter in model.module.named_parameters())
    assert "forward" not in {key for module in model.module.modules() for key in vars(module)}, (
        "a linear's forward method was not restored"
    )


CHOICES = [
    {"score": "symwanda"},
    {"score": "sparsegpt", "update": "obs"},
    {"score": "wanda", "refinement": "dsnot", "group": "row"},
]


@pytest.mark.parametrize(("model", "choices"), in_turn(CHOICES)[::8], ids=str, indirect=["model"])
def test_candidates_are_pruned_with_the_plans_own_method(
    model: LanguageModel, choices: dict[str, str]
) -> None:
    trials = list(make_search(Search, model, **choices).trials(CANDIDATES[:2]))
    plain = list(make_search(PlainSearch, model, **choices).trials(CANDIDATES[:2]))
    for trial, expected in zip(trials, plain, strict=True):
        assert trial.alignment == pytest.approx(expected.alignment, rel=1e-3)


@pytest.mark.parametrize(("model", "cores"), in_turn([1, 2, 3, 8])[::5], indirect=["model"])
def test_parallel_passes_give_the_same_result(
    model: LanguageModel, cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device.os, "cpu_count", lambda: cores)
    trials = list(make_search(Search, model, "wanda").trials(CANDIDATES))
    assert [trial.shares for trial in trials] == CANDIDATES
    plain = list(make_search(PlainSearch, model, "wanda").trials(CANDIDATES))
    assert [trial.objective for trial in trials] == pytest.approx(
        [trial.objective for trial in plain], rel=1e-4
    )


@pytest.mark.parametrize("model", list(FAMILIES)[:1], indirect=True)
def test_memory_is_returned_after_each_candidate_of_a_large_model(
    model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    returned: list[None] = []
    monkeypatch.setattr(search, "trim_heap", lambda: returned.append(None))
    list(make_search(Search, model, "wanda").trials(CANDIDATES))
    assert not returned, "it would cost a small model more than it saves"
    monkeypatch.setattr(LanguageModel, "is_small", False)
    list(make_search(Search, model, "wanda").trials(CANDIDATES))
    assert len(returned) == len(CANDIDATES)


@pytest.mark.parametrize("model", list(FAMILIES)[::10], indirect=True)
def test_early_stopping_keeps_the_choice_and_gives_lower_bounds(
    model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device.os, "cpu_count", lambda: 1)
    candidates = [*CANDIDATES, Shares((0.95, 0.5, 0.3, 0.25)), Shares((0.9, 0.9, 0.1, 0.1))]
    all_trials = list(make_search(Search, model, "wanda").trials(candidates))
    stopped = list(make_search(Search, model, "wanda").trials(candidates, stop=True))
    best = min(trial.objective for trial in all_trials)
    for full, cut in zip(all_trials, stopped, strict=True):
        assert cut.alignment == full.alignment[: len(cut.alignment)]
        assert cut.stopped == (len(cut.alignment) < len(model.blocks))
        assert not cut.stopped or cut.objective > best
    complete = [trial.objective for trial in stopped if not trial.stopped]
    assert min(complete) == best and any(trial.stopped for trial in stopped)


@pytest.mark.parametrize("model", list(FAMILIES)[::2], indirect=True)
def test_row_sparsities_reach_the_pruned_rows(model: LanguageModel) -> None:
    name, linear = next(iter(model.blocks[0].linears.items()))
    rows = torch.linspace(0.1, 0.9, linear.shape[0], dtype=torch.float64)
    shares = Shares((0.5,) * 4, {0: {name: rows}})
    search = make_search(Search, model, "magnitude", group=Group.ROW)
    removed_counts: list[int] = []
    original = search.prune

    def counting_prune(linear, statistics, sparsity):
        weight = original(linear, statistics, sparsity)
        if isinstance(sparsity, Tensor):
            removed_counts.extend((weight == 0).sum(1).tolist())
        return weight

    search.prune = counting_prune
    list(search.trials([shares]))
    columns = linear.shape[1]
    assert removed_counts == [columns - int((1 - ratio) * columns + 1e-9) for ratio in rows.tolist()]
