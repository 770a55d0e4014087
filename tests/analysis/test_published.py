"""Published figures: the data file, and which of them belong to a run."""

import json
import re
from math import isnan, log
from pathlib import Path
from typing import Any

import pytest

from engine.analysis.comparison.points import points
from engine.analysis.comparison.protocols import finished_runs
from engine.analysis.published import Figure, literature, published
from engine.charts.compare.table import curve_table
from engine.charts.report import report
from engine.cli.report import summary
from engine.corpora.named import NAMED
from engine.events import Score, WindowsReady
from engine.export.exported_record import ExportedRecord, exported
from engine.export.output_file import save_record
from engine.hub.catalogue import catalogue
from engine.models.identity import is_hub_id
from engine.recipe import Recipe
from engine.record import RunRecord
from engine.record.outline import outline
from engine.record.parts import Evaluation, Protocol
from engine.store.import_file import ForeignFile
from tests.charts.records import record as canned
from tests.pages.fakes import FINISHED
from tests.pages.fakes import events as run_events

LLAMA_2 = "meta-llama/Llama-2-7b-hf"
AS_PUBLISHED: dict[str, Any] = {
    "model": LLAMA_2,
    "pruner": "wanda",
    "calibration": "c4",
    "evaluation": "wikitext2",
    "samples": 128,
    "length": 4096,
}


def record(perplexity: float = 6.5, **fields: Any) -> RunRecord:
    """Return a finished run with this perplexity, of the published recipe changed by `fields`."""
    recipe = Recipe.build(AS_PUBLISHED | fields)

    def windows(role: str, corpus: str) -> WindowsReady:
        return WindowsReady(
            role=role,
            corpus=corpus,
            documents=1,
            windows=4,
            length=recipe.length or 2048,
            available=9,
            seed=None,
            fingerprint="f" * 16,
        )

    score = Score(perplexity=perplexity, nll=log(perplexity), tokens=100)
    texts = tuple(windows("evaluation", name) for name in recipe.evaluations)
    return RunRecord(
        key=recipe.key,
        state="finished",
        recipe=recipe,
        pruned=score,
        dense=score,
        evaluations=tuple(Evaluation(corpus=text.corpus, dense=score, pruned=score) for text in texts),
        protocol=Protocol(
            calibration=windows("calibration", recipe.calibration), evaluation=texts[0], evaluations=texts
        ),
    )


# ---- the data file


def test_every_model_is_a_hub_id_and_every_key_is_used() -> None:
    known = literature()
    assert all(is_hub_id(name) and "/" in name for names in known.models.values() for name in names)
    assert set(known.models) == {figure.model for figure in known.figures}
    assert set(known.sources) == {figure.source for figure in known.figures}
    assert all(re.match(r"https://(github\.com|arxiv\.org)/", one.link) for one in known.sources.values())


@pytest.mark.parametrize("figure", literature().figures, ids=lambda figure: f"{figure.model} {figure.method}")
def test_every_figure_is_a_recipe_of_this_version(figure: Figure) -> None:
    recipe = figure.recipe
    assert (recipe.pruner, recipe.allocation) == (figure.method, figure.allocation)
    assert (recipe.pattern, recipe.sparsity) == (figure.pattern, figure.sparsity)
    assert figure.corpus in NAMED and figure.calibration in NAMED


def test_no_figure_is_listed_twice() -> None:
    protocols = [figure.model_copy(update={"perplexity": 2.0}) for figure in literature().figures]
    assert len(set(protocols)) == len(protocols)


def test_a_model_of_the_catalogue_has_figures() -> None:
    assert {entry.id for entry in catalogue()} & {id_ for ids in literature().models.values() for id_ in ids}


# ---- matching


def test_a_run_like_the_published_one_is_compared_with_it() -> None:
    (found,) = published(record(6.55))
    assert found.matches and found.figure.perplexity == 6.42 and found.measured == 6.55
    assert found.words.startswith("published: 6.42 (Wanda; Wanda, LLaMA-2 results")
    assert found.words.endswith("measured: 6.55, +2.0 %") and found.sentence.startswith("Published: 6.42")


def test_an_outline_has_the_same_figures_as_its_record() -> None:
    assert published(outline(record())) == published(record())


@pytest.mark.parametrize(
    ("fields", "value", "differences"),
    [
        ({"length": 512}, 6.92, ["2,048-token windows (yours: 512)"]),
        ({"samples": 64}, 6.42, ["128 calibration windows (yours: 64)"]),
        ({"calibration": "stories"}, 6.42, ["calibration on C4 (yours: stories)"]),
        ({"evaluation": "ptb"}, 6.42, ["WikiText-2 (yours: Penn Treebank)"]),
        ({"evaluation": "wikitext2-24"}, 6.42, ["WikiText-2 (yours: WikiText-2, first 24 windows)"]),
        ({"pruner": "magnitude", "samples": 3, "calibration": "stories"}, 14.89, []),
        ({"length": 2048}, 6.92, []),
        ({"pattern": "2:4"}, 11.02, []),
        ({"dtype": "float16", "device": "cpu", "seed": 3, "residence": "streamed"}, 6.42, []),
    ],
    ids=str,
)
def test_what_differs_is_said(fields: dict[str, Any], value: float, differences: list[str]) -> None:
    found = published(record(**fields))
    assert value in {one.figure.perplexity for one in found}
    assert all(list(one.differences) == differences for one in found if one.figure.perplexity == value)
    assert all(one.matches == (not differences) for one in found)
    for one in found:
        assert all(words in one.words for words in differences)
        assert differences == [] or "no reference for this run" in one.words


@pytest.mark.parametrize(
    "fields",
    [
        {"model": "demo"},
        {"model": "meta-llama/Llama-3.2-1B"},
        {"sparsity": 0.55},
        {"pattern": "1:4"},
        {"group": "layer"},
        {"allocation": "owl"},
        {"refinement": "dsnot", "pruner": "wanda-dsnot"},
        {"pruner": "sparsegpt", "update": "obs", "group": "row"},
        {"pattern": "2:4", "permutation": "zigzag"},
    ],
    ids=str,
)
def test_other_models_and_methods_have_none(fields: dict[str, Any]) -> None:
    assert published(record(**fields)) == ()


def test_an_unfinished_run_has_none() -> None:
    assert published(record().model_copy(update={"state": "running"})) == published(RunRecord()) == ()


def test_of_several_texts_the_published_one_is_compared() -> None:
    (found,) = published(record(evaluation=("ptb", "wikitext2")))
    assert found.matches


# ---- where they are shown


def test_an_exported_record_has_them_and_is_read_again(tmp_path: Path) -> None:
    ours = record()
    save_record(ours, path := tmp_path / "record.json")
    (figure,) = json.loads(path.read_text())["published"]
    assert (figure["perplexity"], figure["measured"], figure["method"]) == (6.42, 6.5, "Wanda")
    assert figure["link"].startswith("https://") and figure["differences"] == []
    save_record(ours, path)  # known as a record, so it may be replaced
    read = ExportedRecord.model_validate_json(path.read_bytes())
    assert read == exported(ours) and RunRecord(**{name: getattr(read, name) for name in vars(ours)}) == ours


def test_importing_a_record_leaves_them_out_as_known(tmp_path: Path) -> None:
    ours = RunRecord.fold(run_events(Recipe.build(AS_PUBLISHED), end=FINISHED))
    save_record(ours, path := tmp_path / "record.json")
    assert '"published": [' in path.read_text()
    file = ForeignFile(path.read_bytes())
    assert file.unknown == [] and RunRecord.fold(file.events) == ours


def test_a_record_without_them_is_exported_as_it_is() -> None:
    ours = record(model="demo")
    assert exported(ours) is ours


@pytest.mark.parametrize(
    ("fields", "cells"),
    [({}, (6.42, "the same")), ({"length": 512}, (6.92, "2,048-token windows (yours: 512)"))],
    ids=str,
)
def test_the_table_of_a_comparison_has_them(fields: dict[str, Any], cells: tuple[float, str]) -> None:
    ours = [record(**fields), record(pruner="ria", **fields)]
    table = curve_table(points(finished_runs((one, True) for one in ours)))
    found = table.set_index("family")
    assert tuple(found.loc["Wanda", ["published", "protocol"]]) == cells
    assert found.loc["Wanda", "source"].startswith("https://")
    assert isnan(found.loc["RIA", "published"]) and found.loc["RIA", "source"] == ""


def test_the_command_line_and_the_report_show_them() -> None:
    assert "published: 6.42 (Wanda; " in summary(record()) and "published" not in summary(
        record(model="demo")
    )
    page = report(canned(model=LLAMA_2))
    assert "Published: 6.92 (Wanda; " in page and "(yours: stories)" in page
    assert 'href="https://github.com/OpenGVLab/LLMPrune-BESA"' in page
    assert "Published: " not in report(canned())
