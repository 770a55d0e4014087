"""A set of runs as a table: LaTeX for a paper, Markdown for a page, CSV for a program.

LaTeX and Markdown show what is read: pruner, sparsity, perplexities, ratio and time, and below the table what
the perplexities were measured on. A column that would say the same of all runs is left out. CSV has every
column, and numbers in full precision. Paths of the machine are left out, and every text is escaped.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from string import ascii_uppercase

from engine import numbers
from engine.analysis.comparison.points import family
from engine.export.redaction import file_name, shareable_protocol
from engine.export.spreadsheet import inert
from engine.pruning.patterns import UNSTRUCTURED
from engine.record import MARK, RunRecord
from engine.record.outline import Outline

MARKS = ("% Runs of Prunescope", "| Pruner |", "run,state,model,")
"""How the tables begin: a file that begins so is replaced by a newer one without a question."""


@dataclass(frozen=True)
class Row:
    """One run. The fields are the columns of the CSV file.

    Attributes:
        run: what the user calls it; empty without a name.
        pruner: with its allocation and its unusual settings, and a mark if the run was imported or has not
            finished.
        sparsity: in words, or the N:M pattern that fixes it.
        target, achieved: sparsities, shares of the prunable weights.
        seconds: wall-clock time of the run.
        protocol: the texts and the number type that the numbers were measured with, in words.
    """

    run: str
    state: str
    model: str
    pruner: str
    sparsity: str
    target: float
    achieved: float | None
    dense_perplexity: float | None
    pruned_perplexity: float | None
    ratio: float | None
    seconds: float
    seed: int
    key: str
    protocol: str


Records = Iterable[tuple[RunRecord | Outline, str]]
"""Records with the names that the user gave their runs, empty if none."""


def run_rows(records: Records) -> list[Row]:
    """Return a row per run, in their order; runs without a recipe are left out."""
    return [_row(record, name) for record, name in records if record.recipe is not None]


def _row(record: RunRecord | Outline, name: str) -> Row:
    recipe, protocol = record.recipe, shareable_protocol(record.protocol)
    assert recipe is not None, "runs without one are left out"
    unfinished = "" if record.state == "finished" else f" ({record.state})"
    return Row(
        run=name,
        state=record.state,
        model=file_name(recipe.model),
        pruner=f"{family(recipe)}{MARK if record.imported else ''}{unfinished}",
        sparsity=recipe.pattern if recipe.pattern != UNSTRUCTURED else f"{100 * recipe.sparsity:g} %",
        target=recipe.sparsity,
        achieved=record.sparsity.achieved,
        dense_perplexity=record.dense.perplexity if record.dense else None,
        pruned_perplexity=record.pruned.perplexity if record.pruned else None,
        ratio=record.ratio,
        seconds=record.elapsed,
        seed=recipe.seed,
        key=str(record.key),
        protocol=f"perplexity: {protocol.perplexity}; {protocol.statistics}",
    )


@dataclass(frozen=True)
class Column:
    """A column of the tables that are read.

    Attributes:
        numeric: whether it holds numbers, which are aligned at the right.
        always: whether it is there even if it says the same of all runs.
    """

    head: str
    text: Callable[[Row], str]
    numeric: bool = True
    always: bool = True


COLUMNS = (
    Column("Pruner", lambda row: row.pruner, numeric=False),
    Column("Name", lambda row: row.run, numeric=False, always=False),
    Column("Model", lambda row: row.model, numeric=False, always=False),
    Column("Sparsity", lambda row: row.sparsity),
    Column("Achieved", lambda row: numbers.percent(row.achieved, 2)),
    Column("Dense perplexity", lambda row: numbers.perplexity(row.dense_perplexity)),
    Column("Perplexity", lambda row: numbers.perplexity(row.pruned_perplexity)),
    Column("Ratio", lambda row: numbers.ratio(row.ratio)),
    Column("Time", lambda row: numbers.seconds(row.seconds)),
    Column("Seed", lambda row: str(row.seed), always=False),
)
"""The first one is always there: it is the beginning of `MARKS`."""


@dataclass(frozen=True)
class RunTable:
    """A table that is read.

    Attributes:
        columns: each head, and whether the column holds numbers.
        rows: text, not escaped.
        notes: what the perplexities were measured on; if that differs, each begins with the letter that
            stands in the column *Protocol*.
    """

    columns: list[tuple[str, bool]]
    rows: list[list[str]]
    notes: list[str]


def run_table(rows: Sequence[Row]) -> RunTable:
    """Return the table of some runs."""
    shown = [column for column in COLUMNS if column.always or len({column.text(row) for row in rows}) > 1]
    protocols = list(dict.fromkeys(row.protocol for row in rows))
    columns = [(column.head, column.numeric) for column in shown]
    cells = [[column.text(row) for column in shown] for row in rows]
    if len(protocols) < 2:
        return RunTable(columns, cells, [_sentence(one) for one in protocols])
    letters = dict(zip(protocols, _letters(), strict=False))
    return RunTable(
        [*columns, ("Protocol", False)],
        [[*line, letters[row.protocol]] for line, row in zip(cells, rows, strict=True)],
        [f"{letter}: {_sentence(one)}" for one, letter in letters.items()],
    )


def _letters() -> Iterable[str]:
    """Yield A to Z, then AA to AZ, and so on."""
    for first in ("", *ascii_uppercase):
        yield from (f"{first}{letter}" for letter in ascii_uppercase)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def as_csv(rows: Sequence[Row]) -> str:
    """Return the runs as CSV, one line each after the heads; an unknown number is an empty cell."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(field.name for field in fields(Row))
    writer.writerows(map(inert, astuple(row)) for row in rows)
    return file.getvalue()


def as_markdown(rows: Sequence[Row]) -> str:
    """Return the runs as a Markdown table with its notes below."""
    table = run_table(rows)
    lines = [
        [_markdown(head) for head, _ in table.columns],
        ["---:" if numeric else "---" for _, numeric in table.columns],
        *([_markdown(cell) for cell in row] for row in table.rows),
    ]
    notes = "".join(f"\n{_markdown(note)}\n" for note in table.notes)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + f"\n{notes}"


MARKDOWN = re.compile(r"[\\`*_\[\]<>|~$&#]")


def _markdown(text: str) -> str:
    return MARKDOWN.sub(r"\\\g<0>", " ".join(text.split()))


def as_latex(rows: Sequence[Row]) -> str:
    """Return the runs as a `tabular` with the rules of the package booktabs; the notes are comments."""
    table = run_table(rows)
    lines = [" & ".join(_latex(head) for head, _ in table.columns)]
    lines += [" & ".join(map(_latex, row)) for row in table.rows]
    head, *body = (rf"{line} \\" for line in lines)
    return "\n".join(
        [
            rf"{MARKS[0]}; needs \usepackage{{booktabs}}",
            *(f"% {' '.join(note.split())}" for note in table.notes),
            rf"\begin{{tabular}}{{{''.join('r' if numeric else 'l' for _, numeric in table.columns)}}}",
            r"\toprule",
            head,
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "×": r"$\times$",
    "−": "$-$",
    "∞": r"$\infty$",
    "—": "---",
    **{letter: rf"\{letter}" for letter in "&%$#_{}"},
}
RAISED = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


def _latex(text: str) -> str:
    """Return text that LaTeX prints as it is: special characters escaped, `10⁻⁴` as a power."""
    line = "".join(LATEX.get(letter, letter) for letter in " ".join(text.split()))
    # A line that begins with a bracket would be read as the argument of the `\\` before it.
    line = f"{{}}{line}" if line.startswith("[") else line
    return re.sub("[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+", lambda found: f"$^{{{found.group().translate(RAISED)}}}$", line)


FORMATS: dict[str, tuple[str, Callable[[Sequence[Row]], str]]] = {
    "csv": ("csv", as_csv),
    "latex": ("tex", as_latex),
    "markdown": ("md", as_markdown),
}
"""By name: the extension of the file, and the function that writes it."""
