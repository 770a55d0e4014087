"""Size and speed: nothing is measured before the click; then placeholders, then the charts."""

from __future__ import annotations

from dataclasses import dataclass, field

from streamlit.testing.v1 import AppTest

from engine.analysis.size_speed import Measurement
from engine.jobs.questions import Answer
from tests.charts.measurements import measured
from tests.pages.conftest import healthy, words

DONE, PENDING = Answer(measured()), Answer(pending=True)
FAILED = Answer(message="The memory does not hold the whole model.")


@dataclass
class Engine:
    """Gives one answer to everything."""

    answer: Answer[Measurement]
    asked: list[str] = field(default_factory=list)

    def measure(self, key: str) -> Answer[Measurement]:
        self.asked.append(key)
        return self.answer


def page(engine, residence, second):
    """A page with only this section."""
    from engine.jobs.views import RunView
    from engine.record import RunRecord
    from engine.record.parts import ModelFacts
    from pages.widgets.explore.size_speed import draw_size_speed

    shape = {
        "name": "demo",
        "architecture": "A",
        "path": "p",
        "parameters": 2,
        "prunable": 1,
        "blocks": 1,
        "linears": (),
    }
    model = ModelFacts(**shape, dtype="float32", bytes=8, residence=residence)
    record = RunRecord(key="the-key", model=model)
    other = RunView(RunRecord(key="other", model=model), second, has_weights=True) if second else None
    draw_size_speed(engine, record, other)


def opened(engine: Engine, *, wanted: bool = True, residence: str = "resident", second: str = "") -> AppTest:
    app = AppTest.from_function(page, args=(engine, residence, second), default_timeout=120)
    if wanted:
        app.session_state["measuring"] = {"the-key"}
    return healthy(app.run())


def test_nothing_is_measured_before_the_click():
    engine = Engine(PENDING)
    app = opened(engine, wanted=False)
    assert not engine.asked and "a few seconds" in words(app) and not app.get("plotly_chart")
    app.button(key="measure").click()
    healthy(app.run())
    assert set(engine.asked) == {"the-key"} and "Compressing the model" in words(app)
    assert not [button for button in app.button if button.key == "measure"]


def test_two_placeholders_while_it_measures():
    app = opened(Engine(PENDING))
    assert len(app.get("skeleton")) == 2 and not app.get("plotly_chart")


def test_the_measurement_is_drawn_with_an_explanation():
    app = opened(Engine(DONE))
    assert len(app.get("plotly_chart")) == 2
    text = words(app)
    assert "Size by format" in text and "Latency of the prompt and of one more token" in text
    assert "**Zeros alone save nothing**" in text and "× 0.99 for the prompt" in text


def test_a_failure_is_a_message_and_can_be_retried():
    engine = Engine(FAILED)
    app = opened(engine)
    assert [item.value for item in app.error] == [FAILED.message]
    app.button(key="measure_again").click()
    app = healthy(app.run())
    assert app.button(key="measure") and not app.error
    engine.answer = DONE
    app.button(key="measure").click()
    assert len(healthy(app.run()).get("plotly_chart")) == 2


def test_a_streamed_model_is_not_measured():
    engine = Engine(DONE)
    app = opened(engine, residence="streamed")
    assert not engine.asked and not app.button and "block by block" in words(app)


def test_the_run_to_compare_with_is_measured_and_drawn_too():
    engine = Engine(DONE)
    app = opened(engine, second="finished")
    assert set(engine.asked) == {"the-key", "other"} and len(app.get("plotly_chart")) == 2
    assert "timed in turn with each" in words(app)


def test_two_runs_are_measured_one_after_the_other():
    engine = Engine(PENDING)
    app = opened(engine, second="finished")
    assert set(engine.asked) == {"the-key"} and len(app.get("skeleton")) == 2


def test_a_run_without_weights_here_is_named_as_not_compared():
    engine = Engine(DONE)
    app = opened(engine, second="failed")
    assert set(engine.asked) == {"the-key"} and "Not compared:" in words(app)
