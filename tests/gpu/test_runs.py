"""Whole runs on a GPU: the CPU's perplexity in every dtype, offloaded, short of memory, and resumed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import torch

from engine.events import Noted
from engine.pruning.weights import BlockWeights
from engine.recipe import Recipe
from engine.record import RunRecord
from engine.run import run
from engine.store.blocks import Blocks
from tests.gpu.compared import SAME, agreement, on

pytestmark = pytest.mark.gpu
CPU = torch.device("cpu")
SMALL = {"samples": 16, "length": 128, "evaluation": "stories"}


def record(
    device: torch.device, kept: dict[int, BlockWeights] | Blocks | None = None, **fields: object
) -> RunRecord:
    recipe = Recipe.build({**SMALL, "device": device.type, **fields})
    found = RunRecord.fold(run(recipe, kept))
    assert found.error is None, found.error
    return found


@cache
def on_cpu(pruner: str) -> RunRecord:
    return record(CPU, pruner=pruner)


@pytest.mark.parametrize("pruner", ["wanda", "sparsegpt"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_perplexities_are_those_of_the_cpu(pruner: str, dtype: str, device: torch.device) -> None:
    expected, got = on_cpu(pruner), record(device, pruner=pruner, dtype=dtype)
    near = 1e-3 if dtype == "float32" else 0.03
    assert expected.dense and expected.pruned and got.dense and got.pruned
    assert got.dense.perplexity == pytest.approx(expected.dense.perplexity, rel=near)
    assert got.pruned.perplexity == pytest.approx(expected.pruned.perplexity, rel=2 * near)


def test_a_streamed_model_is_pruned_as_a_resident_one(device: torch.device) -> None:
    resident, streamed = (record(device, residence=residence) for residence in ("resident", "streamed"))
    assert resident.pruned == streamed.pruned


def test_a_run_resumes_from_stored_blocks(device: torch.device, tmp_path: Path) -> None:
    blocks = Blocks(tmp_path / "blocks")
    whole = record(device, blocks, pruner="sparsegpt")
    blocks.clear_after(2)
    assert len(blocks) == 2
    assert record(device, blocks, pruner="sparsegpt").pruned == whole.pruned


def test_offloaded_windows_give_the_same_masks(device: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.models.language_model import LanguageModel

    _, expected = on(device, "llama", score="wanda")
    plain = LanguageModel.record
    monkeypatch.setattr(
        LanguageModel, "record", lambda model, ids, batch: plain(model, ids, batch, offload=True)
    )
    _, got = on(device, "llama", score="wanda")
    assert {hidden.device.type for hidden in got.streams.calibration.hidden} == {"cpu"}
    assert agreement(expected, got) >= SAME


@pytest.fixture
def limited(cuda: torch.device) -> Iterator[torch.device]:
    yield cuda
    torch.cuda.set_per_process_memory_fraction(1.0, cuda)


def test_a_run_without_enough_memory_takes_less(limited: torch.device) -> None:
    """The allocator refuses what a whole batch takes; the run has to get by with smaller ones."""
    full = {"samples": 64, "length": 256, "evaluation": "stories"}
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved(limited)
    expected = record(limited, **full)
    assert expected.peak_device is not None
    total = torch.cuda.get_device_properties(limited).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction((before + 0.6 * expected.peak_device) / total, limited)
    events = list(run(Recipe.build({**full, "device": "cuda"})))
    notes = [event.message for event in events if isinstance(event, Noted)]
    got = RunRecord.fold(events)
    assert any("Memory ran out" in note for note in notes), notes
    assert got.pruned and expected.pruned
    assert got.pruned.perplexity == pytest.approx(expected.pruned.perplexity, rel=1e-2)
