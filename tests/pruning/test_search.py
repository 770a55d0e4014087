"""The search gives what a plain one gives (dense and pruned pass of every block, nothing shared), on every
family, and leaves nothing behind.
"""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from engine.cli.bench.search import PlainSearch
from engine.models import threads
from engine.models.block import Linear
from engine.models.language_model import LanguageModel
from engine.pruning.patterns import Group, Sparsity
from engine.pruning.plan import Plan
from engine.pruning.search import Search
from engine.pruning.shares import Shares
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


def prepared(kind: type[Search], model: LanguageModel, score: str, **choices: str) -> Search:
    plan = Plan.of(score=score, **choices)

    def prune(linear: Linear, seen: Statistics, sparsity: Sparsity) -> Tensor:
        return plan.prune(linear.weight, seen, sparsity, path=linear.path).weight

    return kind(model, model.record(windows(), 2), prune, plan.needs)


def weights(model: LanguageModel) -> dict[str, Tensor]:
    return {name: parameter.clone() for name, parameter in model.module.named_parameters()}


def test_every_objective_is_that_of_the_plain_search(model: LanguageModel) -> None:
    before = weights(model)
    ours = list(prepared(Search, model, "wanda").trials(CANDIDATES))
    plain = list(prepared(PlainSearch, model, "wanda").trials(CANDIDATES))
    for mine, other in zip(ours, plain, strict=True):
        assert mine.shares is other.shares and not mine.stopped
        assert mine.alignment == pytest.approx(other.alignment, rel=1e-4)
        for lost, expected in zip(mine.lost, other.lost, strict=True):
            assert lost.keys() == expected.keys()
            assert all(torch.allclose(lost[name], expected[name], atol=1e-3) for name in lost)
    assert all(torch.equal(parameter, before[name]) for name, parameter in model.module.named_parameters())
    assert "forward" not in {key for module in model.module.modules() for key in vars(module)}, (
        "a linear still gives zeros"
    )


CHOICES = [
    {"score": "symwanda"},
    {"score": "sparsegpt", "update": "obs"},
    {"score": "wanda", "refinement": "dsnot", "group": "row"},
]


@pytest.mark.parametrize(("model", "choices"), in_turn(CHOICES), ids=str, indirect=["model"])
def test_candidates_are_pruned_as_the_run_will_prune(model: LanguageModel, choices: dict[str, str]) -> None:
    ours = list(prepared(Search, model, **choices).trials(CANDIDATES[:2]))
    plain = list(prepared(PlainSearch, model, **choices).trials(CANDIDATES[:2]))
    for mine, other in zip(ours, plain, strict=True):
        assert mine.alignment == pytest.approx(other.alignment, rel=1e-3)


@pytest.mark.parametrize(("model", "cores"), in_turn([1, 2, 3, 8]), indirect=["model"])
def test_what_goes_side_by_side_does_not_matter(
    model: LanguageModel, cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads.os, "cpu_count", lambda: cores)
    ours = list(prepared(Search, model, "wanda").trials(CANDIDATES))
    assert [trial.shares for trial in ours] == CANDIDATES
    plain = list(prepared(PlainSearch, model, "wanda").trials(CANDIDATES))
    assert [trial.objective for trial in ours] == pytest.approx(
        [trial.objective for trial in plain], rel=1e-4
    )


def test_stopping_keeps_the_choice_and_gives_lower_bounds(
    model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads.os, "cpu_count", lambda: 1)
    wild = [*CANDIDATES, Shares((0.95, 0.5, 0.3, 0.25)), Shares((0.9, 0.9, 0.1, 0.1))]
    whole = list(prepared(Search, model, "wanda").trials(wild))
    stopped = list(prepared(Search, model, "wanda").trials(wild, stop=True))
    best = min(trial.objective for trial in whole)
    for full, cut in zip(whole, stopped, strict=True):
        assert cut.alignment == full.alignment[: len(cut.alignment)]
        assert cut.stopped == (len(cut.alignment) < len(model.blocks))
        assert not cut.stopped or cut.objective > best
    complete = [trial.objective for trial in stopped if not trial.stopped]
    assert min(complete) == best and any(trial.stopped for trial in stopped)


def test_a_row_share_reaches_its_rows(model: LanguageModel) -> None:
    name, linear = next(iter(model.blocks[0].linears.items()))
    rows = torch.linspace(0.1, 0.9, linear.shape[0], dtype=torch.float64)
    shares = Shares((0.5,) * 4, {0: {name: rows}})
    search = prepared(Search, model, "magnitude", group=Group.ROW)
    seen: list[int] = []
    original = search.prune

    def spying(linear, statistics, sparsity):
        weight = original(linear, statistics, sparsity)
        if isinstance(sparsity, Tensor):
            seen.extend((weight == 0).sum(1).tolist())
        return weight

    search.prune = spying
    list(search.trials([shares]))
    columns = linear.shape[1]
    assert seen == [columns - int((1 - ratio) * columns + 1e-9) for ratio in rows.tolist()]
