"""Whatever happens to the files of one run, every other run is as it was, and this one is either right or
called damaged in a sentence; it can be deleted, restored and computed again.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from engine import run as engine_run
from engine.errors import StoreError
from engine.events import BlockPruned
from engine.jobs.execute import execute
from engine.jobs.followed import FollowedRuns
from engine.recipe import Recipe
from engine.store.folder import RunFolder
from engine.store.runs import Store
from engine.store.summary import Label
from tests.conftest import RecipeMaker
from tests.jobs import imitation
from tests.store import damages
from tests.store.damages import DAMAGES, OTHER_THINGS

ROUNDS = 64
LABEL = Label(name="The good one")


@pytest.fixture(autouse=True)
def _imitated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_run, "run", imitation.run)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, small: RecipeMaker) -> Path:
    """A home with two finished runs."""
    home = tmp_path_factory.mktemp("template") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine_run, "run", imitation.run)
        for seed in (0, 1):
            execute(small(seed=seed), Store(home).folder(small(seed=seed).key))
            Store(home).label(small(seed=seed).key, LABEL)
    return home


@pytest.fixture
def copy(template: Path, tmp_path: Path) -> Callable[[], Store]:
    """Makes a store with the two runs, in the place of the one before."""

    def fresh() -> Store:
        shutil.rmtree(tmp_path / "home", ignore_errors=True)
        return Store(shutil.copytree(template, tmp_path / "home"))

    return fresh


def assert_right_or_damaged(store: Store, recipe: Recipe, other: Recipe, template: Path) -> str:
    """Check the law for a damaged run next to another one, and return its state."""
    expected = {run.key: run for run in Store(template).list()}
    before = RunFolder(template / "runs" / recipe.key)
    folder = store.folder(recipe.key)
    found = {run.key: run for run in store.list()}
    assert (found[other.key].state, found[other.key].record) == ("finished", expected[other.key].record)
    run = found[recipe.key]
    if run.state == "finished":
        assert run.record == expected[recipe.key].record and folder.record() == before.record()
        assert FollowedRuns().view(folder).record == before.record()
        assert folder.events() == before.events()
        for index in before.blocks:
            try:
                kept = folder.blocks[index]["up"].keep
            except StoreError as error:
                assert "damaged" in str(error)
            else:
                assert kept.equal(before.blocks[index]["up"].keep)
    elif run.state == "damaged":
        assert run.message is not None and recipe.key in run.message and "is damaged: " in run.message
        for use in (lambda: FollowedRuns().view(folder), folder.require_weights):
            with pytest.raises(StoreError, match="is damaged: "):
                use()
    else:
        assert run.state == "interrupted", "the end of an event log may be missing for another reason"
    return run.state


def assert_survives(store: Store, recipe: Recipe, template: Path) -> None:
    """Check that the run can be deleted, restored, and computed again."""
    folder, before = store.folder(recipe.key), RunFolder(template / "runs" / recipe.key)
    store.delete(recipe.key)
    store.restore(recipe.key)
    assert execute(recipe, folder).model_copy(update={"resumed": None}) == before.record()
    # Blocks are only read when they are used, so a finished run may have a damaged one.
    if all(folder.blocks.readable(index) for index in before.blocks):
        assert folder.damage() is None and folder.is_finished()


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_run_is_called_damaged_and_can_be_computed_again(
    copy: Callable[[], Store], template: Path, small: RecipeMaker, damage: str
) -> None:
    store = copy()
    DAMAGES[damage](store.folder(small().key))
    assert assert_right_or_damaged(store, small(), small(seed=1), template) == "damaged"
    assert_survives(store, small(), template)


@pytest.mark.parametrize("name", ["lock", "cancel", "label.json", "imported"])
@pytest.mark.parametrize("what", OTHER_THINGS)
def test_what_lies_in_the_place_of_other_files_does_no_harm(
    copy: Callable[[], Store], template: Path, small: RecipeMaker, name: str, what: str
) -> None:
    store = copy()
    path = store.folder(small().key).path / name
    path.touch()
    OTHER_THINGS[what](path)
    assert_right_or_damaged(store, small(), small(seed=1), template)
    store.label(small().key, LABEL)
    assert_survives(store, small(), template)


def test_links_to_nothing_among_the_runs_hide_no_run(copy: Callable[[], Store], small: RecipeMaker) -> None:
    store = copy()
    (store.runs / "loop").symlink_to("loop")
    (store.runs / "nothing").symlink_to("nowhere")
    assert len(store.list()) == 2


@pytest.mark.parametrize("seed", range(8))
def test_any_byte_changed_cut_or_removed_leaves_the_run_right_or_damaged(
    copy: Callable[[], Store], template: Path, small: RecipeMaker, seed: int
) -> None:
    chance = random.Random(seed)
    store = copy()
    folder = store.folder(small().key)
    for _ in range(ROUNDS // 8):
        shutil.rmtree(folder.path)
        shutil.copytree(template / "runs" / small().key, folder.path)
        path = chance.choice(sorted(path for path in folder.path.rglob("*") if path.is_file()))
        if path.name == "label.json":
            continue  # what the user says about a run is no result
        content = path.read_bytes()
        place, length = chance.randrange(len(content) + 1), chance.choice((1, 1, 7, len(content)))
        put = chance.choice((b"", bytes([chance.randrange(256)]), bytes(length), content[:length]))
        path.write_bytes(content[:place] + put + content[place + length :])
        state = assert_right_or_damaged(store, small(), small(seed=1), template)
        if state != "finished" or chance.random() < 0.2:
            assert_survives(store, small(), template)


def test_a_retry_resumes_after_the_last_block_before_the_damage(
    copy: Callable[[], Store], small: RecipeMaker
) -> None:
    store = copy()
    folder = store.folder(small().key)
    content = damages.lines(folder)
    content[3] = content[3].replace(b'"output_error":0.1', b'"output_error":0.7')
    damages.put(folder, content)
    seen: list[int] = []
    execute(
        small(),
        folder,
        publish=lambda event: seen.append(event.index) if isinstance(event, BlockPruned) else None,
    )
    assert seen == [2, 3] and [block.linears[0].output_error for block in folder.record().blocks] == [0.1] * 4


def test_a_run_of_a_version_without_checksums_is_read(copy: Callable[[], Store], small: RecipeMaker) -> None:
    store = copy()
    folder = store.folder(small().key)
    before = folder.record()
    folder.checksums_path.unlink()
    assert folder.damage() is None and folder.record() == before and folder.is_finished()


def test_files_that_vanish_while_they_are_read(
    copy: Callable[[], Store], small: RecipeMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = copy()
    folder = store.folder(small().key)
    files = folder.files()
    shutil.rmtree(folder.path)
    monkeypatch.setattr("engine.store.listing.list_files", lambda path: files)
    monkeypatch.setattr("engine.store.listing.run_keys", lambda directory: [small().key, small(seed=1).key])
    assert [run.key for run in store.list()] == [small(seed=1).key]


def test_access_that_is_denied_is_damage(
    copy: Callable[[], Store], template: Path, small: RecipeMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.store import plain_files

    read = plain_files.read

    def refuse(path: Path, offset: int = 0) -> bytes:
        if path.parent.name == small().key:
            raise PermissionError(13, "Permission denied", str(path))
        return read(path, offset)

    monkeypatch.setattr(plain_files, "read", refuse)
    assert assert_right_or_damaged(copy(), small(), small(seed=1), template) == "damaged"
