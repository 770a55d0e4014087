"""Coloured texts are escaped, numbered and readable in both themes; bars and tables have the right data."""

import re
from dataclasses import replace

import pytest

from engine.charts import palette
from engine.charts.generate.predictions import label, prediction_bars
from engine.charts.generate.sparsity_line import sparsity_line
from engine.charts.generate.token_loss import MOST_LABELS, added_losses, summary, token_table, worst_tokens
from engine.charts.generate.token_text import DEEPEST, FULL, background, legend, token_text
from engine.evaluation.text_types import Guess, Reading, Token
from tests.charts.test_palette import BACKGROUNDS, THEMES, contrast

GUESSES = (Guess(1, "cat", 0.5, 0.1), Guess(2, " dog", 0.25, 0.0), Guess(3, "the", 0.05, 0.4))


def token(text: str, dense: float, pruned: float, name: str | None = None, number: int = 9) -> Token:
    return Token(number, text, text if name is None else name, dense, pruned, 0.3, GUESSES)


READING = Reading(
    (
        Token(0, "", "<|endoftext|>"),
        token(" <script>alert(1)</script>", 1.0, 1.5),
        token(" \"cat\" & 'dog'", 2.0, 6.0),
        token("", 1.0, 1.0, "⟨F0 9F⟩"),
        token("\n", 3.0, 2.0),
    ),
    given=5,
)
WRITTEN = replace(READING, given=3)


def test_nothing_of_a_text_becomes_markup() -> None:
    html = token_text(READING, chosen=2)
    assert "<script>" not in html and "&lt;script&gt;" in html
    assert "&quot;cat&quot; &amp; &#x27;dog&#x27;" in html
    assert html.count("token chosen") == 1
    assert "<br>" in html, "a line break breaks the line"
    titles = re.findall(r'title="([^"]*)"', html)
    assert len(titles) == 4 and not any("<" in title for title in titles), (
        "no quote of a text ends an attribute"
    )


def test_every_predicted_token_has_its_number_and_its_colour() -> None:
    html = token_text(READING)
    assert re.findall(r"<small>([^<]+)</small>", html) == ["+0.5", "+4.0", "0.0", "−1.0"]
    assert html.count("background:rgba(213, 94, 0") == 2 and html.count("background:rgba(0, 114, 178") == 2


def test_numbers_are_under_the_pointer_where_they_are_not_beneath() -> None:
    html = token_text(READING, numbers=False)
    assert "<small>" not in html and "(+4.00)" in html and "divergence 0.30 nats" in html


def test_without_numbers_the_line_beneath_says_what_the_colour_does() -> None:
    """Colour is never the only sign."""
    html = token_text(READING, numbers=False)
    assert html.count('class="token worse"') == 1 and html.count('class="token better"') == 1


def test_a_token_that_is_no_text_is_called_by_its_name() -> None:
    assert "<i>⟨F0 9F⟩</i>" in token_text(READING)
    assert "endoftext" not in token_text(READING), "the start token is not part of the text"


def test_what_was_given_is_plain_and_what_was_written_is_coloured() -> None:
    html = token_text(WRITTEN)
    assert html.count("token given") == 2 and html.count("background:") == 2


def test_without_colours_there_is_only_text() -> None:
    html = token_text(READING, coloured=False)
    assert "background:" not in html and "<small>" not in html and "⏎" not in html


@pytest.mark.parametrize("place", [2, 3, 5])
def test_where_texts_part_there_is_one_mark_in_its_place(place: int) -> None:
    before, mark, behind = token_text(READING, diverges_at=place, numbers=False).partition(
        '<span class="parting"'
    )
    assert mark and 'class="parting"' not in behind
    assert before.count('class="token') == place - 1 and behind.count('class="token') == 5 - place


def test_the_legend_shows_numbers_and_their_colours() -> None:
    html = legend()
    assert re.findall(r">([−+]?\d\.\d)<", html) == ["−3.0", "−1.5", "0.0", "+1.5", "+3.0"]
    assert background(3.0) in html and background(-3.0) in html


def test_the_colour_deepens_with_the_loss_and_ends() -> None:
    strengths = [float(background(gained).split(",")[-1].strip(" )")) for gained in (0.0, 1.0, FULL, 100.0)]
    assert strengths == sorted(strengths) and strengths[0] == 0 and strengths[2] == strengths[3] == DEEPEST


@pytest.mark.parametrize("theme", BACKGROUNDS)
@pytest.mark.parametrize("colour", [palette.VERMILLION, palette.BLUE])
def test_words_can_be_read_on_the_deepest_colour(theme: str, colour: str) -> None:
    parts = [[int(one[place : place + 2], 16) for place in (1, 3, 5)] for one in (colour, BACKGROUNDS[theme])]
    mixed = "#" + "".join(
        f"{round(DEEPEST * top + (1 - DEEPEST) * ground):02x}" for top, ground in zip(*parts, strict=True)
    )
    assert contrast(THEMES[theme]["textColor"], mixed) >= 4.5


def test_the_summary_names_the_worst_and_counts_what_counts() -> None:
    assert "“\"cat\" & 'dog'”: +4.00" in summary(
        READING
    ) and "0.88 nats per token on average, over 4 tokens" in summary(READING)
    assert "reduced the loss by 0.50 nats per token on average, over 2 tokens" in summary(WRITTEN)
    assert "No token" in summary(Reading((Token(0, "a", "a"), Token(1, "b", "b")), 2))


def test_the_tables_hold_every_token_that_counts_and_the_worst_first() -> None:
    assert list(token_table(READING)["loss added"]) == [0.5, 4.0, 0.0, -1.0]
    assert list(token_table(WRITTEN)["position"]) == [3, 4]
    worst = worst_tokens(READING, 2)
    assert list(worst["loss added"]) == [4.0, 0.5] and list(worst["position"]) == [2, 1]
    assert worst.iloc[0]["token in context"].endswith("⟦ \"cat\" & 'dog'⟧")
    assert list(worst.iloc[0])[3:] == ["cat (50 %)", "the (40 %)"]


def test_losses_and_divergences_are_bars_with_the_chosen_one_hatched() -> None:
    figure = added_losses(READING, 2).figure
    added, apart = figure.data
    assert list(added.y) == [0.5, 4.0, 0.0, -1.0] and list(added.x) == [1, 2, 3, 4]
    assert list(apart.y) == [0.3] * 4 and apart.yaxis == "y2"
    assert list(added.marker.pattern.shape) == list(apart.marker.pattern.shape) == ["", "/", "", ""]
    assert list(added.marker.color) == [palette.VERMILLION, palette.VERMILLION, palette.BLUE, palette.BLUE]
    assert list(figure.layout.xaxis2.ticktext)[2:] == ["⟨F0 9F⟩", "line break"]


def test_a_long_text_has_places_for_names() -> None:
    long = Reading((READING.tokens[0], *READING.tokens[1:2] * (MOST_LABELS + 1)), MOST_LABELS + 2)
    assert added_losses(long).figure.layout.xaxis2.ticktext is None
    assert added_losses(long).figure.layout.xaxis2.title.text == "Position in the text"


def test_guesses_show_what_both_models_gave_to_each() -> None:
    chart = prediction_bars(Token(2, " dog", " dog", 1.0, 2.0, 0.5, GUESSES))
    dense, pruned = chart.figure.data
    assert list(dense.x) == [50, 25, 5] and list(pruned.x) == pytest.approx([10, 0, 40])
    assert list(chart.figure.layout.yaxis.ticktext) == ["cat", "dog ◂", "the"]
    assert "divergence 0.50 nats" in chart.title
    assert "Dense predicts “cat” (50 %), pruned “the” (40 %)." in chart.caption
    assert list(chart.table["in the text"]) == [False, True, False]
    assert list(chart.table["pruned rank"]) == [2, 3, 1]


def test_two_tokens_of_one_name_have_a_bar_each() -> None:
    twins = (Guess(1, "⟨E2⟩", 0.5, 0.5), Guess(2, "⟨E2⟩", 0.4, 0.1))
    chart = prediction_bars(Token(1, "", "⟨E2⟩", 1.0, 1.0, 0.1, twins))
    assert list(chart.figure.data[0].y) == [0, 1] and "Both predict “⟨E2⟩” (50 %, 50 %)." in chart.caption


@pytest.mark.parametrize(
    ("text", "words"), [(" cat", "cat"), (" ", "space"), ("\n", "line break"), ("\t\t", r"'\t\t'")]
)
def test_white_space_tokens_have_names(text: str, words: str) -> None:
    assert label(Token(0, text, text)) == words


def test_the_walk_marks_where_it_is() -> None:
    chart = sparsity_line([0.0, 0.5, 0.9], [37.0, 45.0, 9000.0], 1, [60, 12, None])
    assert list(chart.figure.data[1].x) == [50] and list(chart.figure.data[1].y) == [45]
    assert "50 %: perplexity 45.00" in chart.alt
    assert chart.figure.layout.yaxis.type == "log" and "logarithmic" in chart.caption
    assert (
        list(chart.table["tokens as dense"])[:2] == [60, 12]
        and chart.table["tokens as dense"].isna().sum() == 1
    )
    assert chart.figure.layout.shapes[0].y0 == 37


def test_similar_perplexities_have_a_linear_axis() -> None:
    chart = sparsity_line([0.0, 0.1], [37.0, 38.0], 0)
    assert chart.figure.layout.yaxis.type != "log" and "logarithmic" not in chart.caption
