"""The health route and the names that the server answers to, without a server."""

from __future__ import annotations

import gc
import sys
import threading
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from engine.jobs.health import ENDED, FAILED, SILENT, STARTING, Health
from engine.store.classes import Classes
from pages.widgets import server
from pages.widgets.server import HEALTH, MIDDLEWARE, HealthCheck, routes
from tests.pages.fakes import FakeEngine

OK = Health("ok", "The background engine works.", "1.2.3")


class Engine:
    """Answers with `health`, and counts the questions."""

    def __init__(self, health: Health) -> None:
        self.health_now, self.asked = health, 0

    def health(self) -> Health:
        assert threading.current_thread() is not threading.main_thread()
        self.asked += 1
        return self.health_now


def client(engine: Engine | None, base_url: str = "http://localhost:8501") -> TestClient:
    check = HealthCheck()
    check.engine = engine
    routes = [Route(HEALTH, check.answer), Route("/", check.answer)]
    return TestClient(Starlette(routes=routes, middleware=MIDDLEWARE), base_url)


@pytest.mark.parametrize(
    ("engine", "status", "state"),
    [
        (None, 200, "starting"),
        (Engine(STARTING), 200, "starting"),
        (Engine(OK), 200, "ok"),
        (Engine(FAILED), 503, "failed"),
        (Engine(ENDED), 503, "failed"),
        (Engine(SILENT), 503, "failed"),
    ],
)
def test_the_route_fails_when_the_engine_does(engine: Engine | None, status: int, state: str) -> None:
    response = client(engine).get(HEALTH)
    assert (response.status_code, response.json()["state"]) == (status, state)
    assert response.json()["message"].endswith(".") and response.json()["version"]


def test_many_polls_are_one_question(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(OK)
    with client(engine) as polling:
        assert [polling.get(HEALTH).json()["version"] for _ in range(5)] == ["1.2.3"] * 5
        assert engine.asked == 1
        monkeypatch.setattr(server, "FRESH", 0.0)
        engine.health_now = SILENT
        assert polling.get(HEALTH).status_code == 503


@pytest.mark.parametrize(
    ("host", "page", "health"),
    [
        ("localhost:8501", 200, 200),
        ("127.0.0.1", 200, 200),
        ("10.1.2.3:8501", 403, 200),  # as a container platform polls
        ("[fd00::1]:8501", 403, 200),
        ("evil.example", 403, 403),
        ("localhost.evil.example", 403, 403),
        ("10.1.2.3.evil.example", 403, 403),
        ("a@localhost", 403, 403),
        ("[", 403, 403),
        ("", 403, 403),
    ],
)
def test_only_known_names_are_answered(host: str, page: int, health: int) -> None:
    answers = [client(None).get(path, headers={"Host": host}) for path in ("/", HEALTH)]
    assert [answer.status_code for answer in answers] == [page, health]
    assert page == 200 or "--server.allowedHosts" in answers[0].text


@pytest.mark.parametrize("prefix", ["", "/prunescope"])
def test_the_routes_are_below_the_prefix_of_the_pages(monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:
    monkeypatch.setattr(server, "PREFIX", prefix)
    asking = TestClient(Starlette(routes=routes(), middleware=MIDDLEWARE), "http://localhost")
    paths = ("/healthz", f"{prefix}/healthz", f"{prefix}/class-state", "/other/healthz")
    answers = [asking.get(path) for path in paths]
    assert [answer.status_code for answer in answers] == [200, 200, 404, 404]
    assert answers[1].json()["state"] == "starting", "not the first page, which a server gives for any path"
    assert answers[2].json() == {} and answers[3].text == "Not Found"
    by_address = [asking.get(path, headers={"Host": "10.1.2.3"}).status_code for path in paths]
    assert by_address == [200, 200, 403, 403]


@pytest.mark.parametrize(("public", "status"), [("1", 403), ("0", 404)])
def test_a_public_app_takes_no_files(monkeypatch: pytest.MonkeyPatch, public: str, status: int) -> None:
    monkeypatch.setenv("PRUNESCOPE_PUBLIC", public)
    answer = client(None).put("/_stcore/upload_file/session/file", content=b"x")
    assert answer.status_code == status


def test_explore_is_prepared_while_the_server_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that its page imports besides the small modules that those import anyway."""
    prepared = threading.Event()
    monkeypatch.setattr(server, "_prepare", prepared.set)
    with TestClient(Starlette(lifespan=server.warm_up)):
        assert prepared.wait(10)
    for name in server.FIRST_PAGE:
        assert find_spec(name) is not None


def test_the_preparation_lets_the_server_answer_often_and_ends_that(monkeypatch: pytest.MonkeyPatch) -> None:
    before, during = sys.getswitchinterval(), []
    monkeypatch.setattr(server, "FIRST_PAGE", ())
    monkeypatch.setattr(server, "_draw_once", lambda: during.append(sys.getswitchinterval()))
    server._prepare()
    assert during[0] < before / 5 and sys.getswitchinterval() == before
    monkeypatch.setattr(server, "FIRST_PAGE", ("no_such_module",))
    with pytest.raises(ModuleNotFoundError):
        server._prepare()
    assert sys.getswitchinterval() == before


def test_no_garbage_is_collected_during_the_preparation_nor_among_what_it_imported_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    during, frozen = [], gc.get_freeze_count()
    monkeypatch.setattr(server, "FIRST_PAGE", ())
    monkeypatch.setattr(server, "_draw_once", lambda: during.append((gc.isenabled(), list(range(9)))))
    server._prepare()
    assert not during[0][0] and gc.isenabled() and gc.get_freeze_count() > frozen


def test_the_first_charts_are_built_beforehand(monkeypatch: pytest.MonkeyPatch) -> None:
    built = []
    monkeypatch.setattr(
        "engine.charts.run_charts.chart_parts", lambda record, *_, **__: {"a": {"b": built.append}}
    )
    server._draw_once()
    assert [(record.recipe.score, record.recipe.sparsity) for record in built] == [("wanda", 0.5)]


def test_the_server_saves_the_classes_when_it_ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    engine = FakeEngine(classes=Classes(tmp_path))
    monkeypatch.setattr(server, "_prepare", lambda: None)
    monkeypatch.setattr(server.health_check, "engine", engine)
    with TestClient(Starlette(lifespan=server.warm_up)):
        engine.create_class("a")
    assert len(list((tmp_path / "classes").iterdir())) == 1


def test_a_browser_that_has_drawn_a_page_lets_the_engine_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    telling = TestClient(Starlette(routes=server.routes(), middleware=MIDDLEWARE), "http://localhost")
    assert telling.post(f"/{server.DRAWN}").status_code == 204  # a page of an earlier server: no engine yet
    engine = SimpleNamespace(begun=threading.Event())
    monkeypatch.setattr(server.health_check, "engine", engine)
    assert telling.post(f"/{server.DRAWN}", headers={"Host": "elsewhere.example"}).status_code == 403
    assert not engine.begun.is_set()
    assert telling.post(f"/{server.DRAWN}").status_code == 204
    assert engine.begun.is_set()


def test_an_open_page_of_a_class_learns_what_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeEngine(who="teacher")
    engine.create_class("Übung", True)
    monkeypatch.setattr(server.health_check, "engine", engine)
    asking = TestClient(Starlette(routes=routes(), middleware=MIDDLEWARE), "http://localhost")

    def ask(ticket: str, **asked: str) -> dict[str, object]:
        answer = asking.get(f"/{server.CLASS_STATE}", params={"class": "übung", "ticket": ticket, **asked})
        return dict(answer.json()) if answer.status_code == 200 else {}

    teacher, engine.who = engine.find_class("Übung"), "ann"
    student = engine.attend_class("Übung")
    assert teacher is not None and teacher.ticket != student.ticket
    assert ask(student.ticket)["text"] == "Class Übung: 0 answers so far"
    engine.answer_question("Übung", "groups.row", 1)
    now = ask(teacher.ticket, question="groups.row")
    assert now["text"] == "Class Übung: 1 student present, 1 answer so far"
    assert (now["version"], now["changes"]) == (teacher.version, teacher.changes + 1)
    engine.who = "teacher"
    engine.reveal_answer("Übung", "groups.row")
    assert ask(student.ticket)["version"] == student.version + 1
    for ticket in ("", "x", "x" * 9_000, "ann", "\0"):
        assert ask(ticket) == {}, "only who takes part"
    monkeypatch.setattr(server.health_check, "engine", None)
    assert ask(student.ticket) == {}
