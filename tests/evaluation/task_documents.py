"""Documents made for the tests, in both forms that are read, with what a model is to be asked about them."""

from __future__ import annotations

import json

LETTERS = "ABCD"


def science(number: int) -> tuple[str, list[str], int]:
    words = ["the red fox", "an old stone", "rain", f"{number} small birds in the tree"]
    return (
        f"What did child {number} see near the river?",
        words[number % 4 :] + words[: number % 4],
        number % 4,
    )


def lettered(number: int, name: str) -> dict:
    question, choices, gold = science(number)
    return {
        name: question,
        "choices": {"text": choices, "label": list(LETTERS)},
        "answerKey": LETTERS[gold],
        "id": f"no {number}",
    }


def own(task: str, number: int) -> dict:
    """Document `number` as the task's data set on the hub has it."""
    _, choices, gold = science(number)
    return {
        "boolq": {
            "passage": f"A fox -- It sleeps {number} hours.",
            "question": "does a fox sleep",
            "label": number % 2,
            "idx": number,
        },
        "rte": {"sentence1": f"Tim has {number} dogs.", "sentence2": "Tim has a pet.", "label": number % 2},
        "hellaswag": {
            "activity_label": "Playing ball",
            "ctx_a": f"Child {number} throws the ball.",
            "ctx_b": "the dog",
            "endings": choices,
            "label": str(gold),
        },
        "winogrande": {
            "sentence": "Sam gave Tom a toy because _ was sad.",
            "option1": "Sam",
            "option2": "Tom",
            "answer": str(number % 2 + 1),
        },
        "arc_easy": lettered(number, "question"),
        "arc_challenge": lettered(number, "question"),
        "openbookqa": lettered(number, "question_stem"),
        "piqa": {
            "goal": f"Open jar {number}.",
            "sol1": "Turn the lid.",
            "sol2": "Turn the whole kitchen.",
            "label": number % 2,
        },
        "lambada": {"text": f"One day {number} friends went to the big park to play with the ball"},
    }[task]


def short(task: str, number: int) -> dict:
    """The same document in the short form."""
    question, choices, gold = science(number)
    quiz = {"query": f"Question: {question}", "choices": choices, "gold": gold}
    return {
        "boolq": {
            "query": f"Passage: A fox -- It sleeps {number} hours.\nQuestion: does a fox sleep?",
            "choices": ["no", "yes"],
            "gold": number % 2,
        },
        "hellaswag": {
            "query": f"Playing ball: Child {number} throws the ball. The dog",
            "choices": choices,
            "gold": gold,
        },
        "winogrande": {
            "context_options": ["Sam gave Tom a toy because Sam", "Sam gave Tom a toy because Tom"],
            "continuation": "was sad.",
            "gold": number % 2,
        },
        "arc_easy": quiz,
        "arc_challenge": quiz,
        "openbookqa": quiz | {"query": question},
        "piqa": {
            "query": f"Question: Open jar {number}.\n",
            "choices": ["Turn the lid.", "Turn the whole kitchen."],
            "gold": number % 2,
        },
        "lambada": {
            "context": f"One day {number} friends went to the big park to play with the",
            "continuation": "ball",
        },
    }[task]


def asked(task: str, number: int) -> list[tuple[str, str]]:
    """Text and continuation of each choice, written out by hand from the published prompts."""
    question, choices, _ = science(number)
    prompts = {
        "boolq": f"A fox -- It sleeps {number} hours.\nQuestion: does a fox sleep?\nAnswer:",
        "rte": f"Tim has {number} dogs.\nQuestion: Tim has a pet. True or False?\nAnswer:",
        "hellaswag": f"Playing ball: Child {number} throws the ball. The dog",
        "arc_easy": f"Question: {question}\nAnswer:",
        "arc_challenge": f"Question: {question}\nAnswer:",
        "openbookqa": question,
        "piqa": f"Question: Open jar {number}.\nAnswer:",
    }
    answers = {
        "boolq": ["no", "yes"],
        "rte": ["True", "False"],
        "piqa": ["Turn the lid.", "Turn the whole kitchen."],
    }
    if task == "lambada":
        return [(f"One day {number} friends went to the big park to play with the", " ball")]
    if task == "winogrande":
        return [(f"Sam gave Tom a toy because {name}", " was sad.") for name in ("Sam", "Tom")]
    return [(prompts[task], f" {choice}") for choice in answers.get(task, choices)]


def right(task: str, number: int) -> int:
    """The right choice's place."""
    return science(number)[2] if len(asked(task, number)) == 4 else number % 2


def write(directory, task: str, documents: list, name: str | None = None) -> None:
    text = "".join(json.dumps(document) + "\n" for document in documents)
    (directory / f"{name or task}.jsonl").write_text(text, encoding="utf-8")
