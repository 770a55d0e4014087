"""The recipe form: drawn from the registry, all faults beside their fields, one memory for widgets and address."""

from __future__ import annotations

import pytest

from engine.jobs.views import SummaryView
from engine.pruning.methods import AXES
from engine.pruning.presets import PRESETS
from tests.pages.conftest import address, healthy, type_in, words


def test_every_preset_and_method_is_offered(open_app):
    app = open_app()
    titles = app.selectbox(key="form.pruner").options
    assert titles[:-1] == [preset.title for preset in PRESETS.values()]
    for axis, registry in AXES.items():
        assert app.selectbox(key=f"form.{axis}").options == [method.title for method in registry.values()]


def test_a_preset_sets_the_axes_and_the_axes_name_a_preset(open_app):
    app = open_app()
    app.selectbox(key="form.pruner").set_value("sparsegpt").run()
    assert app.selectbox(key="form.update").value == "obs"
    assert address(app)["pruner"] == "sparsegpt"
    app.selectbox(key="form.score").set_value("magnitude").run()
    assert app.selectbox(key="form.pruner").value == "custom"
    app.selectbox(key="form.update").set_value("none").run()
    assert app.selectbox(key="form.pruner").value == "magnitude"
    assert address(app)["pruner"] == "magnitude"


def test_a_pattern_says_its_sparsity(open_app, engine):
    app = healthy(open_app(sparsity="0.7").selectbox(key="form.pattern").set_value("1:4").run())
    assert next((slider.value, slider.disabled) for slider in app.slider) == (75.0, True)
    app.button(key="prune").click().run()
    assert engine.submitted[0].sparsity == 0.75
    app.selectbox(key="form.pattern").set_value("unstructured").run()
    assert app.slider(key="form.sparsity").value == 70


def test_all_faults_stand_beside_their_fields_and_nothing_can_be_pressed(open_app):
    app = type_in(open_app(), pattern="4:2", calibration="book.pdf")
    app.number_input(key="form.length").set_value(1024)
    app.selectbox(key="form.allocation").set_value("manual")
    app = healthy(app.run())
    assert app.button(key="prune").disabled
    errors = "\n".join(error.value for error in app.error)
    assert "In n:m, n of each m consecutive weights are kept" in errors
    assert "Expected 'stories' or a .txt, .jsonl or .npy file, got 'book.pdf'." in errors
    assert "The model takes at most 512 tokens a window, but 1024 were asked." in errors
    assert any("to mend" in expander.label for expander in app.expander)


def test_faults_against_the_model_come_with_its_shape(open_app):
    app = type_in(open_app(), pattern="2:7")
    app.number_input(key="form.length").set_value(1024)
    app = healthy(app.run())
    errors = "\n".join(error.value for error in app.error)
    assert "needs input widths that 7 divides" in errors and "at most 512 tokens" in errors


def test_manual_ratios(open_app, engine):
    app = healthy(open_app().selectbox(key="form.allocation").set_value("manual").run())
    assert "the model has 8 blocks" in app.error[0].value.lower()
    app.text_input(key="form.manual.ratios").set_value("0.4, 0.4, 0.5, 0.5, 0.5, 0.5, 0.6, 0.6").run()
    assert not app.error
    healthy(app.button(key="prune").click().run())
    assert engine.submitted[0].settings["manual.ratios"] == (0.4, 0.4, 0.5, 0.5, 0.5, 0.5, 0.6, 0.6)


def test_a_model_that_cannot_be_read_is_said_beside_the_model(open_app, engine):
    engine.model = SummaryView("failed", message="There is no model no/where. Check the name.")
    app = open_app(model="no/where")
    assert [error.value for error in app.error] == ["There is no model no/where. Check the name."]
    assert app.selectbox(key="form.model").value == "no/where"
    assert app.button(key="prune").disabled


def test_the_address_is_the_form(open_app):
    asked = {"pruner": "magnitude", "sparsity": "0.65", "group": "row", "seed": "3", "evaluation": "none", "model": "some/model"}
    app = open_app(**asked)
    assert address(app) == asked
    assert app.selectbox(key="form.group").value == "row"


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"sparsity": "2"}, "The address asks for sparsity = 2: input should be less than or equal to 0.99"),
        ({"pruner": "wandaa"}, "did you mean wanda?"),
        ({"seed": "x"}, "seed = x"),
        ({"colour": "red"}, "no part of a recipe has that name"),
        ({"manual.ratios": "a,b"}, "expected numbers parted by commas"),
    ],
)
def test_what_an_address_gets_wrong_is_said_and_left_out(open_app, asked, sentence):
    app = open_app(**asked, samples="8")
    assert sentence in words(app)
    assert app.slider(key="form.sparsity").value == 50
    assert app.number_input(key="form.samples").value == 8
    assert not app.button(key="prune").disabled
