"""Runs as a table: CSV keeps every number, LaTeX and Markdown print every text as it is."""

from __future__ import annotations

import csv
import io
from dataclasses import astuple, fields

import pytest

from engine.export.run_table import FORMATS, MARKS, Row, as_csv, as_latex, as_markdown, run_rows, run_table
from tests.charts.records import record

RUNS = [record(pruner="wanda", sparsity=0.55), record(pruner="wanda", pattern="2:4")]
SPECIAL = "50% of A&B_1 #2 {x} ~ ^ \\ $a$ | <b> *bold* `code` [link](http://x)"


def rows(*names: str) -> list[Row]:
    return run_rows((run, name) for run, name in zip(RUNS, names or ("", ""), strict=True))


def test_csv_has_every_field_and_every_digit() -> None:
    read = list(csv.DictReader(io.StringIO(as_csv(rows("A name, with a comma", 'and "quotes"\nlines')))))
    assert [line["run"] for line in read] == ["A name, with a comma", 'and "quotes"\nlines']
    for line, row in zip(read, rows(), strict=True):
        assert list(line) == [field.name for field in fields(Row)]
        assert float(line["pruned_perplexity"]) == row.pruned_perplexity
        assert float(line["target"]) == row.target and int(line["seed"]) == row.seed
    assert [line["sparsity"] for line in read] == ["55 %", "2:4"]


def test_csv_leaves_an_unknown_number_empty_and_computes_nothing() -> None:
    unfinished = record(3, pruner="ria")
    (line,) = csv.DictReader(io.StringIO(as_csv(run_rows([(unfinished, "=1+1")]))))
    assert (line["pruned_perplexity"], line["state"], line["run"]) == ("", "running", "'=1+1")


def test_the_table_leaves_out_what_is_the_same_for_all_runs() -> None:
    heads = [head for head, _ in run_table(rows()).columns]
    assert heads == ["Pruner", "Sparsity", "Achieved", "Dense perplexity", "Perplexity", "Ratio", "Time"]
    assert "Name" in [head for head, _ in run_table(rows("One", "Two")).columns]
    other = run_rows([(RUNS[0], ""), (record(seed=1), "")])
    assert "Seed" in [head for head, _ in run_table(other).columns]


def test_runs_of_different_protocols_say_which_is_whose() -> None:
    table = run_table(run_rows([(RUNS[0], ""), (record(samples=8), ""), (RUNS[1], "")]))
    assert table.columns[-1] == ("Protocol", False)
    assert [row[-1] for row in table.rows] == ["A", "B", "A"]
    assert [note[:2] for note in table.notes] == ["A:", "B:"]


def test_a_run_that_has_not_finished_or_was_imported_says_so() -> None:
    imported = RUNS[0].model_copy(update={"key": "imported-1"})
    cells = run_table(run_rows([(record(3), ""), (imported, "")])).rows
    assert [row[0] for row in cells] == ["Wanda (running)", "Wanda (imported)"]
    assert cells[0][4] == "—"


def test_latex_prints_special_characters() -> None:
    text = as_latex(rows(SPECIAL, "[x] × 10⁻⁴"))
    assert (
        r"50\% of A\&B\_1 \#2 \{x\} \textasciitilde{} \textasciicircum{} \textbackslash{} \$a\$ "
        r"\textbar{} \textless{}b\textgreater{} *bold* `code` [link](http://x)"
    ) in text
    assert r"{}[x] $\times$ 10$^{-4}$" in text
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0]
    columns = text.count("&", 0, text.index(r"\midrule"))
    assert [line.replace(r"\&", "").count("&") for line in body.strip().splitlines()] == [columns, columns]
    assert text.startswith(MARKS[0]) and r"\toprule" in text and text.count(r"\begin{tabular}") == 1


def test_a_note_stays_a_comment() -> None:
    windows = RUNS[0].protocol.evaluation
    assert windows is not None
    odd = windows.model_copy(update={"corpus": "a\n\\input{secret}.txt"})
    protocol = RUNS[0].protocol.model_copy(update={"evaluation": odd})
    text = as_latex(run_rows([(RUNS[0].model_copy(update={"protocol": protocol}), "")]))
    assert all(line.startswith("%") for line in text.splitlines() if "secret" in line)


def test_markdown_prints_special_characters() -> None:
    text = as_markdown(rows(SPECIAL, "two\nlines"))
    head, rule, *body = [line for line in text.splitlines() if line.startswith("| ")]
    assert r"\\ \$a\$ \| \<b\> \*bold\* \`code\` \[link\](http://x)" in body[0] and "two lines" in body[1]
    assert len({line.replace(r"\|", "").count("|") for line in (head, rule, *body)}) == 1
    assert text.startswith(MARKS[1])


@pytest.mark.parametrize("name", FORMATS)
def test_paths_of_the_machine_are_left_out(name: str) -> None:
    assert RUNS[0].recipe
    place = "/home/somebody/models/secret"
    moved = RUNS[0].model_copy(update={"recipe": RUNS[0].recipe.model_copy(update={"model": place})})
    text = FORMATS[name][1](run_rows([(moved, ""), (RUNS[1], "")]))
    assert "somebody" not in text and "secret" in text


def test_rows_are_plain_values() -> None:
    assert all(isinstance(value, (str, int, float, type(None))) for row in rows() for value in astuple(row))
