"""`handout`: what the pages hand out, from the command line, and sentences where there is nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.cli import handout as command
from engine.cli.main import main
from engine.errors import EngineError
from engine.jobs import worker
from engine.jobs.in_process import InProcessEngine
from engine.recipe import Recipe, pin
from engine.store.runs import Store
from engine.store.talk import Talk, View
from engine.store.talks import Talks
from pages.widgets.server import health_check
from tests.charts.reports import Reader, expect_nothing_loaded, expect_order_and_names, read

WANDA, MAGNITUDE = (pin(Recipe.build(pruner=pruner)) for pruner in ("wanda", "magnitude"))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PRUNESCOPE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PRUNESCOPE_PUBLIC", "1")  # which is about visitors, not about this user
    monkeypatch.setattr("streamlit.logger.set_log_level", lambda level: None)
    monkeypatch.setattr(health_check, "engine", None)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def made(capsys: pytest.CaptureFixture[str], *arguments: str) -> Reader:
    """The page that the command writes; it prints the file's name."""
    assert main(["handout", *arguments]) == 0
    page = read(Path(capsys.readouterr().out.removesuffix("\n")).read_text(encoding="utf-8"))
    expect_nothing_loaded(page)
    expect_order_and_names(page)
    return page


def headings(page: Reader) -> list[str]:
    return [item.text for item in page.all("h2")]


def test_a_lesson_is_named_as_in_its_address(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    page = made(capsys, "--lesson", "by_hand")
    assert headings(page)[:2] == ["1. By hand", "2. The inputs"] and headings(page)[-1] == "Answers"
    assert (tmp_path / "lesson-by_hand.html").is_file()


def test_a_talk_has_its_views_and_notes_on_request(
    capsys: pytest.CaptureFixture[str], home: Path, tmp_path: Path
) -> None:
    views = (
        View(title="A run", page="explore", parameters={"run": WANDA.key, "focus": "depth"}, notes="Slowly."),
        View(title="Live", page="methods"),
    )
    Talks(home).save(Talk(name="Seminar", views=views))
    page = made(capsys, "--talk", "seminar", "--notes", "--out", "talk.html")
    assert headings(page)[:2] == ["1. A run", "2. Live"]
    assert "Slowly." in page.one("main").text
    again = made(capsys, "--talk", "Seminar", "--out", "talk.html")  # in the place of the first one
    assert "Slowly." not in again.one("main").text


def test_two_runs_are_compared_and_any_link_is_a_section(capsys: pytest.CaptureFixture[str]) -> None:
    page = made(capsys, "--compare", WANDA.key, MAGNITUDE.key[:12])
    assert WANDA.title in page.one("main").text and MAGNITUDE.title in page.one("main").text
    page = made(capsys, "--link", f"?run={WANDA.key}&focus=numbers", "https://host/tool/methods")
    assert headings(page)[:2] == ["1. Explore", "2. Methods"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--talk", "Defult talk"], "There is no talk named 'Defult talk'; did you mean Default talk?"),
        (["--lesson", "by_hnd"], "There is no lesson named 'by_hnd'; did you mean by_hand?"),
        (["--lesson", "groups", "--notes"], "Only a talk has speaker's notes."),
        (["--compare", WANDA.key, WANDA.key], "Choose two different runs."),
        (["--compare", WANDA.key, "nothing"], "no run has a key that begins with it"),
        (["--link", "nowhere"], "there is no page nowhere"),
    ],
)
def test_what_cannot_be_handed_out_is_said_in_a_sentence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], said: str
) -> None:
    assert main(["handout", *arguments]) == 1
    captured = capsys.readouterr()
    assert said in captured.err and captured.err.count("\n") == 1 and not captured.out
    assert not list(tmp_path.glob("*.html"))


def test_what_is_missing_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str) -> None:
        raise ImportError("No module named 'streamlit'", name="streamlit")

    monkeypatch.setattr(command, "import_module", fail)
    assert main(["handout", "--lesson", "by_hand"]) == 1
    assert "A handout needs streamlit, which is not installed." in capsys.readouterr().err


def test_other_files_are_replaced_only_with_force(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("notes")
    assert main(["handout", "--link", "methods", "--out", "notes.txt"]) == 1
    assert "--force" in capsys.readouterr().err and (tmp_path / "notes.txt").read_text() == "notes"


def test_the_engine_of_the_command_line_leaves_the_app_alone(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An app may be running: its trash can still be undone, and its queue is not this process's."""
    monkeypatch.setattr(worker, "import_libraries", lambda: None)
    store = Store()
    (store.trash / WANDA.key).mkdir(parents=True)
    (store.trash / WANDA.key / "lock").touch()
    engine = InProcessEngine()
    assert engine.public is None and engine.view(WANDA.key).recorded
    assert engine.capacity("cpu").value is not None, "answered here"
    with pytest.raises(EngineError, match="computes no runs"):
        engine.submit(WANDA)
    assert (store.trash / WANDA.key).exists() and not (home / "queue").exists()
