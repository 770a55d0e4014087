"""The figures in the reference are those of the bundled runs."""

from typing import Any

import pytest

from engine.cli.recorded import FAMILIES, REAL_FAMILIES, demo_recipe
from engine.pruning.axes import ALLOCATIONS, SCORES
from engine.pruning.measured import DENSE, PRUNERS, SPARSITY, WANDA, WITH_WANDA, Pair, measured
from engine.pruning.presets import PRESETS
from engine.recipe.real_model import real_recipe
from engine.record import RunRecord
from engine.store.runs import Store


def _amount(shape: float | str) -> dict[str, Any]:
    return {"pattern": shape} if isinstance(shape, str) else {"sparsity": shape}


@pytest.fixture(scope="module")
def recorded() -> dict[str, RunRecord]:
    return {run.key: run.record for run in Store().recorded if run.record is not None}


CLAIMS: list[tuple[dict[str, Any], Pair]] = [
    *(({"pruner": name, **_amount(shape)}, pair) for name, (shape, pair) in PRUNERS.items()),
    *(({"pruner": "wanda", **_amount(shape)}, pair) for shape, pair in WANDA.items()),
    *(
        ({"pruner": "wanda", "allocation": name, **_amount(SPARSITY)}, pair)
        for name, pair in WITH_WANDA.items()
    ),
]


@pytest.mark.parametrize(("fields", "pair"), CLAIMS, ids=str)
def test_the_figures_are_those_of_the_bundled_runs(
    fields: dict[str, Any], pair: Pair, recorded: dict[str, RunRecord]
) -> None:
    for build, value, dense in zip((demo_recipe, real_recipe), pair, DENSE, strict=True):
        record = recorded[build(**fields).key]
        assert record.pruned is not None and record.dense is not None
        assert (record.pruned.perplexity, record.dense.perplexity) == pytest.approx((value, dense), abs=0.006)


def test_whatever_is_recorded_is_in_the_reference() -> None:
    families = (*FAMILIES, *REAL_FAMILIES)
    assert set(PRUNERS) == {each.pruner for each in families}
    assert set(WITH_WANDA) == {each.allocation for each in families if each.allocation != "uniform"}


def test_a_sentence_names_both_models_and_what_to_compare_with() -> None:
    assert measured(PRESETS["stade"]) == (
        "Perplexity at 60%, calibrated on the bundled stories: 58.96 on the bundled model and other stories "
        "(dense 37.33, Wanda 63.57); 299.43 on SmolLM2-135M and WikiText-2 (dense 32.88, Wanda 225.18)."
    )
    assert "Wanda 65.46" in measured(PRESETS["apt-mm"]) and "Wanda" not in measured(PRESETS["wanda"])
    assert "with Wanda at 60%" in measured(ALLOCATIONS["owl"])
    assert measured(ALLOCATIONS["evopress"]).endswith(
        "SmolLM2-135M and WikiText-2 (dense 32.88, uniform 225.18)."
    )
    assert not measured(SCORES["wanda"]) and not measured(PRESETS["formula"])
