"""What Generate shows at an address, as blocks of a handout: a prompt, and what models write. It waits for
the worker's answers, and asks as the page does: what a page has shown is not written again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from engine.charts.report.handout import Block
from engine.export.handout_blocks import Text
from engine.jobs.requests import ReadRequest
from engine.store.summary import RunSummary
from pages.widgets.generate.lines import sparsity_lines
from pages.widgets.generate.run_choice import SIDE_BY_SIDE, WALK, any_pending, ask
from pages.widgets.generate.side_by_side import side_requests
from pages.widgets.generate.sparsity_slider import walk_requests, writing_stops
from pages.widgets.generate.text import continuation_in
from pages.widgets.literal import literal
from pages.widgets.live import completed
from pages.widgets.run_picker import finished_runs, usual_keys

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine


def written_texts(engine: BackgroundEngine, parameters: Mapping[str, str]) -> tuple[list[Block], list[str]]:
    """Return the texts, without those that were refused or take too long, and the keys of their runs."""
    runs = finished_runs(engine.runs())
    asked = _walk(runs, parameters) if parameters.get("part", WALK) == WALK else _side(runs, parameters)
    if len(asked) < 2:  # only the dense model
        return [], []
    answers = completed(lambda: ask(engine, [request for _, request in asked]), any_pending)
    written = [(run, answers[request].value) for run, request in asked if answers[request].value]
    if not any(run for run, _ in written):
        return [], []
    blocks: list[Block] = [Text(f"**Prompt**: {literal(asked[0][1].text)}")]
    blocks += [
        Text(f"**{literal(run.title) if run else 'Dense'}**: {literal(reading.continuation)}")
        for run, reading in written
    ]
    return blocks, [run.key for run, _ in written if run]


Asked = list[tuple[RunSummary | None, ReadRequest]]
"""Requests, each with its run; None for the dense model, which is the first."""


def _walk(runs: Sequence[RunSummary], parameters: Mapping[str, str]) -> Asked:
    lines = sparsity_lines(runs)
    line = lines.get(parameters.get("walk", "")) or next(iter(lines.values()), ())
    stops = writing_stops(line)
    requests = walk_requests(line, stops, continuation_in(parameters).text) if line else []
    return [(stop.run, request) for stop, request in zip(stops, requests, strict=True)]


def _side(runs: Sequence[RunSummary], parameters: Mapping[str, str]) -> Asked:
    named = [key for key in parameters.get("runs", "").split(",") if key]
    by_key = {run.key: run for run in runs if run.has_weights}
    writers = [by_key[key] for key in named or usual_keys(runs, *SIDE_BY_SIDE) if key in by_key]
    requests = side_requests(writers, continuation_in(parameters)) if writers else []
    return list(zip([None, *writers], requests, strict=False))
