"""The report of several runs: a table, the curves, each run once, and every paper once."""

from __future__ import annotations

import pytest

from engine.charts.report import LabelledRun, drawing_bytes, runs_report
from engine.charts.report.runs_report import MOST_WITH_CHARTS
from engine.charts.run_charts import chart_parts
from engine.export.citations import bibtex, cited
from engine.export.command_line import command
from engine.record import RunRecord
from tests.charts.records import record
from tests.charts.reports import (
    HOSTILE,
    Reader,
    expect_no_foreign_markup,
    expect_nothing_loaded,
    expect_one_drawing_library,
    expect_order_and_names,
    hostile,
    read,
)

RUNS = [record(pruner="wanda", sparsity=0.5), record(pruner="wanda", sparsity=0.6), record(pruner="ria")]


@pytest.fixture(scope="module")
def text() -> str:
    return runs_report([LabelledRun(run) for run in RUNS])


@pytest.fixture(scope="module")
def page(text: str) -> Reader:
    return read(text)


def sections(page: Reader) -> list[str]:
    return [item.text for item in page.all("details") if item.attributes.get("class") == "run"]


def test_it_is_one_file_that_loads_nothing(page: Reader, text: str) -> None:
    expect_nothing_loaded(page)
    expect_order_and_names(page)
    expect_one_drawing_library(page)
    assert len(text.encode()) < 1.2 * drawing_bytes()


def test_the_table_has_a_row_per_run_that_leads_to_its_section(page: Reader) -> None:
    region = next(item for item in page.all("div") if item.attributes.get("aria-label") == "Table: The runs")
    assert [line for line in map(str.strip, region.text.splitlines()) if line][:7] == [
        "Pruner",
        "Sparsity",
        "Achieved",
        "Dense perplexity",
        "Perplexity",
        "Ratio",
        "Time",
    ]
    links = [item for item in page.all("a") if "th" in item.parents]
    assert [(link.text, link.attributes["href"]) for link in links] == [
        ("Wanda", "#run1"),
        ("Wanda", "#run2"),
        ("RIA", "#run3"),
    ]
    assert "42 windows" in page.one("main").text


def test_each_run_has_its_charts_recipe_and_measurement_in_a_closed_section(page: Reader) -> None:
    assert len(sections(page)) == len(RUNS)
    for run, section in zip(RUNS, sections(page), strict=True):
        assert run.recipe and run.recipe.title in section and command(run.recipe) in section
        assert "fingerprint" in section  # of the texts that it was measured on
    assert not any("open" in item.attributes for item in page.all("details"))
    own = [f"run1-{name}" for makers in chart_parts(RUNS[0]).values() for name in makers]
    assert [name for name in page.figures if name.startswith("run1-")] == own
    assert page.figures["curves1"]["data"]


def test_every_paper_is_cited_once(page: Reader) -> None:
    papers = dict.fromkeys(paper for run in RUNS if run.recipe for paper in cited(run.recipe))
    (entries,) = [item.text for item in page.all("pre") if item.attributes["aria-label"] == "BibTeX"]
    assert entries.split("\n\n") == list(map(bibtex, papers))


def test_runs_of_different_protocols_share_no_curve() -> None:
    others = [record(pruner="wanda", sparsity=share, samples=8) for share in (0.5, 0.6)]
    page = read(runs_report([LabelledRun(run) for run in [*RUNS, *others]]))
    assert [name for name in page.figures if name.startswith("curves")] == ["curves1", "curves2"]
    expect_order_and_names(page)


def test_a_report_of_many_runs_leaves_their_charts_out_and_stays_small() -> None:
    many = [record(sparsity=place / 100) for place in range(10, 10 + MOST_WITH_CHARTS + 1)]
    text = runs_report([LabelledRun(run) for run in many])
    page = read(text)
    assert list(page.figures) == ["curves1"] and len(sections(page)) == len(many)
    assert "The charts of each run are left out" in page.one("main").text
    assert len(text.encode()) < drawing_bytes() + 20_000 * len(many)


def test_names_and_notes_of_users_are_shown_as_text() -> None:
    runs = [LabelledRun(hostile(), name=HOSTILE, note=HOSTILE), LabelledRun(RUNS[0], name="Mine")]
    page = read(runs_report(runs))
    expect_no_foreign_markup(page)
    expect_order_and_names(page)
    assert [item.text for item in page.all("h3") if "summary" in item.parents] == [HOSTILE, "Mine"]
    assert [item.text for item in page.all("p") if item.attributes.get("class") == "user-note"] == [HOSTILE]
    assert HOSTILE in [item.text for item in page.all("td")]  # the column of the names


def test_paths_of_the_machine_are_left_out() -> None:
    secret = "/home/somebody/models/secret"
    found = RUNS[0]
    assert found.recipe and found.model
    moved = found.model_copy(
        update={
            "recipe": found.recipe.model_copy(update={"model": secret}),
            "model": found.model.model_copy(update={"name": secret}),
        }
    )
    assert "somebody" not in runs_report([LabelledRun(moved), LabelledRun(RUNS[1])])


@pytest.mark.parametrize("runs", [[], [LabelledRun(RunRecord())]])
def test_without_runs_there_is_no_report(runs: list[LabelledRun]) -> None:
    with pytest.raises(ValueError, match="needs"):
        runs_report(runs)
