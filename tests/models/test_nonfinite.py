"""Numbers that are NaN or infinite end a run with their cause, and never leave it as a result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from engine.cli.main import main
from engine.errors import NonFiniteError
from engine.evaluation.generation import write
from engine.evaluation.tasks.likelihood import Request, likelihoods
from engine.events import Event, to_line
from engine.pruning.observation import divergence
from engine.pruning.pipeline import output_error
from engine.recipe import Recipe
from engine.run import run
from tests.models.families import built, windows, write_checkpoint

EMBEDDING, UP, DOWN = (
    f"model.{name}.weight" for name in ("embed_tokens", "layers.2.mlp.up_proj", "layers.2.mlp.down_proj")
)

Change = Callable[[dict[str, Tensor]], None]


@pytest.fixture
def failed(tmp_path: Path) -> Callable[..., tuple[list[Event], str]]:
    """Runs a recipe on a tiny model with changed weights; returns the events before the failure, and why."""

    def events(change: Change, **choices: object) -> tuple[list[Event], str]:
        write_checkpoint("llama", tmp_path / "model")
        file = tmp_path / "model" / "model.safetensors"
        tensors = load_file(file)
        change(tensors)
        save_file(tensors, file, metadata={"format": "pt"})
        np.save(ids := tmp_path / "ids.npy", windows().numpy())
        fields = {"calibration": str(ids), "evaluation": str(ids), **choices}
        *before, last = run(Recipe.build(model=str(tmp_path / "model"), **fields))
        assert last.event == "failed", before[-3:]
        assert not any(word in to_line(event) for event in before for word in ("NaN", "Infinity"))
        return before, last.message

    return events


def spoil(name: str, value: float) -> Change:
    def change(tensors: dict[str, Tensor]) -> None:
        tensors[name].view(-1)[::3] = value

    return change


def large_activations(tensors: dict[str, Tensor]) -> None:
    """The same function with larger numbers between two linears."""
    tensors[UP] *= 4e4
    tensors[DOWN] /= 4e4


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize(
    "choices",
    [
        {"pruner": "magnitude"},
        {"pruner": "magnitude", "evaluation": None, "residence": "streamed"},
        {"pruner": "wanda", "allocation": "owl"},
        {"pruner": "magnitude", "allocation": "alphapruning", "group": "row"},
        {"pruner": "wanda", "allocation": "neuroal", "settings": {"neuroal.step": "block"}},
        {"pruner": "sparsegpt"},
        {"pruner": "wanda-dsnot"},
    ],
    ids=str,
)
def test_damaged_weights_are_named(failed, choices: dict[str, object], value: float) -> None:
    name = EMBEDDING if choices["pruner"] == "sparsegpt" else UP
    _, message = failed(spoil(name, value), **choices)
    assert "model.safetensors" in message and name in message and "are NaN or infinite" in message
    assert "float" not in message, "the dtype is not the cause"


@pytest.mark.parametrize("pruner", ["magnitude", "wanda", "sparsegpt"])
@pytest.mark.parametrize("evaluated", [True, False])
def test_activations_beyond_float16_name_the_block_and_the_dtype(
    failed, pruner: str, evaluated: bool
) -> None:
    more = {} if evaluated else {"evaluation": None}
    _, message = failed(large_activations, pruner=pruner, dtype="float16", **more)
    assert message.startswith("Block 2: The inputs of model.layers.2.mlp.down_proj are not finite in 5 of 5 ")
    assert "the cause is the dtype" in message and "Choose bfloat16 or float32" in message


def test_weights_beyond_float16_are_named(failed) -> None:
    _, message = failed(spoil(UP, 1e6), pruner="magnitude", dtype="float16")
    assert f"the dtype: {UP} holds numbers up to 1,000,000, but float16 ends at 65,504" in message


def test_a_head_beyond_float16_is_no_perplexity(failed) -> None:
    def change(tensors: dict[str, Tensor]) -> None:
        tensors["lm_head.weight"] *= 3e4

    before, message = failed(change, pruner="magnitude", dtype="float16")
    assert "The dense model's predictions after its last block are not finite." in message
    assert all(event.event != "evaluated" for event in before)


@pytest.mark.parametrize("name", ["lm_head.weight", "model.norm.weight"])
def test_damage_after_the_last_block_is_found_without_an_evaluation(failed, name: str) -> None:
    before, message = failed(spoil(name, torch.nan), pruner="magnitude", evaluation=None)
    assert name in message and all(event.event != "block_pruned" for event in before)


def test_runs_of_a_sweep_fail_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PRUNESCOPE_HOME", str(tmp_path / "home"))
    model = built("llama")
    model.module.lm_head.weight.data[3] = torch.nan
    model.module.save_pretrained(tmp_path / "model")
    np.save(ids := tmp_path / "ids.npy", windows().numpy())
    options = ["--model", str(tmp_path / "model"), "--calibration", str(ids), "--evaluation", str(ids)]
    assert main(["sweep", *options, "--pruners", "magnitude,wanda", "--sparsities", "0.3,0.5"]) == 1
    out, err = capsys.readouterr()
    assert out.count("numbers in lm_head.weight are NaN or infinite") == 4
    assert "0 of 4 runs finished" in err


def test_the_pruned_model_may_be_the_one_that_overflows() -> None:
    model = built("llama")
    dense, pruned = model.record(windows(), 2), model.record(windows(), 2)
    pruned.hidden[1] = pruned.hidden[1].clone()
    pruned.hidden[1][1, 3] = torch.inf
    with pytest.raises(
        NonFiniteError, match="The pruned model's hidden states are not finite in 1 of 5 eval"
    ):
        divergence(dense, pruned)


def test_an_error_over_numbers_that_are_not_finite_is_not_0() -> None:
    ones = torch.ones(2, 2)
    assert output_error(ones, torch.full((2, 2), torch.nan), ones).isnan()


@torch.no_grad()
def test_neither_a_text_nor_a_likelihood_comes_from_numbers_that_are_not_finite() -> None:
    model = built("llama")
    model.tokenizer = SimpleNamespace(eos_token_id=None)
    model.module.lm_head.weight[3] = torch.nan
    with pytest.raises(NonFiniteError, match="predictions"):
        write(model, torch.tensor([1, 2]), tokens=3, temperature=0.0, seed=0)
    with pytest.raises(NonFiniteError, match="likelihoods"):
        list(likelihoods(model, [Request((1, 2), (3,), False)]))
