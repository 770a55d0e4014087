"""A run folder: what is written is read back, half-written things are not seen, and the state follows from
the lock.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import torch
from filelock import Timeout

from engine.errors import StoreError
from engine.events import Cancelled, Event, to_line
from engine.pruning.weights import BlockWeights, PrunedLinear
from engine.record import RunRecord
from engine.store.folder import RunFolder
from engine.store.follow import Tail
from tests.conftest import RecipeMaker
from tests.jobs.imitation import ENVIRONMENT, block, started


@pytest.fixture
def folder(tmp_path: Path, small: RecipeMaker) -> RunFolder:
    recipe = small()
    made = RunFolder(tmp_path / recipe.key)
    made.create(recipe)
    return made


def test_events_and_recipe_come_back(folder: RunFolder, small: RecipeMaker) -> None:
    events: list[Event] = [started(small()), block(0), block(1)]
    for event in events:
        folder.append(event)
    assert folder.recipe() == small()
    assert folder.events() == events
    assert folder.events_from(0)[0] == events
    assert RunRecord.fold(events).environment == ENVIRONMENT


def test_compressed_events_of_a_bundled_run_are_read(tmp_path: Path, small: RecipeMaker) -> None:
    events: list[Event] = [started(small()), block(0), Cancelled()]
    packed = tmp_path / RunFolder.PACKED_EVENTS
    packed.write_bytes(gzip.compress(b"".join(to_line(event).encode() + b"\n" for event in events)))
    folder = RunFolder(tmp_path, recorded=True)
    assert folder.events() == events == Tail(folder).refresh()
    assert folder.events_from(0)[0] == events
    packed.write_bytes(packed.read_bytes()[:-20])
    with pytest.raises(StoreError, match=r"its events.jsonl.gz cannot be read"):
        folder.events()
    assert RunFolder(tmp_path).events() == []  # one that may be written


def test_a_line_that_is_not_whole_is_not_read(folder: RunFolder, small: RecipeMaker) -> None:
    folder.append(started(small()))
    offset = folder.events_from(0)[1]
    line = to_line(block(0)).encode() + b"\n"
    with folder.events_path.open("ab") as file:
        file.write(line[:40])
        file.flush()
        assert folder.events_from(offset) == ([], offset)
        file.write(line[40:])
    assert folder.events_from(offset) == ([block(0)], offset + len(line))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_blocks_come_back(folder: RunFolder, dtype: torch.dtype) -> None:
    keep = torch.rand(5, 7) > 0.5
    weights: BlockWeights = {
        "mlp.up": PrunedLinear(keep),
        "mlp.down": PrunedLinear(~keep, torch.rand(5, 7).to(dtype)),
    }
    folder.blocks[3] = weights
    again = folder.blocks[3]
    assert (
        3 in folder.blocks
        and 2 not in folder.blocks
        and list(folder.blocks) == [3]
        and len(folder.blocks) == 1
    )
    assert torch.equal(again["mlp.up"].keep, keep) and again["mlp.up"].weight is None
    assert again["mlp.down"].weight is not None and again["mlp.down"].weight.dtype == dtype
    assert torch.equal(again["mlp.down"].weight, weights["mlp.down"].weight)
    assert folder.blocks.masks("model.layers").keys() == {"model.layers.3.mlp.up", "model.layers.3.mlp.down"}
    del folder.blocks[3]
    assert not folder.blocks


def test_a_damaged_block_is_not_taken_for_one(folder: RunFolder) -> None:
    folder.blocks[0] = {"up": PrunedLinear(torch.ones(64, 64, dtype=torch.bool))}
    path = folder.blocks.path(0)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))  # one bit
    assert folder.blocks.has_full_length(0) and not folder.blocks.readable(0)
    with pytest.raises(StoreError, match="damaged"):
        folder.blocks[0]
    for content in (whole[:-9], b"garbage", b""):
        path.write_bytes(content)
        assert not folder.blocks.has_full_length(0) and not folder.blocks.readable(0)


def test_the_state_follows_from_the_lock(folder: RunFolder, small: RecipeMaker) -> None:
    folder.append(started(small()))
    assert folder.record().state == "interrupted"
    assert "No block was finished yet" in (folder.record().error or "")
    with folder.lock():
        assert folder.locked and folder.record().state == "running"
        with pytest.raises(Timeout), RunFolder(folder.path).lock():
            pass
    assert not folder.locked
    folder.end(Cancelled())
    assert folder.record().state == "cancelled"
    assert RunRecord.model_validate_json(folder.record_path.read_bytes()) == folder.record()


def test_a_tail_reads_only_what_is_new_and_notices_a_rewound_file(
    folder: RunFolder, small: RecipeMaker
) -> None:
    tail = Tail(folder)
    assert tail.refresh() == [] and tail.record == RunRecord()
    folder.append(started(small()))
    assert len(tail.refresh()) == 1 and tail.refresh() == []
    folder.append(block(0))
    assert tail.refresh() == [block(0)]
    line = folder.events_path.read_bytes().splitlines(keepends=True)[0]
    folder.rewind(line)
    assert tail.refresh() == [started(small())] and tail.record == folder.record().model_copy(
        update={"state": "running", "error": None}
    )


def test_creating_twice_keeps_what_is_there(folder: RunFolder, small: RecipeMaker) -> None:
    folder.append(started(small()))
    folder.create(small())
    assert folder.events() == [started(small())]
    assert [path.name for path in folder.path.parent.iterdir()] == [folder.key]


def test_reading_a_small_file_takes_little_memory(tmp_path: Path) -> None:
    import tracemalloc

    from engine.store import plain_files

    (path := tmp_path / "events.jsonl").write_bytes(b"0123456789")
    tracemalloc.start()
    assert plain_files.read(path, 4) == b"456789" and plain_files.read(path, 99) == b""
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def test_a_run_that_was_resumed_with_its_file_elsewhere_is_sound(tmp_path: Path, small: RecipeMaker) -> None:
    first = small().model_copy(update={"model": "/a/x.gguf", "revision": "gguf:0123456789abcdef"})
    folder = RunFolder(tmp_path / first.key, private=True)
    folder.create(first.model_copy(update={"model": "/b/y.gguf"}))
    for event in (started(first), Cancelled()):
        folder.append(event)
    assert folder.damage() is None
    other = RunFolder(tmp_path / "other")
    other.create(first.model_copy(update={"revision": "gguf:0000000000000000"}))
    for event in (started(first), Cancelled()):
        other.append(event)
    assert "not the recipe that was computed" in (other.damage() or "")
