"""Two runs to be drawn in the same charts, and what those charts share: names, looks, tables, and the words
for what cannot be compared.

The dense model is a second run like any other: one in which no weight was removed and nothing has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import pandas as pd
import plotly.graph_objects as go

from engine.analysis.comparison.differences import differences
from engine.charts import palette
from engine.charts.chart import HEIGHT, LEGEND_LINE, block_count, canvas, literal
from engine.charts.figure import FigureBuilder
from engine.events import BlockPruned
from engine.record import RunRecord
from engine.record.parts import SparsityFacts

DENSE = "dense model"
APART, WIDTH = 0.2, 0.36
"""Blocks by which the marks of the two runs lie left and right of the block's number, and a bar's width."""
LONG = 40
"""Letters of both names above which a legend needs a second line."""


@dataclass(frozen=True)
class Look:
    """How the marks of one run are told from the other's: by colour, shape, dash, and side of the block."""

    colour: str
    fill: str
    symbol: str
    dash: str
    shift: float


LOOKS = (
    Look(palette.BLUE, "rgba(0, 114, 178, 0.3)", "circle", "solid", -APART),
    Look(palette.VERMILLION, "rgba(213, 94, 0, 0.3)", "diamond", "dash", APART),
)


@dataclass(frozen=True)
class Pair:
    """A run, and the one that it is compared with."""

    first: RunRecord
    second: RunRecord

    @cached_property
    def names(self) -> tuple[str, str]:
        """A short name for each, without what both have in common."""
        one, other = self.first.recipe, self.second.recipe
        if one is None or other is None:
            model = f" on {one.model_name}" if one else ""
            return self.first.title.replace(model, "", 1) or "this run", self.second.title or DENSE
        same_model = one.model_identity == other.model_identity
        names = [
            run.title.replace(f" on {recipe.model_name}", "", 1) if same_model else run.title
            for run, recipe in ((self.first, one), (self.second, other))
        ]
        if names[0] == names[1]:
            difference = next(iter(differences(one, other)), None)
            added = (
                (f"{difference.field} {difference.one}", f"{difference.field} {difference.other}")
                if difference
                else ("this run", "other run")
            )
            names = [f"{name}, {words}" for name, words in zip(names, added, strict=True)]
        return names[0], names[1]

    @property
    def runs(self) -> tuple[RunRecord, RunRecord]:
        return self.first, self.second

    @cached_property
    def blocks(self) -> int:
        """How many blocks an axis must hold."""
        return max(map(block_count, self.runs))

    def canvas(self, figure: FigureBuilder, height: int = HEIGHT, more_lines: int = 0) -> FigureBuilder:
        """Give a figure the look of all charts, with space for a legend of the two names and `more_lines`.

        Args:
            height: pixels, including one line of legend.
        """
        lines = (1 if sum(map(len, self.names)) <= LONG else 2) + more_lines
        return canvas(figure, height + LEGEND_LINE * (lines - 1), legend_lines=lines)

    @property
    def depths(self) -> str:
        """A sentence if the same block number is another depth in each run; empty otherwise."""
        one, other = map(block_count, self.runs)
        return (
            f"The models have {one} and {other} blocks, so the same block number is another depth in each."
            if one != other and one and other
            else ""
        )


def dense_reference(record: RunRecord) -> RunRecord:
    """Return the dense model of a run as the record of a run that has removed and changed nothing."""
    model = record.model
    blocks = () if model is None else tuple(map(_unchanged, record.blocks))
    scores = tuple(one.model_copy(update={"pruned": one.dense}) for one in record.evaluations)
    return RunRecord(
        state="finished",
        model=model,
        protocol=record.protocol,
        dense=record.dense,
        pruned=record.dense,
        evaluations=scores,
        sparsity=SparsityFacts(
            target=0.0,
            achieved=record.sparsity.initial,
            coverage=record.sparsity.coverage,
            skipped=record.sparsity.skipped,
        ),
        allocation=(0.0,) * (model.blocks if model else 0),
        blocks=blocks,
        tasks=record.tasks.model_copy(update={"pruned": record.tasks.dense}),
    )


def _unchanged(block: BlockPruned) -> BlockPruned:
    linears = tuple(
        linear.model_copy(
            update={
                "removed": 0,
                "kept_zeros": linear.initial_zeros,
                "sparsity": linear.initial_zeros / (linear.rows * linear.columns),
                "output_error": 0.0,
            }
        )
        for linear in block.linears
    )
    zeros, size = (
        sum(linear.zeros for linear in linears),
        sum(linear.rows * linear.columns for linear in linears),
    )
    measured = block.relative_error is not None
    return block.model_copy(
        update={
            "linears": linears,
            "sparsity": zeros / size if size else 0.0,
            "alignment": 0.0,
            "relative_error": 0.0 if measured else None,
            "cosine": 1.0 if measured else None,
        }
    )


def both_tables(pair: Pair, first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of both runs' tables, with the run's name in the first column."""
    named = [
        table.assign(run=name)
        for name, table in zip(pair.names, (first, second), strict=True)
        if not table.empty  # pandas warns about empty ones
    ]
    columns = ["run", *dict.fromkeys([*first.columns, *second.columns])]
    return (
        pd.concat(named, ignore_index=True).reindex(columns=columns)
        if named
        else pd.DataFrame(columns=columns)
    )


def block_bars(
    table: pd.DataFrame, values: pd.Series, name: str, look: Look, hover: str, **more: object
) -> go.Bar:
    """Return one run's bars, on its side of each block's number."""
    return go.Bar(
        x=table["block"],
        y=values,
        offset=look.shift - WIDTH / 2,
        width=WIDTH,
        name=literal(name),
        marker={"color": look.colour, "cornerradius": 3},
        hovertemplate=f"block %{{x}}<br>{hover}<extra>{literal(name)}</extra>",
        **more,
    )


def block_line(
    table: pd.DataFrame, values: pd.Series, name: str, look: Look, hover: str, *, legend: bool
) -> go.Scatter:
    """Return one run's line over the blocks. Both lines of a run are shown and hidden together."""
    return go.Scatter(
        x=table["block"],
        y=values,
        mode="lines+markers",
        name=literal(name),
        legendgroup=name,
        showlegend=legend,
        line={"color": look.colour, "dash": look.dash, "width": 2.5},
        marker={"symbol": look.symbol, "size": 8},
        hovertemplate=f"block %{{x}}<br>{hover}<extra>{literal(name)}</extra>",
    )


def most_different(
    pair: Pair, values: tuple[Mapping[int, float], Mapping[int, float]], shown: Callable[[float], str]
) -> str:
    """Return in which block two runs differ most, with both values, or why that cannot be said.

    Args:
        values: by block.
        shown: formats a value.
    """
    if pair.depths:
        return pair.depths
    common = [block for block in values[0] if block in values[1]]
    if not common:
        return "No block is measured in both."
    apart = {block: abs(values[0][block] - values[1][block]) for block in common}
    block = max(apart, key=lambda one: apart[one])
    if apart[block] == 0:
        return "Both have the same values in every block."
    first, second = (shown(side[block]) for side in values)
    return f"They differ most in block {block}: {first} ({pair.names[0]}) against {second} ({pair.names[1]})."
