"""The handout: sections in order, answers at the end, each run with its recipe once, all texts escaped."""

from __future__ import annotations

import re
import sys
from types import SimpleNamespace

import pandas as pd
import pytest

from engine.charts.heatmaps import sparsity_grid
from engine.charts.report import LabelledRun
from engine.charts.report.handout import RunList, RunPart, Section, handout
from engine.charts.report.markdown import formula, to_html
from engine.export.citations import cited
from engine.export.command_line import command
from engine.export.handout_blocks import Frame, Question, Setting, Text, Value
from tests.charts.records import record
from tests.charts.reports import (
    HOSTILE,
    Reader,
    expect_no_foreign_markup,
    expect_nothing_loaded,
    expect_one_drawing_library,
    expect_order_and_names,
    hostile,
    read,
)

RUN, OTHER = record(pruner="wanda"), record(pruner="ria")
QUESTION = Question(
    "Which *one*?", ["This.", "That."], 1, "Because.", shown=[sparsity_grid(RUN), Text("Shown.")]
)
SECTIONS = [
    Section("First", [Text("Some **bold** text."), sparsity_grid(RUN), QUESTION], link="learn?lesson=x"),
    Section("Second", [RunPart(LabelledRun(RUN), charts=("depth",)), Setting("Sparsity", "50 %")]),
    Section(
        "Third", [RunList([LabelledRun(RUN), LabelledRun(OTHER)]), Value("Error", "5 %")], notes="Slowly."
    ),
    Section("Live", link="methods"),
]


@pytest.fixture(scope="module")
def page() -> Reader:
    return read(handout("My talk", SECTIONS, about="For a listener."))


def text_of(page: Reader, heading: str) -> str:
    """The text of the section under a heading."""
    sections = page.all("section")
    titles = [item.text for item in page.all("h2")]
    return sections[titles.index(heading)].text


def test_it_is_one_file_that_loads_nothing(page: Reader) -> None:
    expect_nothing_loaded(page)
    expect_order_and_names(page)
    expect_one_drawing_library(page)
    assert page.one("h1").text == "My talk" and "For a listener." in page.one("header").text


def test_sections_are_in_order_then_answers_runs_and_papers(page: Reader) -> None:
    assert [item.text for item in page.all("h2")] == [
        "1. First",
        "2. Second",
        "3. Third",
        "4. Live",
        "Answers",
        "The runs and their recipes",
        "Papers",
    ]
    assert "bold" in [item.text for item in page.all("strong")]
    assert "Live in Prunescope: learn?lesson=x" in text_of(page, "1. First")
    assert "This view is live only. In Prunescope: methods" in text_of(page, "4. Live")
    assert "Slowly." in text_of(page, "3. Third")


def test_what_an_answer_brings_to_light_stands_with_the_answers(page: Reader) -> None:
    first, answers = text_of(page, "1. First"), text_of(page, "Answers")
    assert "Which one?" in first and "That." in first and "Because." not in first and "Shown." not in first
    assert all(words in answers for words in ("Question 1", "Which one?", "That.", "Because.", "Shown."))
    assert "This." not in answers


def test_a_run_view_has_its_numbers_and_the_named_chart(page: Reader) -> None:
    assert [name for name in page.figures if name.endswith("-depth")] and not [
        name for name in page.figures if name.endswith("-alignment")
    ]
    assert "Pruned perplexity" in text_of(page, "2. Second")


def test_every_run_is_listed_once_with_its_recipe_and_its_papers(page: Reader) -> None:
    runs = text_of(page, "The runs and their recipes")
    assert RUN.recipe and OTHER.recipe
    assert [item.text for item in page.all("h3") if "summary" in item.parents] == [RUN.title, OTHER.title]
    assert runs.count(command(RUN.recipe)) == 1 and command(OTHER.recipe) in runs
    titles = dict.fromkeys(paper.title for run in (RUN, OTHER) if run.recipe for paper in cited(run.recipe))
    links = [item.text for item in page.all("a") if "li" in item.parents and "main" in item.parents]
    assert links == list(titles)


def test_a_lesson_without_runs_has_neither_recipes_nor_papers() -> None:
    page = read(handout("A lesson", [Section("Step", [Text("Text.")])]))
    assert [item.text for item in page.all("h2")] == ["1. Step"] and not page.figures


def test_foreign_texts_are_shown_as_text() -> None:
    named = LabelledRun(hostile(), name=HOSTILE, note=HOSTILE)
    table = pd.DataFrame({HOSTILE: [HOSTILE]})
    blocks = [
        Text(HOSTILE),
        Text("![x](http://stranger/pixel.png) [link](javascript:alert(1))"),
        Value(HOSTILE, HOSTILE, HOSTILE),
        Setting(HOSTILE, HOSTILE),
        Frame(HOSTILE, table),
        Question(HOSTILE, [HOSTILE], 0, HOSTILE),
        RunPart(named),
    ]
    page = read(handout(HOSTILE, [Section(HOSTILE, blocks, notes=HOSTILE, link=HOSTILE)], about=HOSTILE))
    expect_no_foreign_markup(page)
    expect_nothing_loaded(page)
    expect_order_and_names(page)
    assert page.one("h1").text == HOSTILE
    assert all(item.attributes["href"].startswith(("#", "http")) for item in page.all("a"))


def test_a_table_with_a_row_for_every_weight_is_left_out() -> None:
    chart = sparsity_grid(RUN)
    chart.table.loc[2_000] = chart.table.iloc[0]
    long = pd.concat([chart.table] * 200)
    page = read(handout("Map", [Section("Map", [sparsity_grid(RUN), _with_table(long)])]))
    assert len([item for item in page.all("summary") if item.text == "Table"]) == 1


def _with_table(table: pd.DataFrame) -> object:
    from dataclasses import replace

    return replace(sparsity_grid(RUN), table=table)


def test_formulas_are_mathml_and_their_source_if_they_cannot_be_converted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def convert(source: str, display: str) -> str:
        asked.append(source)
        return f'<math display="{display}"></math>'

    monkeypatch.setitem(sys.modules, "latex2mathml", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "latex2mathml.converter", SimpleNamespace(convert=convert))
    assert to_html("The $x < 1$, and $$\\arg\\max_j x_j$$ costs \\$5 and \\$6.") == (
        '<p>The <math display="inline"></math>, and <math display="block"></math> costs $5 and $6.</p>\n'
    )
    assert asked == ["x < 1", "\\operatorname{arg}\\max_j x_j"]
    monkeypatch.setitem(sys.modules, "latex2mathml.converter", None)
    assert formula("x < 1") == "<code>x &lt; 1</code>"


def test_every_formula_of_the_methods_is_converted() -> None:
    pytest.importorskip("latex2mathml", reason="formulas are converted by latex2mathml")
    from engine.pruning.axes import AXES

    sources = [method.formula for axis in AXES.values() for method in axis.values() if method.formula]
    for source in sources:
        markup = str(formula(source))
        assert markup.startswith("<math") and not re.search(r"\\[a-zA-Z]", markup), source


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        (":material/quiz: **Now**", "<p><strong>Now</strong></p>\n"),
        (":gray[~~0.5~~]", "<p><s>0.5</s></p>\n"),
        ("a < b & c", "<p>a &lt; b &amp; c</p>\n"),
        (r"a\_b \[c\](d)", "<p>a_b [c](d)</p>\n"),
    ],
)
def test_markdown_of_the_app_needs_no_icons(markdown: str, html: str) -> None:
    assert to_html(markdown) == html
