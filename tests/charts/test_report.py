"""The report: the charts of the page in one self-contained file, every text escaped."""

from __future__ import annotations

import json
from functools import cache

import plotly.io
import pytest
from markupsafe import escape

from engine.charts.headline import run_numbers
from engine.charts.report import drawing_bytes, report
from engine.charts.run_charts import chart_parts
from engine.export.citations import bibtex, cited
from engine.export.command_line import command
from engine.recipe import Recipe
from engine.record import RunRecord
from tests.charts.records import NEUROAL, infinite, record
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

RUNS = {
    "plain": {},
    "2:4": {"pruner": "wanda-dsnot", "pattern": "2:4"},
    "search": NEUROAL,
    "no perplexity": {"evaluation": None},
}


@cache
def made(name: str) -> tuple[RunRecord, str, Reader]:
    found = record(**RUNS[name])
    page = report(found)
    return found, page, read(page)


@pytest.fixture(params=RUNS)
def run(request):
    return made(request.param)


def test_the_charts_are_those_of_the_page_with_their_data(run):
    found, _, page = run
    charts = {name: make(found) for makers in chart_parts(found).values() for name, make in makers.items()}
    assert list(page.figures) == list(charts)
    drawn = {name: json.loads(plotly.io.to_json(chart.figure)) for name, chart in charts.items()}
    for name, figure in page.figures.items():
        assert figure["data"] == drawn[name]["data"]
        assert {**figure["layout"], "template": drawn[name]["layout"]["template"]} == drawn[name]["layout"]


@pytest.mark.parametrize(("blocks", "classes"), [(8, set()), (30, {"sparsity", "output_error"})])
def test_maps_of_many_blocks_have_the_whole_width(blocks, classes):
    many = record(8)
    assert many.model is not None
    many = many.model_copy(update={"model": many.model.model_copy(update={"blocks": blocks})})
    figures = [item for item in read(report(many)).all("figure") if item.attributes.get("class") == "whole"]
    assert {item.attributes["aria-labelledby"].removeprefix("title-") for item in figures} == classes


def test_every_chart_has_words_and_its_table(run):
    found, _, page = run
    charts = {name: make(found) for makers in chart_parts(found).values() for name, make in makers.items()}
    plots = {
        item.attributes["id"].removeprefix("plot-"): item
        for item in page.all("div")
        if item.attributes.get("class") == "plot"
    }
    assert list(plots) == list(charts)
    for name, chart in charts.items():
        assert plots[name].attributes["aria-label"] == chart.alt and plots[name].attributes["role"] == "group"
        assert plots[name].attributes["style"] == f"height: {chart.figure.layout.height}px"
    assert [item.text for item in page.all("figcaption")] == [chart.caption for chart in charts.values()]
    tables = [item for item in page.all("table") if "figure" in item.parents]
    assert all("details" in item.parents for item in tables) and len(tables) == len(charts)
    rows = [item for item in page.all("tr") if "figure" in item.parents and "tbody" in item.parents]
    assert len(rows) == sum(len(chart.table) for chart in charts.values())


def test_every_chart_is_explained(run):
    found, page, _ = run
    for makers in chart_parts(found).values():
        for make in makers.values():
            assert str(escape(make(found).explain().text)) in page


def test_nothing_is_loaded_from_anywhere(run):
    expect_nothing_loaded(run[2])


def test_the_drawing_library_is_there_once_and_is_nearly_all_of_the_size(run):
    _, text, page = run
    expect_one_drawing_library(page)
    assert drawing_bytes() < len(text.encode()) < 1.1 * drawing_bytes()


def test_headings_are_in_order_and_parts_are_named_by_theirs(run):
    found, _, page = run
    expect_order_and_names(page)
    assert page.one("html").attributes["lang"] == "en"
    assert page.one("h1").text == found.recipe.title
    assert page.one("title").text.startswith(found.recipe.title)


def test_numbers_are_shown_with_their_protocol(run):
    found, _, page = run
    numbers = run_numbers(found)
    assert [item.text for item in page.all("dt")] == [number.label for number in numbers]
    assert [item.text for item in page.all("dd")] == [
        text for number in numbers for text in (number.value, number.protocol)
    ]


def test_the_recipe_is_there_to_repeat_it(run):
    found, _, page = run
    blocks = {item.attributes["aria-label"]: item.text for item in page.all("pre")}
    assert blocks["Command line"] == command(found.recipe)
    assert Recipe.model_validate(json.loads(blocks["Recipe as JSON"])) == found.recipe
    assert found.key in page.one("main").text and found.environment.device_name in page.one("main").text


def test_all_papers_are_cited(run):
    found, _, page = run
    papers = cited(found.recipe)
    (entries,) = [item.text for item in page.all("pre") if item.attributes["aria-label"] == "BibTeX"]
    assert entries.split("\n\n") == [bibtex(paper) for paper in papers] and papers
    links = [
        item.attributes["href"] for item in page.all("a") if "li" in item.parents and "main" in item.parents
    ]
    assert links == [paper.url for paper in papers]


def test_warnings_are_shown():
    page = read(report(record().model_copy(update={"warnings": ("A Hessian was damped.",)})))
    assert [item.text for item in page.all("p") if item.attributes.get("class") == "warning"] == [
        "A Hessian was damped."
    ]
    assert "Warnings" in [item.text for item in page.all("h2")] and "Warnings" not in [
        item.text for item in made("plain")[2].all("h2")
    ]


def test_the_same_record_gives_the_same_file():
    assert report(record(**NEUROAL)) == made("search")[1]


def test_it_does_not_depend_on_the_template_that_others_set(monkeypatch):
    monkeypatch.setattr(plotly.io.templates, "default", "plotly_dark")
    assert report(record()) == made("plain")[1]


def test_hostile_names_are_shown_as_text():
    page = read(report(hostile()))
    expect_no_foreign_markup(page)
    assert page.all("p")[1].text.startswith(HOSTILE)
    assert [item.text for item in page.all("p") if item.attributes.get("class") == "warning"] == [HOSTILE]
    assert HOSTILE in [item.text for item in page.all("td")]
    blocks = {item.attributes["aria-label"]: item.text for item in page.all("pre")}
    assert json.loads(blocks["Recipe as JSON"])["model"] == HOSTILE


def test_paths_of_the_machine_are_left_out():
    found = record()
    place, text = "/home/somebody/models/secret", "/home/somebody/texts/mine.txt"
    windows = found.protocol.calibration.model_copy(update={"corpus": text})
    changes = {
        "recipe": found.recipe.model_copy(update={"model": place, "calibration": text}),
        "model": found.model.model_copy(update={"name": place}),
        "protocol": found.protocol.model_copy(update={"calibration": windows}),
        "warnings": (f"The model {place} has no tokenizer.",),
    }
    page = report(found.model_copy(update=changes))
    assert "somebody" not in page
    assert "The model secret has no tokenizer." in page and "mine.txt" in page
    assert (
        "Give your own paths for secret, mine.txt" in page
        or "Give your own paths for mine.txt, secret" in page
    )


def test_a_run_that_ended_early_says_so():
    found = record(3).model_copy(update={"state": "failed", "error": "The memory is full."})
    page = read(report(found))
    (said,) = [item.text for item in page.all("p") if item.attributes.get("class") == "warning"]
    assert said == "This run failed: 3 of 8 blocks were pruned. The memory is full."
    assert "coverage" in page.figures


def test_infinite_numbers_do_not_break_it():
    page = read(report(infinite(record(**NEUROAL))))
    assert "Infinity" not in "".join(
        item.text for item in page.all("script") if item.attributes.get("type") == "application/json"
    )
    assert "not finite" in [item.text for item in page.all("td")]


def test_an_empty_record_has_no_report():
    with pytest.raises(ValueError, match="needs a run"):
        report(RunRecord())
