"""What a lesson is, and which lesson and step the address asks for: `?lesson=outlier&step=strength`.

The steps of a lesson are imported when it is opened: their computations need torch, which the list of the lessons should not wait for.
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
    """A lesson as the list shows it: its name in the address, title, length in minutes, and the question that it answers."""

    name: str
    title: str
    minutes: int
    question: str

    @property
    def steps(self) -> tuple[Step, ...]:
        """`STEPS` of the module that is named as the lesson."""
        steps: tuple[Step, ...] = import_module(f"pages.widgets.learn.lessons.{self.name}").STEPS
        return steps


@dataclass(frozen=True)
class Place:
    """Where the address leads: to the list where there is no lesson, and a sentence about what it got wrong."""

    lesson: Lesson | None = None
    step: int = 0
    complaint: str = ""


def place(lessons: Sequence[Lesson]) -> Place:
    """What the address asks for; what it gets wrong leads to the list, or to the first step."""
    name = st.query_params.get(LESSON)
    if not name:
        return Place()
    lesson = next((lesson for lesson in lessons if lesson.name == name), None)
    if lesson is None:
        return Place(complaint=f"The address asks for the lesson “{name}”, but there is none of that name. Choose one of these.")
    names = [step.name for step in lesson.steps]
    step = st.query_params.get(STEP, names[0])
    if step not in names:
        return Place(lesson, complaint=f"The address asks for the step “{step}”, but this lesson has {', '.join(names)}. This is its first step.")
    return Place(lesson, names.index(step))
