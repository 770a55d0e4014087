"""A disk that refuses a write is a sentence with the remedy that helps in this place."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from engine.store.atomic_files import store_error


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.ENOTDIR, errno.EIO])
def test_the_advice_is_the_setting_that_chose_the_directory(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRUNESCOPE_HOME", str(tmp_path / "home"))
    error = OSError(number, "refused")
    stored, elsewhere = (str(store_error(tmp_path / place, error)) for place in ("home/runs/key", "out"))
    assert "set PRUNESCOPE_HOME to a directory on another disk" in stored and "--out" not in stored
    assert "--out" in elsewhere and "PRUNESCOPE_HOME" not in elsewhere
