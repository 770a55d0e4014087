"""Texts as drawings: escaped, coloured with their number, readable on both themes; bars and tables hold what they say."""

import re

import pytest

from engine.charts import palette
from engine.charts.generate.guesses import guess_bars
from engine.charts.generate.losses import added_losses
from engine.charts.generate.marked import DEEPEST, FULL, background, marked_text, summary, token_table, worst_tokens
from engine.charts.generate.walk import walk_line
from engine.evaluation.tokens import Token
from tests.charts.test_palette import BACKGROUNDS, THEMES, contrast

GUESSES = (("cat", 0.5), ("dog", 0.25)), (("the", 0.4), ("cat", 0.1))
TOKENS = (
    Token("A"),
    Token(" <script>alert(1)</script>", 1.0, 1.5, 0.2, *GUESSES),
    Token(' "cat"', 2.0, 6.0, 0.9, *GUESSES),
    Token("", 1.0, 1.0, 0.0, *GUESSES),
    Token("\n", 3.0, 2.0, 0.1, *GUESSES),
)


def test_nothing_of_a_text_becomes_markup() -> None:
    html = marked_text(TOKENS, 2)
    assert "<script>" not in html and "&lt;script&gt;" in html
    assert html.count('class="token chosen"') == 1
    assert "<br>" in html, "a line break breaks the line"


def test_every_predicted_token_has_its_number_and_its_colour() -> None:
    html = marked_text(TOKENS)
    assert re.findall(r"<small>([^<]+)</small>", html) == ["&nbsp;", "+0.5", "+4.0", "−1.0"]
    assert html.count("background:rgba(213, 94, 0") == 2 and html.count("background:rgba(0, 114, 178") == 1


def test_the_colour_deepens_with_the_loss_and_ends() -> None:
    strengths = [float(background(gained).split(",")[-1].strip(" )")) for gained in (0.0, 1.0, FULL, 100.0)]
    assert strengths == sorted(strengths) and strengths[0] == 0 and strengths[2] == strengths[3] == DEEPEST


@pytest.mark.parametrize("theme", BACKGROUNDS)
@pytest.mark.parametrize("colour", [palette.VERMILLION, palette.BLUE])
def test_words_can_be_read_on_the_deepest_colour(theme: str, colour: str) -> None:
    parts = [[int(one[place : place + 2], 16) for place in (1, 3, 5)] for one in (colour, BACKGROUNDS[theme])]
    mixed = "#" + "".join(f"{round(DEEPEST * top + (1 - DEEPEST) * ground):02x}" for top, ground in zip(*parts, strict=True))
    assert contrast(THEMES[theme]["textColor"], mixed) >= 4.5


def test_the_summary_names_the_worst() -> None:
    assert '“"cat"”: 4.00' in summary(TOKENS) and "0.88 nats a token" in summary(TOKENS)
    assert "no token" in summary(TOKENS[:1])


def test_the_tables_hold_every_predicted_token_and_the_worst_first() -> None:
    assert list(token_table(TOKENS)["loss added"]) == [0.5, 4.0, 0.0, -1.0]
    worst = worst_tokens(TOKENS, 2)
    assert list(worst["loss added"]) == [4.0, 0.5] and worst.iloc[0, 0].endswith('⟦ "cat"⟧')
    assert worst.iloc[0, 2] == "'cat' (50 %)"


def test_losses_are_bars_with_the_chosen_one_hatched() -> None:
    bars = added_losses(TOKENS, 2).figure.data[0]
    assert list(bars.y) == [0.5, 4.0, 0.0, -1.0] and list(bars.x) == [1, 2, 3, 4]
    assert list(bars.marker.pattern.shape) == ["", "/", "", ""]
    assert list(bars.marker.color) == [palette.VERMILLION, palette.VERMILLION, palette.BLUE, palette.BLUE]


def test_guesses_of_both_models_share_one_list() -> None:
    chart = guess_bars(Token("dog", 1.0, 2.0, 0.5, *GUESSES))
    dense, pruned = chart.figure.data
    assert list(dense.y) == ["cat", "dog ◂", "the"]
    assert list(dense.x)[:2] == [50, 25] and pruned.x[0] == pytest.approx(10)
    assert "0.50 nats" in chart.caption and "Dense expects “cat”" in chart.alt
    assert list(chart.table["in the text"]) == [False, True, False]


def test_the_walk_marks_where_it_is() -> None:
    chart = walk_line([0.0, 0.5, 0.9], [37.0, 45.0, 9000.0], 1)
    assert list(chart.figure.data[1].x) == [50] and list(chart.figure.data[1].y) == [45]
    assert "50 %: perplexity 45.00" in chart.alt
