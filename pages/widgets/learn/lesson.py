"""The structure of a lesson, and the lesson and step in the address: `?lesson=outlier&step=strength`.

The steps of a lesson are imported when it is opened. Their computations need torch, and the list of lessons
must not wait for that import.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module

import streamlit as st

LESSON, STEP = "lesson", "step"


@dataclass(frozen=True)
class Step:
    """One idea: its name in the address, its title, and the function that draws it."""

    name: str
    title: str
    draw: Callable[[], None]


@dataclass(frozen=True)
class Lesson:
    """A lesson as the list shows it.

    Attributes:
        name: its name in the address; links and stored talks contain it, so it never changes.
        module: the module in `pages.widgets.learn.lessons` that has its `STEPS`.
        title: its title.
        minutes: its length.
        question: the question that it answers.
    """

    name: str
    module: str
    title: str
    minutes: int
    question: str

    @property
    def steps(self) -> tuple[Step, ...]:
        """`STEPS` of the lesson's module."""
        # slow once; later a look-up in sys.modules
        steps: tuple[Step, ...] = import_module(f"pages.widgets.learn.lessons.{self.module}").STEPS
        return steps


def lesson_in_address(lessons: Sequence[Lesson]) -> tuple[Lesson | None, str]:
    """Return the lesson in the address, None for the list, and a warning if there is no such lesson."""
    name = st.query_params.get(LESSON, "")
    lesson = next((lesson for lesson in lessons if lesson.name == name), None)
    if lesson is None and name:
        return None, f"There is no lesson “{name}”. Choose one of the lessons below."
    return lesson, ""


def step_in_address(lesson: Lesson) -> tuple[int, str]:
    """Return the index of the step in the address; the first, and a warning, if there is no such step."""
    names = [step.name for step in lesson.steps]
    step = st.query_params.get(STEP, names[0])
    if step not in names:
        warning = f"This lesson has no step “{step}”, only {', '.join(names)}. This is the first step."
        return 0, warning
    return names.index(step), ""
