"""The report of a run: a pure function of its record to one HTML file, about as large as the drawing library
that is written into it.

The page loads nothing, and its own security policy forbids it to: no script, style, picture or font comes
from anywhere but the file. The same record gives the same file. Paths of the disk that computed stay out of
it.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import plotly.io
from plotly.offline import get_plotlyjs

from engine import numbers
from engine.charts.chart import Chart
from engine.charts.headline import run_numbers
from engine.charts.report.markup import (
    Html,
    code,
    data_block,
    data_table,
    element,
    folded,
    joined,
    links,
    pairs_table,
    section,
)
from engine.charts.run_charts import chart_parts
from engine.charts.tables import (
    block_table,
    environment_rows,
    evaluation_table,
    linear_table,
    measurement_rows,
)
from engine.charts.tasks import task_scores
from engine.export.citations import bibtex, cited
from engine.export.command_line import command
from engine.export.redaction import places, shareable
from engine.recipe import Recipe
from engine.record import RunRecord
from engine.registry import Paper

HERE = Path(__file__).parent
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; form-action 'none'; base-uri 'none'"
MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
"""In the report's language, whatever the machine speaks."""
STATES = {
    "running": "not finished",
    "failed": "failed",
    "cancelled": "cancelled",
    "interrupted": "interrupted",
}


def report(record: RunRecord) -> str:
    """A run as one HTML file that needs nothing beside it.

    Raises:
        ValueError: the record has no recipe or no model, so there is nothing to tell.
    """
    if record.recipe is None or record.model is None:
        raise ValueError("A report needs a run with a recipe and a model.")
    shared = shareable(record)
    assert shared.recipe is not None, "it has names for paths, and is a recipe as before"
    parts = _charts(shared)
    body = _body(record.recipe, shared.recipe, shared, parts)
    figures = [
        data_block(f"figure-{name}", _drawing(chart))
        for charts in parts.values()
        for name, chart in charts.items()
    ]
    return _document(shared.recipe.title, body, figures)


@cache
def drawing_bytes() -> int:
    """Bytes of the drawing library: nearly all of a report's size, known before it is made."""
    return len(get_plotlyjs().encode())


def _charts(record: RunRecord) -> dict[str, dict[str, Chart]]:
    """The charts that Explore shows, by part and name; parts without any are left out."""
    parts = {
        title: {name: make(record) for name, make in makers.items()}
        for title, makers in chart_parts(record).items()
    }
    if record.tasks.dense:
        parts = {"Zero-shot tasks": {"tasks": task_scores(record.tasks.dense, record.tasks.pruned)}, **parts}
    return {title: charts for title, charts in parts.items() if charts}


def _drawing(chart: Chart) -> dict[str, Any]:
    """A figure as JSON, without the template that whoever imported the drawing library may have set: the page
    brings its own.
    """
    figure: dict[str, Any] = json.loads(plotly.io.to_json(chart.figure))
    figure["layout"].pop("template", None)
    return figure


def _document(title: str, body: Html, figures: list[Html]) -> str:
    style, script = ((HERE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    head = [
        Html('<meta charset="utf-8">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html('<meta name="color-scheme" content="light dark">'),
        element("title", f"{title} · Prunescope"),
        element("style", Html(style)),
    ]
    drawing = element("script", Html(get_plotlyjs()))
    page = element(
        "html",
        element("head", *head),
        element("body", body, *figures, drawing, element("script", Html(script))),
        lang="en",
    )
    return f"<!doctype html>\n{page}\n"


def _body(original: Recipe, recipe: Recipe, record: RunRecord, parts: dict[str, dict[str, Chart]]) -> Html:
    papers = cited(recipe)
    sections = [
        ("numbers", "Numbers", _numbers(record)),
        ("warnings", "Warnings", _warnings(record)),
        ("charts", "Charts", [_part(title, charts) for title, charts in parts.items()]),
        ("recipe", "Recipe", _recipe(original, recipe, record)),
        ("measured", "How this was measured", [pairs_table(measurement_rows(record))]),
        ("environment", "Environment", [pairs_table(environment_rows(record))]),
        ("papers", "Papers", _papers(papers)),
    ]
    shown = [(name, title, content) for name, title, content in sections if content]
    main = element("main", *(section(name, title, *content) for name, title, content in shown))
    return joined(
        [_head(record, recipe.title), links([(name, title) for name, title, _ in shown]), main, _foot(record)]
    )


def _head(record: RunRecord, title: str) -> Html:
    model = record.model
    assert model is not None, "a report is of a run that has one"
    what = f"{model.architecture}, {numbers.count(model.parameters)} weights in {model.blocks} blocks. "
    done = f"Computed in {numbers.seconds(record.elapsed)}, {_when(record.started)}."
    lines = [
        element("p", "Prunescope report", class_="kind"),
        element("h1", title),
        element("p", what + done),
    ]
    if record.state in STATES:
        blocks = f"{len(record.blocks)} of {model.blocks} blocks were done."
        why = f" {record.error}" if record.error else ""
        lines.append(element("p", f"This run is {STATES[record.state]}: {blocks}{why}", class_="warning"))
    return element("header", *lines)


def _when(started: str | None) -> str:
    """`begun on 5 March 2026, 14:07 UTC`."""
    if started is None:
        return "at a time that is not known"
    moment = datetime.fromisoformat(started).astimezone(UTC)
    return f"begun on {moment.day} {MONTHS[moment.month - 1]} {moment:%Y, %H:%M} UTC"


def _numbers(record: RunRecord) -> list[Html]:
    cards = [
        element(
            "div",
            element("dt", number.label),
            element("dd", number.value, class_="value"),
            element("dd", number.protocol, class_="protocol"),
        )
        for number in run_numbers(record)
    ]
    found = [element("dl", *cards, class_="numbers")]
    if record.evaluations:
        found.append(data_table(evaluation_table(record), "Dense and pruned on every text"))
    return found


def _warnings(record: RunRecord) -> list[Html]:
    return [element("p", warning, class_="warning") for warning in record.warnings]


def _part(title: str, charts: dict[str, Chart]) -> Html:
    figures = [_figure(name, chart) for name, chart in charts.items()]
    return joined([element("h3", title), element("div", *figures, class_="charts")])


def _figure(name: str, chart: Chart) -> Html:
    """The drawing stands as a picture with words for it; the same numbers are in the table beneath."""
    height = f"height: {chart.figure.layout.height}px"
    return element(
        "figure",
        element("h4", chart.title, id=f"title-{name}"),
        element("div", id=f"plot-{name}", class_="plot", role="img", aria_label=chart.alt, style=height),
        element("figcaption", chart.caption),
        folded("Table", data_table(chart.table, chart.title)),
        aria_labelledby=f"title-{name}",
    )


def _recipe(original: Recipe, recipe: Recipe, record: RunRecord) -> list[Html]:
    own = ", ".join(Path(place).name for place in places(original))
    ask = f" Give your own paths for {own}." if own else ""
    fields = json.dumps(recipe.model_dump(mode="json"), indent=2, ensure_ascii=False)
    return [
        element("p", f"This command gives the same run (key {record.key}).{ask}"),
        code(command(recipe), "Command line"),
        folded("The recipe in full, as JSON", code(fields, "Recipe as JSON"), printed=True),
        folded("All blocks", data_table(block_table(record), "All blocks")),
        folded("All linears", data_table(linear_table(record), "All linears")),
    ]


def _papers(papers: list[Paper]) -> list[Html]:
    """What to cite, to read and to copy."""
    if not papers:
        return []
    items = [element("li", _reference(paper)) for paper in papers]
    entries = "\n\n".join(map(bibtex, papers))
    return [element("ul", *items), element("h3", "BibTeX"), code(entries, "BibTeX")]


def _reference(paper: Paper) -> Html:
    title = (
        element("a", paper.title, href=paper.url, rel="noreferrer")
        if paper.url
        else element("cite", paper.title)
    )
    people = f"{_people(paper.authors)}. " if paper.authors else ""
    where = f". {paper.venue.name}, {paper.venue.year}." if paper.venue else f", {paper.year}."
    return joined([people, title, where])


def _people(authors: tuple[str, ...]) -> str:
    """First names first."""
    return numbers.listed(
        [" ".join(reversed(author.split(", ", 1))) for author in authors], most=len(authors)
    )


def _foot(record: RunRecord) -> Html:
    version = f" {record.environment.prunescope}" if record.environment else ""
    text = f"Made by Prunescope{version}. This file loads nothing: it can be opened offline, mailed and archived as it is."
    return element("footer", element("p", text))
