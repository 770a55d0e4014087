"""Compare full runs of OWL, AlphaPruning and NeuroAL on tiny models with their float64 oracles."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from torch import Tensor, nn

from engine.events import Allocated, BlockMeasured, Candidate, CandidateChosen, CandidateTried, Event, Failed
from engine.pruning.allocations import neuroal
from engine.pruning.weights import BlockWeights
from engine.recipe import Recipe
from engine.run import run
from engine.run_cache import ModelCache
from tests.pruning import allocation_oracles, oracles
from tests.pruning.allocation_oracles import CandidateResult, ReferenceSearch, SearchResult
from tests.pruning.combinations import pairwise

SMALL = {
    "vocab_size": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
}
LLAMA = SMALL | {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4}
MODELS: dict[str, Callable[[], Any]] = {
    "llama": lambda: hf.LlamaConfig(**LLAMA),
    "llama-grouped": lambda: hf.LlamaConfig(**LLAMA, num_key_value_heads=2),
    "opt": lambda: hf.OPTConfig(
        **SMALL, hidden_size=32, ffn_dim=48, num_hidden_layers=3, word_embed_proj_dim=32
    ),
    "one-block": lambda: hf.LlamaConfig(**{**LLAMA, "num_hidden_layers": 1}),
}
WINDOWS, TOKENS = 10, 16
FEW_LAMBDAS = [0.02, 0.07, 0.25]
"""What NeuroAL tries on all models but the one with the fewest linears, which gets the published ones."""
WITH_ALL_LAMBDAS = "opt"


LOADED: dict[str, ModelCache] = defaultdict(ModelCache)
"""The models by their directory stay loaded: each run gets the dense weights back."""


@dataclass
class Recording:
    """The allocation events of a run, and its masks."""

    measured: list[float] = field(default_factory=list)
    candidates: list[Candidate] = field(default_factory=list)
    chosen: dict[str, float] = field(default_factory=dict)
    allocated: Allocated | None = None
    masks: dict[int, dict[str, Tensor]] = field(default_factory=dict)

    def add(self, event: Event) -> None:
        assert not isinstance(event, Failed), event.message + event.detail
        if isinstance(event, BlockMeasured):
            self.measured.append(event.value)
        elif isinstance(event, CandidateTried):
            self.candidates.append(event.candidate)
        elif isinstance(event, CandidateChosen):
            self.chosen[event.step] = event.strength
        elif isinstance(event, Allocated):
            self.allocated = event

    def of_step(self, step: str) -> list[Candidate]:
        return [candidate for candidate in self.candidates if candidate.step == step]

    @property
    def ratios(self) -> list[float]:
        assert self.allocated is not None
        return list(self.allocated.ratios)


@cache
def tiny(name: str) -> nn.Module:
    torch.manual_seed(0)
    model = hf.AutoModelForCausalLM.from_config(MODELS[name]()).eval()
    for parameter in model.parameters():  # heavy tails, so that the blocks differ in their outliers
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.2)
            parameter.data *= parameter.data.abs().sqrt() * 3
    return model


def ids() -> Tensor:
    return torch.randint(0, 64, (WINDOWS, TOKENS), generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Any]]:
    """Return a function: name of a tiny model -> recipe fields with the model and its windows."""
    folder = tmp_path_factory.mktemp("tiny")
    np.save(folder / "ids.npy", ids().numpy())

    def fields(name: str) -> dict[str, Any]:
        if not (folder / name).exists():
            tiny(name).save_pretrained(folder / name)
        common = {
            "device": "cpu",
            "dtype": "float32",
            "evaluation": None,
            "samples": WINDOWS,
            "length": TOKENS,
        }
        return {"model": str(folder / name), "calibration": str(folder / "ids.npy"), **common}

    return fields


def record_run(fields: dict[str, Any], **choices: Any) -> Recording:
    recording, weights = Recording(), dict[int, BlockWeights]()
    for event in run(Recipe.build({**fields, **choices}), weights, models=LOADED[fields["model"]]):
        recording.add(event)
    recording.masks = {
        index: {name: pruned.keep for name, pruned in block.items()} for index, block in weights.items()
    }
    return recording


@cache
def sizes(name: str) -> list[int]:
    return reference(name).sizes


def reference(model: str, score: str = "wanda") -> ReferenceSearch:
    lambdas = [] if model == WITH_ALL_LAMBDAS else [FEW_LAMBDAS, [0.0, *FEW_LAMBDAS]]
    return ReferenceSearch(tiny(model), ids(), *SCORES[score], *lambdas)


def wanda(weight: Tensor, norms: Tensor) -> Tensor:
    return weight.abs() * norms


def magnitude(weight: Tensor, norms: Tensor) -> Tensor:
    return weight.abs()


def multiflow(weight: Tensor, norms: Tensor) -> Tensor:
    strength = weight.abs() * norms
    return weight.abs() * strength.mean(1, keepdim=True) * strength.mean(0, keepdim=True)


# ---- OWL and AlphaPruning


@cache
def dense_scores(name: str) -> list[list[Tensor]]:
    """Return the Wanda scores of every linear, per block, on the dense model over all windows."""
    model = reference(name)
    model.calls = model.calls_of(ids())
    scores, inputs = [], model.first_inputs
    for index, block in enumerate(model.blocks):
        inputs, norms = model.run(index, inputs)
        scores.append(
            [
                wanda(linear.weight.data, norms[linear_name])
                for linear_name, linear in model.linears(block).items()
            ]
        )
    return scores


def allocate(fields: dict[str, Any], **choices: Any) -> Recording:
    """Return the events up to the allocation: no block is pruned."""
    recording, events = Recording(), run(Recipe.build({**fields, **choices}), models=LOADED[fields["model"]])
    while recording.allocated is None:
        recording.add(next(events))
    events.close()
    return recording


@pytest.mark.parametrize(
    ("name", "target", "chosen"),
    pairwise(list(product(MODELS, [0.6, 0.9], [{}, {"threshold": 3.0}, {"strength": 0.3}]))),
    ids=str,
)
def test_owl_run_matches_the_oracle(
    name: str, target: float, chosen: dict[str, float], files: Callable[[str], dict[str, Any]]
) -> None:
    settings = {f"owl.{key}": value for key, value in chosen.items()}
    recording = allocate(files(name), sparsity=target, allocation="owl", settings=settings)
    measured = [
        allocation_oracles.outliers(scores, chosen.get("threshold", 5.0)) for scores in dense_scores(name)
    ]
    assert len(measured) == 1 or max(measured) > min(measured), (
        "all blocks have the same outliers, so the test proves nothing"
    )
    assert recording.measured == pytest.approx(measured, abs=1e-3)
    assert recording.ratios == pytest.approx(
        allocation_oracles.owl(measured, sizes(name), target, chosen.get("strength", 0.08)), abs=1e-5
    )
    assert allocation_oracles.mean(recording.ratios, sizes(name)) == pytest.approx(target, abs=1e-9)


def test_owl_by_hand() -> None:
    # The mean is 1.5, so with M = 3 the limit is 4.5; 2 of the 8 entries of the two linears are above it.
    assert (
        allocation_oracles.outliers(
            [torch.tensor([[0.5, 5.0], [0.25, 0.25]]), torch.tensor([[5.0, 0.5, 0.25, 0.25]])], 3
        )
        == 25
    )
    # Outliers 1, 3, 2 %: density 0.3 plus 0, 0.16, 0.08, centred; so sparsity 0.78, 0.62, 0.7.
    assert allocation_oracles.owl([1.0, 3.0, 2.0], [5, 5, 5], 0.7) == pytest.approx([0.78, 0.62, 0.7])
    assert allocation_oracles.owl([1.0, 3.0], [30, 10], 0.7) == pytest.approx([0.74, 0.58])
    assert allocation_oracles.owl([2.0, 2.0], [30, 10], 0.7) == pytest.approx([0.7, 0.7])


@cache
def exponents(name: str, window: str) -> list[float]:
    model = reference(name)
    blocks = [
        [
            allocation_oracles.exponent(allocation_oracles.eigenvalues(linear.weight), window)
            for linear in model.linears(block).values()
        ]
        for block in model.blocks
    ]
    return [sum(values) / len(values) for values in blocks]


@pytest.mark.parametrize(
    ("name", "target", "spread", "window"),
    [
        (name, *shape, window)
        for name, shape, window in pairwise(
            list(product(MODELS, [(0.6, 0.3), (0.9, 0.3), (0.5, 0.8)], ["published", "peak"]))
        )
    ],
)
def test_alphapruning_run_matches_the_oracle(
    name: str, target: float, spread: float, window: str, files: Callable[[str], dict[str, Any]]
) -> None:
    settings = {"alphapruning.window": window, "alphapruning.spread": spread}
    recording = allocate(files(name), sparsity=target, allocation="alphapruning", settings=settings)
    measured = exponents(name, window)
    assert recording.measured == pytest.approx(measured, rel=1e-3)
    assert recording.ratios == pytest.approx(
        allocation_oracles.alphapruning(measured, sizes(name), target, spread), abs=1e-3
    )
    assert allocation_oracles.mean(recording.ratios, sizes(name)) == pytest.approx(target, abs=1e-9)


def test_alphapruning_by_hand() -> None:
    assert allocation_oracles.alphapruning([2.0, 4.0, 3.0], [1, 1, 1], 0.5) == pytest.approx(
        [0.35, 0.65, 0.5]
    )
    # 0.7 and 1.3, weighted 3 to 1: mean 0.85, factor 0.6 / 0.85.
    assert allocation_oracles.alphapruning([2.0, 4.0], [30, 10], 0.6) == pytest.approx(
        [0.42 / 0.85, 0.78 / 0.85]
    )
    # The tail 1, e, e^2: alpha = 1 + 3 / (0 + 1 + 2); distances |0|, |1 - 1/e - 1/3|, |1 - 1/e^2 - 2/3|.
    alpha, distance = allocation_oracles.tail([1.0, np.e, np.e**2], 0)
    assert alpha == pytest.approx(2) and distance == pytest.approx(1 - 1 / np.e - 1 / 3)


def power_law(exponent: float, size: int = 200, xmin: float = 1.0) -> Tensor:
    """Return a square matrix whose squared singular values are the quantiles of a power law."""
    generator = torch.Generator().manual_seed(0)
    left, right = (
        torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64)).Q for _ in range(2)
    )
    shares = (torch.arange(size, dtype=torch.float64) + 0.5) / size
    spectrum = xmin * (1 - shares) ** (-1 / (exponent - 1))
    return (left * spectrum.sqrt() @ right).float()


@pytest.mark.parametrize("window", ["published", "peak"])
@pytest.mark.parametrize("exponent", [2.0, 2.5, 3.5, 5.0])
@pytest.mark.parametrize("xmin", [1.0, 0.01])
def test_the_oracle_recovers_a_known_exponent(exponent: float, window: str, xmin: float) -> None:
    assert allocation_oracles.exponent(
        allocation_oracles.eigenvalues(power_law(exponent, xmin=xmin)), window
    ) == pytest.approx(exponent, rel=0.05)


def test_a_run_recovers_known_exponents(tmp_path: Path, files: Callable[[str], dict[str, Any]]) -> None:
    """All linears of a block have the same exponent; the heavier the tail, the less is removed."""
    known = [4.0, 2.0, 3.0]
    torch.manual_seed(0)
    model = hf.LlamaForCausalLM(
        hf.LlamaConfig(**{**LLAMA, "hidden_size": 96, "intermediate_size": 96, "num_hidden_layers": 3})
    )
    for block, exponent in zip(model.model.layers, known, strict=True):
        for linear in (module for module in block.modules() if isinstance(module, nn.Linear)):
            linear.weight.data = power_law(exponent, 96)
    model.save_pretrained(tmp_path / "model")
    recording = allocate(
        {**files("llama"), "model": str(tmp_path / "model")}, sparsity=0.5, allocation="alphapruning"
    )
    assert recording.measured == pytest.approx(known, rel=0.05)
    assert recording.ratios == pytest.approx([0.65, 0.35, 0.5], abs=0.01)


# ---- NeuroAL

SCORES: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], str]] = {
    "wanda": (wanda, "row"),
    "magnitude": (magnitude, "row"),
    "multiflow": (multiflow, "row"),
}
CASES = [
    ("llama", "wanda", "both", 0.6),
    ("llama", "magnitude", "both", 0.9),
    ("llama", "multiflow", "both", 0.8),
    ("llama", "wanda", "block", 0.8),
    ("llama", "wanda", "row", 0.7),
    ("llama-grouped", "wanda", "both", 0.7),
    ("opt", "wanda", "both", 0.5),
    ("one-block", "wanda", "both", 0.6),
]


@cache
def reference_search(model: str, score: str, step: str, target: float) -> SearchResult:
    return reference(model, score).search(target, step)


@pytest.fixture(scope="module", params=CASES, ids=lambda case: "-".join(map(str, case)))
def recorded_search(
    request: pytest.FixtureRequest, files: Callable[[str], dict[str, Any]]
) -> tuple[Recording, SearchResult]:
    model, score, step, target = request.param
    return record_search(files, model, score, target, step=step), reference_search(*request.param)


def record_search(
    files: Callable[[str], dict[str, Any]], model: str, score: str, target: float, **settings: str
) -> Recording:
    """Run with NeuroAL's allocation, over the lambdas of `reference`."""
    with pytest.MonkeyPatch.context() as patch:
        if model != WITH_ALL_LAMBDAS:
            patch.setattr(neuroal, "BLOCK_STRENGTHS", tuple(FEW_LAMBDAS))
            patch.setattr(neuroal, "ROW_STRENGTHS", (0.0, *FEW_LAMBDAS))
        return record_run(
            files(model),
            score=score,
            group="row",
            sparsity=target,
            allocation="neuroal",
            settings={f"neuroal.{name}": value for name, value in settings.items()},
        )


def assert_step(got: list[Candidate], expected: list[CandidateResult]) -> None:
    assert [candidate.strength for candidate in got] == pytest.approx(
        [candidate.strength for candidate in expected]
    )
    if not expected:
        return
    best = allocation_oracles.smallest(expected)
    for candidate, true in zip(got, expected, strict=True):
        assert list(candidate.ratios) == pytest.approx(true.blocks, abs=1e-6)
        assert list(candidate.block_objectives) == pytest.approx(
            true.alignment[: len(candidate.block_objectives)], rel=2e-3
        )
        if candidate.stopped:
            assert best.objective < true.objective * 1.001 and candidate.objective <= true.objective * 1.001
        else:
            assert candidate.objective == pytest.approx(true.objective, rel=1e-3)
    assert [candidate.strength for candidate in got if candidate.chosen] in (
        [],
        [pytest.approx(best.strength)],
    )


def test_neuroal_objectives_match_the_oracle(recorded_search: tuple[Recording, SearchResult]) -> None:
    recording, reference = recorded_search
    assert_step(recording.of_step("block"), reference.block_step)
    assert_step(recording.of_step("row"), reference.row_step)


def test_neuroal_chooses_the_oracles_candidate(recorded_search: tuple[Recording, SearchResult]) -> None:
    recording, reference = recorded_search
    expected = {
        name: allocation_oracles.smallest(results).strength
        for name, results in (("block", reference.block_step), ("row", reference.row_step))
        if results
    }
    assert {step: recording.chosen[step] for step in expected} == pytest.approx(expected)
    assert recording.ratios == pytest.approx(reference.best.blocks, abs=1e-6)


def test_neuroal_row_counts(recorded_search: tuple[Recording, SearchResult]) -> None:
    """A row keeps `floor((1 - r_i) * in)`; without a row step it loses `floor(s * in)`."""
    recording, reference = recorded_search
    assert recording.allocated is not None
    for index, block in recording.masks.items():
        rows = reference.best.rows.get(index, {})
        for name, keep in block.items():
            width = keep.shape[1]
            if name in rows:
                assert keep.sum(1).tolist() == [
                    allocation_oracles.exact_floor((1 - ratio) * width) for ratio in rows[name]
                ], (index, name)
            else:
                removed = allocation_oracles.exact_floor(reference.best.blocks[index] * width)
                assert keep.sum(1).tolist() == [width - removed] * len(keep), (index, name)


def test_row_sparsities_are_reported(recorded_search: tuple[Recording, SearchResult]) -> None:
    recording, reference = recorded_search
    assert recording.allocated is not None
    for index, spreads in enumerate(recording.allocated.rows):
        for spread in spreads:
            expected = reference.best.rows.get(index, {}).get(spread.name, [reference.best.blocks[index]])
            assert (spread.quantiles[0], spread.quantiles[-1]) == pytest.approx(
                (min(expected), max(expected)), abs=1e-4
            )


@pytest.mark.parametrize("stop", ["yes", "no"])
@pytest.mark.parametrize(("score", "target"), [("multiflow", 0.8), ("magnitude", 0.9)])
def test_early_stopping_does_not_change_the_choice(
    score: str, target: float, stop: str, files: Callable[[str], dict[str, Any]]
) -> None:
    """With these settings some candidates are already worse than another before their last block."""
    reference = reference_search("llama", score, "both", target)
    recording = record_search(files, "llama", score, target, stop=stop)
    assert_step(recording.of_step("block"), reference.block_step)
    assert_step(recording.of_step("row"), reference.row_step)
    assert recording.chosen["block"] == pytest.approx(
        allocation_oracles.smallest(reference.block_step).strength
    )
    assert recording.chosen["row"] == pytest.approx(allocation_oracles.smallest(reference.row_step).strength)
    assert any(candidate.stopped for candidate in recording.candidates) == (stop == "yes")


def test_query_rows_can_follow_the_head_mapping(files: Callable[[str], dict[str, Any]]) -> None:
    expected = reference("llama-grouped").search(0.7, "both", query=True)
    rows, published = (
        search.row_step[-1].rows[0]
        for search in (expected, reference_search("llama-grouped", "wanda", "both", 0.7))
    )
    assert [name for name in rows if (len(set(rows[name])) > 1) != (len(set(published[name])) > 1)] == [
        "self_attn.q_proj"
    ]
    recording = record_search(files, "llama-grouped", "wanda", 0.7, heads="query")
    assert_step(recording.of_step("row"), expected.row_step)


def test_row_ratios_by_hand() -> None:
    # Density 0.4 plus 0, 0.05, 0.15, 0.2, centred: the row whose column in the consumer fell most keeps most.
    assert allocation_oracles.row_ratios([0.0, 1.0, 3.0, 4.0], 0.6, 0.1) == pytest.approx(
        [0.7, 0.65, 0.55, 0.5]
    )
    assert allocation_oracles.row_ratios([3.0, 3.0], 0.6, 0.1) == [0.6, 0.6]
    # 1.025 three times and 0.525: the three are clipped to 0.99.
    rows = allocation_oracles.row_ratios([0.0, 0.0, 0.0, 1.0], 0.9, 0.25)
    assert rows == pytest.approx([0.99, 0.99, 0.99, 0.63], abs=1e-9)


def test_the_scores_here_match_the_score_oracles() -> None:
    layer = oracles.random_layer(5, 12)
    norms = oracles.input_norm(layer.inputs)
    for name, (function, _) in SCORES.items():
        torch.testing.assert_close(
            function(layer.weight.double(), norms), oracles.SCORE_ORACLES[name](layer.weight, layer.inputs)
        )
