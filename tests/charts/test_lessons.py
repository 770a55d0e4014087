"""The charts of the lessons on their data: the figure, the table, and the text that describes them."""

from __future__ import annotations

from functools import cache

import pytest

from engine.charts import palette
from engine.charts.lessons import comparison_groups as group_charts
from engine.charts.lessons import outlier_feature as outlier_charts
from engine.charts.lessons import own_score as own_score_charts
from engine.charts.lessons import pruning_by_hand as by_hand_charts
from engine.charts.lessons import weight_updates as update_charts
from engine.charts.lessons.matrix import Bars, Matrix, matrix_chart
from engine.charts.lessons.plots import STYLES, Bar, bar_chart, line_chart
from engine.lessons import comparison_groups, outlier_feature, own_score, pruning_by_hand, weight_updates
from engine.lessons.comparison_groups import LAYER, ROW
from engine.lessons.outlier_feature import Inputs
from engine.lessons.own_score import BEST, USER
from engine.lessons.own_score_runs import Repeat, Way
from engine.numbers import decimal

INPUTS = (
    Inputs(0, "q_proj", (1.0, 2.0, 8.0), {"magnitude": 0.2, "wanda": 0.1}),
    Inputs(1, "up_proj", (1.0, 1.0, 1.5), {"magnitude": 0.2, "wanda": 0.22}),
)
WAYS = (Way("SymWanda", 0.37, 213.0), Way("Wanda", 0.38, 144.0), Way("RIA", 0.39, 128.0))
REPEATS = (Repeat("as raced", 60.0, 64.0), Repeat("other windows", 61.0, 66.0))
WORDS = {"title": "What", "alt": "A matrix.", "caption": "How."}


@cache
def layer():
    return pruning_by_hand.without(range(10))


CHARTS = {
    "outputs": lambda: by_hand_charts.output_errors(layer()),
    "weights": lambda: by_hand_charts.weight_matrix(layer()),
    "costs": lambda: by_hand_charts.cost_matrix(pruning_by_hand.costs(), layer().strengths),
    "mask": lambda: by_hand_charts.masked_matrix(layer(), "wanda"),
    "curves": lambda: by_hand_charts.error_curves(pruning_by_hand.curves(), 32),
    "ranking": lambda: by_hand_charts.ranking(pruning_by_hand.leaderboard(range(10)), 10),
    "outlier": lambda: outlier_charts.outlier_matrix(outlier_feature.pruned(8, "wanda"), "wanda"),
    "unpruned": lambda: outlier_charts.outlier_matrix(outlier_feature.pruned(8, "wanda"), None),
    "outlier curves": lambda: outlier_charts.error_curves(outlier_feature.curves(), 8),
    "inputs": lambda: outlier_charts.input_strengths(INPUTS[0]),
    "gains": lambda: outlier_charts.gains(INPUTS, INPUTS[1]),
    "plain": lambda: group_charts.plain_matrix(comparison_groups.masked(ROW, "wanda"), 4),
    "grouped": lambda: group_charts.grouped_matrix(comparison_groups.masked("2:4", "wanda"), "2:4", 4),
    "kept": lambda: group_charts.kept_scores(comparison_groups.prices(1, "wanda")),
    "lost": lambda: group_charts.output_errors(comparison_groups.prices(1, "wanda")),
    "pairs": lambda: update_charts.pair_curves(weight_updates.pairs(), 0.5, updated=True),
    "columns": lambda: update_charts.weights_matrix(
        weight_updates.after_columns(3), "After column 3", "Frames: column 3."
    ),
    "updates": lambda: update_charts.update_errors(weight_updates.errors(0.5), "Joint"),
    "hand": lambda: own_score_charts.plain_matrix(own_score.hand_race(8)),
    "hand errors": lambda: own_score_charts.errors(own_score.hand_race(8), 0.5),
    "mine": lambda: own_score_charts.errors(own_score.small_race("abs(W) / u", 0.5), 0.5),
    "my mask": lambda: own_score_charts.masked_matrix(own_score.small_race("abs(W) / u", 0.5), USER, "wanda"),
    "ways": lambda: own_score_charts.local_and_global(WAYS, 0.7),
    "repeated": lambda: own_score_charts.repeats(REPEATS, 0.6),
    "fresh": lambda: update_charts.fresh_curves(weight_updates.fresh_errors(), 64),
}


@cache
def chart_of(name):
    """Drawn by the first test that needs it, not when the tests are collected."""
    return CHARTS[name]()


@pytest.mark.parametrize("name", CHARTS)
def test_every_chart_has_a_title_a_table_and_words(name):
    chart = chart_of(name)
    assert chart.title and chart.caption.endswith(".") and chart.alt.endswith(".")
    assert chart.figure.layout.title.text is None
    assert len(chart.table) and not chart.table.isna().any().any()
    assert chart.figure.layout.paper_bgcolor == palette.TRANSPARENT
    assert chart.figure.layout.font.color is None


def test_a_matrix_shows_kept_weights_and_crosses_removed_ones():
    chart = matrix_chart(
        Matrix([[0.5, -1.25], [0.25, 2.0]], [[True, False], [True, True]], decimals=2), **WORDS
    )
    _, heat, crosses = chart.figure.data
    assert [list(row) for row in heat.text] == [["0.50", ""], ["0.25", "2.00"]]
    assert heat.z[0][1] is None and (heat.zmin, heat.zmax) == (-2, 2)
    assert (list(crosses.x), list(crosses.y), list(crosses.text)) == ([1], [0], ["−1.25"])
    assert chart.table.to_dict("list") == {
        "row": ["y1", "y1", "y2", "y2"],
        "column": ["x1", "x2", "x1", "x2"],
        "weight": [0.5, -1.25, 0.25, 2.0],
        "kept": [True, False, True, True],
    }


def test_the_same_matrix_is_drawn_once():
    one, same, other = (
        matrix_chart(Matrix([[value, 1.0]], right=Bars("error", [1.0])), **WORDS) for value in (0.0, 0.0, 0.5)
    )
    assert one.figure is same.figure and one.figure is not other.figure


def test_the_same_bars_and_lines_are_drawn_once():
    one, same, other = (
        bar_chart([Bar("Wanda", value)], axis="Error, %", **WORDS) for value in (0.1, 0.1, 0.2)
    )
    assert one is same and one is not other
    one, same, other = (
        line_chart([1.0, 2.0], {"Wanda": [0.1, 0.2]}, axes=("x", "y"), at=at, **WORDS) for at in (1, 1, 2)
    )
    assert one is same and one is not other


def test_a_matrix_of_zeros_can_be_drawn():
    heat = matrix_chart(Matrix([[0.0, 0.0]]), **WORDS).figure.data[1]
    assert heat.zmax == 1


def test_frames_and_groups_are_in_the_right_place():
    chart = matrix_chart(Matrix([[1.0] * 8] * 2, marked=[(1, 2)], group=4), **WORDS)
    line, frame = chart.figure.layout.shapes
    assert (line.x0, line.x1) == (3.5, 3.5)
    assert frame.x0 < 2 < frame.x1 and frame.y0 < 1 < frame.y1 and frame.x1 - frame.x0 < 1
    assert chart.table["framed"].sum() == 1


def test_bars_are_aligned_with_their_columns_and_rows():
    chart = matrix_chart(
        Matrix([[1.0, 2.0, 3.0]] * 2, above=Bars("a", [3, 2, 1]), right=Bars("error", [12.3, 0.456])),
        **WORDS,
    )
    *_, above, right = chart.figure.data
    assert list(above.x) == [0, 1, 2] and list(above.y) == [3, 2, 1]
    assert list(right.x) == [12.3, 0.456] and list(right.text) == ["12", "0.46"]
    assert len({trace.yaxis for trace in chart.figure.data}) == 3


def test_a_number_is_readable_on_the_colour_of_its_cell():
    """Dark numbers have enough contrast on every colour of both scales."""
    for scale in (palette.SIGNED, palette.AMOUNT):
        assert min(contrast(colour, palette.INK) for _, colour in scale) > 4.5


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_numbers_have_a_proper_minus_sign():
    assert decimal(-0.25, 2) == "−0.25" and decimal(3, 1) == "3.0"


def test_lines_can_be_told_apart_without_colour():
    assert all(len({style[part] for style in STYLES}) == len(STYLES) for part in range(3))
    chart = line_chart(
        [1, 10], {"one": [0.1, 0.2], "two": [0.3, 0.4]}, axes=("x", "y"), at=5, log=True, **WORDS
    )
    assert [list(line.y) for line in chart.figure.data] == [[10, 20], [30, 40]]
    assert len({(line.line.dash, line.marker.symbol) for line in chart.figure.data}) == 2
    assert chart.table.to_dict("list") == {"x": [1, 10], "one": [0.1, 0.2], "two": [0.3, 0.4]}
    assert list(chart.figure.layout.xaxis.ticktext) == ["1", "10"]
    assert chart.figure.layout.shapes[0].x0 == 5


def test_a_highlighted_bar_is_found_without_colour():
    chart = bar_chart([Bar("Wanda", 0.1), Bar("You", 0.2, highlighted=True)], axis="Error, %", **WORDS)
    bars = chart.figure.data[0]
    assert list(bars.marker.pattern.shape) == ["", "/"]
    assert list(bars.y) == ["Wanda", "▶ You"] and list(bars.x) == [10, 20]
    assert chart.table.to_dict("list") == {"name": ["Wanda", "You"], "value": [0.1, 0.2]}


def test_the_leaderboard_states_the_users_rank():
    entries = pruning_by_hand.leaderboard(range(10))
    rank = [entry.by_user for entry in entries].index(True) + 1
    assert chart_of("ranking").alt.endswith(f"You are number {rank}.")


def test_the_strongest_input_is_labelled():
    figure = chart_of("inputs").figure
    assert figure.layout.annotations[0].text == "feature 2, × 4.0"
    assert len(set(figure.data[0].marker.color)) == 2


def test_gains_are_shares_of_magnitudes_error_and_one_linear_is_marked():
    points, chosen = chart_of("gains").figure.data
    assert list(points.y) == pytest.approx([50, -10]) and list(points.x) == pytest.approx([4, 1.5])
    assert list(chosen.text) == ["block 1, up_proj"] and chosen.marker.symbol != points.marker.symbol


def test_the_updated_line_is_hidden_until_the_answer():
    waiting = update_charts.pair_curves(weight_updates.pairs(), 0.5, updated=False)
    assert [line.name for line in waiting.figure.data] == ["Unchanged"] and list(waiting.table) == [
        "Correlation of the two inputs, ρ",
        "Unchanged",
    ]
    assert "Updated" not in waiting.caption + waiting.alt
    assert [line.name for line in chart_of("pairs").figure.data] == ["Unchanged", "Updated"]


def test_the_bars_of_kept_scores_state_the_number_of_masks():
    assert chart_of("kept").figure.data[0].y[0] == f"{LAYER}, 10²⁸ masks"


def test_the_users_racer_is_hatched_and_the_best_mask_has_another_colour():
    race = own_score.small_race("abs(W) / u", 0.5)
    bars = chart_of("mine").figure.data[0]
    names = [racer.name for racer in race.racers]
    assert list(bars.x) == [100 * racer.error for racer in race.racers]
    assert [shape == "/" for shape in bars.marker.pattern.shape] == [name == USER for name in names]
    assert [colour == palette.GREEN for colour in bars.marker.color] == [name == BEST for name in names]
    assert "Hatched" not in chart_of("hand errors").caption and "Wanda 0 %" in chart_of("hand errors").caption


def test_frames_are_where_two_masks_differ():
    race = own_score.small_race("abs(W) / u", 0.5)
    differences = race.racer(USER).differences(race.racer("wanda"))
    assert chart_of("my mask").table["framed"].sum() == len(differences) > 0
    assert f"{len(differences)} weights on which" in chart_of("my mask").caption
    same = own_score_charts.masked_matrix(own_score.hand_race(8), "wanda", BEST)
    assert "The same mask" in same.caption and "framed" not in same.table


def test_the_run_with_the_smallest_local_error_is_found_without_colour():
    marks = chart_of("ways").figure.data[0]
    assert list(marks.marker.symbol) == ["diamond", "circle", "circle"]
    assert list(marks.x) == pytest.approx([37, 38, 39]) and list(marks.y) == [213, 144, 128]
    assert (
        "SymWanda is the first of 3, by perplexity number 3. RIA has the lowest" in chart_of("ways").caption
    )


def test_repeats_are_a_row_per_condition():
    rival, mine = chart_of("repeated").figure.data
    assert (list(mine.x), list(rival.x)) == ([60, 61], [64, 66])
    assert (mine.marker.symbol, rival.marker.symbol) == ("star", "circle")
    assert list(chart_of("repeated").table["difference"]) == [-4, -5]
    assert "is ahead each time, by more" in chart_of("repeated").caption
    assert "missing" in own_score_charts.repeats(REPEATS[:1], 0.6).caption
