"""A new method is one file and one import: the README's examples are imported and then found everywhere."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from engine.cli.main import _parser
from engine.cli.methods import describe
from engine.errors import RecipeError
from engine.events import Allocated, BlockMeasured, BlockPruned, Finished
from engine.export.command_line import command, recipe_of
from engine.pruning.axes import ALLOCATIONS, SCORES
from engine.pruning.patterns import Group
from engine.pruning.plan import Plan
from engine.recipe import Recipe
from engine.run import run
from pages.widgets import engine_handle
from tests.pages.conftest import APP, healthy, words
from tests.pages.fakes import FakeEngine
from tests.pruning import test_laws as laws

README = Path(__file__).parents[1] / "README.md"
SCORE, ALLOCATION = "power", "taper"


def examples() -> list[str]:
    """Return the Python files that the README shows under Contribute."""
    contribute = README.read_text(encoding="utf-8").partition("## Contribute")[2]
    return re.findall(r"^```python\n(.*?)^```$", contribute, re.MULTILINE | re.DOTALL)


@pytest.fixture
def new_methods(tmp_path: Path) -> Iterator[None]:
    """Import the files; unregister their methods afterwards."""
    for name, source in zip((SCORE, ALLOCATION), examples(), strict=True):
        path = tmp_path / f"{name}.py"
        path.write_text(source, encoding="utf-8")
        spec = importlib.util.spec_from_file_location(f"example_{name}", path)
        assert spec is not None and spec.loader is not None
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    yield
    del SCORES._methods[SCORE], ALLOCATIONS._methods[ALLOCATION]


def recipe() -> Recipe:
    settings = {f"{SCORE}.exponent": 3.0}
    return Recipe.build(
        score=SCORE, allocation=ALLOCATION, settings=settings, samples=2, length=32, evaluation=None
    )


@pytest.mark.usefixtures("new_methods")
def test_the_command_line_knows_it() -> None:
    for line in (
        f"{SCORE:<13} Ranks weights by a power of their magnitude.",
        f"--set {SCORE}.exponent=...",
        f"  {ALLOCATION}",
    ):
        assert line in describe()
    words = ["prune", "--score", SCORE, "--allocation", ALLOCATION, "--set", f"{SCORE}.exponent=3"]
    parsed = recipe_of(_parser().parse_args(words))
    assert (parsed.score, parsed.allocation) == (SCORE, ALLOCATION)
    assert parsed.settings == {f"{SCORE}.exponent": 3.0}
    assert f"--score {SCORE}" in command(parsed) and f"--allocation {ALLOCATION}" in command(parsed)


@pytest.mark.usefixtures("new_methods")
def test_a_recipe_names_and_checks_it() -> None:
    assert "Taper" in recipe().title and recipe().group is Group.ROW
    with pytest.raises(RecipeError, match=r"outside 0\.5 to 8\.0"):
        Recipe.build(score=SCORE, settings={f"{SCORE}.exponent": 10})
    with pytest.raises(RecipeError, match="did you mean power"):
        Recipe.build(score="powr")


@pytest.mark.usefixtures("new_methods")
def test_the_form_and_the_reference_offer_it(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeEngine()
    monkeypatch.setattr(engine_handle, "shared_engine", lambda: fake)
    app = AppTest.from_file(APP, default_timeout=120)
    app.query_params["score"] = SCORE
    healthy(app.run())
    assert (
        "Power" in app.selectbox(key="form.score").options and app.selectbox(key="form.score").value == SCORE
    )
    assert "Taper" in app.selectbox(key="form.allocation").options
    assert app.number_input(key=f"form.{SCORE}.exponent").value == 2.0
    healthy(app.switch_page("pages/methods.py").run())
    assert {"Power", "Taper"} <= {heading.value for heading in app.subheader}
    assert "Ranks weights by a power of their magnitude." in words(app)


@pytest.mark.usefixtures("new_methods")
@pytest.mark.parametrize(
    "shape", [("unstructured", Group.LAYER), ("unstructured", Group.BLOCK), ("2:4", None)]
)
@pytest.mark.parametrize("update", ["none", "obs"])
def test_it_has_the_required_properties(shape: tuple[str, Group | None], update: str) -> None:
    plan = Plan.of(score=SCORE, update=update, pattern=shape[0], group=shape[1])
    laws.test_every_edge_case_is_pruned_correctly(plan, shape)
    laws.test_pruning_is_deterministic(plan, shape)
    laws.test_the_inputs_are_not_modified(plan, shape, False)
    laws.test_a_transposed_view_gives_the_same_result(plan, shape)
    laws.test_a_bfloat16_weight_is_pruned_in_float32(plan, shape)


@pytest.mark.usefixtures("new_methods")
def test_it_prunes_the_bundled_model() -> None:
    events = list(run(recipe()))
    assert isinstance(events[-1], Finished)
    assert sum(isinstance(event, BlockMeasured) for event in events) > 1
    ratios = next(event.ratios for event in events if isinstance(event, Allocated))
    pruned = [event.sparsity for event in events if isinstance(event, BlockPruned)]
    assert list(ratios) == sorted(ratios, reverse=True)
    assert pruned == pytest.approx(ratios, abs=0.01)


def test_afterwards_it_is_unregistered() -> None:
    assert SCORE not in SCORES and ALLOCATION not in ALLOCATIONS
