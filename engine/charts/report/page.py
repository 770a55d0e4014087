"""The report of a run: a pure function of its record to one HTML file, about as large as the drawing library
that it contains.

The page loads nothing, and its security policy forbids it to: scripts, styles and pictures come from the file
itself. The same record gives the same file. Paths of the machine that computed the run are left out. The
markup is in report.html.jinja, which escapes every text.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.io
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from engine import numbers
from engine.analysis.calibration_text import narrow_calibration_of
from engine.analysis.published import published
from engine.charts.chart import Chart
from engine.charts.headline import run_numbers
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
from engine.export.redaction import paths, shareable
from engine.record import RunRecord

HERE = Path(__file__).parent
OUTCOMES = {
    "running": "is not finished",
    "failed": "failed",
    "cancelled": "was cancelled",
    "interrupted": "was interrupted",
}


@dataclass(frozen=True)
class Table:
    """A table as text.

    Attributes:
        columns: each name, and whether the column holds numbers.
    """

    caption: str
    columns: list[tuple[str, bool]]
    rows: list[list[str]]


@dataclass(frozen=True)
class Figure:
    """A chart with what the page needs to draw it.

    Attributes:
        data: the figure as JSON values.
        height: CSS pixels.
    """

    name: str
    chart: Chart
    data: dict[str, Any]
    height: int
    table: Table


def report(record: RunRecord) -> str:
    """Return a run as one self-contained HTML file.

    Raises:
        ValueError: the record has no recipe or no model, so there is nothing to report.
    """
    if record.recipe is None or record.model is None:
        raise ValueError("A report needs a run with a recipe and a model.")
    # Everything below uses the redacted record; only the names of the files come from the original.
    shared = shareable(record)
    recipe = shared.recipe
    assert recipe is not None, "redaction keeps the recipe"
    return _template().render(
        record=shared,
        recipe=recipe,
        numbers=run_numbers(shared),
        published=published(shared),
        narrow_calibration=narrow_calibration_of(shared.recipe),
        evaluations=_table(evaluation_table(shared), "Dense and pruned on every text")
        if shared.evaluations
        else None,
        charts=_charts(shared),
        paths=[Path(path).name for path in paths(record.recipe)],
        command=command(recipe),
        recipe_key=record.recipe.key if record.imported else record.key,
        recipe_json=json.dumps(recipe.model_dump(mode="json"), indent=2, ensure_ascii=False),
        tables=[_table(block_table(shared), "All blocks"), _table(linear_table(shared), "All linears")],
        measured=measurement_rows(shared),
        environment=environment_rows(shared),
        papers=cited(recipe),
        outcomes=OUTCOMES,
    )


@cache
def drawing_bytes() -> int:
    """Return the size of the drawing library: nearly all of a report's size, known before it is made."""
    return len(get_plotlyjs().encode())


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,  # a misspelt name fails instead of printing nothing
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    # Without it the tojson filter sorts keys and adds spaces, which would cost bytes in every figure.
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    environment.filters |= {
        "author_names": _author_names,
        "bibtex": bibtex,
        "count": numbers.count,
        "seconds": numbers.seconds,
        "started": _started,
    }
    style, script = ((HERE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    environment.globals |= {
        "style": Markup(style),
        "script": Markup(script),
        "plotly": Markup(get_plotlyjs()),  # not escaped: trusted code, no text of a user
    }
    return environment.get_template("report.html.jinja")


def _charts(record: RunRecord) -> dict[str, list[Figure]]:
    """Return the charts that Explore shows, by part; parts without charts are left out."""
    parts = {
        title: [_figure(name, make(record)) for name, make in makers.items()]
        for title, makers in chart_parts(record).items()
    }
    if record.tasks.dense:
        tasks = _figure("tasks", task_scores(record.tasks.dense, record.tasks.pruned))
        parts = {"Zero-shot tasks": [tasks], **parts}
    return {title: figures for title, figures in parts.items() if figures}


def _figure(name: str, chart: Chart) -> Figure:
    # Plotly's encoder knows numpy and NaN; json does not
    data: dict[str, Any] = json.loads(plotly.io.to_json(chart.figure))
    # Plotly adds the process's default template, which others may have changed; the page brings its own.
    data["layout"].pop("template", None)
    return Figure(name, chart, data, chart.figure.layout.height, _table(chart.table, chart.title))


def _table(table: pd.DataFrame, caption: str) -> Table:
    columns = [
        (str(name), pd.api.types.is_numeric_dtype(kind))
        for name, kind in zip(table.columns, table.dtypes, strict=True)
    ]
    return Table(caption, columns, [list(map(_cell, row)) for row in table.itertuples(index=False)])


def _cell(value: Any) -> str:
    """Return a value as text, floats with six significant digits."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}" if isfinite(value) else "not finite"
    return str(value)


def _started(started: str | None) -> str:
    """Return `, started on 2026-03-05 at 14:07 UTC`; nothing if that is unknown."""
    if started is None:
        return ""
    return f", started on {datetime.fromisoformat(started).astimezone(UTC):%Y-%m-%d at %H:%M} UTC"


def _author_names(authors: tuple[str, ...]) -> str:
    """Return all authors, first names first: `Mingjie Sun, Zhuang Liu and J. Zico Kolter`."""
    names = [" ".join(reversed(author.split(", ", 1))) for author in authors]
    return numbers.listed(names, most=len(names))
