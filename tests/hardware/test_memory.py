"""Free memory and disk space, the limits of control groups, and what a run gives up when memory runs out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from engine.errors import ModelError
from engine.events import Failed, Finished, ModelLoaded, Noted, Resumed
from engine.hardware.memory import disk_free, host_free, measure_capacity
from engine.hardware.memory_plan import MemoryPlan, is_out_of_memory
from engine.models.language_model import LanguageModel, Stream
from engine.pruning.weights import BlockWeights
from engine.recipe import Recipe
from engine.record import RunRecord
from engine.run import run

GIGA = 2**30


@pytest.fixture(autouse=True)
def large_machine(monkeypatch):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=20 * GIGA))


def container(root, files):
    """The files that describe a container's limits."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_without_limits_the_systems_free_memory_counts(tmp_path):
    assert host_free(tmp_path) == 20 * GIGA


def test_a_container_has_less_than_the_machine_says(tmp_path):
    files = {
        "proc/self/cgroup": "0::/\n",
        "sys/fs/cgroup/memory.max": f"{8 * GIGA}\n",
        "sys/fs/cgroup/memory.current": f"{5 * GIGA}\n",
        "sys/fs/cgroup/memory.stat": f"anon 7\ninactive_file {2 * GIGA}\n",
    }
    assert host_free(container(tmp_path, files)) == 5 * GIGA, "files that are merely kept read can go"


def test_the_tightest_enclosing_group_counts(tmp_path):
    files = {
        "proc/self/cgroup": "0::/user/app\n",
        "sys/fs/cgroup/user/app/memory.max": "max\n",
        "sys/fs/cgroup/user/app/memory.current": "5\n",
        "sys/fs/cgroup/user/memory.max": f"{3 * GIGA}\n",
        "sys/fs/cgroup/user/memory.current": f"{GIGA}\n",
    }
    assert host_free(container(tmp_path, files)) == 2 * GIGA


def test_version_one_of_the_groups(tmp_path):
    files = {
        "proc/self/cgroup": "9:name=systemd:/x\n4:cpu,memory:/docker/1\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{4 * GIGA}\n",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{GIGA}\n",
    }
    assert host_free(container(tmp_path, files)) == 3 * GIGA


def test_a_group_beyond_its_limit_leaves_nothing(tmp_path):
    files = {
        "proc/self/cgroup": "0::/\n",
        "sys/fs/cgroup/memory.max": "5\n",
        "sys/fs/cgroup/memory.current": "7\n",
    }
    assert host_free(container(tmp_path, files)) == 0


def test_a_system_that_hides_its_memory_is_unknown(tmp_path, monkeypatch):
    def hidden():
        raise OSError("no /proc")

    monkeypatch.setattr(psutil, "virtual_memory", hidden)
    assert host_free(tmp_path) is None


def test_a_missing_directory_is_on_its_parents_disk(tmp_path):
    assert abs(disk_free(tmp_path / "not" / "yet") - disk_free(tmp_path)) < GIGA


def test_a_measurement_of_this_machine(tmp_path):
    found = measure_capacity("cpu", tmp_path, Path(tmp_path) / "runs")
    assert found.device == "cpu" and found.device_free is None
    assert found.disk_free > 0 and found.store_free > 0


CPU, CUDA = torch.device("cpu"), torch.device("cuda")
OF_A_CHECK = 16
"""Tokens of the longest windows with which a model is checked when it is loaded; a run has longer ones."""


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


def because(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


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
        (ImportError("libx.so: failed to map segment from shared object"), True),
        (because(ValueError("the install seems to be broken"), MemoryError()), True),
        (because(ValueError("the install seems to be broken"), ImportError("no module x")), False),
    ],
)
def test_out_of_memory_errors_are_recognised(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


@pytest.fixture(scope="module")
def recipe(narrow_model: str, tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """Of a run over 16 windows of evaluation, as many as are a batch of this length."""
    ids = tmp_path_factory.mktemp("ids") / "ids.npy"
    np.save(ids, np.random.default_rng(0).integers(0, 2048, (16, 64)))
    texts = {"calibration": str(ids), "evaluation": str(ids)}
    return Recipe.build(model=narrow_model, samples=8, length=64, **texts)


@pytest.fixture
def short_of_memory(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """A machine on which no pass over more than one window fits; what was tried, as windows and residence."""
    tried: list[tuple[int, str]] = []
    record = LanguageModel.record

    def scarce(model: LanguageModel, windows: torch.Tensor, batch: int, **more: Any) -> Stream:
        if windows.shape[1] > OF_A_CHECK:
            tried.append((batch, model.residence))
            if batch > 1:
                raise torch.OutOfMemoryError("out of memory. Tried to allocate everything.")
        return record(model, windows, batch, **more)

    monkeypatch.setattr(LanguageModel, "record", scarce)
    return tried


def test_a_run_short_of_memory_uses_smaller_batches_with_the_same_result(
    short_of_memory: list[tuple[int, str]], recipe: Recipe
) -> None:
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
    monkeypatch: pytest.MonkeyPatch, recipe: Recipe
) -> None:
    record = LanguageModel.record

    def never(model: LanguageModel, windows: torch.Tensor, *rest: Any, **more: Any) -> Stream:
        if windows.shape[1] > OF_A_CHECK:
            raise torch.OutOfMemoryError("out of memory. Tried to allocate everything.")
        return record(model, windows, *rest, **more)

    monkeypatch.setattr(LanguageModel, "record", never)
    events = list(run(recipe))
    last = events[-1]
    assert (
        isinstance(last, Failed)
        and "fewer calibration windows than 8" in last.message
        and "--length" in last.message
    )
    assert {event.residence for event in events if isinstance(event, ModelLoaded)} == {"resident", "streamed"}


def test_memory_that_runs_out_before_the_first_attempt_is_named(
    monkeypatch: pytest.MonkeyPatch, recipe: Recipe
) -> None:
    def scarce(*given: Any, **more: Any) -> None:
        raise ModelError("The install of scipy seems to be broken.") from MemoryError()

    monkeypatch.setattr("engine.run.summarise", scarce)
    last = list(run(recipe))[-1]
    assert isinstance(last, Failed) and "Memory ran out" in last.message and "scipy" in last.message


def test_finished_blocks_are_not_pruned_again_after_memory_ran_out(
    monkeypatch: pytest.MonkeyPatch, recipe: Recipe
) -> None:
    undisturbed = RunRecord.fold(run(recipe))
    advance, kept = Stream.advance, dict[int, BlockWeights]()
    failures = iter([torch.OutOfMemoryError("out of memory")])

    def once(stream: Stream, *arguments: Any, **more: Any) -> None:
        if len(kept) == 2 and (failure := next(failures, None)):
            raise failure
        return advance(stream, *arguments, **more)

    monkeypatch.setattr(Stream, "advance", once)
    events = list(run(recipe, kept))
    resumed = [event.blocks for event in events if isinstance(event, Resumed)]
    assert len(resumed) == 1 and resumed[0] >= 1
    indices = [event.index for event in events if event.event == "block_pruned"]
    assert sorted(indices) == sorted(set(indices)), "a block was pruned twice"
    record = RunRecord.fold(events)
    assert record.state == "finished" and record.pruned is not None and undisturbed.pruned is not None
    assert record.pruned.perplexity == pytest.approx(undisturbed.pruned.perplexity, rel=1e-4)
