"""Streamed models: the same masks, weights and hidden states as models that are whole in memory, with one
block there at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers as hf
from safetensors.torch import load_file, save_file
from torch import Tensor

from engine.errors import ModelError
from engine.hardware.device import Clock
from engine.models.language_model import LanguageModel, Stream
from engine.models.loading import load
from engine.models.streaming import BUILDING, without_weights
from engine.pruning.allocations import neuroal
from engine.pruning.axes import Shares
from engine.pruning.pipeline import Streams, allocate, prune_blocks
from engine.pruning.plan import Plan
from engine.pruning.weights import BlockWeights
from engine.recipe import Recipe
from engine.record import RunRecord
from engine.run import run
from tests.models.families import FAMILIES, built, windows, write_checkpoint

CPU = torch.device("cpu")
SHARED = ("zamba2",)
"""Families whose blocks share weights, which cannot be streamed."""


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


Pair = tuple[LanguageModel, LanguageModel]


def both(directory: Path) -> Pair:
    """Load a model resident and streamed."""
    resident, streamed = (
        load(directory, dtype=torch.float32, device=CPU, residence=where)
        for where in ("resident", "streamed")
    )
    assert (resident.residence, streamed.residence) == ("resident", "streamed")
    return resident, streamed


@pytest.fixture(scope="module", params=[family for family in FAMILIES if family not in SHARED])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    directory: Path = tmp_path_factory.mktemp("saved") / request.param
    write_checkpoint(request.param, directory, max_shard_size="40KB")
    return both(directory)


def absent(model: LanguageModel) -> list[bool]:
    return [all(parameter.is_meta for parameter in block.module.parameters()) for block in model.blocks]


def pruned(
    model: LanguageModel, score: str = "wanda", update: str = "none"
) -> tuple[dict[int, BlockWeights], Tensor]:
    kept: dict[int, BlockWeights] = {}
    streams = Streams(model.record(windows(3), 2))  # two batches, the last of one window
    plan = Plan.of(score=score, update=update)
    list(prune_blocks(model, streams, plan, Shares((0.5,) * len(model.blocks)), kept, Clock(CPU)))
    stream = streams.calibration
    return kept, torch.cat(
        [model.logits(hidden, ids) for hidden, ids in zip(stream.hidden, stream.ids, strict=True)]
    )


def test_dense_logits_equal_those_of_the_resident_model(pair: Pair) -> None:
    resident, streamed = pair
    stream = streamed.record(windows(), 5)
    for block in streamed.blocks:
        with streamed.present(block):
            stream.advance(block)
            assert absent(streamed).count(False) == 1
    expected = resident.module(input_ids=windows(), use_cache=False).logits
    torch.testing.assert_close(streamed.logits(stream.hidden[0], stream.ids[0]), expected, rtol=0, atol=1e-4)


def test_hidden_states_may_be_kept_on_the_host(pair: Pair) -> None:
    _, model = pair
    here, away = model.record(windows(3), 2), model.record(windows(3), 2, offload=True)
    for block in model.blocks:
        with model.present(block):
            here.advance(block)
            away.advance(block)
    assert all(torch.equal(one, other) for one, other in zip(here.hidden, away.hidden, strict=True))


def test_a_streamed_model_is_pruned_bit_for_bit_the_same(pair: Pair) -> None:
    """The last test with a family's models."""
    resident, streamed = pair
    assert all(absent(streamed)) and not any(absent(resident))
    (masks, logits), (other_masks, other_logits) = pruned(resident), pruned(streamed)
    assert torch.equal(logits, other_logits) and all(absent(streamed))
    assert masks.keys() == other_masks.keys()
    for index, block in masks.items():
        assert block.keys() == other_masks[index].keys()
        assert all(torch.equal(one.keep, other_masks[index][name].keep) for name, one in block.items())


def test_updated_weights_are_the_same(tmp_path: Path) -> None:
    write_checkpoint("llama", tmp_path)
    (one, logits), (other, other_logits) = (pruned(model, "sparsegpt", "obs") for model in both(tmp_path))
    assert torch.equal(logits, other_logits)
    for index, block in one.items():
        for name, linear in block.items():
            assert linear.weight is not None and torch.equal(linear.weight, other[index][name].weight)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("family", "allocation"),
    [("llama", "alphapruning"), ("gpt2", "owl"), ("gpt2", "neuroal"), ("mixtral", "neuroal")],
)
def test_allocations_are_the_same(
    family: str, allocation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in ("BLOCK_STRENGTHS", "ROW_STRENGTHS"):  # two candidates each, not fifteen
        monkeypatch.setattr(neuroal, step, (0.01, 0.25))
    write_checkpoint(family, tmp_path)
    found = []
    for model in both(tmp_path):
        plan = Plan.of(score="wanda", allocation=allocation)
        events = allocate(model, model.record(windows(), 5), plan, 0.5)
        while True:
            try:
                next(events)
            except StopIteration as stopped:
                found.append(stopped.value.blocks)
                break
    assert found[0] == found[1] and all(absent(model))


def test_a_run_reports_the_residence_and_gives_the_same_numbers(narrow_model: str, tmp_path: Path) -> None:
    np.save(ids := tmp_path / "ids.npy", np.random.default_rng(0).integers(0, 2048, (4, 64)))
    fields = {
        "model": narrow_model,
        "samples": 4,
        "length": 64,
        "calibration": str(ids),
        "evaluation": str(ids),
    }
    search = {"allocation": "neuroal", "settings": {"neuroal.step": "block"}}
    records = [
        RunRecord.fold(run(Recipe.build(residence=where, **fields, **search)))
        for where in ("resident", "streamed")
    ]
    assert [record.model.residence for record in records if record.model] == ["resident", "streamed"]
    one, other = (record.pruned for record in records)
    assert (
        one is not None and other is not None and one.perplexity == pytest.approx(other.perplexity, rel=1e-6)
    )
    assert records[0].allocation == records[1].allocation


def test_streams_are_joined_and_split() -> None:
    model = built("gemma3")
    one, two = model.record(windows()[:3], 2), model.record(windows()[3:], 2)
    joined = Stream.joined([one, two])
    assert joined.windows == 5 and len(joined.ids) == 3
    for block in model.blocks:
        for stream in (one, two, joined):
            stream.advance(block)
    parts = [*joined.part(slice(0, 2)).hidden, *joined.part(slice(2, 3)).hidden]
    assert all(
        torch.equal(left, right) for left, right in zip(parts, [*one.hidden, *two.hidden], strict=True)
    )


# ---- checkpoints of other forms
# -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "prefix"), [("gpt2", "transformer."), ("opt", "model."), ("llama", "model.")]
)
def test_a_checkpoint_without_the_models_own_prefix(family: str, prefix: str, tmp_path: Path) -> None:
    write_checkpoint(family, tmp_path)
    file = tmp_path / "model.safetensors"
    save_file(
        {name.removeprefix(prefix): tensor for name, tensor in load_file(file).items()},
        file,
        metadata={"format": "pt"},
    )
    resident, streamed = both(tmp_path)
    assert torch.equal(pruned(resident)[1], pruned(streamed)[1])


def test_blocks_that_share_weights_cannot_be_streamed(tmp_path: Path) -> None:
    write_checkpoint("zamba2", tmp_path)
    with pytest.raises(ModelError, match="share weights") as caught:
        load(tmp_path, dtype=torch.float32, device=CPU, residence="streamed")
    assert caught.value.kind == "other"


def test_a_block_is_read_while_another_thread_builds_a_model(tmp_path: Path) -> None:
    write_checkpoint("llama", tmp_path)
    model = load(tmp_path, dtype=torch.float32, device=CPU, residence="streamed")
    building, read = threading.Event(), threading.Event()

    def build() -> None:
        with BUILDING, without_weights():
            building.set()
            read.wait(60)

    thread = threading.Thread(target=build)
    thread.start()
    try:
        assert building.wait(60)
        with model.present(model.blocks[0]):
            assert not any(absent(model)[:1])
    finally:
        read.set()
        thread.join()


@pytest.mark.parametrize("where", ["resident", "streamed"])
@pytest.mark.parametrize("name", ["model.layers.1.mlp.up_proj.weight", "model.embed_tokens.weight"])
def test_a_missing_tensor_is_never_initialised(name: str, where: str, tmp_path: Path) -> None:
    write_checkpoint("llama", tmp_path)
    file = tmp_path / "model.safetensors"
    save_file(
        {key: tensor for key, tensor in load_file(file).items() if key != name},
        file,
        metadata={"format": "pt"},
    )
    with pytest.raises(ModelError, match="incomplete") as caught:
        pruned(load(tmp_path, dtype=torch.float32, device=CPU, residence=where))  # type: ignore[arg-type]
    assert caught.value.kind == "damaged"


@pytest.mark.parametrize("where", ["resident", "streamed"])
def test_a_tensor_of_another_shape(where: str, tmp_path: Path) -> None:
    write_checkpoint("llama", tmp_path)
    file = tmp_path / "model.safetensors"
    tensors = load_file(file)
    tensors["model.layers.1.mlp.up_proj.weight"] = tensors["model.layers.1.mlp.up_proj.weight"][:-1].clone()
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(ModelError) as caught:
        pruned(load(tmp_path, dtype=torch.float32, device=CPU, residence=where))  # type: ignore[arg-type]
    assert caught.value.kind == "damaged"


@pytest.mark.parametrize("where", ["resident", "streamed"])
def test_a_truncated_file(where: str, tmp_path: Path) -> None:
    write_checkpoint("llama", tmp_path)
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(ModelError, match="of it is damaged") as caught:
        load(tmp_path, dtype=torch.float32, device=CPU, residence=where, name="it")  # type: ignore[arg-type]
    assert caught.value.kind == "damaged"


def test_a_missing_shard(tmp_path: Path) -> None:
    write_checkpoint("llama", tmp_path, max_shard_size="40KB")
    sorted(tmp_path.glob("*.safetensors"))[1].unlink()
    with pytest.raises(ModelError, match=r"model-00002.*is missing"):
        load(tmp_path, dtype=torch.float32, device=CPU)


def test_pickled_weights_are_never_read(tmp_path: Path) -> None:
    write_checkpoint("llama", tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match="pickled") as caught:
        load(tmp_path, dtype=torch.float32, device=CPU)
    assert caught.value.kind == "no-safetensors"


def test_a_model_that_is_not_causal(tmp_path: Path) -> None:
    config = hf.T5Config(d_model=16, d_ff=16, num_layers=1, num_heads=2, vocab_size=32)
    hf.AutoModelForSeq2SeqLM.from_config(config).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="causal") as caught:
        load(tmp_path, dtype=torch.float32, device=CPU)
    assert caught.value.kind == "not-causal"
