"""Biases that replace what the removed weights contributed on average: in a run, in the store, in a saved
model, and for families that cannot have any.
"""

from pathlib import Path

import pytest
import torch
import transformers as hf

from engine.cost.estimate import require_fit
from engine.errors import RecipeError
from engine.export.model import save_model
from engine.models.biases import possible_biases
from engine.models.block import Linear
from engine.models.loading import read_config
from engine.pruning.pipeline import compensate
from engine.pruning.statistics import Need
from engine.recipe import Recipe, pin
from engine.record import RunRecord
from engine.run import run
from engine.run_cache import ModelCache
from engine.store.blocks import pack, unpack
from tests.export.test_model import computed, nll, pruned_module, source
from tests.pruning import oracles
from tests.pruning.calls import random_mask

COMPENSATED = {"score": "wanda", "sparsity": 0.6, "bias": "compensate"}


@pytest.mark.parametrize("had_bias", [False, True])
def test_a_compensated_output_is_right_on_average(had_bias: bool) -> None:
    layer = oracles.random_layer(5, 12, tokens=40)
    layer.inputs.add_(torch.linspace(-2, 2, 12))
    module = torch.nn.Linear(12, 5, bias=had_bias)
    linear = Linear("it", "it", module)
    linear.write(layer.weight)
    old = linear.bias.double() if had_bias else torch.zeros(5).double()
    after = layer.weight * random_mask(layer, 0.5)
    statistics = oracles.collect_statistics(layer, frozenset({Need.INPUT_SUM}))
    bias, _ = compensate(linear, layer.weight, after, statistics)

    rows = layer.inputs.double().flatten(0, 1)  # [tokens, in]
    expected = [
        float(old[row])
        + sum(
            float(layer.weight[row, column] - after[row, column]) * float(rows[:, column].mean())
            for column in range(12)
        )
        for row in range(5)
    ]
    torch.testing.assert_close(bias.double(), torch.tensor(expected).double(), rtol=1e-5, atol=1e-5)
    lost = rows @ (layer.weight - after).double().T  # [tokens, out]
    left = lost - (bias.double() - old)
    assert (left.norm(dim=0) <= lost.norm(dim=0)).all() and left.mean(0).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("family", "sharded", "dtype", "update"),
    [
        ("llama", False, torch.float32, "none"),
        ("llama", True, torch.bfloat16, "obs"),
        ("qwen2", True, torch.float32, "none"),
        ("gpt2", False, torch.float32, "mrp"),
    ],
)
def test_a_saved_model_says_that_it_has_biases_and_measures_the_same(
    family: str, sharded: bool, dtype: torch.dtype, update: str, tmp_path: Path
) -> None:
    directory = source(family, tmp_path / "dense", dtype, **({"max_shard_size": "40KB"} if sharded else {}))
    fields = {**COMPENSATED, "update": update}
    record, kept = computed(directory, residence="streamed" if sharded else "resident", **fields)
    assert all(one.bias is not None for block in kept.values() for one in block.values()) or family == "qwen2"
    saved = tmp_path / "out"
    notes = save_model(record, kept, saved)
    again = hf.AutoModelForCausalLM.from_pretrained(saved, dtype=torch.float32)
    dense = hf.AutoConfig.from_pretrained(directory)
    entries = possible_biases(read_config(directory), "it").entries
    assert all(getattr(again.config, entry) and not getattr(dense, entry) for entry in entries)
    assert any("biases" in note for note in notes) == bool(entries)
    assert record.pruned is not None
    relative = 1e-5 if dtype == torch.float32 else 2e-2  # new values were rounded
    assert nll(again) == pytest.approx(record.pruned.nll, rel=relative)
    assert nll(pruned_module(directory, kept)) == pytest.approx(record.pruned.nll, rel=1e-5)


def test_a_stored_block_keeps_its_biases(tmp_path: Path) -> None:
    _, kept = computed(source("llama", tmp_path / "dense", torch.float32), **COMPENSATED)
    for name, one in unpack(pack(kept[0])).items():
        assert one.bias is not None and torch.equal(one.bias, kept[0][name].bias)


def test_streamed_resident_and_resumed_runs_agree(tmp_path: Path) -> None:
    directory = source("llama", tmp_path / "dense", torch.float32)
    record, kept = computed(directory, **COMPENSATED)
    assert record.recipe is not None
    again = {0: kept[0]}
    resumed = RunRecord.fold(run(record.recipe.model_copy(update={"residence": "streamed"}), again))
    assert resumed.pruned is not None and resumed.pruned == record.pruned
    assert all(torch.equal(one.bias, again[1][name].bias) for name, one in kept[1].items())


def test_a_cached_model_is_dense_again_after_a_run(tmp_path: Path) -> None:
    directory = source("llama", tmp_path / "dense", torch.float32)
    record, _ = computed(directory)
    models = ModelCache()
    for fields in (COMPENSATED, {}):
        recipe = pin(Recipe.build({**record.recipe.model_dump(), "settings": {}, "group": None, **fields}))
        last = RunRecord.fold(run(recipe, models=models))
    assert last.pruned == record.pruned


@pytest.mark.parametrize("family", ["mistral"])
def test_a_family_without_biases_is_rejected_before_pruning(family: str, tmp_path: Path) -> None:
    directory = source(family, tmp_path / "dense", torch.float32)
    with pytest.raises(AssertionError, match="no linear of this model has a bias"):
        computed(directory, **COMPENSATED)
    with pytest.raises(RecipeError, match="no linear of this model has a bias"):
        require_fit(Recipe.build(model=str(directory), **COMPENSATED))


def test_linears_that_can_have_no_bias_are_named(tmp_path: Path) -> None:
    record, kept = computed(source("qwen2", tmp_path / "dense", torch.float32), **COMPENSATED)
    assert any("mlp.down_proj" in note and "not compensated" in note for note in record.warnings)
    assert kept[0]["mlp.down_proj"].bias is None and kept[0]["self_attn.q_proj"].bias is not None


def test_only_a_recipe_that_compensates_has_another_key() -> None:
    plain = Recipe.build()
    stored = {name: value for name, value in plain.model_dump(mode="json").items() if name != "bias"}
    assert Recipe.model_validate(stored).key == plain.key == Recipe.build(bias="keep").key
    compensated = Recipe.build(bias="compensate")
    assert compensated.key != plain.key
    assert (plain.pruner_title, compensated.pruner_title) == ("Wanda", "Wanda + bias")
    assert Recipe.build(pruner="stade").bias == "compensate"
