"""A new method is one file, in the project or outside it: the README's examples are loaded as a user's method
files, and then found everywhere. As a part of the project, the same files are imported.
"""

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
from engine.laws import check as laws
from engine.pruning.axes import ALLOCATIONS, SCORES
from engine.pruning.method_files.loading import MethodFile, load_methods, unload
from engine.pruning.patterns import Group
from engine.recipe import Recipe, pin
from engine.run import run
from pages.widgets import engine_handle
from tests.pages.conftest import APP, healthy, words
from tests.pages.fakes import FakeEngine

README = Path(__file__).parents[1] / "README.md"
SCORE, ALLOCATION = "power", "taper"


def examples() -> list[str]:
    """Return the Python files that the README shows under Contribute."""
    contribute = README.read_text(encoding="utf-8").partition("## Contribute")[2]
    return re.findall(r"^```python\n(.*?)^```$", contribute, re.MULTILINE | re.DOTALL)


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    found = [tmp_path / f"{name}.py" for name in (SCORE, ALLOCATION)]
    for path, source in zip(found, examples(), strict=True):
        path.write_text(source, encoding="utf-8")
    return found


@pytest.fixture
def new_methods(paths: list[Path]) -> Iterator[list[MethodFile]]:
    """The loaded files; unloaded afterwards."""
    yield [load_methods(path) for path in paths]
    for path in paths:
        unload(path)


def test_the_same_files_work_in_the_project(paths: list[Path]) -> None:
    for path in paths:
        spec = importlib.util.spec_from_file_location(f"example_{path.stem}", path)
        assert spec is not None and spec.loader is not None
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    assert SCORES[SCORE].origin is None and recipe().title == "power 50% with Taper on demo"
    assert pin(recipe()).digests.keys() == {"calibration"}
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
    assert parsed.pruner == SCORE  # so that sweeps can name it
    line = command(pin(parsed))
    assert f"--pruner {SCORE}" in line and f"--allocation {ALLOCATION}" in line


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


def test_it_keeps_all_laws(new_methods: list[MethodFile], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(laws, "PARTNERS", {"score": ({"update": "obs"},)})
    monkeypatch.setattr(laws, "TARGETS", (0.6,))
    verdicts = [verdict for file in new_methods for verdict in laws.check(file)]
    assert [verdict for verdict in verdicts if verdict.broken] == []
    assert {verdict.method.name for verdict in verdicts} == {SCORE, ALLOCATION}


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
