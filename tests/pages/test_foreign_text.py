"""What comes from an address or an imported run: no value of it ends a page, and all of it is literal."""

from __future__ import annotations

import json
import re

import pytest

from engine.events import Noted
from engine.jobs.service import BackgroundEngine
from engine.models.identity import ROOT
from engine.store.runs import Store
from engine.store.summary import Label
from pages.widgets import engine_handle
from pages.widgets.explore.fields import PLAIN
from pages.widgets.literal import literal
from tests.pages.conftest import visit

LONG = "x" * 5_000


@pytest.fixture
def idle(tmp_path, monkeypatch):
    """The real engine, which is never started: everything that it is asked stays pending."""
    monkeypatch.setattr(BackgroundEngine, "start", lambda self: None)
    engine = BackgroundEngine(Store(tmp_path / "home"))
    monkeypatch.setattr(engine_handle, "shared_engine", lambda: engine)
    return engine


@pytest.mark.parametrize(
    "parameters",
    [
        *(
            {name: LONG}
            for name in ("run", "model", "evaluation", "calibration", "tasks", "revision", "nonsense")
        ),
        *({name: "~nosuchuser"} for name in ("model", "evaluation", "calibration")),
        *({name: "/" + "y/" * 3_000} for name in ("model", "evaluation")),
        *({name: "a\0b"} for name in ("run", "model", "evaluation")),
        *({"pattern": pattern} for pattern in ("1:4096", "4095:4096", "2:65536", "1:99999999999999999999")),
    ],
    ids=lambda given: " ".join(f"{name}={value[:12]!r}" for name, value in given.items()),
)
def test_no_value_ends_explore(idle, parameters):
    visit(**parameters)


LINK = '<a href="http://evil.example">z</a>'
LURE = f"![x](http://evil.example/x.png) [y](http://evil.example) {LINK} %{{x}}"
PAGES = [path.stem for path in (ROOT / "pages").glob("*.py") if path.stem != "__init__"]
SOURCES = [path.read_text(encoding="utf-8") for path in (ROOT / "pages").rglob("*.py")]
PARAMETERS = {
    name
    for source in SOURCES
    for pattern in (
        r'key="([\w.]+)",[^()]*bind="query-params"',
        r'^[A-Z_]+ = "([a-z.]+)"$',
        r'\.get\("([a-z]+)"',
    )
    for name in re.findall(pattern, source, re.MULTILINE)
} | {"runs", "one", "other", "section", "nonsense", "neuroal.step"}
"""All names that some page reads from the address, and more; each page gets all of them."""


def strings(message, path=""):
    """All strings of a message to the browser, with the names of their fields."""
    for field, value in message.ListFields():
        name = f"{path}.{field.name}"
        for item in value if isinstance(value, (list, tuple)) or hasattr(value, "append") else [value]:
            if isinstance(item, str):
                yield name, item
            elif hasattr(item, "ListFields"):
                yield from strings(item, name)


def nodes(block):
    yield block
    for child in getattr(block, "children", {}).values():
        yield from nodes(child)


def drawn(app):
    """Everything that is drawn as Markdown."""
    for node in nodes(app._tree):
        if getattr(node, "proto", None) is not None:
            kind = type(node.proto).__name__
            for name, text in strings(node.proto):
                if not name.endswith(PLAIN_TEXT):
                    yield f"{kind}{name}", text


PLAIN_TEXT = (
    ".value",
    ".options",
    ".default",
    ".placeholder",
    ".code_text",
    ".query_string",
    ".raw_value",
    ".spec",
)
"""Fields that Streamlit does not read as Markdown."""


def charted(app):
    """Every text of a chart that Plotly reads as HTML."""
    for node in nodes(app._tree):
        if getattr(node, "proto", None) is not None:
            for name, text in strings(node.proto):
                if name.endswith(".spec") and text:
                    yield from leaves(json.loads(text))


def leaves(value):
    if isinstance(value, str):
        yield value
    if isinstance(value, dict):
        unseen = {"customdata"} if "%{customdata}" not in value.get("hovertemplate", "") else set()
        value = [child for name, child in value.items() if name not in unseen]
    for child in value if isinstance(value, list) else ():
        yield from leaves(child)


def assert_literal(app):
    assert [f"{name}: {text}" for name, text in drawn(app) if "![x](" in text or " [y](" in text] == []
    assert [text for text in charted(app) if LINK in text] == []
    cells = [
        str(cell) for table in app.table for cell in (*table.value.columns, *table.value.to_numpy().flat)
    ]
    assert [cell for cell in cells if "![x](" in cell or " [y](" in cell] == []


@pytest.mark.parametrize("value", [LURE, LONG], ids=["Markdown", "long"])
@pytest.mark.parametrize("page", PAGES)
def test_an_address_is_literal(idle, page, value):
    assert_literal(visit(page, **dict.fromkeys({*PLAIN, *PARAMETERS}, value)))


TEXTS = {
    "model",
    "revision",
    "calibration",
    "evaluation",
    "corpus",
    "path",
    "architecture",
    "device_name",
    "what",
}
TEXTS |= {"platform", "message", "detail", "note", "prunescope", "torch", "transformers", "name", "reason"}


def hostile(value):
    """The same event with `LURE` in every text that is not a name of ours."""
    if isinstance(value, dict):
        pairs = value.items()
        return {
            name: LURE if name in TEXTS and isinstance(item, str) else hostile(item) for name, item in pairs
        }
    return [hostile(item) for item in value] if isinstance(value, list) else value


@pytest.fixture
def stranger(idle):
    """The key of a stranger's run, whose every text is hostile, with hostile labels."""
    given = next(run for run in idle.store.recorded if run.recipe.pruner == "wanda")
    events = [event.model_dump(mode="json") for event in idle.store.find(given.key).events()]
    events.insert(-1, Noted(message="x").model_dump(mode="json"))
    lines = [json.dumps(hostile(event)) for event in events]
    recipe = json.loads(lines[0])["recipe"]
    folder = idle.store.folder(given.key)
    folder.path.mkdir(parents=True)
    folder.recipe_path.write_text(json.dumps(recipe))
    folder.events_path.write_text("\n".join(lines) + "\n")
    (folder.path / "imported").write_text(LURE)
    idle.store.label(given.key, Label(name=LURE, note=LURE))
    assert idle.store.list()[0].state == "finished", idle.store.list()[0].message
    return given.key


@pytest.mark.parametrize("page", PAGES)
def test_a_run_is_literal(stranger, page):
    parameters = dict.fromkeys(("run", "runs", "one", "other"), stranger)
    app = visit(page, **parameters)
    assert_literal(app)
    if page == "explore":
        for opened in ("explain.output_error", "take.command", "take.measured"):
            app.session_state[opened] = True
        assert_literal(app.run())
        assert app.code and app.table
        assert any("output error" in text and r"z\</a>" in text for _, text in drawn(app))
    if page == "compare":
        for section in ("Sweep", "Two runs", "Leaderboard", "Table"):
            assert_literal(visit(page, **parameters, section=section))


@pytest.mark.parametrize("state", ["failed", "interrupted", "damaged"])
def test_a_run_without_an_end_is_literal(idle, stranger, state):
    """Its message, its title and its label stand on the pages, too."""
    folder = idle.store.folder(stranger)
    lines = folder.events_path.read_text().splitlines(keepends=True)[:-1]
    (folder.path / "imported").unlink()
    (folder.path / "events.crc32").unlink(missing_ok=True)
    if state == "failed":
        lines.append(json.dumps({"event": "failed", "message": LURE, "detail": LURE}) + "\n")
    if state == "damaged":
        lines.insert(3, LURE + "\n")
    folder.events_path.write_text("".join(lines))
    for page in ("explore", "runs"):
        assert_literal(visit(page, run=stranger))


def test_underscores_at_the_edge_of_a_word_are_no_emphasis() -> None:
    assert literal("W.__class__ of self_attn") == r"W.\_\_class\_\_ of self_attn"
