"""Atomic writes: all or nothing under the final name, and no temporary files afterwards."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.hardware import disk


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def test_a_file_is_replaced(tmp_path: Path) -> None:
    disk.write_file(tmp_path / "a", b"old")
    disk.write_file(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new" and names(tmp_path) == {"a"}


def test_the_content_is_synced_before_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[tuple[str, int]] = []
    sync, rename = os.fsync, os.replace

    def noted_sync(descriptor: int) -> None:
        steps.append(("sync", os.fstat(descriptor).st_ino))
        sync(descriptor)

    def noted_rename(source: Path, target: Path) -> None:
        steps.append(("rename", os.stat(source).st_ino))
        rename(source, target)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(os, "replace", noted_rename)
    disk.write_file(tmp_path / "a", b"new")
    inode = (tmp_path / "a").stat().st_ino
    assert steps == [("sync", inode), ("rename", inode)]


def test_a_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    def fill(temporary: Path) -> None:
        temporary.write_bytes(b"half")
        raise ValueError

    disk.write_file(tmp_path / "a", b"old")
    with pytest.raises(ValueError):
        disk.replace_file(tmp_path / "a", fill)
    assert (tmp_path / "a").read_bytes() == b"old" and names(tmp_path) == {"a"}


def test_a_new_directory_appears_with_its_content_or_not_at_all(tmp_path: Path) -> None:
    with disk.new_directory(tmp_path / "made") as new:
        (new / "a").write_bytes(b"1")
        assert not (tmp_path / "made").exists()
    assert names(tmp_path) == {"made"} and names(tmp_path / "made") == {"a"}
    with pytest.raises(ValueError), disk.new_directory(tmp_path / "failed") as new:
        (new / "a").write_bytes(b"1")
        raise ValueError
    with pytest.raises(OSError), disk.new_directory(tmp_path / "made"):
        pass
    assert names(tmp_path) == {"made"} and names(tmp_path / "made") == {"a"}


def test_leftovers_of_one_name_are_removed(tmp_path: Path) -> None:
    for name in (".a[1].x.tmp", ".a1.x.tmp", "a[1]", ".a[1].x"):
        (tmp_path / name).touch()
    (tmp_path / ".a[1].y.tmp").mkdir()
    (tmp_path / ".a[1].y.tmp" / "file").touch()
    disk.remove_leftovers(tmp_path / "a[1]")
    assert names(tmp_path) == {".a1.x.tmp", "a[1]", ".a[1].x"}
