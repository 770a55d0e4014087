"""A second run in every chart: both are drawn and in the table; what cannot be compared is said."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
import pytest

from engine.charts.chart import Chart
from engine.charts.overlay.both import OVERLAYS
from engine.charts.overlay.pair import DENSE, Pair, dense_reference
from engine.charts.run_charts import chart_parts
from engine.charts.tables import to_csv
from engine.events import LinearShape
from engine.record import RunRecord
from tests.charts.records import infinite, record, undecided
from tests.charts.reports import HOSTILE, hostile

EVERYTHING = {
    "score": "wanda",
    "update": "obs",
    "refinement": "dsnot",
    "allocation": "neuroal",
    "sparsity": 0.6,
}
"""A recipe for which every chart has data."""
ONE = record(**EVERYTHING)


def changed(found: RunRecord, factor: float = 1.5) -> RunRecord:
    """The run with other values wherever a chart reads one, of another score."""
    assert found.recipe is not None
    numbers = ("output_error", "error_before_update", "error_before_refinement", "sparsity")

    def times(item: Any, names: tuple[str, ...]) -> Any:
        values = {name: getattr(item, name) for name in names}
        return item.model_copy(
            update={name: value * factor for name, value in values.items() if value is not None}
        )

    blocks = tuple(
        times(block, ("alignment", "relative_error")).model_copy(
            update={
                "cosine": block.cosine / factor,
                "linears": tuple(
                    times(one, numbers).model_copy(
                        update={"removed": one.removed // 2, "swaps": None if one.swaps is None else 1}
                    )
                    for one in block.linears
                ),
            }
        )
        for block in found.blocks
    )
    return found.model_copy(
        update={
            "key": "0" * 20,
            "recipe": found.recipe.model_copy(update={"score": "ria"}),
            "blocks": blocks,
            "allocation": tuple(value / factor for value in found.allocation),
            "search": tuple(
                one.model_copy(
                    update={
                        "objective": one.objective * factor,
                        "block_objectives": tuple(value * factor for value in one.block_objectives),
                    }
                )
                for one in found.search
            ),
            "rows": tuple(
                tuple(
                    one.model_copy(update={"quantiles": tuple(value / factor for value in one.quantiles)})
                    for one in block
                )
                for block in found.rows
            ),
        }
    )


OTHER = changed(ONE)


class Charts(Mapping[str, Chart]):
    """The charts of a run by name, each drawn when it is asked for."""

    def __init__(self, first: RunRecord, second: RunRecord | None = None, **options: Any) -> None:
        parts = chart_parts(first, second, **options)
        self.makers = {name: make for makers in parts.values() for name, make in makers.items()}
        self.first, self.drawn = first, dict[str, Chart]()

    def __getitem__(self, name: str) -> Chart:
        if name not in self.drawn:
            self.drawn[name] = self.makers[name](self.first)
        return self.drawn[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.makers)

    def __len__(self) -> int:
        return len(self.makers)


SINGLE, ALONE, BOTH = Charts(ONE), Charts(OTHER), Charts(ONE, OTHER)


def test_every_chart_has_an_overlay() -> None:
    assert set(SINGLE) == set(OVERLAYS) == set(BOTH)


@pytest.mark.parametrize("name", OVERLAYS)
def test_a_second_run_changes_the_chart_and_stands_in_its_table_and_words(name: str) -> None:
    single, both = SINGLE[name], BOTH[name]
    assert both.figure.to_json() != single.figure.to_json()
    table = to_csv(both.table)
    first, second = Pair(ONE, OTHER).names
    assert first != second and first in table and second in table
    assert first in both.alt and second in both.alt and both.alt.endswith(".")
    assert "Not compared" not in both.caption and both.figure.layout.uirevision == "kept"
    figure = both.figure.to_json()
    assert name in ("sparsity", "output_error") or (first in figure and second in figure)


@pytest.mark.parametrize("name", OVERLAYS)
def test_both_runs_values_are_in_the_table_as_each_run_has_them(name: str) -> None:
    first, second = Pair(ONE, OTHER).names
    table = BOTH[name].table
    if "difference" in table:
        column = [f"{name}: {run}" for run in (first, second)]
        assert list(table[column[0]]) == list(SINGLE[name].table[name])
        assert list(table[column[1]]) == list(ALONE[name].table[name])
        assert list(table["difference"]) == pytest.approx(list(table[column[0]] - table[column[1]]))
    else:
        for run, single in ((first, SINGLE), (second, ALONE)):
            mine = table[table["run"] == run].drop(columns="run").reset_index(drop=True)
            pd.testing.assert_frame_equal(mine, single[name].table, check_dtype=False)


@pytest.mark.parametrize("steps", [0, 3])
def test_a_live_run_is_compared_with_a_finished_one_and_keeps_its_axes(steps: int) -> None:
    live = record(steps, **EVERYTHING)
    for name, chart in Charts(live, OTHER).items():
        assert chart.alt
        if name not in ("coverage", "search"):
            assert [axis.range for axis in chart.figure.select_xaxes()] == [
                axis.range for axis in BOTH[name].figure.select_xaxes()
            ]
    deciding = undecided(4, **EVERYTHING)
    assert list(Charts(deciding, OTHER)) == list(Charts(deciding)), "its own charts alone while it searches"


def test_a_chart_that_only_one_run_has_is_shown_and_says_why() -> None:
    plain = record()
    name = Pair(ONE, plain).names[1]
    richer, plainer = Charts(ONE, plain), Charts(plain, ONE)
    for charts in (richer, plainer):
        assert set(charts) == set(OVERLAYS)
        for chart in ("swaps", "refinement", "recovery", "search", "rows", "alignment_uniform"):
            assert name in charts[chart].caption and " has " in charts[chart].caption
    assert richer["recovery"].caption.startswith(f"Not compared: {name} has no weight update.")
    assert plainer["recovery"].caption.startswith(f"Only of {Pair(ONE, plain).names[0]}: {name} has")
    assert "sparsity per block" in plainer["allocation"].alt, "uniform is an allocation too"


def test_a_run_without_results_yet_is_said_to_have_none() -> None:
    queued = RunRecord(key=OTHER.key, recipe=OTHER.recipe)
    charts = Charts(ONE, queued)
    assert set(charts) == set(SINGLE)
    assert all("has no results yet" in chart.caption for chart in charts.values())
    assert all(charts[name].table.equals(SINGLE[name].table) for name in charts)


def test_the_dense_model_has_lost_nothing() -> None:
    dense = dense_reference(ONE)
    charts = Charts(ONE, dense)
    assert set(charts) == set(SINGLE)
    for name in ("sparsity", "output_error"):
        table = charts[name].table
        assert list(table["difference"]) == list(SINGLE[name].table[name])
    depth = charts["depth"].table
    assert set(depth[depth["run"] == DENSE]["cosine"]) == {1.0}
    assert "has no weight update" in charts["recovery"].caption
    assert dense.pruned == ONE.dense and all(one.ratio == 1 for one in dense.evaluations)


def reshaped(found: RunRecord, blocks: int = 8, prefix: str = "") -> RunRecord:
    """The run of a model with another number of blocks, or whose linears have other names."""
    assert found.model is not None and found.recipe is not None
    shapes = tuple(
        tuple(LinearShape(name=f"{prefix}{one.name}", rows=one.rows, columns=one.columns) for one in block)
        for block in found.model.linears[:1] * blocks
    )
    done = tuple(
        block.model_copy(
            update={
                "linears": tuple(
                    one.model_copy(update={"name": f"{prefix}{one.name}"}) for one in block.linears
                )
            }
        )
        for block in found.blocks
    )
    return found.model_copy(
        update={
            "model": found.model.model_copy(update={"blocks": blocks, "linears": shapes}),
            "recipe": found.recipe.model_copy(update={"model": "org/other"}),
            "blocks": done[:blocks],
        }
    )


@pytest.mark.parametrize("blocks", [5, 12])
def test_models_with_another_number_of_blocks_share_an_axis_and_no_map(blocks: int) -> None:
    charts = Charts(ONE, reshaped(OTHER, blocks))
    for name in ("sparsity", "output_error"):
        assert f"has {blocks} blocks instead of 8" in charts[name].caption
        assert charts[name].figure.to_json() == SINGLE[name].figure.to_json()
    for name in ("alignment", "depth", "swaps", "refinement", "recovery", "allocation", "rows"):
        assert charts[name].figure.layout.xaxis.range[1] == max(8, blocks) - 0.5
        assert f"8 and {blocks} blocks" in charts[name].caption


def test_linears_with_other_names_are_not_compared_and_common_ones_are() -> None:
    assert (
        "linears of its model have other names"
        in Charts(ONE, reshaped(OTHER, prefix="x."))["sparsity"].caption
    )
    partly = reshaped(OTHER)
    block = partly.model.linears[0]
    other = (block[0].model_copy(update={"name": "fused"}), *block[1:])
    chart = Charts(
        ONE, partly.model_copy(update={"model": partly.model.model_copy(update={"linears": (other,) * 8})})
    )["sparsity"]
    assert "Only one of the two models has q_proj and fused." in chart.caption


def test_runs_with_the_same_recipe_title_are_told_apart() -> None:
    assert ONE.recipe is not None
    seed = ONE.model_copy(update={"recipe": ONE.recipe.model_copy(update={"seed": 3})})
    assert Pair(ONE, seed).names[1].endswith("seed 3")
    assert len(set(Pair(ONE, ONE).names)) == 2, "a run and the same run imported"


def test_a_click_on_a_difference_still_opens_the_microscope() -> None:
    handles = Charts(ONE, OTHER, clickable=True)["output_error"].figure.data[-1]
    assert list(handles.customdata[0][:2]) == [0, "self_attn.q_proj"]


def test_maps_are_signed_around_zero() -> None:
    heat = BOTH["output_error"].figure.data[1]
    assert heat.zmin == -heat.zmax < 0 and all(text.startswith("−") for row in heat.text for text in row)
    same = Charts(ONE, ONE)["sparsity"]
    assert "the same in every linear" in same.caption


@pytest.mark.parametrize("swap", [False, True])
def test_values_that_are_not_finite_and_foreign_names_are_drawn(swap: bool) -> None:
    other = infinite(hostile(ONE))
    pair = (other, ONE) if swap else (ONE, other)
    for chart in Charts(*pair).values():
        ranges = [axis.range for axis in (*chart.figure.select_xaxes(), *chart.figure.select_yaxes())]
        assert all(math.isfinite(end) for ends in ranges if ends for end in ends)
        assert HOSTILE not in chart.figure.to_json() and "<img" not in chart.figure.to_json()
