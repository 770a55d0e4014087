"""A deferred module is imported by whatever uses it first, once and whole."""

from __future__ import annotations

import importlib
import sys
import threading
from importlib.util import find_spec
from pathlib import Path

import pytest

from pages.widgets.deferred_import import defer

SLOW = "import time\nfirst = 1\ntime.sleep(0.1)\nlast = 2\n"


@pytest.fixture
def heavy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A package `heavy` with a module `part`, deferred."""
    (tmp_path / "heavy").mkdir()
    (tmp_path / "heavy" / "__init__.py").write_text(SLOW)
    (tmp_path / "heavy" / "part.py").write_text("import heavy\nsum = heavy.first + heavy.last\n")
    monkeypatch.syspath_prepend(tmp_path)
    defer("heavy")
    yield importlib.import_module("heavy")
    for name in ("heavy", "heavy.part"):
        sys.modules.pop(name, None)


def is_imported(heavy) -> bool:
    return sys.modules["heavy"] is not heavy


def test_looking_at_it_does_not_import_it(heavy):
    assert find_spec("heavy") is not None and heavy.__file__.endswith("__init__.py")
    import heavy as again

    assert again is heavy and not is_imported(heavy)


@pytest.mark.parametrize(
    ("use", "value"),
    [
        ("import heavy; value = heavy.last", 2),
        ("from heavy import last as value", 2),
        ("import heavy.part; value = heavy.part.sum", 3),
        ("from heavy.part import sum as value", 3),
    ],
)
def test_every_way_to_use_it_imports_it(heavy, use, value):
    names: dict[str, object] = {}
    exec(use, names)
    assert names["value"] == value and is_imported(heavy)
    assert heavy.last == 2, "the object that others hold works as well"


def test_an_attribute_that_it_lacks_is_reported_as_usual(heavy):
    with pytest.raises(AttributeError, match="heavy"):
        _ = heavy.missing


def test_no_thread_sees_half_of_it(heavy):
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(heavy.last)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [2] * 8


def test_a_module_that_is_there_stays(heavy):
    defer("sys")
    assert sys.modules["sys"] is sys
    defer("no_such_module")
    assert "no_such_module" not in sys.modules
