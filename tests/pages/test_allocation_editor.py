"""The editor of a manual allocation, except for dragging, which is tested in a browser."""

from __future__ import annotations

import json

import pytest

from engine.jobs.questions import Answer
from engine.pruning.shares import weighted_mean
from tests.pages.conftest import address, healthy, words
from tests.pages.fakes import SUMMARY

RATIOS = "0.4,0.4,0.5,0.5,0.5,0.5,0.6,0.6"
FLAT = ",".join(["0.5"] * 8)
TOO_MUCH = ",".join(["0.7"] * 8)


def shown(app):
    """Return the data of the bars; None if there are none."""
    found = [item.proto for item in app.get("bidi_component") if "handles" in item.proto.component_name]
    return json.loads(found[0].json) if found else None


def field(app):
    """Return the ratios in the form."""
    return [float(item) for item in app.text_input(key="form.manual.ratios").value.split(",")]


def press(app, key):
    return healthy(app.button(key=key).click().run())


def test_the_editor_appears_with_the_manual_allocation_and_starts_flat(open_app):
    app = open_app()
    assert shown(app) is None
    app = healthy(app.selectbox(key="form.allocation").set_value("manual").run())
    assert shown(app) == {
        "ratios": [0.5] * 8,
        "sizes": list(SUMMARY.sizes),
        "target": 0.5,
        "tolerance": 5e-4,
        "ghost": None,
    }
    assert address(app) == {"allocation": "manual", "manual.ratios": FLAT}
    assert not app.error


def test_each_shape_meets_the_target_and_can_be_run_at_once(open_app, engine):
    app = open_app(allocation="manual", sparsity="0.6")
    for shape in ("Ramp up", "Flat", "Ramp down", "Protect first and last"):
        app = press(app, f"shape.{shape}")
        assert not app.error and not app.button(key="prune.manual").disabled
        ratios = field(app)
        assert weighted_mean(ratios, SUMMARY.sizes) == pytest.approx(0.6, abs=1e-4)
        first, middle, last = ratios[0], ratios[4], ratios[-1]
        assert {
            "Flat": first == middle == last,
            "Ramp up": first < middle < last,
            "Ramp down": first > middle > last,
            "Protect first and last": first == last < middle,
        }[shape]
    press(app, "prune.manual")
    assert engine.submitted[0].settings["manual.ratios"] == tuple(ratios)
    assert engine.submitted[0].allocation == "manual"


def test_ratios_that_miss_the_target_can_be_rescaled(open_app, engine):
    app = open_app(**{"allocation": "manual", "manual.ratios": TOO_MUCH, "sparsity": "0.6"})
    assert "These ratios remove 70.0 %; the target is 60.0 %." in words(app)
    assert app.button(key="prune").disabled and not app.button(key="prune.manual").disabled
    app = press(app, "rescale")
    assert field(app) == pytest.approx([0.6] * 8)
    assert not app.error and "These ratios remove" not in words(app)


def test_the_target_can_be_changed_instead(open_app):
    app = press(open_app(**{"allocation": "manual", "manual.ratios": TOO_MUCH, "sparsity": "0.6"}), "ask")
    assert app.slider(key="form.sparsity").value == 70
    assert not app.error and field(app) == [0.7] * 8


def test_rescaling_and_pruning_take_one_click(open_app, engine):
    app = open_app(**{"allocation": "manual", "manual.ratios": "0.2,0.9,0.9,0.9,0.9,0.9,0.9,0.2"})
    assert app.button(key="prune.manual").label == "Rescale and prune"
    press(app, "prune.manual")
    assert weighted_mean(engine.submitted[0].settings["manual.ratios"], SUMMARY.sizes) == pytest.approx(
        0.5, abs=1e-4
    )


def test_the_run_can_rescale_by_itself(open_app, engine):
    app = open_app(**{"allocation": "manual", "manual.ratios": TOO_MUCH, "manual.rescale": "yes"})
    assert not app.error and "These ratios remove" not in words(app)
    press(app, "prune.manual")
    assert engine.submitted[0].settings["manual.ratios"] == (0.7,) * 8


def test_blocks_count_by_their_weights(open_app, engine):
    sizes = (100, 100, 600)
    engine.model = Answer(SUMMARY.model_copy(update={"blocks": 3, "sizes": sizes, "prunable": 800}))
    app = open_app(**{"allocation": "manual", "manual.ratios": "0.2,0.2,0.6"})
    assert not app.error and shown(app)["sizes"] == list(sizes)


@pytest.mark.parametrize("blocks", [1, 80])
def test_any_number_of_blocks(open_app, engine, blocks):
    sizes = tuple(1_000_000 + 1_000 * index for index in range(blocks))
    engine.model = Answer(
        SUMMARY.model_copy(update={"blocks": blocks, "sizes": sizes, "prunable": sum(sizes)})
    )
    app = healthy(open_app(sparsity="0.55").selectbox(key="form.allocation").set_value("manual").run())
    app = press(app, "shape.Ramp up")
    assert len(shown(app)["ratios"]) == blocks and not app.error
    again = open_app(**address(app))
    assert shown(again) == shown(app) and not again.error


def test_ratios_for_another_model_are_an_error_and_not_drawn(open_app):
    app = open_app(**{"allocation": "manual", "manual.ratios": "0.5,0.5,0.5"})
    assert shown(app)["ratios"] == [0.5] * 8
    assert "8 blocks, but 3 ratios" in app.sidebar.error[0].value
    assert not press(app, "shape.Flat").error


def test_invalid_ratios_leave_the_page_usable(open_app):
    app = open_app(allocation="manual")
    app = healthy(app.text_input(key="form.manual.ratios").set_value("half of it").run())
    assert "Expected comma-separated numbers" in app.sidebar.error[0].value
    assert shown(app)["ratios"] == [0.5] * 8


def test_an_n_m_pattern_has_no_editor(open_app):
    assert shown(open_app(allocation="manual", pattern="2:4")) is None


def test_an_unknown_model_has_no_editor(open_app, engine):
    engine.model = Answer(pending=True)
    assert shown(open_app(allocation="manual")) is None


def test_an_automatic_allocation_takes_one_click(open_app, engine):
    app = press(
        open_app(**{"allocation": "manual", "manual.ratios": RATIOS, "pruner": "ria", "sparsity": "0.5"}),
        "prune.owl",
    )
    assert (engine.submitted[0].allocation, engine.submitted[0].score) == ("owl", "ria")
    assert app.selectbox(key="form.allocation").value == "owl"
    assert shown(app) is None


def test_an_invalid_allocation_says_why_before_the_click(open_app):
    app = open_app(**{"allocation": "manual", "manual.ratios": RATIOS, "group": "layer"})
    button = app.button(key="prune.neuroal")
    assert button.disabled and "set neuroal.step to block" in button.help
    assert not app.button(key="prune.owl").disabled


def test_trials_are_shown_side_by_side(open_app, engine):
    engine.becomes = "finished"
    app = press(open_app(**{"allocation": "manual", "manual.ratios": RATIOS}), "prune.manual")
    assert "different allocations" not in words(app), "one run is no comparison"
    app = press(app, "prune.owl")
    assert "different allocations" in words(app)
    assert [metric.label for metric in app.metric[:2]] == ["Manual", "OWL"]
    assert "blocks at 40 to 60 %" in words(app)
    app = press(app, "back")
    assert (app.selectbox(key="form.allocation").value, field(app)) == (
        "manual",
        [0.4, 0.4, 0.5, 0.5, 0.5, 0.5, 0.6, 0.6],
    )
    assert shown(app)["ghost"] == list(engine.views[engine.submitted[1].key].record.allocation), "OWL's"
    app = press(app, "shape.Copy OWL")
    assert field(app) == pytest.approx(shown(app)["ghost"], abs=1e-4)


def test_manual_ratios_survive_showing_another_run(open_app, engine):
    engine.becomes = "finished"
    app = press(open_app(**{"allocation": "manual", "manual.ratios": RATIOS}), "prune.uniform")
    app = press(press(app, "back"), "prune.manual")
    app = press(app, f"trial.{engine.submitted[0].key}")
    assert address(app) == {"run": engine.submitted[0].key}
    assert field(press(app, "back")) == [0.4, 0.4, 0.5, 0.5, 0.5, 0.5, 0.6, 0.6]


def test_runs_of_another_pruner_are_left_out(open_app, engine):
    engine.becomes = "finished"
    app = press(open_app(**{"allocation": "manual", "manual.ratios": RATIOS}), "prune.manual")
    app.selectbox(key="form.pruner").set_value("magnitude").run()
    assert "Manual" not in [metric.label for metric in press(app, "prune.uniform").metric]
