"""The zero-shot tasks that pruning papers report, explained for readers who do not know them; the tasks
themselves are lm-eval's.

Wanda and later papers report the plain accuracy (`acc`) of the first seven tasks and their mean (arXiv
2306.11695, section 4.1), so `acc` is measured here for all nine; the length-normalised accuracies
(`acc_norm`) that other papers give for some of them are different numbers. This file imports neither lm-eval
nor torch, because recipes and forms read it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from engine.errors import TaskError
from engine.registry import Paper

LM_EVAL = "0.4.13"
INSTALL = (
    "Zero-shot tasks are measured with lm-eval, which is optional and not installed. Install it with "
    f"`pip install lm-eval=={LM_EVAL}`, "
    "then restart the app."
)


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task.

    Attributes:
        explanation: what the model is asked, in a sentence.
        metric: the metric, by lm-eval's name.
        chance: the accuracy of guessing.
        examples: the number of documents in the split that papers and lm-eval use.
        tokens: the tokens in all distinct answers of a document with its text, on average (English, roughly).
        harness: the task's name in lm-eval.
        folder: the folder of lm-eval that defines the task.
    """

    name: str
    title: str
    explanation: str
    chance: float
    examples: int
    tokens: int
    paper: Paper
    harness: str
    folder: str
    metric: Literal["acc", "acc_norm"] = "acc"


_ARC = Paper(
    title="Think you have Solved Question Answering? Try ARC, the AI2 Reasoning Challenge",
    year=2018,
    arxiv="1803.05457",
)

_ALL = (
    Task(
        name="boolq",
        title="BoolQ",
        explanation="A passage and a question about it, asked by a real searcher; is the answer yes or no? "
        "Always answering yes scores 62 %.",
        chance=0.5,
        examples=3270,  # validation; the test set has no public labels
        tokens=160,
        paper=Paper(
            title="BoolQ: Exploring the Surprising Difficulty of Natural Yes/No Questions",
            year=2019,
            arxiv="1905.10044",
        ),
        harness="boolq",
        folder="super_glue/boolq",
    ),
    Task(
        name="rte",
        title="RTE",
        explanation="Two short texts; does the second follow from the first? Small, so its standard error is "
        "large.",
        chance=0.5,
        examples=277,  # validation
        tokens=110,
        paper=Paper(
            title="GLUE: A Multi-Task Benchmark and Analysis Platform for Natural Language Understanding",
            year=2018,
            arxiv="1804.07461",
        ),
        harness="rte",
        folder="glue/rte",
    ),
    Task(
        name="hellaswag",
        title="HellaSwag",
        explanation="The beginning of an everyday scene; which of four endings is the one that happened?",
        chance=0.25,
        examples=10042,  # validation
        tokens=360,
        paper=Paper(
            title="HellaSwag: Can a Machine Really Finish Your Sentence?", year=2019, arxiv="1905.07830"
        ),
        harness="hellaswag",
        folder="hellaswag",
    ),
    Task(
        name="winogrande",
        title="WinoGrande",
        explanation="A sentence with a blank for one of two names; which of them makes sense of the rest?",
        chance=0.5,
        examples=1267,  # validation
        tokens=60,
        paper=Paper(
            title="WinoGrande: An Adversarial Winograd Schema Challenge at Scale",
            year=2019,
            arxiv="1907.10641",
        ),
        harness="winogrande",
        folder="winogrande",
    ),
    Task(
        name="arc_easy",
        title="ARC-easy",
        explanation="Primary-school science questions with (mostly) four answers; simple methods can answer "
        "these.",
        chance=0.25,
        examples=2376,  # test
        tokens=150,
        paper=_ARC,
        harness="arc_easy",
        folder="arc",
    ),
    Task(
        name="arc_challenge",
        title="ARC-challenge",
        explanation="Primary-school science questions with (mostly) four answers; neither retrieval nor word "
        "co-occurrence answers these.",
        chance=0.25,
        examples=1172,  # test
        tokens=170,
        paper=_ARC,
        harness="arc_challenge",
        folder="arc",
    ),
    Task(
        name="openbookqa",
        title="OpenBookQA",
        explanation="Questions that need an elementary science fact and a step of common sense; four "
        "answers.",
        chance=0.25,
        examples=500,  # test
        tokens=70,
        paper=Paper(
            title="Can a Suit of Armor Conduct Electricity? A New Dataset for Open Book Question Answering",
            year=2018,
            arxiv="1809.02789",
        ),
        harness="openbookqa",
        folder="openbookqa",
    ),
    Task(
        name="piqa",
        title="PIQA",
        explanation="A goal of everyday life and two ways to reach it; which one works in the physical "
        "world?",
        chance=0.5,
        examples=1838,  # validation
        tokens=75,
        paper=Paper(
            title="PIQA: Reasoning about Physical Commonsense in Natural Language",
            year=2019,
            arxiv="1911.11641",
        ),
        harness="piqa",
        folder="piqa",
    ),
    Task(
        name="lambada",
        title="LAMBADA",
        explanation="A passage of a novel without its last word, which only the whole passage reveals; "
        "does the model write that word?",
        chance=0.0,  # any word of the vocabulary
        examples=5153,  # test
        tokens=80,
        paper=Paper(
            title="The LAMBADA dataset: Word prediction requiring a broad discourse context",
            year=2016,
            arxiv="1606.06031",
        ),
        # OpenAI's version of the text; `lambada_standard` is different text with a different accuracy.
        harness="lambada_openai",
        folder="lambada",
    ),
)

TASKS: dict[str, Task] = {task.name: task for task in _ALL}
"""By name: the seven tasks whose mean papers report, then two more."""


def available() -> bool:
    """Return whether lm-eval is installed, without importing it."""
    return find_spec("lm_eval") is not None


def chosen(names: Iterable[str]) -> tuple[Task, ...]:
    """Return the tasks of these names, in the given order.

    Raises:
        TaskError: there is no such task, or a name occurs twice.
    """
    names = tuple(names)
    for name in names:
        if name not in TASKS:
            near = difflib.get_close_matches(name, TASKS, n=2, cutoff=0.5)
            hint = f"Did you mean {' or '.join(near)}?" if near else f"Choose from {', '.join(TASKS)}."
            raise TaskError(f"There is no task named {name!r}. {hint}")
        if names.count(name) > 1:
            raise TaskError(f"The task {name} is named more than once. Name each task once.")
    return tuple(TASKS[name] for name in names)


def task_title(name: str) -> str:
    """Return a task's title; its name if a run of another version knows a task that this one does not."""
    return TASKS[name].title if name in TASKS else name
