"""The charts of several runs, tested on their data."""

from __future__ import annotations

from itertools import pairwise, product
from math import inf, isfinite, log10
from random import Random

import pytest

from engine.analysis.comparison.grid import ORDER, GridCell
from engine.analysis.comparison.leaderboard import leaderboard
from engine.analysis.comparison.overlap import LinearOverlap, Shared
from engine.analysis.comparison.points import points
from engine.charts import palette
from engine.charts.compare.curves import MOST_LABELS, patterns, perplexity_curves
from engine.charts.compare.leaderboard import leaderboard_chart
from engine.charts.compare.mask_overlap import overlap_grid
from engine.charts.compare.perplexity_axis import Scale, spread, wants_logarithm
from engine.charts.compare.rankings import cliff_ranking, pattern_ranking
from engine.charts.compare.style import COLOURS, DASHES, style
from engine.charts.compare.sweep_grid import cell_words, column_words, sweep_colours, sweep_words
from engine.charts.compare.table import COLUMNS, LITERATURE, curve_table, filtered
from engine.charts.compare.two_runs import pair_alignment, pair_allocation, pair_depth
from tests.analysis.comparison.records import DENSE, made
from tests.charts.records import record

RUNS = [
    *(made(value, sparsity=share, own=False) for share, value in ((0.5, 22.0), (0.6, 30.0), (0.7, 90.0))),
    *(
        made(value, sparsity=share, pruner="magnitude", own=share == 0.6)
        for share, value in ((0.5, 25.0), (0.6, 50.0), (0.7, 900.0))
    ),
    made(33.0, pattern="2:4", own=False),
    made(29.0, pattern="4:8", own=False),
    made(31.0, pruner="apt-mm", pattern="2:4", own=False),
]
FAMILIES = points(RUNS)
OWN = [name for name in COLUMNS if name not in LITERATURE]
"""The columns of a table of the bundled model, which is in no paper."""


def traces(chart, **wanted):
    return [
        trace
        for trace in chart.figure.data
        if all(getattr(trace, name) == value for name, value in wanted.items())
    ]


class TestStyles:
    def test_any_two_of_many_differ_in_colour_or_dash_and_none_is_the_dense_models_grey(self) -> None:
        looks = [style(place) for place in range(len(COLOURS) * len(DASHES))]
        assert len({(look.colour, look.dash) for look in looks}) == 24
        assert palette.GREY not in {look.colour for look in looks}

    def test_two_of_one_colour_among_sixteen_differ_in_dash_and_in_marker_or_are_eight_apart(self) -> None:
        looks = [style(place) for place in range(16)]
        same = [
            (one, other)
            for one, other in product(range(16), repeat=2)
            if one < other and looks[one].colour == looks[other].colour
        ]
        assert all(looks[one].dash != looks[other].dash for one, other in same)
        assert all(looks[one].marker != looks[other].marker or other - one == 8 for one, other in same)


class TestSpread:
    def test_places_that_are_far_apart_stay(self) -> None:
        assert spread([0.9, 0.1, 0.5], 0.2) == [0.9, 0.1, 0.5]

    def test_two_at_one_place_part_evenly(self) -> None:
        assert spread([0.5, 0.5], 0.2) == pytest.approx([0.4, 0.6])

    def test_nothing_to_place(self) -> None:
        assert spread([], 0.1) == []

    @pytest.mark.parametrize("seed", range(20))
    def test_no_small_move_that_keeps_the_gaps_is_better(self, seed: int) -> None:
        draw = Random(seed)
        wanted = [draw.random() for _ in range(draw.randint(2, 8))]
        found, gap = spread(wanted, 0.15), 0.15
        ordered = sorted(found)
        assert all(after - before >= gap - 1e-9 for before, after in pairwise(ordered))
        assert sorted(range(len(wanted)), key=lambda i: wanted[i]) == sorted(
            range(len(wanted)), key=lambda i: found[i]
        )
        cost = sum((one - other) ** 2 for one, other in zip(found, wanted, strict=True))
        order = sorted(range(len(wanted)), key=lambda i: found[i])
        for start, end in product(range(len(wanted)), repeat=2):
            for step in (-1e-4, 1e-4):
                moved = list(found)
                for rank in range(start, end + 1):
                    moved[order[rank]] += step
                line = sorted(moved)
                if all(after - before >= gap for before, after in pairwise(line)):
                    assert (
                        sum((one - other) ** 2 for one, other in zip(moved, wanted, strict=True))
                        >= cost - 1e-9
                    )


class TestScale:
    def test_a_place_and_its_value_are_inverse(self) -> None:
        for logarithmic in (False, True):
            scale = Scale(logarithmic, 10.0, 1000.0)
            assert [scale.place(value) for value in (10.0, 1000.0)] == pytest.approx([0, 1])
            assert scale.value(scale.place(123.0)) == pytest.approx(123)
        assert Scale(True, 10.0, 1000.0).place(100.0) == pytest.approx(0.5)

    def test_ticks_lie_between_the_ends(self) -> None:
        assert Scale(True, 15.0, 250.0).ticks == pytest.approx([20, 50, 100, 200])
        assert Scale(True, 15.0, 3e9).ticks == pytest.approx([10.0**power for power in range(2, 10)])
        assert Scale(True, 15.0, 3e9).axis["ticktext"][0] == "100"

    def test_a_logarithm_is_wanted_where_the_values_are_far_apart(self) -> None:
        assert wants_logarithm([20.0, 121.0]) and not wants_logarithm([20.0, 119.0])
        assert not wants_logarithm([]) and not wants_logarithm([20.0, inf])


class TestCurves:
    chart = perplexity_curves(FAMILIES)

    def test_lines_join_unstructured_points_alone(self) -> None:
        lines = {
            trace.name: (list(trace.x), list(trace.y)) for trace in traces(self.chart, mode="lines+markers")
        }
        assert lines == {"Wanda": ([50, 60, 70], [22, 30, 90]), "Magnitude": ([50, 60, 70], [25, 50, 900])}

    def test_the_axis_is_logarithmic_if_needed_unless_chosen_otherwise(self) -> None:
        assert self.chart.figure.layout.yaxis.type == "log" and "logarithmic" in self.chart.title
        straight = perplexity_curves(FAMILIES, logarithmic=False)
        assert straight.figure.layout.yaxis.type == "linear" and "logarithmic" not in straight.title
        near = points([run for run in RUNS if run.perplexity < 60])
        assert perplexity_curves(near).figure.layout.yaxis.type == "linear"

    def test_all_points_are_inside_the_axes(self) -> None:
        low, high = self.chart.figure.layout.yaxis.range
        assert all(low < log10(run.perplexity) < high for run in RUNS) and low < log10(DENSE)

    def test_the_axis_can_end_before_the_lines_do(self) -> None:
        cut = perplexity_curves(FAMILIES, most=3.0, logarithmic=False)
        assert cut.figure.layout.yaxis.range[1] == pytest.approx(3 * DENSE, rel=0.1)
        assert all(trace.showlegend for trace in traces(cut, mode="lines+markers")), (
            "names are in the legend, for the ends are out of sight"
        )

    def test_dense_is_a_line_and_so_is_what_makes_a_cliff(self) -> None:
        levels = {
            trace.name: set(trace.y) for trace in self.chart.figure.data if trace.line.color == palette.GREY
        }
        assert levels == {"dense 20.00": {DENSE}, "2 × dense": {2 * DENSE}}

    def test_each_curve_has_its_star_on_that_line(self) -> None:
        stars = [
            trace
            for trace in self.chart.figure.data
            if trace.marker.symbol == "star-open" and trace.x[0] is not None
        ]
        assert [trace.y[0] for trace in stars] == pytest.approx([2 * DENSE] * 2)
        assert 60 < stars[0].x[0] < 70 and 50 < stars[1].x[0] < 60

    def test_patterns_stand_at_their_sparsity_with_marks_of_their_own(self) -> None:
        drawn = [trace for trace in self.chart.figure.data if trace.marker.symbol and trace.x[0] is not None]
        marks = [trace for trace in drawn if trace.marker.symbol.endswith("open-dot")]
        assert sorted((trace.name, trace.x[0], trace.y[0], trace.marker.symbol) for trace in marks) == [
            ("APT-MM", 50, 31, "square-open-dot"),
            ("Wanda", 50, 29, "diamond-open-dot"),
            ("Wanda", 50, 33, "square-open-dot"),
        ]
        keys = [trace.name for trace in self.chart.figure.data if trace.x[0] is None]
        assert keys == ["2:4", "4:8", "cliff, 2 × dense", "your own run"]

    def test_own_runs_are_ringed(self) -> None:
        rings = [
            (trace.x[0], trace.y[0])
            for trace in self.chart.figure.data
            if trace.marker.symbol == "circle-open" and trace.x[0] is not None
        ]
        assert rings == [(60, 50)]

    def test_every_mark_leads_to_its_run(self) -> None:
        keys = {
            key
            for trace in self.chart.figure.data
            for key in (trace.customdata if trace.customdata is not None else ())
        }
        assert keys == {run.key for run in RUNS}

    def test_names_are_next_to_the_ends_of_the_lines_in_their_order(self) -> None:
        labels = {note.text.strip(): note for note in self.chart.figure.layout.annotations}
        assert set(labels) == {"Wanda", "Magnitude", "dense 20.00", "2 × dense"}
        assert labels["Magnitude"].y == pytest.approx(log10(900)) and labels["Magnitude"].y > labels[
            "Wanda"
        ].y == pytest.approx(log10(90))
        assert self.chart.figure.layout.xaxis.range[1] > labels["Wanda"].x > 70

    def test_names_of_ends_that_meet_are_moved_apart_and_joined_by_lines(self) -> None:
        close = {name: FAMILIES["Wanda"] for name in ("one", "two", "three")}
        chart = perplexity_curves(close, logarithmic=False)
        heights = sorted(note.y for note in chart.figure.layout.annotations if note.text.strip() in close)
        low, high = chart.figure.layout.yaxis.range
        assert all(after - before > 0.03 * (high - low) for before, after in pairwise(heights))
        joins = [trace for trace in traces(chart, mode="lines") if trace.name in close]
        assert all(trace.y[0] == 90 for trace in joins) and sorted(
            trace.y[1] for trace in joins
        ) == pytest.approx(heights)

    def test_a_click_does_not_dim_the_rest(self) -> None:
        assert all(trace.unselected.marker.opacity == 1 for trace in self.chart.figure.data)

    def test_a_crowd_gets_a_legend(self) -> None:
        crowd = {f"way {place}": FAMILIES["Wanda"] for place in range(MOST_LABELS + 1)}
        chart = perplexity_curves(crowd)
        assert all(trace.showlegend for trace in traces(chart, mode="lines+markers"))
        assert not [note for note in chart.figure.layout.annotations if "way" in note.text]

    def test_seeds_are_error_bars(self) -> None:
        chart = perplexity_curves(points([made(30.0), made(34.0, seed=1), made(50.0, sparsity=0.6)]))
        (line,) = traces(chart, mode="lines+markers")
        assert line.error_y.visible and list(line.error_y.array) == pytest.approx([8**0.5, 0])
        assert not traces(self.chart, mode="lines+markers")[0].error_y.visible

    def test_a_family_keeps_its_look_when_others_go(self) -> None:
        order = ("RIA", "Wanda", "Magnitude")
        both = perplexity_curves(FAMILIES, order=(*order, "APT-MM"))
        alone = perplexity_curves({"Magnitude": FAMILIES["Magnitude"]}, order=order)
        looks = [traces(chart, name="Magnitude", mode="lines+markers")[0] for chart in (both, alone)]
        assert looks[0].line.color == looks[1].line.color and looks[0].marker.symbol == looks[1].marker.symbol

    def test_perplexities_that_are_no_numbers_do_not_break_the_axis(self) -> None:
        broken = [
            made(1e308, sparsity=0.9),
            made(1e300, sparsity=0.9, pruner="ria"),
            made(inf, sparsity=0.9, pruner="magnitude"),
        ]
        families = points([made(30.0), *broken])
        for axis in (
            perplexity_curves(families).figure.layout.yaxis,
            leaderboard_chart(leaderboard(families, "0.9"), "90 %").figure.layout.xaxis,
        ):
            assert all(isfinite(end) and end < 15 for end in axis.range)

    def test_words(self) -> None:
        assert self.chart.alt.startswith(
            "Line chart of the pruned perplexity by sparsity for 3 pruners. Cliffs from 5"
        )
        assert "2 × that of the dense model" in self.chart.caption
        low = perplexity_curves(points([made(21.0)]))
        assert "No curve has a cliff" in low.alt

    def test_nothing_is_an_empty_drawing(self) -> None:
        assert perplexity_curves({}).table.empty


class TestTable:
    table = curve_table(FAMILIES)

    def test_one_row_a_point(self) -> None:
        assert list(self.table.columns) == OWN and len(self.table) == len(RUNS)
        row = self.table[(self.table.family == "Magnitude") & (self.table.sparsity == 0.6)].iloc[0]
        assert (row.perplexity, row.seeds, bool(row.own)) == (50.0, 1, True) and row.ratio == pytest.approx(
            2.5
        )

    @pytest.mark.parametrize(
        ("words", "most", "count"),
        [
            ("", None, 9),
            ("wanda", None, 5),
            ("WANDA 2:4", None, 1),
            ("own", None, 1),
            ("60%", None, 2),
            ("", 2.0, 6),
            ("absent", None, 0),
        ],
    )
    def test_rows_by_words_and_by_ratio(self, words: str, most: float | None, count: int) -> None:
        assert len(filtered(self.table, words, most)) == count

    def test_filtering_an_empty_table_keeps_its_columns(self) -> None:
        assert list(filtered(curve_table({}), "x", 2.0).columns) == OWN


class TestRanges:
    def test_cliffs_are_ranked_the_latest_first(self) -> None:
        chart = cliff_ranking(FAMILIES)
        assert list(chart.table.family) == ["Wanda", "Magnitude"], "one with patterns alone has no curve"
        assert chart.table.sparsity[0] > 0.6 > chart.table.sparsity[1] > 0.5
        marks = traces(chart, mode="markers+text")
        assert [trace.y[0] for trace in marks] == ["Magnitude", "Wanda"], "a category axis begins below"

    def test_a_curve_without_a_cliff_says_how_far_it_was_followed(self) -> None:
        chart = cliff_ranking(points([made(21.0, sparsity=0.5), made(25.0, sparsity=0.8)]))
        (mark,) = traces(chart, mode="markers+text")
        assert mark.x[0] == 80 and mark.text[0].strip() == "beyond 80" and "open" in mark.marker.symbol
        assert not chart.table.reached[0]

    def test_a_curve_that_begins_beyond_is_in_the_table_alone(self) -> None:
        chart = cliff_ranking(points([made(90.0, sparsity=0.8)]))
        assert (
            not traces(chart, mode="markers+text") and len(chart.table) == 1 and bool(chart.table.reached[0])
        )

    def test_patterns_have_a_row_a_family_and_a_mark_a_pattern(self) -> None:
        chart = pattern_ranking(FAMILIES)
        assert patterns(FAMILIES) == ["2:4", "4:8"]
        assert {trace.name: (list(trace.y), list(trace.x)) for trace in chart.figure.data} == {
            "2:4": (["APT-MM", "Wanda"], [31, 33]),
            "4:8": (["Wanda"], [29]),
        }
        assert "Best at 2:4: APT-MM with 31.00. Best at 4:8: Wanda with 29.00." in chart.alt


class TestBoard:
    chart = leaderboard_chart(leaderboard(FAMILIES, "0.7"), "70 %")

    def test_lines_go_from_dense_to_each(self) -> None:
        assert [list(trace.x) for trace in traces(self.chart, mode="lines")] == [[DENSE, 90], [DENSE, 900]]
        assert list(self.chart.figure.layout.yaxis.categoryarray) == ["2. Magnitude", "1. Wanda"]

    def test_the_best_has_a_mark_of_its_own_and_the_others_their_distance(self) -> None:
        first, second = traces(self.chart, mode="markers+text")
        assert (first.marker.symbol, second.marker.symbol) == ("star", "circle")
        assert "the best" in first.text[0] and "+ 900.0 %" in second.text[0]

    def test_the_axis_holds_all(self) -> None:
        low, high = self.chart.figure.layout.xaxis.range
        assert self.chart.figure.layout.xaxis.type == "log" and low < log10(DENSE) and log10(900) < high
        near = leaderboard_chart(leaderboard(FAMILIES, "0.5"), "50 %")
        assert near.figure.layout.xaxis.type == "linear" and near.figure.layout.xaxis.range[1] > 25

    def test_what_was_achieved_is_said(self) -> None:
        assert "Sparsity achieved: 69.00 %." in self.chart.caption

    def test_an_empty_leaderboard(self) -> None:
        assert leaderboard_chart([], "1:8").alt.endswith("No runs yet.")

    @pytest.mark.parametrize("budget", ["0.5", "0.7"])
    def test_the_label_of_the_dense_line_is_on_it(self, budget):
        """On a logarithmic axis Plotly takes the logarithm for an annotation, but not for a shape."""
        figure = leaderboard_chart(leaderboard(FAMILIES, budget), "a budget").figure
        (line,), (label,) = figure.layout.shapes, figure.layout.annotations
        place = 10**label.x if figure.layout.xaxis.type == "log" else label.x
        assert label.text == "dense" and place == pytest.approx(line.x0) == line.x1


class TestPair:
    runs = (record(sparsity=0.5), record(pruner="sparsegpt", sparsity=0.7))
    names = ("one", "other")

    @pytest.mark.parametrize(
        ("make", "scale", "value"),
        [
            (pair_allocation, 100, lambda block: block.sparsity),
            (pair_depth, 100, lambda block: block.relative_error),
            (pair_alignment, 1, lambda block: block.alignment),
        ],
    )
    def test_both_runs_are_in_one_drawing(self, make, scale, value) -> None:
        chart = make(self.runs, self.names)
        assert [trace.name for trace in chart.figure.data] == ["one", "other"]
        for name, run in zip(self.names, self.runs, strict=True):
            assert list(chart.table[name]) == pytest.approx([scale * value(block) for block in run.blocks])
        looks = {(trace.line.color, trace.line.dash, trace.marker.symbol) for trace in chart.figure.data}
        assert all(len({look[place] for look in looks}) == 2 for place in range(3)), "colour, dash and marker"

    def test_an_unfinished_run_has_gaps(self) -> None:
        chart = pair_depth((self.runs[0], record(blocks=3)), self.names)
        assert chart.table["other"].isna().sum() == 5

    def test_where_they_differ_most_is_said(self) -> None:
        assert "They are the same." in pair_depth((self.runs[0], self.runs[0]), self.names).alt

    def test_the_overlap_by_block_and_linear(self) -> None:
        found = tuple(
            LinearOverlap(
                block=block,
                linear=name,
                kept=Shared(both=10 * block + 5, either=50, blind_both=10, blind_either=40),
                removed=Shared(both=20, either=80, blind_both=1, blind_either=2),
            )
            for block in (0, 1)
            for name in ("self_attn.q_proj", "mlp.up_proj")
        )
        chart = overlap_grid(found, "kept", ["mlp.up_proj", "self_attn.q_proj"])
        heat, handles = chart.figure.data
        assert [list(row) for row in heat.z] == [[10, 30], [10, 30]] and list(heat.y) == ["up_proj", "q_proj"]
        assert [tuple(one[:2]) for one in handles.customdata] == [(one.block, one.linear) for one in found]
        assert list(overlap_grid(found).figure.data[0].y) == ["q_proj", "up_proj"], "as they come"
        assert (
            "20.0 % over the whole model; two random masks of the same sizes would have 25.0 %." in chart.alt
        )
        gone = overlap_grid(found, "removed")
        assert gone.figure.data[0].z[0][0] == 25 and "would have 50.0 %" in gone.caption
        assert list(chart.table.columns) == [
            "block",
            "linear",
            "kept",
            "kept_by_chance",
            "removed",
            "removed_by_chance",
        ]


class TestSweep:
    @pytest.mark.parametrize(
        ("square", "words"),
        [
            (GridCell("Wanda", "0.5", "missing", ("a",)), "·"),
            (GridCell("Wanda", "0.5", "finished", ("a",), 1, (45.314,)), "✓ 45.31"),
            (GridCell("Wanda", "0.5", "finished", ("a", "b"), 2, (44.0, 46.0)), "✓ 45.00 ± 1.41"),
            (GridCell("Wanda", "0.5", "running", ("a",), progress=0.375), "▶ 38 %"),
            (GridCell("Wanda", "0.5", "running", ("a", "b"), 1, (45.0,), 0.5), "▶ 50 % 45.00 (1/2)"),
            (GridCell("Wanda", "0.5", "queued", ("a",)), "…"),
            (GridCell("Wanda", "0.5", "failed", ("a",)), "✗"),
            (GridCell("Wanda", "0.5", "refused"), "—"),
        ],
    )
    def test_a_grid_cell_in_words(self, square: GridCell, words: str) -> None:
        assert cell_words(square) == words

    def test_words_and_colours_have_one_shape(self) -> None:
        squares = [
            GridCell(way, shape, state)
            for way, (shape, state) in product(("RIA", "Wanda"), (("0.5", "finished"), ("2:4", "missing")))
        ]
        words, colours = sweep_words(squares), sweep_colours(squares)
        assert list(words.columns) == list(colours.columns) == ["50 %", "2:4"] and list(words.index) == list(
            colours.index
        ) == ["RIA", "Wanda"]
        assert colours.loc["RIA", "2:4"] == "" and palette.GREEN in colours.loc["RIA", "50 %"]

    def test_no_state_is_distinguished_by_colour_alone(self) -> None:
        signs = {state: cell_words(GridCell("x", "0.5", state)) for state in ORDER}
        assert signs["failed"] == signs["damaged"] and signs["cancelled"] == signs["interrupted"]
        assert len(set(signs.values())) == len(ORDER) - 2

    def test_columns_in_words(self) -> None:
        assert [column_words(shape) for shape in ("0.625", "2:4", "much")] == ["62.5 %", "2:4", "much"]
