"""Importing a run: what is accepted, what is refused, and that an imported run never answers for a recipe."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine import run as engine_run
from engine.errors import StoreError
from engine.events import Event, Noted, RunStarted, to_line
from engine.jobs.execute import execute
from engine.jobs.queue import RunQueue
from engine.recipe import Recipe, pin
from engine.record import RunRecord
from engine.store import import_limits
from engine.store.import_run import import_run, set_all_aside
from engine.store.runs import Label, Store
from tests.conftest import RecipeMaker
from tests.jobs import imitation
from tests.pages.fakes import FINISHED, events

Lines = list[dict[str, Any]]
RECIPE = pin(Recipe.build(allocation="owl", sparsity=0.6))
OTHER = pin(Recipe.build(sparsity=0.5))


def lines_of(found: list[Event]) -> Lines:
    return [json.loads(to_line(event)) for event in found]


def run_lines() -> Lines:
    return lines_of(events(RECIPE, end=FINISHED))


def of_kind(lines: Lines, kind: str) -> dict[str, Any]:
    return next(line for line in lines if line["event"] == kind)


def as_events(lines: Lines) -> bytes:
    return "\n".join(json.dumps(line, ensure_ascii=False) for line in lines).encode()


def as_record(lines: Lines, change: Callable[[dict[str, Any]], object] = lambda record: None) -> bytes:
    from engine.events import from_line

    record = RunRecord.fold(from_line(json.dumps(line)) for line in lines).model_dump(mode="json")
    change(record)
    return json.dumps(record).encode()


@pytest.fixture
def imported(store: Store) -> str:
    return import_run(store, as_events(run_lines()), "colleague.jsonl")


class TestKeys:
    def test_results_are_stored_under_a_key_of_their_own(self, store: Store, imported: str) -> None:
        (run,) = store.list()
        assert (run.key, run.state, run.imported, run.has_weights) == (imported, "finished", True, False)
        assert (
            run.record is not None and run.record.key == imported and store.find(imported).record().imported
        )
        assert run.record.pruned == RunRecord.fold(events(RECIPE, end=FINISHED)).pruned
        assert run.recipe == RECIPE and imported != RECIPE.key and "imported" in run.title
        with pytest.raises(StoreError, match="without its weights"):
            store.find(imported).require_weights()

    def test_a_file_does_not_answer_for_the_recipe_whose_key_it_states(self, store: Store) -> None:
        forged = run_lines()
        forged[0]["key"] = OTHER.key
        key = import_run(store, as_events(forged), "false.jsonl")
        record = store.find(key).record()
        assert not store.folder(OTHER.key).exists and not store.folder(RECIPE.key).exists
        assert record.recipe == RECIPE
        assert any(OTHER.key in note and RECIPE.key in note for note in record.warnings)

    def test_a_path_as_key_does_not_leave_the_store(self, store: Store) -> None:
        lines = run_lines()
        lines[0]["key"] = "../../outside"
        key = import_run(store, as_events(lines), "evil.jsonl")
        assert store.find(key).exists and not (store.home.parent / "outside").exists()

    def test_a_key_of_an_earlier_version_is_recognised(self, store: Store) -> None:
        lines = run_lines()
        lines[0]["key"] = RECIPE.key_in(1)
        record = store.find(import_run(store, as_events(lines), "old.jsonl")).record()
        assert any("earlier version" in note for note in record.warnings)

    def test_runs_of_one_recipe_exist_next_to_each_other(
        self, store: Store, small: RecipeMaker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(engine_run, "run", imitation.run)
        own, lines = small(), lines_of(events(small(), end=FINISHED))
        first = import_run(store, as_events(lines), "a.jsonl")
        assert execute(own, store.folder(own.key)).dense is None, "it was computed, not taken from the file"
        of_kind(lines, "evaluated")["pruned"] |= {"perplexity": 1.0, "nll": 0.0}
        second = import_run(store, as_events(lines), "b.jsonl")
        assert {run.key for run in store.list()} == {own.key, first, second}
        assert store.folder(own.key).is_finished() and not store.folder(own.key).imported

    def test_a_queue_computes_the_recipe_of_an_imported_run(self, store: Store, imported: str) -> None:
        runs = RunQueue(store, 1.0, lambda: None)
        runs.submit(RECIPE)
        assert runs.active() == [RECIPE.key] and [run.key for run in store.list()] == [imported]

    def test_the_same_numbers_are_not_imported_twice(self, store: Store, imported: str) -> None:
        again = store.find(imported).record().model_dump_json().encode()
        for content in (as_events(run_lines()), as_record(run_lines()), again):
            with pytest.raises(StoreError, match="already here"):
                import_run(store, content, "again.json")
        bundled = store.find(store.recorded[0].key).record()
        with pytest.raises(StoreError, match="already here"):
            import_run(store, bundled.model_dump_json().encode(), "bundled.json")

    def test_a_run_that_an_earlier_version_imported_gets_a_key_of_its_own(
        self, store: Store, imported: str, small: RecipeMaker
    ) -> None:
        """Earlier versions stored it under its recipe's key."""
        old = store.folder(RECIPE.key)
        store.folder(imported).path.rename(old.path)
        content = old.events_path.read_text().replace(imported, RECIPE.key)
        old.events_path.write_text(content)
        old.checksums_path.unlink()
        store.label(RECIPE.key, Label(note="from Ann"))
        hidden = store.runs / ".half-written"
        hidden.mkdir()
        (hidden / old.IMPORTED).touch()
        set_all_aside(store)
        (run,) = store.list()
        assert run.key == imported and run.label.note == "from Ann" and run.record is not None
        assert run.record.key == imported and not old.exists

    def test_computing_a_recipe_moves_what_an_earlier_version_imported_for_it(
        self, store: Store, imported: str, small: RecipeMaker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(engine_run, "run", imitation.run)
        old = store.folder(RECIPE.key)
        store.folder(imported).path.rename(old.path)
        record = execute(RECIPE, old)
        assert record.pruned is None and not old.imported, "it was computed, not taken from the file"
        assert store.folder(imported).record().pruned is not None

    def test_what_cannot_be_read_gives_way(
        self, store: Store, imported: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(engine_run, "run", imitation.run)
        old = store.folder(RECIPE.key)
        store.folder(imported).path.rename(old.path)
        old.events_path.write_text("nonsense\n")
        assert execute(RECIPE, old).state == "finished" and not old.imported


class TestFormats:
    def test_bundled_records_and_events_are_accepted(self, tmp_path: Path, store: Store) -> None:
        empty = Store(tmp_path / "home", recorded=tmp_path / "none")
        for summary in store.recorded[::12]:
            record = store.find(summary.key).record()
            key = import_run(empty, record.model_dump_json().encode(), "record.json")
            assert empty.find(key).record().model_copy(update={"key": record.key}) == record

    @pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x1c"])
    def test_a_text_may_hold_any_separator(self, store: Store, separator: str) -> None:
        lines = run_lines()
        lines.insert(3, {"event": "noted", "message": f"one{separator}two"})
        record = store.find(import_run(store, as_events(lines), "run.jsonl")).record()
        assert f"one{separator}two" in record.warnings

    @pytest.mark.parametrize(
        "change", [lambda data: b"\xef\xbb\xbf" + data, lambda data: data.replace(b"\n", b"\r\n")]
    )
    def test_files_of_editors_are_accepted(self, store: Store, change: Callable[[bytes], bytes]) -> None:
        assert import_run(store, change(as_events(run_lines())), "run.jsonl")

    def test_what_a_newer_version_added_is_left_out_and_named(self, store: Store) -> None:
        lines = run_lines()
        lines[0]["recipe"]["rank"] = 4
        of_kind(lines, "block_pruned")["linears"][0]["spin"] = 0.5
        lines.insert(4, {"event": "teleported", "where": "moon"})
        record = store.find(import_run(store, as_events(lines), "new.jsonl")).record()
        assert record.pruned is not None and record.recipe == RECIPE
        assert any(all(name in note for name in ("rank", "spin", "teleported")) for note in record.warnings)

    def test_resumed_runs_are_accepted(self, store: Store) -> None:
        lines = run_lines()
        place = next(number for number, line in enumerate(lines) if line["event"] == "block_pruned") + 1
        later, latest = ([{**line, "elapsed": time} for line in lines[1 : place - 1]] for time in (9, 10))
        again = [lines[0], {"event": "resumed", "blocks": 1}, *later]
        without_memory = [{"event": "noted", "message": "Memory ran out."}, *latest]
        content = as_events([*lines[:place], *again, *without_memory, *lines[place:]])
        assert store.find(import_run(store, content, "run.jsonl")).record().state == "finished"


def set_in(kind: str, **values: Any) -> Callable[[Lines], object]:
    return lambda lines: of_kind(lines, kind).update(values)


def set_linear(**values: Any) -> Callable[[Lines], object]:
    return lambda lines: of_kind(lines, "block_pruned")["linears"][0].update(values)


def set_score(**values: Any) -> Callable[[Lines], object]:
    return lambda lines: of_kind(lines, "evaluated")["pruned"].update(values)


def set_recipe(**values: Any) -> Callable[[Lines], object]:
    return lambda lines: lines[0]["recipe"].update(values)


def repeat(kind: str) -> Callable[[Lines], object]:
    return lambda lines: lines.insert(lines.index(of_kind(lines, kind)), of_kind(lines, kind))


TASK = {
    "task": "rte",
    "metric": "acc",
    "value": 0.5,
    "stderr": 0.1,
    "examples": 2,
    "available": 2,
    "source": "x",
    "harness": "y",
    "outcomes": "01",
}


def add_task(**values: Any) -> Callable[[Lines], object]:
    return lambda lines: lines.insert(
        -1, {"event": "task_measured", "which": "dense", "score": {**TASK, **values}}
    )


HOSTILE: dict[str, tuple[Callable[[Lines], object], str]] = {
    "no start": (lambda lines: lines.pop(0), "begin with the start"),
    "no end": (lambda lines: lines.pop(), "end with the end"),
    "two ends": (lambda lines: lines.append(lines[-1]), "end with the end"),
    "no model": (lambda lines: lines.remove(of_kind(lines, "model_loaded")), "0 blocks"),
    "no weights": (set_in("model_loaded", parameters=0), "parameters"),
    "more prunable weights than weights": (set_in("model_loaded", parameters=5), "add up"),
    "no blocks": (set_in("model_loaded", blocks=0, linears=[]), "blocks"),
    "blocks without linears": (set_in("model_loaded", blocks=9), "linears of 8"),
    "many blocks": (set_in("model_loaded", blocks=10**6, linears=[[]] * 10**4), "not accepted"),
    "a missing block": (lambda lines: lines.remove(of_kind(lines, "block_pruned")), "1 of its 8 blocks"),
    "an unknown block": (set_in("block_pruned", index=8), "block 8"),
    "a huge index": (set_in("block_pruned", index=10**15), "names block"),
    "a block twice": (repeat("block_pruned"), "twice"),
    "an allocation twice": (repeat("allocated"), "twice"),
    "an evaluation twice": (repeat("evaluated"), "twice"),
    "no linears": (set_in("block_pruned", linears=[]), "no linears"),
    "an unknown linear": (set_linear(name="zorp"), "zorp"),
    "a linear of another shape": (set_linear(rows=3), "does not have"),
    "a linear without rows": (set_linear(rows=0), "rows"),
    "a negative count": (set_linear(removed=-1), "removed"),
    "more zeros than weights": (set_linear(kept_zeros=10**9), "more zeros"),
    "another sparsity": (set_linear(sparsity=0.99), "sparsity of 0.99"),
    "a sparsity of 1": (set_in("block_pruned", sparsity=1), "sparsity of 1"),
    "a sparsity of 7": (set_in("block_pruned", sparsity=7), "from 0 to 1"),
    "an infinite error": (set_linear(output_error="Infinity"), "output_error"),
    "an error that is no number": (set_linear(output_error="NaN"), "output_error"),
    "a cosine of 3": (set_in("block_pruned", cosine=3), "cosine"),
    "an allocation of other length": (set_in("allocated", ratios=[0.5]), "8 blocks"),
    "an allocation above 1": (set_in("allocated", ratios=[1.5] * 8), "from 0 to 1"),
    "an infinite loss": (set_score(nll="Infinity", perplexity="Infinity"), "nll"),
    "a negative perplexity": (set_score(perplexity=-3), "perplexity"),
    "a perplexity that does not follow": (set_score(perplexity=1.5), "does not follow"),
    "no tokens": (set_score(tokens=0), "tokens"),
    "a text without windows": (set_in("evaluated", corpus="elsewhere"), "evaluation texts"),
    "an integer of 400 digits": (set_in("model_loaded", bytes=10**400), "bytes"),
    "an integer beyond a browser's": (set_in("model_loaded", bytes=2**53), "bytes"),
    "a date in words": (set_in("run_started", started="yesterday"), "no date"),
    "the year 1": (set_in("run_started", started="0001-01-01T00:00:00+14:00"), "no date"),
    "negative seconds": (set_in("block_pruned", seconds=-1), "seconds"),
    "infinite timings": (set_in("finished", timings={"prune": "Infinity"}), "timings"),
    "a coverage of 5": (set_in("finished", coverage=5), "coverage"),
    "negative memory": (set_in("finished", peak_host=-1), "peak_host"),
    "a sparsity of 1 as the target": (set_recipe(sparsity=1), "sparsity"),
    "a recipe that is a list": (lambda lines: lines[0].update(recipe=[]), "recipe"),
    "a recipe without methods": (lambda lines: lines[0].update(recipe={}), "incomplete"),
    "a setting that is no number": (set_recipe(settings={"owl.m": float("nan")}), "recipe"),
    "many settings": (set_recipe(settings={f"x.{number}": 1 for number in range(2000)}), "2,000 entries"),
    "a long score": (set_recipe(score="s" * 201), "score"),
    "a long model": (set_recipe(model="m" * 20_000), "characters"),
    "a long note": (
        lambda lines: lines.insert(3, {"event": "noted", "message": "x" * 10**6}),
        "characters",
    ),
    "a long key": (set_in("run_started", key="k" * 10**5), "characters"),
    "two recipes": (
        lambda lines: lines.insert(1, {**lines[0], "recipe": {**lines[0]["recipe"], "sparsity": 0.1}}),
        "two different recipes",
    ),
    "a measured block that does not exist": (
        lambda lines: lines.insert(4, {"event": "block_measured", "index": 99, "value": 1}),
        "block 99",
    ),
    "a candidate of other length": (
        lambda lines: lines.insert(
            4,
            {
                "event": "candidate_tried",
                "candidate": {"step": "s", "lambda": 1, "objective": 1, "alignment": [], "ratios": []},
            },
        ),
        "8 blocks",
    ),
    "outcomes in letters": (add_task(outcomes="xy"), "outcomes"),
    "other outcomes than examples": (add_task(examples=9), "outcomes"),
    "a score of 5": (add_task(value=5), "value"),
    "a score that does not follow": (add_task(value=1), "does not follow"),
    "wrong types": (set_in("block_pruned", linears="all"), "linears"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_run_that_contradicts_itself_is_refused_in_a_sentence(store: Store, name: str) -> None:
    change, words = HOSTILE[name]
    lines = run_lines()
    change(lines)
    with pytest.raises(StoreError, match=words) as raised:
        import_run(store, as_events(lines), "hostile.jsonl")
    assert len(str(raised.value)) < 700 and "\n" not in str(raised.value)
    assert store.list() == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b" \n\r\n", "is empty"),
        (b"\xff\xfe\x00", "not text"),
        (b"hello", "neither a record nor events"),
        (b'{"colour": "red"}', "not that of a finished run"),
        (b"[1, 2]", "neither a record nor events"),
        (b"null", "neither a record nor events"),
        (b"1e999", "neither a record nor events"),
        (b"[" * 100_000, "neither a record nor events"),
        (b'{"a":' * 100_000, "neither a record nor events"),
        (b'{"event": "noted", "message":' + b"[" * 100_000, "neither a record nor events"),
        (b'{"event": "teleported"}', "begin with the start"),
        (RunRecord().model_dump_json().encode(), "not that of a finished run"),
        (b" " * (import_limits.MOST_BYTES + 1), "at most 20 MB"),
        (b"{}\n" * (import_limits.MOST_EVENTS + 1), "more lines"),
    ],
)
def test_other_files_are_refused_in_a_sentence(store: Store, content: bytes, words: str) -> None:
    with pytest.raises(StoreError, match=words):
        import_run(store, content, "some file")
    assert store.list() == []


def test_a_record_with_many_notes_is_refused(store: Store) -> None:
    notes = [f"note {number}" for number in range(30_000)]
    with pytest.raises(StoreError, match="30,000 notes"):
        import_run(store, as_record(run_lines(), lambda record: record.update(warnings=notes)), "notes.json")


def test_an_unfinished_run_is_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="finished run"):
        import_run(store, as_events(run_lines()[:3]), "half.jsonl")


@pytest.mark.parametrize("name", ["x" * 5000, "\udcff", "a\nb"])
def test_any_file_name_is_accepted(store: Store, name: str) -> None:
    assert import_run(store, as_events(run_lines()), name)


def test_notes_are_ordinary_events(store: Store, imported: str) -> None:
    """A replay shows what the record shows."""
    folder = store.find(imported)
    found = folder.events()
    assert isinstance(found[0], RunStarted) and found[0].key == imported
    assert not any(isinstance(event, Noted) for event in found)
    assert RunRecord.fold(found) == folder.record()
