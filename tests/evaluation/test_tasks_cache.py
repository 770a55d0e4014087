"""Scores on disk: found again under the same key, and under no other; damage is as if nothing were there."""

from __future__ import annotations

import pytest

from engine.evaluation.tasks.cache import Key, ResultCache
from engine.evaluation.tasks.compare import scored

KEY = Key(task="rte", metric="acc", limit=4, documents="hub", harness="lm-eval 1, rte")
SCORE = scored([1, 0, 1, 1], task="rte", metric="acc", available=9, source="here", harness="lm-eval 1, rte")
OTHERS = [
    {"task": "piqa"},
    {"metric": "acc_norm"},
    {"limit": None},
    {"limit": 5},
    {"documents": "0123"},
    {"harness": "lm-eval 2, rte"},
]


def test_a_stored_score_is_read_back(tmp_path):
    ResultCache(tmp_path / "deep" / "down", "model one").put(KEY, SCORE)
    assert ResultCache(tmp_path / "deep" / "down", "model one").get(KEY) == SCORE
    assert [path.suffix for path in (tmp_path / "deep" / "down").iterdir()] == [".json"]


@pytest.mark.parametrize("change", OTHERS, ids=str)
def test_every_part_of_the_key_counts(change, tmp_path):
    cache = ResultCache(tmp_path, "model one")
    cache.put(KEY, SCORE)
    assert cache.get(KEY.model_copy(update=change)) is None
    assert ResultCache(tmp_path, "model two").get(KEY) is None


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\x00", b'{"format": 1', None])
def test_a_damaged_file_is_no_score_and_is_replaced(content, tmp_path):
    cache = ResultCache(tmp_path, "model one")
    cache.put(KEY, SCORE)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-9] if content is None else content)
    assert cache.get(KEY) is None
    cache.put(KEY, SCORE)
    assert cache.get(KEY) == SCORE


def test_a_file_renamed_to_another_key_is_ignored(tmp_path):
    cache, other = ResultCache(tmp_path, "model one"), KEY.model_copy(update={"limit": 7})
    cache.put(KEY, SCORE)
    (path,) = tmp_path.iterdir()
    cache.put(other, SCORE)
    (wrong,) = set(tmp_path.iterdir()) - {path}
    wrong.write_bytes(path.read_bytes())
    assert cache.get(other) is None


def test_a_failed_write_loses_only_the_stored_score(tmp_path):
    (tmp_path / "file").write_text("in the way")
    cache = ResultCache(tmp_path / "file", "model one")
    cache.put(KEY, SCORE)
    assert cache.get(KEY) is None
