"""The formula's editor on Explore: text, errors, preview, and the link that shares it."""

from __future__ import annotations

import json

import pytest

from engine.jobs.questions import Answer
from engine.models.shape import Storage
from engine.pruning.formulas.reading import parse
from engine.recipe import Recipe
from tests.pages.conftest import address, healthy, words
from tests.pages.fakes import SUMMARY

TEXT = "form.formula.expression"


def test_a_formula_is_typed_previewed_run_and_shared(open_app, engine):
    app = open_app()
    assert all(node.key != TEXT for node in app.text_input)
    app = healthy(app.selectbox(key="form.pruner").set_value("formula").run())
    app = healthy(app.text_input(key=TEXT).set_value("abs(W)*a ** 0.5").run())
    assert r"s_{ij} = \left| W_{ij} \right|" in app.latex[0].value
    app = healthy(app.selectbox(key="formula.linear").set_value("mlp.down_proj").run())
    asked = engine.asked[-1]
    assert (asked.block, asked.linear) == (0, "mlp.down_proj")
    assert json.loads(asked.recipe)["settings"]["formula.expression"] == "abs(W) * a ** 0.5"
    assert {"Output error", "Same decision"} <= {metric.label for metric in app.metric}
    assert "2,048 calibration tokens" in words(app)
    link = address(app)
    assert link["pruner"] == "formula" and link["formula.expression"] == "abs(W)*a ** 0.5"
    app.button(key="prune").click().run()
    expected = Recipe.build(pruner="formula", settings={"formula.expression": "abs(W) * a ** 0.5"})
    assert engine.submitted[0] == expected
    other = open_app(**link)
    assert other.text_input(key=TEXT).value == "abs(W) * a ** 0.5" and not other.error


def test_errors_appear_below_the_text_while_it_is_typed(open_app, engine):
    app = healthy(open_app(score="formula").text_input(key=TEXT).set_value("abs(W) * A").run())
    assert any("The formula contains A" in error.value for error in app.main.error)
    assert app.button(key="prune").disabled and not app.latex
    assert "The preview appears when the recipe has no errors." in words(app)
    app = healthy(app.button(key="example.RIA").click().run())
    assert not app.error and not app.button(key="prune").disabled


@pytest.mark.parametrize(
    ("formula", "said"),
    [
        ("__import__('os').system('true')", "contains the character"),
        ("W" * 5000, "at most 400 are allowed"),
        ("![x](https://example.org/x.png)", "contains the character"),
        ("9 ** 9 ** 9 * W", "itself a power"),
        ("", "is empty"),
    ],
)
def test_a_hostile_link_gives_a_sentence_and_the_default_formula(open_app, engine, formula, said):
    app = open_app(**{"pruner": "formula", "formula.expression": formula})
    assert sum(said in warning.value for warning in app.warning) == 1
    assert app.text_input(key=TEXT).value == "abs(W) * a" and not app.button(key="prune").disabled


def test_the_preview_says_what_is_missing(open_app, engine):
    engine.model = Answer(SUMMARY.model_copy(update={"storage": Storage(place="hub", missing=10**9)}))
    assert "The preview needs the weights" in words(open_app(score="formula"))
    engine.model, engine.inspected = Answer(SUMMARY), Answer(message="No text passes through it.")
    assert any("No text passes" in error.value for error in open_app(score="formula").error)


def test_the_reference_explains_every_name_and_function(open_app):
    app = open_app()
    app = healthy(app.switch_page("pages/methods.py").run())
    tables = [table.value.to_string() for table in app.table]
    for name in ("`W`", "`depth`", "`row_norm(x, p)`", "`normalize(x)`", "`where(x > y, u, v)`"):
        assert any(name in table for table in tables), name


@pytest.mark.parametrize("repeated", [63, 200])
def test_a_long_formula_is_never_cut(open_app, engine, repeated):
    """Neither in a link nor while it is typed: it is accepted whole, or refused with a sentence."""
    text = "abs(W)" + "      * a" * repeated  # up to 1,806 characters
    app = open_app(**{"pruner": "formula", "formula.expression": text})
    typed = healthy(open_app(score="formula").text_input(key=TEXT).set_value(text).run())
    if repeated == 63:
        assert not app.warning and app.text_input(key=TEXT).value == parse(text).text
        assert not typed.main.error and typed.text_input(key=TEXT).value == text
    else:
        said = "has 406 characters, but at most 400 are allowed"
        assert any(said in warning.value and len(warning.value) < 300 for warning in app.warning)
        assert any(said in error.value for error in typed.main.error)
