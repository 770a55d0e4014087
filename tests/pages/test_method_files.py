"""The pages with a method file: a broken one is named, an edited one is used without a restart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from engine.pruning.method_files.loading import unload
from engine.registry import METHOD_FILES
from pages.widgets import method_files
from tests.pages.conftest import healthy, words
from tests.pruning.test_method_files import score


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    file = tmp_path / "mine.py"
    monkeypatch.setenv(METHOD_FILES, str(file))
    yield file
    unload(file)


def with_parameter(declaration: str) -> str:
    """Return a method file whose score has one parameter."""
    lines = (
        "from engine.registry import Parameter",
        f'P = (Parameter(name="depth", explanation="p", {declaration}),)',
        score().replace("statistics)", "statistics, depth)").replace("function", "parameters=P, function"),
    )
    return "\n".join(lines)


def test_a_file_is_loaded_again_when_it_changes(path: Path, open_app: Callable[..., AppTest]) -> None:
    path.write_text("oops")
    app = open_app(sparsity="0.6")
    assert "NameError: name 'oops' is not defined" in words(app).replace("\\", "")

    def edit(source: str) -> None:
        path.write_text(source)
        assert (
            method_files.load_method_files() == []
        )  # the driver repeats only the page, not what surrounds it
        healthy(app.run())

    edit(with_parameter('kind="float", default=2.0'))
    assert "Mine" in app.selectbox(key="form.pruner").options
    app.selectbox(key="form.score").set_value("mine")
    assert healthy(app.run()).number_input(key="form.mine.depth").value == 2.0
    edit(with_parameter('kind="choice", default="a", choices=("a", "b")'))
    assert app.session_state["fields"]["mine.depth"] == "a"


def test_a_public_app_loads_none(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text("oops")
    monkeypatch.setenv("PRUNESCOPE_PUBLIC", "1")
    assert method_files.load_method_files() == [method_files.OFF]
