"""Generate in every state: nothing there, recorded runs with and without weights, pending, failed, and
nonsense in the address.
"""

from __future__ import annotations

import html
import re

import pytest

from engine.jobs.questions import Answer
from engine.jobs.requests import ReadRequest
from engine.jobs.views import EngineStatus
from engine.recipe import Recipe, pin
from tests.pages.conftest import healthy, words
from tests.pages.fakes import run_view

LINE = [pin(Recipe.build(pruner="wanda", sparsity=sparsity)) for sparsity in (0.3, 0.6, 0.9)]
OTHER = pin(Recipe.build(pruner="magnitude", sparsity=0.6))
NUMBERS = [pin(Recipe.build(pruner="sparsegpt", sparsity=sparsity)) for sparsity in (0.4, 0.5)]


@pytest.fixture
def some(engine):
    for recipe in (*LINE, OTHER):
        engine.views[recipe.key] = run_view(recipe, "finished")
    for recipe in NUMBERS:
        engine.views[recipe.key] = run_view(recipe, "finished", recorded=True)
    return engine


@pytest.fixture
def generate(open_app):
    def open_at(part="From 0 to 90 %", **parameters):
        return open_app("generate", part=part, **parameters)

    return open_at


def texts(app):
    """The texts that are drawn, without their markup."""
    found = [element.proto.body for element in app.get("html") if 'class="marked' in element.proto.body]
    return [
        html.unescape(re.sub(r"<style>.*?</style>|<small>.*?</small>|<[^>]+>", "", one, flags=re.DOTALL))
        for one in found
    ]


def test_without_runs_the_page_says_what_to_do(generate):
    assert "Start a sweep on Compare" in words(generate())
    for part in ("Side by side", "Token by token", "Your own text"):
        assert "Choose a run" in words(generate(part))


@pytest.mark.parametrize("part", ["From 0 to 90 %", "Side by side", "Token by token", "Your own text"])
def test_a_starting_engine_is_reported_in_place_of_the_text(generate, some, part):
    some.reading, some.status = Answer(pending=True), EngineStatus("starting", "The engine is starting.")
    app = generate(part)
    assert app.get("skeleton") and "The engine is starting." in words(app)


@pytest.mark.parametrize("part", ["From 0 to 90 %", "Side by side", "Token by token", "Your own text"])
@pytest.mark.parametrize(
    "sentence",
    [
        "This model has no tokenizer.",
        "Reading needs the whole model in memory.",
        "The text has 900 tokens. Shorten it.",
    ],
)
def test_a_failure_is_shown_as_its_message(generate, some, part, sentence):
    some.reading = Answer(message=sentence)
    assert sentence in [error.value for error in generate(part).error]


class TestWalk:
    def test_it_starts_dense_and_requests_the_whole_line(self, generate, some):
        app = generate()
        assert app.select_slider(key="at").options == ["0 %", "30 %", "60 %", "90 %"]
        assert any("it was happy" in text for text in texts(app)) and "Dense" in words(app)
        assert {(request.key, request.which) for request in some.asked} == {
            (LINE[0].key, "dense"),
            *((recipe.key, "pruned") for recipe in LINE),
        }

    def test_the_text_at_the_slider_and_the_dense_one_come_before_all_others(self, generate, some):
        some.reading = Answer(pending=True)
        generate(at="60 %")
        assert some.asked[0].key == LINE[1].key, "the engine sends the first question on at once"
        assert {(request.key, request.which) for request in some.asked} == {
            (LINE[0].key, "dense"),
            (LINE[1].key, "pruned"),
        }

    def test_the_slider_shows_another_text(self, generate, some):
        app = generate()
        app = healthy(app.select_slider(key="at").set_value("60 %").run())
        assert any(f"▸ the the {LINE[1].key[:4]}" in text for text in texts(app)), (
            "the mark is at the first difference"
        )
        assert "Differs from the dense text at ▸, after 1 token." in words(
            app
        ) and "60 %: perplexity" in words(app)

    def test_pending_texts_have_placeholders(self, generate, some):
        some.reading = Answer(pending=True)
        app = generate()
        assert "0 of 4 texts are written" in words(app) and app.get("plotly_chart"), "the curve needs no text"
        assert "The model is loaded, then reads and continues the text." in words(app)

    def test_an_empty_prompt_asks_for_one(self, generate, some):
        app = healthy(generate().text_input(key="prompt").set_value(" ").run())
        assert "Type a prompt" in words(app)

    def test_play_and_pause(self, generate, some):
        app = healthy(generate().button(key="walk.play").click().run())
        assert not [button for button in app.button if button.key == "walk.play"]
        app = healthy(app.button(key="walk.pause").click().run())
        assert app.button(key="walk.play")

    def test_playing_advances_and_stops_at_the_end(self, generate, some, monkeypatch):
        monkeypatch.setattr("pages.widgets.generate.sparsity_slider.STEP", 0.0)
        app = healthy(generate().button(key="walk.play").click().run())
        for _ in range(2 * len(LINE) + 2):
            app = healthy(app.run())
        assert app.select_slider(key="at").value == "90 %" and app.button(key="walk.play")

    def test_a_line_without_weights_is_computed_by_one_click(self, generate, some):
        app = generate(walk="SparseGPT")
        assert app.select_slider(key="at").options == ["0 %"] and "without weights" in words(app)
        assert any("it was happy" in text for text in texts(app)), "the dense model can be asked"
        app = healthy(app.button(key="generate.compute").click().run())
        assert some.submitted == NUMBERS
        assert "2 of 2 runs left" in app.get("progress")[0].proto.text

    def test_failed_runs_are_reported_and_can_be_retried(self, generate, some):
        recorded = [run for run in some.runs() if run.key == NUMBERS[0].key]
        failed = run_view(NUMBERS[0], "failed")
        some.view = lambda key, view=some.view: failed if key == NUMBERS[0].key else view(key)
        app = generate(walk="SparseGPT")
        assert recorded and any("could not be computed" in error.value for error in app.error)
        assert app.button(key="generate.compute")


class TestSideBySide:
    def test_all_texts_and_their_first_difference(self, generate, some):
        app = generate("Side by side")
        assert len(texts(app)) == 3 and any(f"▸ the the {LINE[1].key[:4]}" in text for text in texts(app))
        assert "Differs from the dense text at ▸, after 1 token." in words(app)

    def test_each_pruned_model_reads_the_dense_text(self, generate, some):
        app = generate("Side by side", words="The dense model's", look="Colours and numbers")
        assert all("it was happy" in text for text in texts(app))
        asked = {(request.key, request.which) for request in some.asked if request.losses}
        assert asked == {(LINE[1].key, "dense"), (OTHER.key, "dense")}
        assert "Pruning added 1.00 nats per token" in words(app)
        assert any("+1.0" in element.proto.body for element in app.get("html"))

    def test_the_address_chooses_the_runs(self, generate, some):
        app = generate("Side by side", runs=f"{LINE[2].key},nowhere")
        assert app.multiselect(key="generate.runs").value == [LINE[2].key]
        assert "names the run nowhere" in words(app)

    def test_an_address_with_unknown_runs_only_shows_the_default_runs(self, generate, some):
        app = generate("Side by side", runs="nowhere")
        assert app.multiselect(key="generate.runs").value == [LINE[1].key, OTHER.key]

    def test_runs_of_another_model_are_left_out_with_a_warning(self, generate, some):
        foreign = Recipe.build(model="someone/else", sparsity=0.5)
        some.views[foreign.key] = run_view(foreign, "finished")
        app = generate("Side by side", runs=f"{LINE[1].key},{foreign.key}")
        assert any("left out" in warning.value for warning in app.warning) and len(texts(app)) == 2

    def test_a_sampled_text_has_a_seed(self, generate, some):
        app = healthy(generate("Side by side").segmented_control(key="how").set_value("Sampled").run())
        app = healthy(app.number_input(key="seed").set_value(7).run())
        assert any((request.temperature, request.seed) == (1.0, 7) for request in some.asked)

    def test_a_run_without_weights_is_computed_by_one_click(self, generate, some):
        app = generate("Side by side", runs=NUMBERS[0].key)
        assert "without weights" in words(app)
        app.button(key="generate.compute").click().run()
        assert some.submitted == [NUMBERS[0]]


class TestTokens:
    def test_the_continuation_token_by_token(self, generate, some):
        app = generate("Token by token")
        assert any(
            (request.key, request.which, request.losses) == (LINE[1].key, "dense", True)
            for request in some.asked
        )
        assert "over 4 predicted tokens" in words(app)
        assert len(app.get("plotly_chart")) == 2 and len(app.dataframe) == 1
        assert (app.slider(key="token").min, app.slider(key="token").max) == (5, 8)

    def test_the_pruned_models_own_text(self, generate, some):
        app = generate("Token by token", writer="The pruned model")
        assert any("the the" in text for text in texts(app))

    def test_another_run_can_read_it(self, generate, some):
        app = generate("Token by token")
        healthy(app.segmented_control(key="reader").set_value("Magnitude 60% on demo").run())
        assert any(request.key == OTHER.key and request.losses for request in some.asked)


class TestOwnText:
    def test_the_worst_token_is_selected_first(self, generate, some):
        app = generate("Your own text")
        assert app.slider(key="token").value == 2
        assert ReadRequest(LINE[1].key, app.text_area(key="text").value, losses=True) in some.asked
        assert "<b>cat</b>" in "".join(texts(app)), "markup in a text is text"

    def test_the_address_chooses_a_token(self, generate, some):
        assert "Predictions for “small”" in words(generate("Your own text", token="1"))

    def test_another_token_is_another_chart(self, generate, some):
        app = healthy(generate("Your own text").slider(key="token").set_value(1).run())
        assert "Predictions for “small”" in words(app)

    def test_a_token_index_beyond_the_text_is_reset(self, generate, some):
        app = healthy(generate("Token by token").slider(key="token").set_value(8).run())
        app = healthy(app.segmented_control(key="part").set_value("Your own text").run())
        assert app.slider(key="token").value == 2

    def test_an_empty_text_asks_for_one(self, generate, some):
        app = healthy(generate("Your own text").text_area(key="text").set_value("").run())
        assert "Type or paste a text" in words(app)


NONSENSE = [
    {"part": "Nonsense"},
    {"at": "7 %"},
    {"walk": "Nobody"},
    {"tokens": "x", "part": "Side by side"},
    {"runs": ","},
    {"runs": "<b>", "part": "Token by token"},
    {"token": "999", "part": "Your own text"},
    {"token": "-1", "part": "Token by token"},
    {"reader": "Nobody", "part": "Your own text"},
    {"seed": "-3", "how": "Sampled", "part": "Side by side"},
    {"words": "Mine", "look": "Loud", "part": "Side by side"},
    {"colours": "perhaps"},
]


@pytest.mark.parametrize("parameters", NONSENSE)
def test_invalid_addresses_show_the_default_page(generate, some, parameters):
    app = generate(**parameters)
    assert app.title[0].value == "Generate" and texts(app)


@pytest.mark.parametrize(("part", "parameter"), [("Side by side", "prompt"), ("Your own text", "text")])
def test_a_text_of_a_link_is_not_cut_without_a_word(generate, some, part, parameter):
    app = generate(part, **{parameter: "x " * 1_500})
    assert f"The {parameter} in the link has 3,000 characters, but at most 2,000 are accepted" in words(app)
    assert "characters, but at most" not in words(generate(part, **{parameter: "x " * 1_000}))
