"""Whole runs against the published algorithms, block by block on equal inputs.

On a deep model rounding decides between nearly equal scores early, and later blocks amplify the difference.
So each block is compared on its own: its inputs are what the run's own pruned blocks before it produce, and
what the run made of it is compared with float64 versions that follow the papers. So are the sparsities that
an allocation gives to blocks and rows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from torch import Tensor, nn

from engine.pruning.allocations import neuroal
from engine.pruning.presets import PRESETS
from engine.pruning.weights import BlockWeights
from engine.recipe import Recipe
from engine.record import RunRecord
from engine.run import run
from engine.run_cache import ModelCache
from tests.pruning import allocation_oracles, oracles, refinement_oracles
from tests.pruning.allocation_oracles import ReferenceSearch
from tests.pruning.replay import Linear, replayed

BLOCKS, WINDOWS, TOKENS, SPARSITY = 3, 4, 48, 0.6
INTERMEDIATE = 136
"""Inputs of the MLP's last linear: more than the 128 columns that SparseGPT decides about together."""
LARGEST_SHARE = 2e-3
"""The share of a block's weights that may differ where the mask depends on weights that were updated."""
BLOCK_LAMBDAS, ROW_LAMBDAS = (0.02, 0.15), (0.0, 0.05)
"""Few of NeuroAL's strengths, since its search is compared in full in test_allocation_oracles.py."""
CLOSE = 2e-3  # of the largest weight; closer ones count as equal


Expected = Callable[[Linear, Any], tuple[Tensor, Tensor]]
"""Returns the mask and the float64 weight of a linear for its sparsity (or that of each row)."""


def score_mask(name: str, pattern: str = "unstructured", group: str | None = "row") -> Expected:
    def expected(linear: Linear, sparsity: Any) -> tuple[Tensor, Tensor]:
        scores = oracles.SCORE_ORACLES[name](linear.weight, linear.inputs)
        if isinstance(sparsity, list):
            keep = keep_per_row(scores, sparsity)
        else:
            keep = oracles.keep_mask(scores, pattern, group, sparsity)
        return keep, linear.weight.double() * keep

    return expected


def keep_per_row(scores: Tensor, sparsities: list[float]) -> Tensor:
    keep, width = torch.ones(scores.shape, dtype=torch.bool), scores.shape[1]
    for row, score, sparsity in zip(keep, scores, sparsities, strict=True):
        kept = allocation_oracles.exact_floor((1 - sparsity) * width)
        row[allocation_oracles.lowest(score, width - kept)] = False
    return keep


def refined_mask(name: str, score: str, **options: Any) -> Expected:
    def expected(linear: Linear, sparsity: Any) -> tuple[Tensor, Tensor]:
        first, _ = score_mask(score)(linear, sparsity)
        refine = {"dsnot": refinement_oracles.dsnot, "r2-dsnot": refinement_oracles.r2_dsnot}[name]
        keep = refinement_oracles.masks(refine(first, linear.weight, linear.inputs, **options))
        return keep, linear.weight.double() * keep

    return expected


def sparsegpt(pattern: str) -> Expected:
    def expected(linear: Linear, sparsity: Any) -> tuple[Tensor, Tensor]:
        new, keep = oracles.running_obs("sparsegpt", linear.weight, linear.inputs, pattern, sparsity)
        return keep, new

    return expected


PUBLISHED: dict[tuple[str, str], tuple[Expected, dict[str, Any]]] = {
    ("magnitude", "unstructured"): (score_mask("magnitude", group="layer"), {}),
    ("wanda", "unstructured"): (score_mask("wanda"), {}),
    ("wanda", "2:4"): (score_mask("wanda", "2:4"), {}),
    ("ria", "unstructured"): (score_mask("ria", group="layer"), {}),
    ("ria", "1:4"): (score_mask("ria", "1:4"), {}),  # as many removed as kept would hide which is which
    ("symwanda", "unstructured"): (score_mask("symwanda"), {}),
    ("multiflow", "unstructured"): (score_mask("multiflow"), {}),
    ("sparsegpt", "unstructured"): (sparsegpt("unstructured"), {}),
    ("sparsegpt", "2:4"): (sparsegpt("2:4"), {}),
    ("wanda-dsnot", "unstructured"): (refined_mask("dsnot", "wanda"), {"dsnot.cycles": 50}),
    ("ria-r2-dsnot", "unstructured"): (refined_mask("r2-dsnot", "ria"), {"r2-dsnot.cycles": 50}),
}
"""By preset and pattern: the algorithm, and the settings that it is published with."""
ELSEWHERE = {
    "stochria": "draws at random: test_stochria_draws.py has its draws",
    "stade": "changes biases: its score and the biases have oracles of their own",
    "formula": "the user's",
    "admm": "test_admm.py",
    "alps": "test_alps.py",
    "thanos": "test_thanos.py",
    "apt-sm": "test_mrp_oracles.py",
    "apt-mm": "test_mrp_oracles.py",
    "apt-ms": "test_method_oracles.py",
    "wanda-sparseswaps": "has no official code: test_sparseswaps.py",
    "wanda-sparseswaps-mrp": "has no official code: test_sparseswaps.py",
}
"""Presets whose linears are compared with their definitions in other tests, on given inputs."""


@pytest.fixture(scope="module")
def model() -> nn.Module:
    torch.manual_seed(0)
    config = hf.LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=INTERMEDIATE,
        num_hidden_layers=BLOCKS,
        num_attention_heads=4,
        max_position_embeddings=64,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    found = hf.LlamaForCausalLM(config).eval()
    for parameter in found.parameters():  # heavy tails, so that the blocks differ in their outliers
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.2)
            parameter.data *= parameter.data.abs().sqrt() * 3
    return found


@pytest.fixture(scope="module")
def ids() -> Tensor:
    return torch.randint(0, 64, (WINDOWS, TOKENS), generator=torch.Generator().manual_seed(1))


Prune = Callable[..., tuple[RunRecord, dict[int, BlockWeights]]]


@pytest.fixture(scope="module")
def prune(model: nn.Module, ids: Tensor, tmp_path_factory: pytest.TempPathFactory) -> Prune:
    """Return a function that runs a recipe on the model and returns its record and the blocks' weights."""
    folder: Path = tmp_path_factory.mktemp("fidelity")
    model.save_pretrained(folder / "model")
    np.save(folder / "ids.npy", ids.numpy())
    loaded = ModelCache()

    def pruned(**choices: Any) -> tuple[RunRecord, dict[int, BlockWeights]]:
        recipe = Recipe.build(
            model=str(folder / "model"),
            calibration=str(folder / "ids.npy"),
            evaluation=None,
            device="cpu",
            dtype="float32",
            samples=WINDOWS,
            length=TOKENS,
            **choices,
        )
        weights: dict[int, BlockWeights] = {}
        record = RunRecord.fold(run(recipe, weights, models=loaded))
        assert record.error is None, record.error
        return record, weights

    return pruned


@dataclass(frozen=True)
class Difference:
    """What differs from the expected block: the share of its weights, and how many more its linears keep."""

    share: float
    more: list[int]


def difference(block: dict[str, Linear], expected: Expected, sparsity_of: Callable[[str], Any]) -> Difference:
    differing, more = 0, []
    for name, linear in block.items():
        keep, weight = expected(linear, sparsity_of(name))
        away = (linear.pruned.double() - weight).abs() > CLOSE * float(weight.abs().max())
        differing += int((away | (linear.keep != keep)).sum())
        more.append(int(linear.keep.sum()) - int(keep.sum()))
    return Difference(differing / sum(linear.weight.numel() for linear in block.values()), more)


def test_every_preset_is_compared_with_its_definition() -> None:
    assert {name for name, _ in PUBLISHED} | set(ELSEWHERE) == set(PRESETS)


@pytest.mark.parametrize(("pruner", "pattern"), PUBLISHED)
def test_every_block_is_pruned_as_published(
    pruner: str, pattern: str, prune: Prune, model: nn.Module, ids: Tensor
) -> None:
    expected, settings = PUBLISHED[pruner, pattern]
    amount = {"sparsity": SPARSITY} if pattern == "unstructured" else {"pattern": pattern}
    group = {"group": "row"} if "dsnot" in pruner else {}
    _, weights = prune(pruner=pruner, settings=settings, **amount, **group)
    # An N:M pattern implies its sparsity.
    sparsity = SPARSITY if pattern == "unstructured" else None
    allowed = LARGEST_SHARE if PRESETS[pruner].update != "none" else 0.0
    for index, block in enumerate(replayed(model, ids, weights)):
        found = difference(block, expected, lambda name: sparsity)
        assert found.share <= allowed and not any(found.more), f"block {index}: {found}"


def owl_ratios(search: ReferenceSearch) -> list[float]:
    measured, hidden = [], search.first_inputs
    for index, block in enumerate(search.blocks):
        hidden, norms = search.run(index, hidden)
        measured.append(
            allocation_oracles.outliers(
                [part.weight.abs() * norms[name] for name, part in search.linears(block).items()]
            )
        )
    return allocation_oracles.owl(measured, search.sizes, SPARSITY)


def alphapruning_ratios(search: ReferenceSearch) -> list[float]:
    measured = []
    for block in search.blocks:
        alphas = [
            allocation_oracles.exponent(allocation_oracles.eigenvalues(part.weight))
            for part in search.linears(block).values()
        ]
        measured.append(sum(alphas) / len(alphas))
    return allocation_oracles.alphapruning(measured, search.sizes, SPARSITY)


@pytest.mark.parametrize(
    ("allocation", "ratios_of"), [("owl", owl_ratios), ("alphapruning", alphapruning_ratios)]
)
def test_every_block_loses_its_published_share(
    allocation: str,
    ratios_of: Callable[[ReferenceSearch], list[float]],
    prune: Prune,
    model: nn.Module,
    ids: Tensor,
) -> None:
    record, weights = prune(pruner="wanda", sparsity=SPARSITY, allocation=allocation)
    ratios = ratios_of(ReferenceSearch(model, ids, wanda, "row"))
    assert max(ratios) - min(ratios) > 0.05, "uniform, so the test proves nothing"
    assert list(record.allocation) == pytest.approx(ratios, abs=1e-4)
    for index, block in enumerate(replayed(model, ids, weights)):
        found = difference(block, score_mask("wanda"), lambda name, index=index: ratios[index])
        assert found.share == 0, f"block {index}: {found}"


def wanda(weight: Tensor, norms: Tensor) -> Tensor:
    return weight.abs() * norms


def test_neuroals_rows_lose_their_published_shares(
    prune: Prune, model: nn.Module, ids: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neuroal, "BLOCK_STRENGTHS", BLOCK_LAMBDAS)
    monkeypatch.setattr(neuroal, "ROW_STRENGTHS", ROW_LAMBDAS)
    record, weights = prune(pruner="wanda", sparsity=SPARSITY, allocation="neuroal")
    search = ReferenceSearch(model, ids, wanda, "row", BLOCK_LAMBDAS, ROW_LAMBDAS)
    found = search.search(SPARSITY, "both")
    for step, expected in (("block", found.block_step), ("row", found.row_step)):
        objectives = [tried.objective for tried in record.search if tried.step == step]
        assert objectives == pytest.approx([tried.objective for tried in expected], rel=1e-3)
    assert list(record.allocation) == pytest.approx(found.best.blocks, abs=1e-6)
    assert found.best.strength > 0, "uniform rows, so the test proves nothing about them"
    for index, block in enumerate(replayed(model, ids, weights)):
        rows = found.best.rows[index]
        away = difference(block, score_mask("wanda"), rows.__getitem__)
        # A row's share in float32 may be on the other side of a whole number of weights.
        assert away.share <= LARGEST_SHARE, f"block {index}: {away}"
