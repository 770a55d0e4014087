"""Documents of a task from a directory of `NAME.jsonl` files, one JSON object per line, for measuring
offline.

An object has either the fields of the task's data set on the hub, or the short form that several collections
of tasks share: `query`, `choices` and `gold` (the index of the right choice); for WinoGrande
`context_options`, `continuation` and `gold`; for LAMBADA `context` and `continuation`. Either way lm-eval's
definition of the task makes the prompt; words that the prompt adds are first removed from the short form. RTE
has no short form, because its two texts could not be told apart.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import TaskError
from engine.evaluation.tasks.catalogue import Task

Document = dict[str, Any]
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class Local:
    """A task's documents, in the fields of its data set on the hub.

    Attributes:
        digest: SHA-256 of the file, 16 hex digits.
    """

    path: Path
    documents: tuple[Document, ...]
    digest: str


def find(directory: Path, task: Task) -> Path:
    """Return the task's file, named like the task here or in lm-eval; case, `_` and `-` are ignored.

    Raises:
        TaskError: there is no such file, or no such directory.
    """
    wanted = {_plain(task.name), _plain(task.harness)}
    try:
        files = [path for path in directory.iterdir() if path.suffix.lower() == ".jsonl"]
    except OSError as error:
        raise TaskError(
            f"The tasks' documents cannot be read from {directory}, because it is not a readable directory."
        ) from error
    found = sorted(path for path in files if _plain(path.stem) in wanted)
    if not found:
        raise TaskError(
            f"There is no {task.name}.jsonl for {task.title} in {directory}. Add the file, or omit the task."
        )
    return found[0]  # of several spellings the first in alphabetical order


def read(directory: Path, task: Task) -> Local:
    """Return the task's documents.

    Raises:
        TaskError: they are missing, or a line is not a document of this task.
    """
    path = find(directory, task)
    try:
        content = path.read_bytes()
        # `splitlines` also splits at U+2028, which JSON allows in strings.
        lines = content.decode("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise TaskError(f"The documents {path} cannot be read: {error}.") from error
    documents = tuple(
        _document(task, path, number, line) for number, line in enumerate(lines, start=1) if line.strip()
    )
    if not documents:
        raise TaskError(f"The file {path} with the documents of {task.title} is empty.")
    return Local(path, documents, hashlib.sha256(content).hexdigest()[:16])


def _document(task: Task, path: Path, number: int, line: str) -> Document:
    fields, short, convert = FORMS[task.name]
    try:
        given = json.loads(line)
        if all(field in given for field in fields):
            return {field: given[field] for field in fields}
        return convert(given)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        forms = " or ".join(", ".join(form) for form in (fields, short) if form)
        raise TaskError(
            f"Line {number} of {path} is not a document of {task.title}: expected a JSON object with {forms}."
        ) from error


def _chosen(given: Mapping[str, Any], count: int | None = None) -> tuple[str, list[str], int]:
    """Return the query, the choices and the index of the right one, from the short form."""
    query, choices, gold = given["query"], list(given["choices"]), given["gold"]
    if not isinstance(query, str) or not all(isinstance(choice, str) and choice for choice in choices):
        raise TypeError("not text")
    if (
        type(gold) is not int  # `isinstance` would accept True
        or not 0 <= gold < len(choices)
        or len(choices) not in (range(2, 27) if count is None else (count,))  # one letter per choice
    ):
        raise ValueError("no such choice")
    return query, choices, gold


def _lettered(given: Mapping[str, Any]) -> Document:
    query, choices, gold = _chosen(given)
    labels = list(LETTERS[: len(choices)])
    return {
        "text": query.removeprefix("Question: "),
        "choices": {"text": choices, "label": labels},
        "answerKey": labels[gold],
    }


def _arc(given: Mapping[str, Any]) -> Document:
    lettered = _lettered(given)
    return {"question": lettered.pop("text"), **lettered}


def _openbookqa(given: Mapping[str, Any]) -> Document:
    lettered = _lettered(given)
    return {"question_stem": lettered.pop("text"), **lettered}


def _boolq(given: Mapping[str, Any]) -> Document:
    query, choices, gold = _chosen(given, 2)
    passage, between, question = query.rpartition("\nQuestion: ")  # a passage may contain these words too
    if not between:
        raise ValueError("no question")
    return {
        "passage": passage.removeprefix("Passage: "),
        "question": question.removesuffix("?"),
        "label": ("no", "yes").index(choices[gold]),  # 0 = no, 1 = yes on the hub; else a ValueError
    }


def _hellaswag(given: Mapping[str, Any]) -> Document:
    query, choices, gold = _chosen(given)
    activity, colon, scene = query.partition(": ")
    if not colon:
        raise ValueError("no activity")
    # lm-eval joins `ctx_a` and `ctx_b`, so the first can hold the whole scene. Labels are strings on the hub.
    return {"activity_label": activity, "ctx_a": scene, "ctx_b": "", "endings": choices, "label": str(gold)}


def _piqa(given: Mapping[str, Any]) -> Document:
    query, (first, second), gold = _chosen(given, 2)
    return {
        "goal": query.removeprefix("Question: ").rstrip("\n"),
        "sol1": first,
        "sol2": second,
        "label": gold,
    }


def _winogrande(given: Mapping[str, Any]) -> Document:
    """Put the blank first, so that each option is the whole beginning of the sentence."""
    ending, (first, second), gold = _chosen(
        {"query": given["continuation"], "choices": given["context_options"], "gold": given["gold"]}, 2
    )
    # The data set counts the options from 1.
    return {"sentence": f"_ {ending}", "option1": first, "option2": second, "answer": str(gold + 1)}


def _lambada(given: Mapping[str, Any]) -> Document:
    context, word = given["context"].rstrip(" "), given["continuation"].lstrip(" ")
    if " " in word or not word or not context:  # lm-eval splits the text at its last space
        raise ValueError("not a passage and its last word")
    return {"text": f"{context} {word}"}


def _rte(given: Mapping[str, Any]) -> Document:
    raise KeyError("no short form")


SHORT = ("query", "choices", "gold")
_ARC_FORM = (("question", "choices", "answerKey"), SHORT, _arc)
FORMS: dict[str, tuple[tuple[str, ...], tuple[str, ...], Callable[[Mapping[str, Any]], Document]]] = {
    "boolq": (("passage", "question", "label"), SHORT, _boolq),
    "rte": (("sentence1", "sentence2", "label"), (), _rte),
    "hellaswag": (("activity_label", "ctx_a", "ctx_b", "endings", "label"), SHORT, _hellaswag),
    "winogrande": (
        ("sentence", "option1", "option2", "answer"),
        ("context_options", "continuation", "gold"),
        _winogrande,
    ),
    "arc_easy": _ARC_FORM,
    "arc_challenge": _ARC_FORM,
    "openbookqa": (("question_stem", "choices", "answerKey"), SHORT, _openbookqa),
    "piqa": (("goal", "sol1", "sol2", "label"), SHORT, _piqa),
    "lambada": (("text",), ("context", "continuation"), _lambada),
}
"""By task: the fields of the hub's data set that lm-eval reads, those of the short form, and how to convert
the short form.
"""


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")
