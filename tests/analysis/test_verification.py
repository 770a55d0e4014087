"""Comparing an imported run with its recipe computed here."""

from __future__ import annotations

import pytest

from engine.analysis.verification import Verification, verify
from engine.charts.verification import verification_table
from engine.events import Environment
from engine.recipe import Recipe
from engine.record import RunRecord
from tests.pages.fakes import BLOCKS, FINISHED, SHAPES, events

HERE = RunRecord.fold(events(Recipe.build(sparsity=0.5), end=FINISHED))


def with_scores(**scores: float) -> RunRecord:
    """The run with other pruned perplexities."""
    (item,) = HERE.evaluations
    pruned = item.pruned.model_copy(update=scores)
    return HERE.model_copy(update={"evaluations": (item.model_copy(update={"pruned": pruned}),)})


def with_linear(**values: object) -> RunRecord:
    """The run with other numbers of its first linear."""
    first, *blocks = HERE.blocks
    linear, *linears = first.linears
    changed = first.model_copy(update={"linears": (linear.model_copy(update=values), *linears)})
    return HERE.model_copy(update={"blocks": (changed, *blocks)})


def on_another_machine(record: RunRecord) -> RunRecord:
    assert isinstance(record.environment, Environment)
    return record.model_copy(
        update={"environment": record.environment.model_copy(update={"device": "cuda", "torch": "2.11.0"})}
    )


def test_equal_runs_are_confirmed() -> None:
    result = verify(HERE, HERE)
    assert result.confirmed and result.machine == ()
    assert result.summary == f"Confirmed: all {len(result.compared):,} numbers are equal."


def test_every_block_and_linear_is_compared() -> None:
    names = {item.what for item in verify(HERE, HERE).compared}
    assert {"pruned perplexity on stories", "dense perplexity on stories", "sparsity"} <= names
    for block in range(BLOCKS):
        assert {f"block {block}: alignment", f"block {block}: relative error"} <= names
        for linear in SHAPES:
            assert {
                f"block {block}, {linear}: {what}" for what in ("removed", "sparsity", "output error")
            } <= names


def test_a_false_perplexity_is_not_confirmed() -> None:
    result = verify(with_scores(perplexity=1.0, nll=0.0), HERE)
    assert not result.confirmed
    first = result.compared[0]
    assert first.what == "pruned perplexity on stories" and (first.imported, first.here) == (1.0, 55.03)
    assert "Not confirmed: 1 of" in result.summary and "should be equal" in result.explanation


def test_rounding_is_confirmed_and_explained() -> None:
    result = verify(on_another_machine(with_scores(perplexity=55.031)), HERE)
    assert result.confirmed and result.count("close") == 1
    assert "Confirmed within rounding" in result.summary
    assert [item.field for item in result.machine] == ["device", "torch"]
    assert "device and torch" in result.explanation


@pytest.mark.parametrize(
    ("imported", "what"),
    [
        (with_linear(removed=1), "removed"),
        (
            HERE.model_copy(
                update={
                    "protocol": HERE.protocol.model_copy(
                        update={
                            "evaluation": HERE.protocol.evaluation
                            and HERE.protocol.evaluation.model_copy(update={"fingerprint": "f" * 16})
                        }
                    )
                }
            ),
            "fingerprint of the evaluation text",
        ),
    ],
)
def test_what_no_machine_changes_is_called_wrong(imported: RunRecord, what: str) -> None:
    result = verify(on_another_machine(imported), HERE)
    assert not result.confirmed and what in result.compared[0].what
    assert "cannot differ between machines" in result.explanation


def test_the_table_has_all_digits_and_the_largest_difference_first() -> None:
    close = with_scores(perplexity=55.03 * (1 + 1e-15))
    table = verification_table(verify(close, HERE))
    assert table.iloc[0]["verdict"] == "close" and table.iloc[0]["imported"] != table.iloc[0]["here"]
    assert len(table) == len(verify(close, HERE).compared)


def test_a_missing_number_is_a_difference() -> None:
    result: Verification = verify(HERE.model_copy(update={"blocks": HERE.blocks[:-1]}), HERE)
    assert not result.confirmed and result.compared[0].imported is None
