"""The recipe form: drawn from the registries, errors below their fields, widgets and address in agreement."""

from __future__ import annotations

from itertools import takewhile

import pytest

from engine.jobs.questions import Answer
from engine.pruning.axes import AXES
from engine.pruning.presets import PRESETS
from engine.pruning.recommendations import all_pruners
from engine.recipe import Recipe
from engine.recipe.validation import DEFAULT_METHODS
from tests.pages.conftest import address, healthy, type_in, words


def beneath(app, key):
    """Return the errors directly below a widget of the sidebar."""
    nodes = [node for node in app.sidebar if getattr(node, "key", None) or node.type in ("error", "popover")]
    place = next(place for place, node in enumerate(nodes) if getattr(node, "key", None) == f"form.{key}")
    return [node.value for node in takewhile(lambda node: node.type == "error", nodes[place + 1 :])]


def sections(app):
    """Return the labels of the sidebar's expanders."""
    return [node.label for node in app.sidebar.expander]


def test_every_preset_and_method_is_offered_with_the_default_first(open_app):
    app = open_app()
    titles = app.selectbox(key="form.pruner").options
    assert titles[:-1] == [pruner.title for pruner in all_pruners().values()] and len(titles) > 12
    for axis, registry in AXES.items():
        options = app.selectbox(key=f"form.{axis}").options
        assert sorted(options) == sorted(method.title for method in registry.values())
        assert options[0] == registry[DEFAULT_METHODS[axis]].title


def test_the_main_fields_have_the_terms_of_the_field(open_app):
    widgets = [node.label for node in open_app().sidebar if node.type in ("selectbox", "slider", "button")]
    assert widgets[:6] == ["Model", "Pruner", "Sparsity", "Pattern", "Allocation", "Prune"]


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


def test_a_recommended_pruner_follows_the_sparsity_until_a_method_is_chosen(open_app, engine):
    app = open_app(sparsity="0.6")
    app.selectbox(key="form.pruner").set_value("best").run()
    assert app.selectbox(key="form.update").value == "admm"
    assert "At 60% this is ADMM." in words(app) and "ADMM 43.61" in words(app)
    app.slider(key="form.sparsity").set_value(70.0).run()
    assert app.selectbox(key="form.pruner").value == "best"
    assert app.selectbox(key="form.update").value == "alps" and "At 70% this is ALPS." in words(app)
    assert address(app)["pruner"] == "best"
    app.button(key="prune").click().run()
    assert engine.submitted[-1] == Recipe.build(pruner="alps", sparsity=0.7)
    assert healthy(app).selectbox(key="form.pruner").value == "best"
    app.selectbox(key="form.update").set_value("none").run()
    assert app.selectbox(key="form.pruner").value == "wanda" and "pruner" not in address(app)


def test_a_link_to_a_recommended_pruner_chooses_at_its_sparsity(open_app):
    app = open_app(pruner="best", sparsity="0.8")
    assert (app.selectbox(key="form.pruner").value, app.selectbox(key="form.update").value) == (
        "best",
        "alps",
    )
    assert address(app) == {"pruner": "best", "sparsity": "0.8"} and not app.error
    healthy(app.switch_page("pages/methods.py").run())
    healthy(app.switch_page("pages/explore.py").run())
    assert app.selectbox(key="form.pruner").value == "best"


def test_a_pattern_fixes_the_sparsity(open_app, engine):
    app = healthy(open_app(sparsity="0.7").selectbox(key="form.pattern").set_value("1:4").run())
    assert next((slider.value, slider.disabled) for slider in app.slider) == (75.0, True)
    app.button(key="prune").click().run()
    assert engine.submitted[0].sparsity == 0.75
    app.selectbox(key="form.pattern").set_value("unstructured").run()
    assert app.slider(key="form.sparsity").value == 70


def test_every_preset_runs_as_picked(open_app, engine):
    """One after another. Those with a pattern are the last ones, since a pattern stays chosen."""
    engine.becomes = "queued"  # a page without charts
    app = open_app()
    for name in sorted(PRESETS, key=lambda name: bool(PRESETS[name].pattern)):
        app = healthy(app.selectbox(key="form.pruner").set_value(name).run())
        assert not app.error
        app = healthy(app.button(key="prune").click().run())
        assert engine.submitted[-1] == Recipe.build(pruner=name)


@pytest.mark.parametrize("name", ["sparsegpt", "apt-mm"])
def test_a_link_to_a_preset_shows_it_with_its_pattern(open_app, name):
    """All others are read in `test_methods.py`."""
    linked = open_app(pruner=name)
    assert linked.selectbox(key="form.pruner").value == name and not linked.error
    assert linked.selectbox(key="form.pattern").value == Recipe.build(pruner=name).pattern


def test_a_preset_for_groups_keeps_a_pattern_that_has_them(open_app):
    app = open_app(pattern="4:8")
    app.selectbox(key="form.pruner").set_value("apt-mm").run()
    assert app.selectbox(key="form.pattern").value == "4:8"


def test_the_permutation_belongs_to_groups(open_app, engine):
    app = open_app()
    assert "form.permutation" not in [box.key for box in app.selectbox]
    app.selectbox(key="form.pattern").set_value("2:4").run()
    assert "form.group" not in [box.key for box in app.selectbox]
    assert address(app) == {"pattern": "2:4"}
    app.selectbox(key="form.permutation").set_value("zigzag").run()
    assert address(app) == {"pattern": "2:4", "permutation": "zigzag"}
    app.button(key="prune").click().run()
    assert engine.submitted[0].permutation == "zigzag"
    assert "nearest" not in words(healthy(app))
    again = open_app(pattern="2:4", permutation="zigzag")
    assert again.selectbox(key="form.permutation").value == "zigzag" and "The address" not in words(again)


@pytest.mark.parametrize(
    ("asked", "field", "sentence"),
    [
        ({"pattern": "2:4", "allocation": "owl"}, "allocation", "owl has nothing to allocate"),
        ({"device": "cuda"}, "device", "this machine has only cpu; choose cpu or auto"),
        (
            {"pattern": "2:4", "score": "joint", "permutation": "zigzag"},
            "permutation",
            "rates groups",
        ),
        ({"score": "joint"}, "pattern", "choose an N:M pattern"),
        ({"group": "layer", "allocation": "neuroal"}, "allocation", "set neuroal.step to block"),
        ({"group": "layer", "pruner": "wanda-dsnot"}, "refinement", "swaps weights within a row"),
        ({"pattern": "4:2"}, "pattern", "n of each m consecutive weights are kept"),
    ],
)
def test_a_refusal_is_below_its_widget(open_app, asked, field, sentence):
    app = open_app(**{name: value for name, value in asked.items() if value != "4:2"})
    if asked.get("pattern") == "4:2":
        app = healthy(type_in(app, pattern="4:2").run())
    assert [sentence in error for error in beneath(app, field)] == [True]
    assert app.button(key="prune").disabled
    assert ("Method · 1 error" in sections(app)) == (field in ("permutation", "refinement")), (
        "an expander with errors says so"
    )


def settings_labels(app):
    labels = [node.proto.popover.label for node in app.sidebar if node.type == "popover"]
    return [label for label in labels if " settings" in label]


def test_parameters_are_in_a_popover_that_counts_changes(open_app, engine):
    app = open_app(allocation="neuroal")
    assert settings_labels(app) == ["NeuroAL settings"]
    app.number_input(key="form.neuroal.windows").set_value(4).run()
    assert settings_labels(app) == ["NeuroAL settings · 1 changed"]
    assert address(app) == {"allocation": "neuroal", "neuroal.windows": "4"}
    healthy(app.button(key="prune").click().run())
    assert engine.submitted[0].settings["neuroal.windows"] == 4


def test_the_default_group_is_named(open_app):
    app = open_app(pruner="magnitude")
    assert app.selectbox(key="form.group").options[0] == "The whole linear (default)"
    app = open_app(pruner="ria-r2-dsnot")
    assert app.selectbox(key="form.group").options[0] == "Each row (default)"


def test_all_errors_are_below_their_fields_and_prune_is_disabled(open_app):
    app = type_in(open_app(), pattern="4:2", calibration="book.pdf")
    app.number_input(key="form.length").set_value(1024)
    app.selectbox(key="form.allocation").set_value("manual")
    app = healthy(app.run())
    assert app.button(key="prune").disabled
    assert sections(app) == ["Method", "Calibration and evaluation · 2 errors", "Hardware"]
    errors = "\n".join(error.value for error in app.error)
    assert "In n:m, n of each m consecutive weights are kept" in errors
    assert "Expected stories, wikitext2, c4, ptb, or a .txt, .jsonl or .npy file, got 'book.pdf'." in errors
    assert (
        "The model takes at most 512 tokens per window, but 1024 were requested; use shorter windows."
        in errors
    )


def test_errors_from_the_model_appear_when_its_shape_is_known(open_app):
    app = type_in(open_app(), pattern="2:7")
    app.number_input(key="form.length").set_value(1024)
    app = healthy(app.run())
    errors = "\n".join(error.value for error in app.error)
    assert "needs input widths divisible by 7" in errors and "at most 512 tokens" in errors


def test_manual_ratios_can_be_typed(open_app, engine):
    app = healthy(open_app().selectbox(key="form.allocation").set_value("manual").run())
    assert not app.error, "they start at the target"
    app.text_input(key="form.manual.ratios").set_value("0.4, 0.5").run()
    assert [error.value.partition(",")[0] for error in app.sidebar.error] == ["The model has 8 blocks"]
    app.text_input(key="form.manual.ratios").set_value("0.4, 0.4, 0.5, 0.5, 0.5, 0.5, 0.6, 0.6").run()
    assert not app.error
    healthy(app.button(key="prune").click().run())
    assert engine.submitted[0].settings["manual.ratios"] == (0.4, 0.4, 0.5, 0.5, 0.5, 0.5, 0.6, 0.6)


def test_an_unreadable_model_is_an_error_below_the_model(open_app, engine):
    engine.model = Answer(message="There is no model no/where. Check the name.")
    app = open_app(model="no/where")
    assert [error.value for error in app.error] == ["There is no model no/where. Check the name."]
    assert app.selectbox(key="form.model").value == "no/where"
    assert app.button(key="prune").disabled


def test_the_address_is_the_form(open_app):
    asked = {
        "pruner": "magnitude",
        "sparsity": "0.65",
        "group": "row",
        "seed": "3",
        "evaluation": "none",
        "model": "some/model",
    }
    app = open_app(**asked)
    assert address(app) == asked
    assert app.selectbox(key="form.group").value == "row"


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"sparsity": "2"}, "The address sets sparsity = 2: input should be less than or equal to 0.99"),
        ({"pruner": "wandaa"}, "did you mean wanda or"),
        ({"seed": "x"}, "seed = x"),
        ({"colour": "red"}, "no such recipe field exists"),
        ({"manual.ratios": "a,b"}, "expected comma-separated numbers"),
    ],
)
def test_mistakes_in_an_address_are_reported_and_ignored(open_app, asked, sentence):
    app = open_app(**asked, samples="8")
    assert sentence in words(app)
    assert app.slider(key="form.sparsity").value == 50
    assert app.number_input(key="form.samples").value == 8
    assert not app.button(key="prune").disabled
