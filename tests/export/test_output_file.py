"""A file that the user names is replaced only if it holds an earlier result of the same kind."""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.charts.report import report
from engine.cli.main import main
from engine.errors import StoreError
from engine.export.output_file import save_masks, save_record, save_report
from engine.record import RunRecord
from engine.store.folder import RunFolder
from engine.store.runs import RECORDED, Store

MASKS = {"a": torch.tensor([[True, False]])}
OLDER = {"b": torch.tensor([[True]])}


@pytest.fixture(scope="module")
def record() -> RunRecord:
    return RunFolder(next(RECORDED.iterdir())).record()


@pytest.fixture(scope="module", params=["masks", "record", "report"])
def save(request: pytest.FixtureRequest, record: RunRecord) -> Callable[..., None]:
    """Saves a result of one kind to a path."""
    kinds: dict[str, tuple[Callable[..., None], Callable[[], Any]]] = {
        "masks": (save_masks, lambda: MASKS),
        "record": (save_record, lambda: record),
        "report": (save_report, lambda: report(record)),
    }
    write, make = kinds[request.param]
    result = make()
    return lambda path, **options: write(result, path, **options)


@pytest.mark.parametrize("text", ["my notes", "{}", '{"key": "mine"}', "<html>mine</html>"])
def test_another_file_is_not_replaced(save: Callable[..., None], tmp_path: Path, text: str) -> None:
    (other := tmp_path / "other").write_text(text)
    with pytest.raises(StoreError, match="holds something else"):
        save(other)
    assert other.read_text() == text and os.listdir(tmp_path) == ["other"]
    save(other, force=True)
    assert other.read_bytes() != text.encode()


def test_an_earlier_result_and_an_empty_file_are_replaced(save: Callable[..., None], tmp_path: Path) -> None:
    (out := tmp_path / "out").touch()
    save(out)
    before, inode = out.read_bytes(), out.stat().st_ino
    save(out)
    assert out.read_bytes() == before and out.stat().st_ino != inode, "written next to it and swapped in"
    assert os.listdir(tmp_path) == ["out"]


def test_weights_are_no_masks(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, path := tmp_path / "model.safetensors")
    with pytest.raises(StoreError, match="holds something else"):
        save_masks(MASKS, path)
    save_masks(OLDER, path, force=True)
    save_masks(MASKS, path)
    assert load_file(path).keys() == {"a"}


def test_a_full_disk_keeps_the_earlier_result(
    record: RunRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_record(record, out := tmp_path / "out")
    before = out.read_bytes()

    def full(path: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StoreError, match="No space left"):
        save_record(record, out)
    assert out.read_bytes() == before and os.listdir(tmp_path) == ["out"]


def test_a_link_and_a_pipe_stay_what_they_are(record: RunRecord, tmp_path: Path) -> None:
    (link := tmp_path / "link").symlink_to(tmp_path / "target")
    save_record(record, link)
    assert link.is_symlink() and (tmp_path / "target").is_file()
    os.mkfifo(pipe := tmp_path / "pipe")
    found: list[str] = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_text()), daemon=True)
    reader.start()
    save_record(record, pipe)
    reader.join(10)
    assert RunRecord.model_validate_json(found[0]) == record and pipe.is_fifo()


def test_the_commands_refuse_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PRUNESCOPE_HOME", str(tmp_path / "home"))
    key = Store().recorded[0].key
    (notes := tmp_path / "notes").write_text("mine")
    for command in (["export", key, "--record", str(notes)], ["report", key, "--out", str(notes)]):
        assert main(command) == 1
        assert "--force" in capsys.readouterr().err and notes.read_text() == "mine"
    assert main(["export", key, "--record", str(notes), "--force"]) == 0
    assert notes.read_text() != "mine"
    assert main(["export", key, "--record", str(tmp_path)]) == 1
    assert "Is a directory" in capsys.readouterr().err


def test_a_home_that_holds_other_directories_loses_none_of_them(tmp_path: Path) -> None:
    """`PRUNESCOPE_HOME` may be any directory, also one with a `trash` and `texts` of its own."""
    from engine.corpora.user_texts import drop_unused_texts

    (mine := tmp_path / "trash" / "photos").mkdir(parents=True)
    (mine / "a.jpg").write_text("mine")
    (thesis := tmp_path / "texts" / "thesis.txt").parent.mkdir()
    thesis.write_text("mine")
    os.utime(thesis, (0, 0))
    Store(tmp_path).empty_trash()
    drop_unused_texts(tmp_path / "texts")
    assert (mine / "a.jpg").exists() and thesis.exists()
