"""The templates of the pages, their style and script, and the drawing library.

A page loads nothing, and its security policy forbids it to: scripts, styles and pictures come from the file
itself. The markup is in the files `*.html.jinja`, which escape every text.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from engine import numbers
from engine.charts.report.parts import Figure
from engine.export.citations import bibtex

HERE = Path(__file__).parent
OUTCOMES = {
    "running": "is not finished",
    "failed": "failed",
    "cancelled": "was cancelled",
    "interrupted": "was interrupted",
}


def render(name: str, figures: Iterable[Figure], **values: object) -> str:
    """Return the page of a template.

    Args:
        name: of the template, without its extension.
        figures: all charts of the page, in any order.
        values: what the template shows.
    """
    template = _environment().get_template(f"{name}.html.jinja")
    return template.render(figures=list(figures), outcomes=OUTCOMES, **values)


@cache
def drawing_bytes() -> int:
    """Return the size of the drawing library: nearly all of a page's size, known before it is made."""
    return len(get_plotlyjs().encode())


@cache
def _environment() -> Environment:
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
    return environment


def _started(started: str | None) -> str:
    """Return `, started on 2026-03-05 at 14:07 UTC`; nothing if that is unknown."""
    if started is None:
        return ""
    return f", started on {datetime.fromisoformat(started).astimezone(UTC):%Y-%m-%d at %H:%M} UTC"


def _author_names(authors: tuple[str, ...]) -> str:
    """Return all authors, first names first: `Mingjie Sun, Zhuang Liu and J. Zico Kolter`."""
    names = [" ".join(reversed(author.split(", ", 1))) for author in authors]
    return numbers.listed(names, most=len(names))
