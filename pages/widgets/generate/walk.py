"""From 0 to 90 %: a slider that walks through the runs of one pruner, and the text that each of them writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from engine.charts import numbers
from engine.charts.generate.walk import walk_line
from engine.comparison.points import Measured, Point, by_protocol, curve, measured, points
from engine.jobs.store import RunSummary
from engine.jobs.views import ReadRequest
from pages.widgets.chart import draw_chart
from pages.widgets.generate.asking import Views, draw_failure, drawn
from pages.widgets.generate.text import PROMPT, prompt_of

if TYPE_CHECKING:
    from engine.jobs.background import BackgroundEngine

TOKENS = 60
DENSE = "0 %"
LEAST = 3
"""Runs that a walk needs."""


def draw_walk(engine: BackgroundEngine, runs: Sequence[RunSummary]) -> None:
    """The pruner, the slider, the text there, and where it is on the curve."""
    lines = _lines(runs)
    if not lines:
        st.info(f"A walk needs {LEAST} runs of one pruner with their weights. Start a sweep on Compare.", icon=":material/directions_walk:")
        return
    left, right = st.columns([1, 2], vertical_alignment="bottom")
    name = left.selectbox("Pruner", list(lines), _first(lines), key="walk", bind="query-params") or next(iter(lines))
    with right:
        prompt = prompt_of(PROMPT)
    line = lines[name]
    labels = {DENSE: 0.0, **{numbers.percent(point.sparsity, 0): point.sparsity for point in line}}
    place = st.select_slider("So much of the model is gone", list(labels), DENSE, key="at", bind="query-params") or DENSE
    if not prompt.strip():
        st.caption("Type a beginning; the models continue it.")
        return
    at = list(labels).index(place)
    requests = [_request(line, step, prompt) for step in range(len(labels))]
    order = sorted(range(len(requests)), key=lambda step: abs(step - at))  # the nearest first: the others are there when the slider gets to them
    drawn(engine, [requests[step] for step in order], lambda views: _draw_text(views, requests[at], prompt, line, at))
    runs_here = [line[0].runs[0].dense, *(point.perplexity for point in line)]
    draw_chart(walk_line(list(labels.values()), runs_here, at), "walk.line")


def _draw_text(views: Views, request: ReadRequest, prompt: str, line: Sequence[Point], at: int) -> None:
    view, value = views[request], line[at - 1].perplexity if at else line[0].runs[0].dense
    with st.container(border=True, height=260):
        st.markdown(f"**{'Dense' if at == 0 else line[at - 1].runs[0].recipe.title}** · perplexity {numbers.perplexity(value)}")
        if view.state == "failed":
            draw_failure(view)
        elif view.reading is None:
            st.skeleton(height=110)
        else:
            st.markdown(f":gray[{_plain(prompt)}]{_plain(view.reading.continuation)}")
    known = sum(one.state == "done" for one in views.values())
    st.caption(f"{known} of {len(views)} texts are written; always the likeliest token." if known < len(views) else "Always the likeliest token.")


def _plain(text: str) -> str:
    """A text whose marks mean nothing: Markdown would take some of a pruned model's words for its own."""
    return "".join(f"\\{letter}" if letter in r"\`*_{}[]()#+-.!|<>$~:&" else "  \n" if letter == "\n" else letter for letter in text)


def _request(line: Sequence[Point], step: int, prompt: str) -> ReadRequest:
    if step == 0:
        return ReadRequest(line[0].runs[0].key, prompt, "dense", tokens=TOKENS)
    return ReadRequest(line[step - 1].runs[0].key, prompt, tokens=TOKENS)


def _lines(runs: Sequence[RunSummary]) -> dict[str, tuple[Point, ...]]:
    """The pruners that can be walked: enough unstructured runs with weights, under the largest protocol that has them."""
    here: list[Measured] = measured((run.record, not run.recorded) for run in runs if run.has_weights)
    for group in by_protocol(here).values():
        found = {name: curve(line) for name, line in points(group).items()}
        long = {name: line for name, line in found.items() if len(line) >= LEAST}
        if long:
            return long
    return {}


def _first(lines: dict[str, tuple[Point, ...]]) -> int:
    return list(lines).index("Wanda") if "Wanda" in lines else 0
