"""Documents from a directory: both forms are read, and what is no document is named with its line."""

from __future__ import annotations

import json

import pytest

from engine.errors import TaskError
from engine.evaluation.tasks.catalogue import TASKS
from engine.evaluation.tasks.local import FORMS, find, read
from tests.evaluation.task_documents import own, short, write


def without_extras(task: str, number: int) -> dict:
    return {field: value for field, value in own(task, number).items() if field in FORMS[task][0]}


@pytest.mark.parametrize("task", TASKS)
def test_documents_with_the_hubs_fields_are_read_unchanged(task, tmp_path):
    write(tmp_path, task, [own(task, number) for number in range(3)])
    local = read(tmp_path, TASKS[task])
    assert list(local.documents) == [without_extras(task, number) for number in range(3)]
    assert len(local.digest) == 16


@pytest.mark.parametrize("name", ["openbook_qa", "OpenBookQA", "openbookqa", "open-book-qa"])
def test_file_names_have_several_accepted_spellings(name, tmp_path):
    write(tmp_path, "openbookqa", [short("openbookqa", 0)], name)
    assert find(tmp_path, TASKS["openbookqa"]).stem == name


def test_lambadas_file_may_have_lm_evals_name(tmp_path):
    write(tmp_path, "lambada", [short("lambada", 0)], "lambada_openai")
    assert read(tmp_path, TASKS["lambada"]).documents == (own("lambada", 0),)


def test_the_digest_depends_on_the_content_alone(tmp_path):
    digests = set()
    for count in (2, 2, 3):
        write(tmp_path, "rte", [own("rte", number) for number in range(count)])
        digests.add(read(tmp_path, TASKS["rte"]).digest)
    assert len(digests) == 2


def test_a_missing_file_or_directory_is_reported_with_the_tasks_name(tmp_path):
    with pytest.raises(TaskError, match=r"no arc_easy\.jsonl for ARC-easy"):
        find(tmp_path, TASKS["arc_easy"])
    with pytest.raises(TaskError, match="not a readable directory"):
        find(tmp_path / "nowhere", TASKS["arc_easy"])


QUIZ = short("arc_easy", 0)
DAMAGED = [
    ("arc_easy", "{"),
    ("arc_easy", "[1, 2]"),
    ("arc_easy", "7"),
    ("arc_easy", json.dumps(QUIZ | {"gold": 4})),
    ("arc_easy", json.dumps(QUIZ | {"gold": "A"})),
    ("arc_easy", json.dumps(QUIZ | {"gold": True})),
    ("arc_easy", json.dumps(QUIZ | {"query": 3})),
    ("arc_easy", json.dumps(QUIZ | {"choices": ["", "two", "three", "four"]})),
    ("piqa", json.dumps(QUIZ)),
    ("boolq", json.dumps({"query": "no question here", "choices": ["no", "yes"], "gold": 0})),
    ("boolq", json.dumps({"query": "A.\nQuestion: b?", "choices": ["false", "true"], "gold": 0})),
    ("hellaswag", json.dumps(QUIZ | {"query": "a scene without an activity"})),
    ("rte", json.dumps(QUIZ)),
    ("lambada", json.dumps({"context": "to play with", "continuation": "the ball"})),
    ("lambada", json.dumps({"context": "", "continuation": "ball"})),
]


@pytest.mark.parametrize(("task", "line"), DAMAGED)
def test_a_damaged_line_is_named_with_its_number(task, line, tmp_path):
    (tmp_path / f"{task}.jsonl").write_text(json.dumps(own(task, 0)) + "\n\n" + line + "\n", encoding="utf-8")
    with pytest.raises(
        TaskError,
        match=rf"Line 3 of .*{task}\.jsonl is not a document of {TASKS[task].title}: "
        rf"expected .*{FORMS[task][0][0]}",
    ):
        read(tmp_path, TASKS[task])


@pytest.mark.parametrize(("content", "words"), [(b"\n", "is empty"), (b"\xff\xfe", "cannot be read")])
def test_empty_and_binary_files_are_reported(content, words, tmp_path):
    (tmp_path / "rte.jsonl").write_bytes(content)
    with pytest.raises(TaskError, match=words):
        read(tmp_path, TASKS["rte"])
