"""What is said about runs that were calibrated on the bundled stories: by which runs, and where."""

from typing import Any

import pytest

from engine.analysis.calibration_text import OF_REAL_MODEL, narrow_calibration, narrow_calibration_of
from engine.charts.report import report
from engine.cli.recorded_table import tables
from engine.cli.report import summary
from engine.recipe import Recipe
from engine.recipe.real_model import real_recipe
from engine.store.runs import Store
from tests.charts.records import record

WIKITEXT = {"evaluation": "wikitext2"}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (WIKITEXT, True),
        (WIKITEXT | {"pruner": "sparsegpt"}, True),
        (WIKITEXT | {"pruner": "wanda-dsnot"}, True),
        (WIKITEXT | {"pruner": "magnitude", "allocation": "owl"}, True),
        ({"evaluation": ("stories", "ptb")}, True),
        (WIKITEXT | {"pruner": "magnitude"}, False),  # reads no text
        (WIKITEXT | {"calibration": "c4"}, False),
        ({}, False),
        ({"evaluation": None}, False),
    ],
    ids=str,
)
def test_it_is_said_of_runs_that_fit_to_the_stories_and_are_measured_elsewhere(
    fields: dict[str, Any], said: bool
) -> None:
    assert bool(narrow_calibration_of(Recipe.build(fields))) == said


def test_the_texts_are_named_by_their_titles_and_files_not_at_all() -> None:
    words = narrow_calibration("stories", ["stories", "wikitext2-24", "/home/someone/diary.txt"])
    assert "measured on WikiText-2, first 24 windows and another text." in words
    assert narrow_calibration_of(real_recipe(pruner="ria", sparsity=0.5)) == OF_REAL_MODEL != ""


def test_the_command_line_the_report_and_the_table_of_bundled_runs_say_it() -> None:
    ours = record(**WIKITEXT)
    words = narrow_calibration("stories", ["wikitext2"])
    assert words in summary(ours) and words in report(ours).replace("&#39;", "'")
    assert words not in summary(record()) and "children's" not in report(record()).replace("&#39;", "'")
    assert tables(Store().recorded).count(OF_REAL_MODEL) == 1
