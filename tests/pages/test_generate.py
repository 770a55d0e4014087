"""Generate in every state: nothing there, recorded runs with and without weights, pending, failed, and nonsense in the address."""

from __future__ import annotations

import pytest

from engine.jobs.views import ReadingView, ReadRequest
from engine.pin import pin
from engine.recipe import Recipe
from tests.pages.conftest import healthy, words
from tests.pages.fakes import run_view

LINE = [pin(Recipe.build(pruner="wanda", sparsity=sparsity)) for sparsity in (0.3, 0.6, 0.9)]
OTHER = pin(Recipe.build(pruner="magnitude", sparsity=0.6))


@pytest.fixture
def some(engine):
    for recipe in (*LINE, OTHER):
        engine.views[recipe.key] = run_view(recipe, "finished")
    return engine


@pytest.fixture
def generate(open_app):
    def open_at(part="From 0 to 90 %", **parameters):
        app = open_app()
        app.query_params["part"] = part
        for name, value in parameters.items():
            app.query_params[name] = value
        return healthy(app.switch_page("pages/generate.py").run())

    return open_at


def test_without_runs_it_says_what_to_do(generate):
    assert "Start a sweep on Compare" in words(generate())
    assert "Choose a run" in words(generate("Side by side"))


class TestWalk:
    def test_it_begins_dense_and_asks_for_the_whole_line(self, generate, some):
        app = generate()
        assert app.select_slider(key="at").options == ["0 %", "30 %", "60 %", "90 %"]
        assert "it was happy" in words(app)
        assert {(request.key, request.which) for request in some.asked} == {(LINE[0].key, "dense"), *((recipe.key, "pruned") for recipe in LINE)}

    def test_the_slider_shows_another_text(self, generate, some):
        app = generate()
        app = healthy(app.select_slider(key="at").set_value("60 %").run())
        assert f"the the {LINE[1].key[:4]}" in words(app) and "Wanda 60% on demo" in words(app)
        assert "60 %: perplexity" in words(app)

    def test_while_texts_are_written_there_is_a_place_for_them(self, generate, some):
        some.reading = ReadingView("pending")
        assert "0 of 4 texts are written" in words(generate())

    def test_a_failure_is_a_sentence(self, generate, some):
        some.reading = ReadingView("failed", message="This model has no tokenizer, so it cannot continue a text.")
        assert "no tokenizer" in words(generate())

    def test_an_empty_prompt_asks_for_one(self, generate, some):
        app = healthy(generate().text_input(key="prompt").set_value(" ").run())
        assert "Type a beginning" in words(app)


class TestSideBySide:
    def test_all_texts_and_where_they_part(self, generate, some):
        app = generate("Side by side")
        assert "it was happy" in words(app) and f"the the {LINE[1].key[:4]}" in words(app)
        assert "Parts from the dense text at ▸▸, after 1 word." in words(app)

    def test_the_address_chooses_the_runs(self, generate, some):
        app = generate("Side by side", runs=f"{LINE[2].key},nowhere")
        assert app.multiselect(key="generate.runs").value == [LINE[2].key]
        assert "asks for the run nowhere" in words(app)

    def test_a_sampled_text_has_a_seed(self, generate, some):
        app = healthy(generate("Side by side").segmented_control(key="how").set_value("Sampled").run())
        app = healthy(app.number_input(key="seed").set_value(7).run())
        assert any((request.temperature, request.seed) == (1.0, 7) for request in some.asked)

    def test_a_run_without_weights_is_computed_by_one_click(self, generate, some):
        some.views[OTHER.key] = run_view(OTHER, "finished", recorded=True)
        app = generate("Side by side", runs=OTHER.key)
        assert "without weights" in words(app)
        app.button(key="generate.compute").click().run()
        assert some.submitted == [OTHER]


class TestTokens:
    def test_the_worst_token_is_looked_at_first(self, generate, some):
        app = generate("Token by token")
        assert app.slider(key="token").value == 2
        assert "over 4 predicted tokens" in words(app)
        assert len(app.get("plotly_chart")) == 2 and len(app.dataframe) == 1
        assert ReadRequest(LINE[1].key, app.text_area(key="text").value, losses=True) in some.asked

    def test_another_token_is_another_chart(self, generate, some):
        app = healthy(generate("Token by token").slider(key="token").set_value(1).run())
        assert "in the place of “small”" in words(app)

    def test_another_run_reads_it(self, generate, some):
        app = generate("Token by token")
        healthy(app.segmented_control(key="reader").set_value("Magnitude 60% on demo").run())
        assert any(request.key == OTHER.key and request.losses for request in some.asked)

    def test_an_empty_text_asks_for_one(self, generate, some):
        app = healthy(generate("Token by token").text_area(key="text").set_value("").run())
        assert "Type or paste a text" in words(app)

    def test_a_text_that_is_too_long_is_a_sentence(self, generate, some):
        some.reading = ReadingView("failed", message="The text has 900 tokens, and at most 400 are read. Shorten it.")
        assert "Shorten it" in words(generate("Token by token"))


@pytest.mark.parametrize(
    "parameters", [{"part": "Nonsense"}, {"at": "7 %"}, {"walk": "Nobody"}, {"tokens": "x", "part": "Side by side"}, {"runs": ","}]
)
def test_nonsense_in_the_address_is_the_usual_page(generate, some, parameters):
    assert generate(**parameters).title[0].value == "Generate"
