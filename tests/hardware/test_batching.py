"""What a run reduces when it runs out of memory, step by step, without changing the result."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.events import Failed, Finished, ModelLoaded, Noted, Resumed
from engine.hardware.batching import MemoryPlan, is_out_of_memory
from engine.models.language_model import LanguageModel, Stream
from engine.pruning.weights import BlockWeights
from engine.recipe import Recipe
from engine.record import RunRecord
from engine.run import run

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
FAST: dict[str, Any] = {"samples": 8, "length": 64, "evaluation": "stories"}


def steps(room: MemoryPlan | None, device: torch.device, length: int = 512) -> Iterator[MemoryPlan]:
    while room is not None:
        yield room
        found = room.reduced(length, device)
        room = found[0] if found else None


def test_batches_shrink_to_one_window_then_the_model_leaves_memory() -> None:
    found = list(steps(MemoryPlan(4096, "resident"), CPU))
    assert [(room.windows_per_batch(512), room.residence, room.offload) for room in found] == [
        (8, "resident", False),
        (2, "resident", False),
        (1, "resident", False),
        (1, "streamed", False),
    ]


def test_on_a_device_the_hidden_states_leave_it_before_the_model_does() -> None:
    found = [(room.residence, room.offload) for room in steps(MemoryPlan(512, "resident"), CUDA)]
    assert found == [("resident", False), ("resident", True), ("streamed", True)]


def test_a_window_longer_than_a_batch_is_a_batch() -> None:
    assert MemoryPlan(100, "streamed").windows_per_batch(512) == 1
    assert MemoryPlan(100, "streamed").reduced(512, CPU) is None


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (
            RuntimeError(
                "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried "
                "to allocate 8 bytes"
            ),
            True,
        ),
        (MemoryError(), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_out_of_memory_errors_are_recognised(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


@pytest.fixture
def short_of_memory(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """A machine on which no pass over more than one window fits; what was tried, as windows and residence."""
    tried: list[tuple[int, str]] = []
    record = LanguageModel.record

    def scarce(model: LanguageModel, windows: torch.Tensor, batch: int, **more: Any) -> Stream:
        tried.append((batch, model.residence))
        if batch > 1:
            raise torch.OutOfMemoryError("out of memory. Tried to allocate everything.")
        return record(model, windows, batch, **more)

    monkeypatch.setattr(LanguageModel, "record", scarce)
    return tried


def test_a_run_short_of_memory_uses_smaller_batches_with_the_same_result(
    short_of_memory: list[tuple[int, str]],
) -> None:
    recipe = Recipe.build(**FAST)
    kept: dict[int, BlockWeights] = {}
    events = list(run(recipe, kept))
    assert isinstance(events[-1], Finished)
    assert [batch for batch, _ in short_of_memory][:3] == [16, 4, 1]
    notes = [event.message for event in events if isinstance(event, Noted)]
    assert len(notes) == 2 and "batches of 4 instead of 16 windows" in notes[0]
    record = RunRecord.fold(events)
    assert (
        record.dense is not None and record.warnings == tuple(notes) and len(record.protocol.evaluations) == 1
    )


def test_if_nothing_is_left_to_reduce_the_error_says_what_would_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(*_: Any, **__: Any) -> Stream:
        raise torch.OutOfMemoryError("out of memory. Tried to allocate everything.")

    monkeypatch.setattr(LanguageModel, "record", never)
    events = list(run(Recipe.build(**FAST)))
    last = events[-1]
    assert (
        isinstance(last, Failed)
        and "fewer calibration windows than 8" in last.message
        and "--length" in last.message
    )
    assert {event.residence for event in events if isinstance(event, ModelLoaded)} == {"resident", "streamed"}


def test_finished_blocks_are_not_pruned_again_after_memory_ran_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recipe = Recipe.build(**FAST)
    undisturbed = RunRecord.fold(run(recipe))
    advance, calls = Stream.advance, 0

    def once(stream: Stream, *arguments: Any, **more: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 20:
            raise torch.OutOfMemoryError("out of memory")
        return advance(stream, *arguments, **more)

    monkeypatch.setattr(Stream, "advance", once)
    events = list(run(recipe, {}))
    resumed = [event.blocks for event in events if isinstance(event, Resumed)]
    assert len(resumed) == 1 and resumed[0] >= 1
    indices = [event.index for event in events if event.event == "block_pruned"]
    assert sorted(indices) == sorted(set(indices)), "a block was pruned twice"
    record = RunRecord.fold(events)
    assert record.state == "finished" and record.pruned is not None and undisturbed.pruned is not None
    assert record.pruned.perplexity == pytest.approx(undisturbed.pruned.perplexity, rel=1e-4)
