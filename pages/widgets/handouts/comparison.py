"""What Compare shows at an address, as blocks of a handout: the chart and the table of the section, with its
filters, and the runs behind them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from engine.analysis.comparison.leaderboard import budgets, leaderboard
from engine.analysis.comparison.points import Point, curve
from engine.analysis.comparison.protocols import by_protocol, finished_runs, titles
from engine.charts.compare.curves import patterns, perplexity_curves
from engine.charts.compare.leaderboard import leaderboard_chart, leaderboard_table
from engine.charts.compare.rankings import cliff_ranking, pattern_ranking
from engine.charts.compare.table import curve_table, filtered
from engine.charts.compare.two_runs import pair_alignment, pair_allocation, pair_depth
from engine.charts.report.handout import Block, RunList
from engine.export.handout_blocks import Frame, Text
from engine.store.summary import RunSummary
from pages.widgets.compare.board import DEFAULT, budget_words
from pages.widgets.compare.curves import ENDS, SCALES
from pages.widgets.compare.data import Families, Known, first_families, group_families
from pages.widgets.compare.links import LEFT, PAIR, RIGHT, SWEEP
from pages.widgets.compare.table import MOST
from pages.widgets.handouts.runs import labelled_runs
from pages.widgets.literal import literal
from pages.widgets.run_picker import usual_keys

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

NOT_IN_HANDOUT = ["own", "run"]
"""Columns of the tables that mean nothing to a listener."""


def comparison(engine: BackgroundEngine, parameters: Mapping[str, str]) -> tuple[list[Block], list[str]]:
    """Return what Compare shows, and the keys of the runs behind it; nothing for a sweep, and without runs.

    Args:
        parameters: the address; several values of one are comma-separated.
    """
    runs = engine.runs()
    section = parameters.get("section", "Curves")
    if section == PAIR:
        return _pair(engine, runs, parameters)
    groups = by_protocol(finished_runs((run.record, run.own) for run in runs))
    if section == SWEEP or not groups:
        return [], []
    named = titles(groups)
    protocol = named.get(parameters.get("protocol", "")) or next(iter(named.values()))
    known = group_families(protocol, groups[protocol])
    draw = {"Leaderboard": _board, "Table": _table}.get(section, _curves)
    blocks, points = draw(known, parameters)
    heading = Text(f"{literal(protocol.title)}.")
    return ([heading, *blocks] if blocks else []), [run.key for point in points for run in point.runs]


Shown = tuple[list[Block], list[Point]]


def _curves(known: Known, parameters: Mapping[str, str]) -> Shown:
    """Return the curves of the chosen pruners, and their rankings."""
    families = _chosen(known, parameters.get("families"))
    if not families:
        return [], []
    chart = perplexity_curves(
        families,
        logarithmic=SCALES.get(parameters.get("scale", "")),
        most=ENDS.get(parameters.get("upto", "")),
        order=known.order,
    )
    blocks: list[Block] = [chart]
    if any(curve(points) for points in families.values()):
        blocks.append(cliff_ranking(families, known.order))
    if patterns(families):
        blocks.append(pattern_ranking(families))
    blocks.append(Frame("The points of the curves", curve_table(families).drop(columns=NOT_IN_HANDOUT)))
    return blocks, [point for points in families.values() for point in points]


def _chosen(known: Known, names: str | None) -> Families:
    """Return the families that an address names, whose names may contain commas themselves."""
    chosen = (
        first_families(known)
        if names is None
        else [name for name in known.order if f",{name}," in f",{names},"]
    )
    return {name: known.all[name] for name in chosen}


def _board(known: Known, parameters: Mapping[str, str]) -> Shown:
    offered = {budget_words(budget): budget for budget in budgets(known.all)}
    if not offered:
        return [], []
    words = parameters.get("budget", DEFAULT)
    words = words if words in offered else next(iter(offered))
    entries = leaderboard(known.all, offered[words])
    table = leaderboard_table(entries).drop(columns=NOT_IN_HANDOUT)
    blocks = [leaderboard_chart(entries, words), Frame(f"Leaderboard at {words}", table)]
    return blocks, [entry.point for entry in entries]


def _table(known: Known, parameters: Mapping[str, str]) -> Shown:
    words, most = parameters.get("rows", ""), _number(parameters.get("most", ""))
    table = filtered(
        curve_table({name: known.all[name] for name in known.order}),
        words,
        None if most is None or most >= MOST else most,
    )
    keys = set(table["run"])
    points = [point for family in known.all.values() for point in family if point.runs[0].key in keys]
    limits = [f"with “{literal(words)}”"] if words else []
    limits += [f"up to × {most:g} of dense"] if most is not None and most < MOST else []
    said = [Text(f"The points {' and '.join(limits)}.")] if limits else []
    return [*said, Frame("All points", table.drop(columns=NOT_IN_HANDOUT))], points


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _pair(
    engine: BackgroundEngine, runs: Sequence[RunSummary], parameters: Mapping[str, str]
) -> tuple[list[Block], list[str]]:
    usual = usual_keys(runs, ("wanda", 0.6), ("magnitude", 0.6))
    keys = [parameters.get(side) or key for side, key in zip((LEFT, RIGHT), [*usual, "", ""], strict=False)]
    found = labelled_runs(engine, runs, keys)
    if len(found) != 2:
        return [], []
    one, other = (run.name or run.record.title for run in found)
    names = (one, other) if one != other else (f"{one} (left)", f"{other} (right)")
    records = [run.record for run in found]
    charts = [make(records, names) for make in (pair_depth, pair_allocation, pair_alignment)]
    return [RunList(found), *charts], [str(record.key) for record in records]


def parameters_of(query: Iterable[tuple[str, list[str]]]) -> dict[str, str]:
    """Return an address's parameters as a view of a talk has them."""
    return {name: ",".join(values) for name, values in query}
