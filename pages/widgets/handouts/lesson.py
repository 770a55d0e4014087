"""The steps of a lesson as sections of a handout: recorded twice, before and after the questions are
answered. What only an answer brings to light stands with the answers, at the end of the handout.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlencode

from engine.charts.chart import Chart
from engine.charts.report.handout import Block, Section
from engine.export.handout_blocks import Question
from pages.widgets.learn.lesson import LESSON, STEP, Lesson, Step
from pages.widgets.recorder import record


def lesson_sections(lesson: Lesson, parameters: Mapping[str, str]) -> list[Section]:
    """Return a section per step.

    Args:
        parameters: the address of the lesson, with the values of its controls.
    """
    return [
        Section(
            step.title,
            step_blocks(step, parameters),
            link=f"learn?{urlencode({LESSON: lesson.name, STEP: step.name})}",
        )
        for step in lesson.steps
    ]


def step_blocks(step: Step, parameters: Mapping[str, str]) -> list[Block]:
    """Return what a step shows; its question has what the answer brings to light."""
    hidden = record(step.draw, parameters, answered=False)
    known = {_identity(block) for block in hidden}
    shown = [block for block in record(step.draw, parameters, answered=True) if _identity(block) not in known]
    blocks: list[Block] = [
        replace(block, shown=shown) if isinstance(block, Question) else block for block in hidden
    ]
    return blocks if any(isinstance(block, Question) for block in blocks) else [*blocks, *shown]


def _identity(block: Block) -> object:
    """Return what tells blocks apart: a chart by its words, which have its numbers."""
    if isinstance(block, Chart):
        return Chart, block.title, block.alt
    if isinstance(block, Question):
        return Question, block.text
    return repr(block)


def about(lesson: Lesson) -> str:
    """Return a sentence about the lesson."""
    return f"{lesson.question} A lesson of {lesson.minutes} minutes; the answers are at the end."
