"""The chart of a class's answers: a series per phase, the right answer marked only when it is known."""

from engine.charts.lessons.class_answers import answer_bars, class_table
from engine.charts.tables import to_csv
from engine.lessons.classroom import Tally

CHOICES = (
    "It loses half.",
    "It loses <b>all</b>.",
    "A long answer that does not fit on one line of the axis.",
)


def test_before_the_reveal_one_series_and_nothing_marked() -> None:
    chart = answer_bars(CHOICES, Tally(before=(2, 7)), None)
    (bars,) = chart.figure.data
    assert list(bars.x) == [2, 7, 0]
    labels = chart.figure.layout.yaxis.ticktext
    assert not any("✓" in label for label in labels) and "&lt;b" in labels[1] and "<br>" in labels[2]
    assert list(chart.table) == ["choice", "before the reveal"]
    assert chart.caption == "9 answers." and "Right" not in chart.alt


def test_after_the_reveal_the_right_answer_is_marked_and_later_answers_stand_next_to_the_first() -> None:
    chart = answer_bars(CHOICES, Tally(before=(2, 7), after=(0, 0, 1)), 2)
    before, after = chart.figure.data
    assert (list(before.x), list(after.x)) == ([2, 7, 0], [0, 0, 1])
    assert [label.startswith("<b>✓") for label in chart.figure.layout.yaxis.ticktext] == [False, False, True]
    assert list(chart.table["right"]) == [False, False, True]
    assert "9 answers before the reveal and 1 after the reveal" in chart.alt and "Right: c." in chart.alt


def test_a_question_without_answers_can_be_drawn() -> None:
    chart = answer_bars(CHOICES, Tally(), 0)
    assert list(chart.figure.data[0].x) == [0, 0, 0] and chart.figure.layout.xaxis.range[1] >= 5


def test_the_table_of_a_class_has_a_row_per_choice() -> None:
    table = class_table(
        {"groups.row": Tally(before=(1, 2), after=(0, 0, 3))}, {"groups": "Comparison groups"}
    )
    assert to_csv(table).splitlines() == [
        "lesson,question,choice,before the reveal,after the reveal",
        "Comparison groups,groups.row,a,1,0",
        "Comparison groups,groups.row,b,2,0",
        "Comparison groups,groups.row,c,0,3",
    ]
    assert to_csv(class_table({}, {})).startswith("lesson,")
