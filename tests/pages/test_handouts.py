"""Reports and handouts from the pages: where their buttons are, and what they make of what the pages show."""

from __future__ import annotations

import pytest

from engine.charts.report.handout import RunPart, handout
from engine.errors import StoreError
from engine.export.handout_blocks import Frame, Question, Text
from engine.jobs.policy import Policy
from engine.jobs.public import PublicMode
from engine.jobs.questions import Answer
from engine.jobs.views import RunView
from engine.lessons import sparse_formats
from engine.recipe import Recipe, pin
from engine.store.runs import Store
from engine.store.talk import Talk, View
from pages.widgets import recorder
from pages.widgets.handouts.comparison import comparison
from pages.widgets.handouts.lesson import about, lesson_sections
from pages.widgets.handouts.runs import labelled_runs
from pages.widgets.handouts.talk import talk_sections
from pages.widgets.learn.lessons import LESSONS, outlier_feature, perplexity_explosion
from tests.charts.reports import expect_nothing_loaded, expect_order_and_names, read
from tests.pages.conftest import healthy, words
from tests.pages.fakes import run_view

RUNS = [
    pin(Recipe.build(pruner=pruner, **shape))
    for pruner in ("wanda", "magnitude")
    for shape in ({"sparsity": 0.5}, {"sparsity": 0.7}, {"pattern": "2:4"})
]


@pytest.fixture
def some(engine):
    for recipe in RUNS:
        engine.views[recipe.key] = run_view(recipe, "finished")
    return engine


def labels(app) -> list[str]:
    return [item.proto.label for item in app.get("download_button")]


def opened(app, key: str):
    """Open a menu."""
    app.session_state[key] = True
    return healthy(app.run())


@pytest.mark.parametrize("section", ["Curves", "Leaderboard", "Table", "Two runs"])
def test_compare_exports_what_it_shows_when_the_menu_is_open(open_app, some, section):
    app = open_app("compare", section=section, one=RUNS[0].key, other=RUNS[3].key)
    assert "Handout" not in " ".join(labels(app))
    app = opened(app, "export.compare")
    assert [label.split(" (")[0] for label in labels(app)][:4] == ["Handout", "CSV", "LaTeX", "Markdown"]
    assert f"**{section}**, " in words(app)


def test_the_runs_of_the_list_are_exported_together(open_app, engine, tmp_path):
    store = Store(tmp_path / "home")
    engine.runs = lambda: list(store.recorded)
    engine.view = lambda key: RunView(store.find(key).record(), "finished", recorded=True)
    app = open_app("runs")
    app = healthy(app.text_input(key="runs.recorded").set_value("wanda 50%").run())
    app = opened(app, "export.bundled")
    assert [label.split(" (")[0] for label in labels(app)] == ["Report", "CSV", "LaTeX", "Markdown"]


def test_a_lesson_has_a_handout_and_the_list_of_lessons_has_none(open_app):
    assert labels(open_app("learn", lesson="by_hand"))[-1].startswith("Handout of this lesson (html, about ")
    assert not any("Handout" in label for label in labels(open_app("learn")))


class TestComparison:
    def test_curves_are_those_of_the_address(self, some):
        blocks, keys = comparison(some, {"families": "Wanda", "scale": "Logarithmic"})
        assert [getattr(block, "title", "") for block in blocks][1] == (
            "Perplexity against sparsity, logarithmic"
        )
        assert set(keys) == {recipe.key for recipe in RUNS[:3]}
        (table,) = [block.data for block in blocks if isinstance(block, Frame)]
        assert set(table["family"]) == {"Wanda"} and not {"own", "run"} & set(table.columns)

    def test_the_table_has_the_rows_of_the_filter(self, some):
        blocks, keys = comparison(some, {"section": "Table", "rows": "magnitude 2:4"})
        assert keys == [RUNS[5].key]
        assert any(isinstance(block, Text) and "magnitude 2:4" in block.markdown for block in blocks)

    def test_the_leaderboard_is_at_the_chosen_sparsity(self, some):
        blocks, keys = comparison(some, {"section": "Leaderboard", "budget": "2:4"})
        assert set(keys) == {RUNS[2].key, RUNS[5].key} and "2:4" in blocks[1].title

    def test_two_runs_have_their_charts(self, some):
        parameters = {"section": "Two runs", "one": RUNS[0].key, "other": RUNS[3].key}
        blocks, keys = comparison(some, parameters)
        assert keys == [RUNS[0].key, RUNS[3].key] and len(blocks) == 4

    @pytest.mark.parametrize(
        "parameters",
        [{"section": "Sweep"}, {"families": ""}, {"section": "Two runs", "one": "x", "other": "y"}],
    )
    def test_nothing_shown_is_no_block(self, some, parameters):
        assert comparison(some, parameters)[0] == []


@pytest.fixture(scope="module")
def sections():
    lesson = next(lesson for lesson in LESSONS if lesson.name == "by_hand")
    return lesson_sections(lesson, {"by_hand.removed": "ff", "by_hand.score": "Wanda"})


class TestLesson:
    def test_each_step_is_a_section_with_its_text_and_charts(self, sections):
        assert [section.title for section in sections] == [
            "By hand",
            "The inputs",
            "Three scores",
            "Leaderboard",
        ]
        assert all(any(isinstance(block, Text) for block in section.blocks) for section in sections)
        assert [section.link for section in sections][1] == "learn?lesson=by_hand&step=inputs"

    def test_charts_that_give_the_answer_away_stand_with_the_answer(self, sections):
        inputs = sections[1].blocks
        (question,) = [block for block in inputs if isinstance(block, Question)]
        titles = [getattr(block, "title", "") for block in inputs]
        assert "when only this weight is removed" not in " ".join(titles)
        assert any(
            "when only this weight is removed" in getattr(block, "title", "") for block in question.shown
        )

    def test_controls_are_as_in_the_address(self, sections):
        scores = sections[2].blocks
        assert any(getattr(block, "value", "") == "Wanda" for block in scores)
        (matrix,) = [block.data for block in sections[0].blocks if isinstance(block, Frame)]
        assert matrix.to_numpy().astype(str).tolist()[0][1].startswith("(")

    def test_the_page_is_sound(self, sections):
        page = read(handout("By hand", sections))
        expect_nothing_loaded(page)
        expect_order_and_names(page)
        assert [item.text for item in page.all("h2")][-1] == "Answers"

    @pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
    def test_every_lesson_can_be_handed_out(self, some, monkeypatch, lesson):
        # what these two measure takes seconds, and is not the handout's
        monkeypatch.setattr(outlier_feature, "_measured_inputs", lambda: Answer(message="Not measured."))
        times = tuple(sparse_formats.Product(kernel, 0.0, 2e-3, 2e-3, 2e-3, 3) for kernel in ("dense", "csr"))
        perplexity_explosion._timings.clear()
        monkeypatch.setattr(sparse_formats, "timings", lambda: times)
        page = read(handout(lesson.title, lesson_sections(lesson, {}), about=about(lesson)))
        expect_order_and_names(page)
        steps = [f"{place}. {step.title}" for place, step in enumerate(lesson.steps, start=1)]
        # Some steps ask, and have charts, only if the bundled runs are there: this engine has none.
        assert [item.text for item in page.all("h2")][: len(steps)] == steps
        assert page.figures or lesson.name == "allocation"

    def test_a_step_that_fails_fails_in_the_thread_that_asked(self):
        def fail() -> None:
            raise StoreError("The disk is full.")

        with pytest.raises(StoreError, match="disk is full"):
            recorder.record(fail, {}, answered=False)

    def test_a_page_in_a_browser_is_not_recorded(self):
        assert recorder.recorder() is None


class TestTalk:
    def sections(self, engine, *views: View, notes: bool = True):
        return talk_sections(engine, Talk(name="T", views=views), notes=notes)

    def test_a_run_view_shows_the_numbers_and_the_focus(self, some):
        key = RUNS[0].key
        numbers, chart, whole = self.sections(
            some,
            View(title="A", page="explore", parameters={"run": key, "focus": "numbers"}),
            View(title="B", page="explore", parameters={"run": key, "focus": "depth"}),
            View(title="C", page="explore", parameters={"pruner": "wanda", "sparsity": "0.7"}),
        )
        parts = [section.blocks[0] for section in (numbers, chart, whole)]
        assert all(isinstance(part, RunPart) for part in parts)
        assert [part.charts for part in parts] == [(), ("depth",), None]
        assert parts[2].run.record.key == RUNS[1].key

    def test_a_second_run_is_drawn_into_the_charts_and_listed(self, some):
        parameters = {"run": RUNS[0].key, "focus": "depth"}
        other, dense = self.sections(
            some,
            View(title="A", page="explore", parameters=parameters | {"with": RUNS[3].key}),
            View(title="B", page="explore", parameters=parameters | {"with": "dense"}),
        )
        assert other.blocks[0].other.key == RUNS[3].key and dense.blocks[0].other.recipe is None
        page = read(handout("T", [other, dense]))
        assert [item.text for item in page.all("h3") if "summary" in item.parents] == [
            RUNS[0].title,
            RUNS[3].title,
        ]

    def test_notes_are_there_only_on_request(self, some):
        view = View(title="A", page="methods", notes="Say *this*")
        assert "Say" in self.sections(some, view)[0].notes
        assert self.sections(some, view, notes=False)[0].notes == ""

    def test_a_view_that_a_file_cannot_show_names_its_link(self, some):
        live, missing = self.sections(
            some,
            View(title="A", page="methods", parameters={"methods.find": "Wanda"}),
            View(title="B", page="explore", parameters={"run": "nothing"}),
        )
        assert not live.blocks and live.link == "methods?methods.find=Wanda" and not missing.blocks

    def test_a_text_view_has_the_texts_of_its_runs(self, some):
        parameters = {"part": "Side by side", "runs": RUNS[0].key, "prompt": "Once [upon]"}
        (section,) = self.sections(some, View(title="A", page="generate", parameters=parameters))
        texts = [block.markdown for block in section.blocks]
        assert texts[0] == r"**Prompt**: Once \[upon\]" and len(texts) == 3
        assert [run.record.key for run in section.runs] == [RUNS[0].key]

    @pytest.mark.parametrize(
        "parameters",
        [
            {},
            {"part": "Side by side", "runs": RUNS[0].key, "how": "Sampled", "seed": "3", "tokens": "40"},
        ],
        ids=["from 0 to 90 %", "side by side"],
    )
    def test_texts_that_a_page_has_shown_are_not_written_again(self, some, open_app, parameters):
        open_app("generate", **parameters)
        shown = set(some.asked)
        some.asked.clear()
        (section,) = self.sections(some, View(title="A", page="generate", parameters=parameters))
        assert set(some.asked) == shown and len(section.blocks) == len(shown) + 1

    def test_an_answer_that_fails_leaves_the_view_to_its_link(self, some):
        some.reading = Answer(message="Too long.")
        (section,) = self.sections(some, View(title="A", page="generate"))
        assert not section.blocks

    def test_lessons_compare_and_microscope_are_drawn(self, some):
        lesson, compare, microscope = self.sections(
            some,
            View(title="A", page="learn", parameters={"lesson": "groups", "step": "row"}),
            View(title="B", page="compare"),
            View(title="C", page="microscope", parameters={"run": RUNS[0].key}),
        )
        assert any(isinstance(block, Question) for block in lesson.blocks)
        assert {run.record.key for run in compare.runs} == {recipe.key for recipe in RUNS}
        assert len(microscope.blocks) > 6
        page = read(handout("T", [lesson, compare, microscope]))
        expect_order_and_names(page)


def test_visitors_get_no_notes_of_runs(some):
    runs = some.runs()
    some.public = object()
    assert all(run.note == "" for run in labelled_runs(some, runs, [run.key for run in runs]))


def test_the_present_page_offers_the_handout_with_notes_to_its_user_only(open_app, some):
    app = open_app("present")
    assert any(label.startswith("Make it (html, about ") for label in labels(app))
    assert app.toggle(key="present.handout.notes").value is False
    some.public = PublicMode(Policy(), some.store, str)
    app = open_app("present")
    assert any(label.startswith("Make it") for label in labels(app))
    assert "present.handout.notes" not in [item.key for item in app.toggle]
