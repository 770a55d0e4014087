"""OWL, AlphaPruning and NeuroAL in whole runs on tiny models against their float64 oracles: what was
measured, tried, chosen and pruned.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from torch import Tensor, nn

from engine.events import Allocated, BlockMeasured, Candidate, CandidateChosen, CandidateTried, Event, Failed
from engine.pruning.weights import BlockWeights
from engine.recipe import Recipe
from engine.run import run
from tests.pruning import allocation_oracles as slow
from tests.pruning import oracles
from tests.pruning.allocation_oracles import Found, Slow, Tried

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


@dataclass
class Seen:
    """The events that allocations emit, and the masks."""

    measured: list[float] = field(default_factory=list)
    tried: list[Candidate] = field(default_factory=list)
    chosen: dict[str, float] = field(default_factory=dict)
    allocated: Allocated | None = None
    masks: dict[int, dict[str, Tensor]] = field(default_factory=dict)

    def note(self, event: Event) -> None:
        assert not isinstance(event, Failed), event.message + event.detail
        if isinstance(event, BlockMeasured):
            self.measured.append(event.value)
        elif isinstance(event, CandidateTried):
            self.tried.append(event.candidate)
        elif isinstance(event, CandidateChosen):
            self.chosen[event.step] = event.strength
        elif isinstance(event, Allocated):
            self.allocated = event

    def of(self, step: str) -> list[Candidate]:
        return [candidate for candidate in self.tried if candidate.step == step]

    @property
    def ratios(self) -> list[float]:
        assert self.allocated is not None
        return list(self.allocated.ratios)


@cache
def tiny(name: str) -> nn.Module:
    torch.manual_seed(0)
    model = hf.AutoModelForCausalLM.from_config(MODELS[name]()).eval()
    for parameter in model.parameters():  # heavy tails, so that blocks differ in their outliers
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.2)
            parameter.data *= parameter.data.abs().sqrt() * 3
    return model


def ids() -> Tensor:
    return torch.randint(0, 64, (WINDOWS, TOKENS), generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Any]]:
    """The recipe's fields for a tiny model and its calibration windows."""
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


def seen_in(fields: dict[str, Any], **choices: Any) -> Seen:
    seen, kept = Seen(), dict[int, BlockWeights]()
    for event in run(Recipe.build({**fields, **choices}), kept):
        seen.note(event)
    seen.masks = {
        index: {name: pruned.keep for name, pruned in block.items()} for index, block in kept.items()
    }
    return seen


def sizes(name: str) -> list[int]:
    return Slow(tiny(name), ids(), wanda, "row").sizes


def wanda(weight: Tensor, norms: Tensor) -> Tensor:
    return weight.abs() * norms


def magnitude(weight: Tensor, norms: Tensor) -> Tensor:
    return weight.abs()


def multiflow(weight: Tensor, norms: Tensor) -> Tensor:
    strength = weight.abs() * norms
    return weight.abs() * strength.mean(1, keepdim=True) * strength.mean(0, keepdim=True)


# ---- OWL and AlphaPruning
# -----------------------------------------------------------------------------------------------


def dense_scores(name: str) -> list[list[Tensor]]:
    """Wanda's scores of every linear by block, on the dense model over all windows."""
    model = Slow(tiny(name), ids(), wanda, "row")
    model.windows = [model._calls(window) for window in ids()]
    found, inputs = [], [calls[0][0][0] for calls in model.windows]
    for index, block in enumerate(model.blocks):
        inputs, norms = model.run(index, inputs)
        found.append(
            [
                wanda(linear.weight.data, norms[linear_name])
                for linear_name, linear in model.linears(block).items()
            ]
        )
    return found


@pytest.mark.parametrize("chosen", [{}, {"threshold": 3.0}, {"strength": 0.3}], ids=str)
@pytest.mark.parametrize("target", [0.6, 0.9])
@pytest.mark.parametrize("name", MODELS)
def test_owl(
    name: str, target: float, chosen: dict[str, float], files: Callable[[str], dict[str, Any]]
) -> None:
    settings = {f"owl.{key}": value for key, value in chosen.items()}
    seen = seen_in(files(name), sparsity=target, allocation="owl", settings=settings)
    measured = [slow.outliers(scores, chosen.get("threshold", 5.0)) for scores in dense_scores(name)]
    assert len(measured) == 1 or max(measured) > min(measured), "the model would show nothing"
    assert seen.measured == pytest.approx(measured, abs=1e-3)
    assert seen.ratios == pytest.approx(
        slow.owl(measured, sizes(name), target, chosen.get("strength", 0.08)), abs=1e-5
    )
    assert slow.mean(seen.ratios, sizes(name)) == pytest.approx(target, abs=1e-9)


def test_owl_by_hand() -> None:
    # The mean is 1.5: with M = 3 the limit is 4.5, above which 2 of 8 entries lie, in two linears together.
    assert (
        slow.outliers([torch.tensor([[0.5, 5.0], [0.25, 0.25]]), torch.tensor([[5.0, 0.5, 0.25, 0.25]])], 3)
        == 25
    )
    # Outliers 1, 3, 2 %: keep 0, 0.16, 0.08 around 0.3, so sparsity 0.78, 0.62, 0.7.
    assert slow.owl([1.0, 3.0, 2.0], [5, 5, 5], 0.7) == pytest.approx([0.78, 0.62, 0.7])
    assert slow.owl([1.0, 3.0], [30, 10], 0.7) == pytest.approx([0.74, 0.58])
    assert slow.owl([2.0, 2.0], [30, 10], 0.7) == pytest.approx([0.7, 0.7])


def exponents(name: str, window: str) -> list[float]:
    model = Slow(tiny(name), ids(), wanda, "row")
    blocks = [
        [slow.exponent(slow.eigenvalues(linear.weight), window) for linear in model.linears(block).values()]
        for block in model.blocks
    ]
    return [sum(values) / len(values) for values in blocks]


@pytest.mark.parametrize("window", ["published", "peak"])
@pytest.mark.parametrize(("target", "spread"), [(0.6, 0.3), (0.9, 0.3), (0.5, 0.8)])
@pytest.mark.parametrize("name", MODELS)
def test_alphapruning(
    name: str, target: float, spread: float, window: str, files: Callable[[str], dict[str, Any]]
) -> None:
    settings = {"alphapruning.window": window, "alphapruning.spread": spread}
    seen = seen_in(files(name), sparsity=target, allocation="alphapruning", settings=settings)
    measured = exponents(name, window)
    assert seen.measured == pytest.approx(measured, rel=1e-3)
    assert seen.ratios == pytest.approx(slow.alphapruning(measured, sizes(name), target, spread), abs=1e-3)
    assert slow.mean(seen.ratios, sizes(name)) == pytest.approx(target, abs=1e-9)


def test_alphapruning_by_hand() -> None:
    assert slow.alphapruning([2.0, 4.0, 3.0], [1, 1, 1], 0.5) == pytest.approx([0.35, 0.65, 0.5])
    # 0.7 and 1.3, weighted 3 to 1: mean 0.85, factor 0.6 / 0.85.
    assert slow.alphapruning([2.0, 4.0], [30, 10], 0.6) == pytest.approx([0.42 / 0.85, 0.78 / 0.85])
    # The eigenvalues 1, e, e^2 from the first on: 1 + 3 / (0 + 1 + 2); distances |0|, |1 - 1/e - 1/3|, |1 -
    # 1/e^2 - 2/3|.
    alpha, distance = slow.tail([1.0, np.e, np.e**2], 0)
    assert alpha == pytest.approx(2) and distance == pytest.approx(1 - 1 / np.e - 1 / 3)


def power_law(exponent: float, size: int = 200, xmin: float = 1.0) -> Tensor:
    """A square matrix whose squared singular values are the quantiles of a power law."""
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
def test_a_known_exponent_is_found_again_by_the_oracle(exponent: float, window: str, xmin: float) -> None:
    assert slow.exponent(slow.eigenvalues(power_law(exponent, xmin=xmin)), window) == pytest.approx(
        exponent, rel=0.05
    )


def test_a_known_exponent_is_found_again_in_a_run(
    tmp_path: Path, files: Callable[[str], dict[str, Any]]
) -> None:
    """Every linear of a block has the block's exponent; the heavier the tail, the less is removed."""
    known = [4.0, 2.0, 3.0]
    torch.manual_seed(0)
    model = hf.LlamaForCausalLM(
        hf.LlamaConfig(**{**LLAMA, "hidden_size": 96, "intermediate_size": 96, "num_hidden_layers": 3})
    )
    for block, exponent in zip(model.model.layers, known, strict=True):
        for linear in (module for module in block.modules() if isinstance(module, nn.Linear)):
            linear.weight.data = power_law(exponent, 96)
    model.save_pretrained(tmp_path / "model")
    seen = seen_in(
        {**files("llama"), "model": str(tmp_path / "model")}, sparsity=0.5, allocation="alphapruning"
    )
    assert seen.measured == pytest.approx(known, rel=0.05)
    assert seen.ratios == pytest.approx([0.65, 0.35, 0.5], abs=0.01)


# ---- NeuroAL
# ----------------------------------------------------------------------------------------------------------

SCORES: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], str]] = {
    "wanda": (wanda, "row"),
    "magnitude": (magnitude, "row"),
    "multiflow": (multiflow, "row"),
}
CASES = [
    ("llama", "wanda", "both", 0.6),
    ("llama", "magnitude", "both", 0.7),
    ("llama", "multiflow", "both", 0.6),
    ("llama", "wanda", "block", 0.8),
    ("llama", "wanda", "row", 0.7),
    ("llama-grouped", "wanda", "both", 0.7),
    ("opt", "wanda", "both", 0.5),
    ("one-block", "wanda", "both", 0.6),
]


@cache
def oracle(model: str, score: str, step: str, target: float) -> Found:
    function, group = SCORES[score]
    return Slow(tiny(model), ids(), function, group).search(target, step)


@pytest.fixture(scope="module", params=CASES, ids=lambda case: "-".join(map(str, case)))
def searched(request: pytest.FixtureRequest, files: Callable[[str], dict[str, Any]]) -> tuple[Seen, Found]:
    model, score, step, target = request.param
    seen = seen_in(
        files(model),
        score=score,
        group="row",
        sparsity=target,
        allocation="neuroal",
        settings={"neuroal.step": step},
    )
    return seen, oracle(*request.param)


def assert_step(tried: list[Candidate], expected: list[Tried]) -> None:
    assert [candidate.strength for candidate in tried] == pytest.approx(
        [candidate.strength for candidate in expected]
    )
    if not expected:
        return
    best = slow.smallest(expected)
    for got, true in zip(tried, expected, strict=True):
        assert list(got.ratios) == pytest.approx(true.blocks, abs=1e-6)
        assert list(got.block_objectives) == pytest.approx(
            true.alignment[: len(got.block_objectives)], rel=2e-3
        )
        if got.stopped:
            assert best.objective < true.objective * 1.001 and got.objective <= true.objective * 1.001
        else:
            assert got.objective == pytest.approx(true.objective, rel=1e-3)
    assert [got.strength for got in tried if got.chosen] in ([], [pytest.approx(best.strength)])


def test_neuroals_curves(searched: tuple[Seen, Found]) -> None:
    seen, found = searched
    assert_step(seen.of("block"), found.block_step)
    assert_step(seen.of("row"), found.row_step)


def test_neuroals_choice(searched: tuple[Seen, Found]) -> None:
    seen, found = searched
    expected = {
        name: slow.smallest(tried).strength
        for name, tried in (("block", found.block_step), ("row", found.row_step))
        if tried
    }
    assert {step: seen.chosen[step] for step in expected} == pytest.approx(expected)
    assert seen.ratios == pytest.approx(found.best.blocks, abs=1e-6)


def test_neuroals_rows(searched: tuple[Seen, Found]) -> None:
    """A row keeps `floor((1 - r_i) * in)`; without a row step it loses `floor(s * in)`."""
    seen, found = searched
    assert seen.allocated is not None
    for index, block in seen.masks.items():
        rows = found.best.rows.get(index, {})
        for name, keep in block.items():
            width = keep.shape[1]
            if name in rows:
                assert keep.sum(1).tolist() == [
                    slow.exact_floor((1 - ratio) * width) for ratio in rows[name]
                ], (index, name)
            else:
                removed = slow.exact_floor(found.best.blocks[index] * width)
                assert keep.sum(1).tolist() == [width - removed] * len(keep), (index, name)


def test_row_sparsities_are_told(searched: tuple[Seen, Found]) -> None:
    seen, found = searched
    assert seen.allocated is not None
    for index, spreads in enumerate(seen.allocated.rows):
        for spread in spreads:
            expected = found.best.rows.get(index, {}).get(spread.name, [found.best.blocks[index]])
            assert (spread.quantiles[0], spread.quantiles[-1]) == pytest.approx(
                (min(expected), max(expected)), abs=1e-4
            )


@pytest.mark.parametrize("stop", ["yes", "no"])
@pytest.mark.parametrize(("score", "target"), [("multiflow", 0.8), ("magnitude", 0.9)])
def test_giving_candidates_up_early_leaves_the_choice(
    score: str, target: float, stop: str, files: Callable[[str], dict[str, Any]]
) -> None:
    """With these, some candidates are worse than another already before their last block."""
    found = oracle("llama", score, "both", target)
    seen = seen_in(
        files("llama"),
        score=score,
        group="row",
        sparsity=target,
        allocation="neuroal",
        settings={"neuroal.stop": stop},
    )
    assert_step(seen.of("block"), found.block_step)
    assert_step(seen.of("row"), found.row_step)
    assert seen.chosen["block"] == pytest.approx(slow.smallest(found.block_step).strength)
    assert seen.chosen["row"] == pytest.approx(slow.smallest(found.row_step).strength)
    assert any(candidate.stopped for candidate in seen.tried) == (stop == "yes")


def test_queries_may_follow_the_head_map(files: Callable[[str], dict[str, Any]]) -> None:
    model = Slow(tiny("llama-grouped"), ids(), wanda, "row")
    found = model.search(0.7, "both", query=True)
    rows, published = (
        search.row_step[-1].rows[0] for search in (found, oracle("llama-grouped", "wanda", "both", 0.7))
    )
    assert [name for name in rows if (len(set(rows[name])) > 1) != (len(set(published[name])) > 1)] == [
        "self_attn.q_proj"
    ]
    seen = seen_in(
        files("llama-grouped"), sparsity=0.7, allocation="neuroal", settings={"neuroal.heads": "query"}
    )
    assert_step(seen.of("row"), found.row_step)


def test_hand_worked_rows() -> None:
    # Keep 0, 0.05, 0.15, 0.2 around 0.4: the consumer's column that fell most belongs to the row that keeps
    # most.
    assert slow.row_ratios([0.0, 1.0, 3.0, 4.0], 0.6, 0.1) == pytest.approx([0.7, 0.65, 0.55, 0.5])
    assert slow.row_ratios([3.0, 3.0], 0.6, 0.1) == [0.6, 0.6]
    rows = slow.row_ratios(
        [0.0, 0.0, 0.0, 1.0], 0.9, 0.25
    )  # 1.025 three times and 0.525: the three are held at 0.99
    assert rows == pytest.approx([0.99, 0.99, 0.99, 0.63], abs=1e-9)


def test_the_layers_of_the_oracle_are_the_scores_of_the_oracles() -> None:
    layer = oracles.random_layer(5, 12)
    norms = oracles.input_norm(layer.inputs)
    for name, (function, _) in SCORES.items():
        torch.testing.assert_close(
            function(layer.weight.double(), norms), oracles.SCORE_ORACLES[name](layer.weight, layer.inputs)
        )
