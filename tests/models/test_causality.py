"""Models whose predictions depend on later tokens are rejected, all others pass, in every residence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from torch import Tensor, nn

from engine.errors import ModelError
from engine.models.causality import CausalityProof
from engine.models.language_model import LanguageModel
from engine.models.loading import load
from engine.recipe import Recipe
from engine.run import run
from engine.run_cache import ModelCache
from tests.models.families import FAMILIES, SHAPE, built, windows, write_checkpoint

MASKED: dict[str, Callable[..., Any]] = {
    "bert": lambda **more: hf.BertConfig(**SHAPE, **more),
    "roberta": lambda **more: hf.RobertaConfig(**{**SHAPE, "max_position_embeddings": 80}, **more),
    "electra": lambda **more: hf.ElectraConfig(**SHAPE, embedding_size=32, **more),
}
"""Masked encoders, which are causal only as decoders (`is_decoder`)."""


def model_of(config: Any, dtype: torch.dtype = torch.float32) -> LanguageModel:
    torch.manual_seed(0)
    return LanguageModel(hf.AutoModelForCausalLM.from_config(config).to(dtype))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_passes(family: str) -> None:
    dtype = (torch.float32, torch.bfloat16)[list(FAMILIES).index(family) % 2]
    model = built(family)
    model.module.to(dtype)
    before = {name: tensor.clone() for name, tensor in model.module.state_dict().items()}
    CausalityProof(model, "it").check_early()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.module.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", MASKED)
def test_a_masked_encoder_is_rejected_but_not_as_a_decoder(name: str, dtype: torch.dtype) -> None:
    with pytest.raises(ModelError, match=r"The model it \(.*\) is not a causal language model") as caught:
        CausalityProof(model_of(MASKED[name](), dtype), "it").check_early()
    assert caught.value.kind == "not-causal"
    CausalityProof(model_of(MASKED[name](is_decoder=True), dtype), "it").check_early()


def test_one_block_that_looks_ahead_is_enough() -> None:
    model = built("mistral")
    model.blocks[2].module.register_forward_hook(looking_ahead)
    proof = CausalityProof(model, "it")
    with torch.no_grad():
        for block in model.blocks[:2]:
            proof.check(block)
        for _ in range(2):  # a second attempt comes to the same conclusion
            with pytest.raises(ModelError, match="not a causal"):
                proof.check(model.blocks[2])


def test_sums_without_a_fixed_order_are_not_taken_for_looking_ahead() -> None:
    model, noise = built("llama"), torch.Generator().manual_seed(0)

    def add_noise(module: nn.Module, given: Any, output: Tensor) -> Tensor:
        return output + 1e-4 * torch.rand(output.shape, generator=noise)

    model.record(windows(), 1)  # without the noise, which is no reason to reject a model either
    model.blocks[1].module.register_forward_hook(add_noise)
    CausalityProof(model, "it").check_early()


def looking_ahead(module: nn.Module, given: Any, output: Any) -> Any:
    hidden: Tensor = output[0] if isinstance(output, tuple) else output
    changed = hidden + 1e-3 * hidden.mean(1, keepdim=True)
    return (changed, *output[1:]) if isinstance(output, tuple) else changed


def test_blocks_that_give_something_else_than_the_whole_model_are_rejected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = built("llama")
    logits = model.logits
    monkeypatch.setattr(model, "logits", lambda *given: 1.1 * logits(*given))
    with pytest.raises(ModelError, match="exchange more than hidden states"):
        CausalityProof(model, "it").check_early()


def test_what_a_block_raises_is_a_sentence() -> None:
    model = built("llama")

    def fail(*_: Any) -> None:
        raise TypeError("one argument too few")

    model.blocks[1].module.register_forward_pre_hook(fail)
    with pytest.raises(ModelError, match=r"cannot be computed one after the other \(TypeError: one argument"):
        CausalityProof(model, "it").check_early()


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("bert")
    model_of(MASKED["bert"]()).module.save_pretrained(directory / "model")
    np.save(directory / "ids.npy", windows().numpy())
    return directory


@pytest.mark.parametrize("residence", ["resident", "streamed"])
@pytest.mark.parametrize("allocation", ["uniform", "owl"])
def test_a_run_rejects_it_before_anything_is_pruned(bert: Path, residence: str, allocation: str) -> None:
    ids = str(bert / "ids.npy")
    choices = {"calibration": ids, "evaluation": ids, "residence": residence, "allocation": allocation}
    *events, last = run(Recipe.build(model=str(bert / "model"), **choices))
    assert last.event == "failed" and "not a causal language model" in last.message
    # noted: that the model has no tokenizer
    assert [event.event for event in events] == ["run_started", "model_loaded", "noted"]


def test_each_block_of_a_streamed_model_is_checked_when_it_is_read(tmp_path: Path) -> None:
    write_checkpoint("llama", tmp_path)
    model = load(tmp_path, dtype=torch.float32, device=torch.device("cpu"), residence="streamed")
    proof = CausalityProof(model, "it")
    proof.check_early()
    model.blocks[2].module.register_forward_hook(looking_ahead)
    with pytest.raises(ModelError, match="not a causal"):
        for block in model.blocks:
            with model.present(block):
                proof.check(block)


def test_runs_with_the_same_model_share_the_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[int] = []
    check = CausalityProof._check_whole
    monkeypatch.setattr(CausalityProof, "_check_whole", lambda *given: (checked.append(1), check(*given)))
    models = ModelCache()
    for sparsity in (0.5, 0.6):
        events = list(
            run(Recipe.build(samples=2, length=16, evaluation=None, sparsity=sparsity), models=models)
        )
        assert events[-1].event == "finished"
    assert len(checked) == 1
