"""Method files and the background engine: a run is computed with the content that it was queued with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import PublicModeError
from engine.jobs.policy import METHODS_OFF, Policy
from engine.jobs.requests import LinearRequest
from engine.jobs.service import BackgroundEngine
from engine.pruning.method_files.loading import unload
from engine.recipe import Recipe, pin
from engine.store.runs import Store
from tests.conftest import RecipeMaker
from tests.jobs.conftest import ended, until
from tests.jobs.pace import Pace
from tests.pruning.test_method_files import LINE, load, score


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    file = tmp_path / "mine.py"
    yield file
    unload(file)


def test_a_worker_computes_what_was_queued_although_the_file_is_edited(
    engine: BackgroundEngine, pace: Pace, small: RecipeMaker, path: Path
) -> None:
    pace.set(0)
    bodies = ("return weight.abs()", "return -weight.abs()", "return weight.no_such_thing")
    keys = []
    for body in bodies:
        load(path, score(body))
        keys.append(engine.submit(small(score="mine", evaluation=None)))
    unload(path)
    first, second, failed = (ended(engine, key).record for key in keys)
    assert len(set(keys)) == 3 and (first.state, second.state) == ("finished", "finished"), first.error
    errors = [record.blocks[0].linears[0].output_error or 0.0 for record in (first, second)]
    assert 0 < errors[0] < errors[1]
    assert failed.state == "failed" and f"mine.py, line {LINE}: AttributeError" in (failed.error or "")

    def inspected(key: str) -> bool:
        answer = engine.inspect(LinearRequest(key, 0, "self_attn.q_proj"))
        assert not answer.failed, answer.message
        return answer.value is not None

    until(lambda: all(inspected(key) for key in keys[:2]))


def test_methods_of_files_are_off_in_public_mode(path: Path, tmp_path: Path) -> None:
    load(path, score())
    pinned = pin(Recipe.build(score="mine"))
    assert [fault.message for fault in Policy().faults(pinned.model_dump())] == [METHODS_OFF]
    assert Policy().shows(pin(Recipe.build())) and not Policy().shows(pinned)
    public = BackgroundEngine(Store(tmp_path / "home"), policy=Policy())
    with pytest.raises(PublicModeError, match="Methods of your own are off in public mode"):
        public.submit(pinned)
