"""What a lesson is, and which lesson and step the address asks for: `?lesson=outlier&step=strength`.

The steps of a lesson are imported when it is opened: their computations need torch, which the list of the
lessons should not wait for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module

import streamlit as st

LESSON, STEP = "lesson", "step"


@dataclass(frozen=True)
class Step:
    """One idea: its name in the address, its title, and what draws it."""

    name: str
    title: str
    draw: Callable[[], None]


@dataclass(frozen=True)
class Lesson:
    """A lesson as the list shows it: its name in the address, title, length in minutes, and the question that
    it answers.
    """

    name: str
    title: str
    minutes: int
    question: str

    @property
    def steps(self) -> tuple[Step, ...]:
        """`STEPS` of the module that is named as the lesson."""
        steps: tuple[Step, ...] = import_module(f"pages.widgets.learn.lessons.{self.name}").STEPS
        return steps


def chosen(lessons: Sequence[Lesson]) -> tuple[Lesson | None, str]:
    """The lesson that the address asks for, None for the list; and a sentence where there is none of that
    name.
    """
    name = st.query_params.get(LESSON, "")
    lesson = next((lesson for lesson in lessons if lesson.name == name), None)
    if lesson is None and name:
        return (
            None,
            f"The address asks for the lesson “{name}”, but there is none of that name. Choose one of these.",
        )
    return lesson, ""


def chosen_step(lesson: Lesson) -> tuple[int, str]:
    """The place of the step that the address asks for; the first, and a sentence, where the lesson has none
    of that name.
    """
    names = [step.name for step in lesson.steps]
    step = st.query_params.get(STEP, names[0])
    if step not in names:
        return (
            0,
            f"The address asks for the step “{step}”, but this lesson has {', '.join(names)}. This is its first step.",
        )
    return names.index(step), ""
