"""A handout: sections of text, charts, runs and questions, in the order of a talk or a lesson, as one HTML
file. The answers to the questions, the runs with their recipes, and the papers follow at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from engine.charts.chart import Chart
from engine.charts.report import parts
from engine.charts.report.markdown import to_html
from engine.charts.report.parts import Figure
from engine.charts.report.run_section import RunSection, run_section
from engine.charts.report.runs_report import LabelledRun, table_of
from engine.charts.report.template import render
from engine.export.handout_blocks import Frame, Question, Setting, Text, Value
from engine.record import RunRecord


@dataclass(frozen=True)
class RunPart:
    """A run's numbers and charts.

    Attributes:
        charts: the names of the charts to show, None for all.
        other: a second run to draw into the charts, see `chart_parts`.
    """

    run: LabelledRun
    charts: Sequence[str] | None = None
    other: RunRecord | None = None


@dataclass(frozen=True)
class RunList:
    """Several runs, a row each."""

    runs: Sequence[LabelledRun]


Block = Text | Value | Setting | Frame | Question | Chart | RunPart | RunList
"""What a section consists of."""


@dataclass(frozen=True)
class Section:
    """One view of a talk, or one step of a lesson.

    Attributes:
        blocks: what it shows; empty if it cannot be shown on paper.
        notes: of the speaker, Markdown.
        link: where the app shows it, relative to its address; empty if nowhere else.
        runs: those behind the blocks, besides the runs that are blocks: their recipes are listed, too.
    """

    title: str
    blocks: Sequence[Block] = ()
    runs: Sequence[LabelledRun] = ()
    notes: str = ""
    link: str = ""


def handout(title: str, sections: Sequence[Section], *, about: str = "") -> str:
    """Return the handout.

    Args:
        title: plain text.
        about: a sentence below the title, plain text.
    """
    made = _Handout()
    drawn = [made.section(section, f"part{place}") for place, section in enumerate(sections, start=1)]
    answers = [made.answer(number, question) for number, question in enumerate(made.questions, start=1)]
    listed = {str(run.record.key): run for run in made.runs}
    recipes = [
        run_section(run.record, id=f"run{place}", name=run.name, note=run.note, charts=(), tables=False)
        for place, run in enumerate(listed.values(), start=1)
    ]
    table, notes = table_of(list(listed.values()))
    return render(
        "handout",
        made.figures,
        title=title,
        about=about,
        parts_of_handout=drawn,
        answers=answers,
        runs=recipes,
        table=table,
        notes=notes,
        papers=list(dict.fromkeys(paper for run in recipes for paper in run.papers)),
    )


@dataclass
class Drawn:
    """A block as the template takes it: its `kind`, and the value that this kind has."""

    kind: str
    value: object


@dataclass
class DrawnSection:
    """A section as the template takes it."""

    id: str
    title: str
    notes: Markup
    link: str
    blocks: list[Drawn]


@dataclass
class DrawnAnswer:
    """The answer to the question with this number."""

    number: int
    text: Markup
    right: Markup
    why: Markup
    blocks: list[Drawn]


@dataclass
class _Handout:
    """What is collected while the sections are made: all charts, questions and runs."""

    figures: list[Figure] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    runs: list[LabelledRun] = field(default_factory=list)

    def section(self, section: Section, id: str) -> DrawnSection:
        blocks = list(self._blocks(section.blocks))
        self.runs.extend(section.runs)
        return DrawnSection(id, section.title, to_html(section.notes), section.link, blocks)

    def answer(self, number: int, question: Question) -> DrawnAnswer:
        return DrawnAnswer(
            number,
            to_html(question.text),
            to_html(question.choices[question.right]),
            to_html(question.why),
            list(self._blocks(question.shown)),
        )

    def _blocks(self, blocks: Sequence[Block]) -> Iterator[Drawn]:
        """Yield the blocks; neighbouring charts, values and settings as one."""
        together: list[object] = []
        kind = ""
        for drawn in map(self._block, blocks):
            if together and drawn.kind != kind:
                yield Drawn(kind, together)
                together = []
            if drawn.kind in ("charts", "values", "settings"):
                kind = drawn.kind
                together.append(drawn.value)
            else:
                yield drawn
        if together:
            yield Drawn(kind, together)

    def _block(self, block: Block) -> Drawn:
        value: object
        match block:
            case Text():
                kind, value = "text", to_html(block.markdown)
            case Chart():
                kind, value = "charts", self._figure(block)
            case Value():
                kind, value = "values", block
            case Setting():
                kind, value = "settings", block
            case Frame():
                kind, value = "table", parts.table(block.data, block.caption)
            case Question():
                self.questions.append(block)
                choices = [to_html(choice) for choice in block.choices]
                kind, value = "question", (len(self.questions), to_html(block.text), choices)
            case RunPart():
                kind, value = "run", self._run(block)
            case RunList():
                self.runs.extend(block.runs)
                kind, value = "runs", table_of(block.runs)
        return Drawn(kind, value)

    def _figure(self, chart: Chart) -> Figure:
        made = parts.figure(f"chart{len(self.figures) + 1}", chart)
        self.figures.append(made)
        return made

    def _run(self, part: RunPart) -> RunSection:
        self.runs.append(part.run)
        section = run_section(
            part.run.record,
            id=f"chart{len(self.figures) + 1}",
            name=part.run.name,
            charts=part.charts,
            other=part.other,
            tables=False,
        )
        self.figures.extend(section.figures)
        return section
