"""Public mode: every message that a page could send, also those that no page sends, as a visitor sends it.

No worker is needed: what is refused is refused before it, and what is admitted waits in the queue.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine import run as engine_run
from engine.errors import ClassError, PrunescopeError, PublicModeError, StoreError
from engine.events import Cancelled, Failed, RunStarted
from engine.jobs import worker
from engine.jobs.execute import execute
from engine.jobs.policy import Policy
from engine.jobs.questions import Answer
from engine.jobs.requests import LinearRequest, PreviewRequest, ReadRequest, TextRequest
from engine.jobs.service import BackgroundEngine
from engine.recipe import Recipe, pin
from engine.store import classes
from engine.store.runs import Store
from engine.store.summary import Label
from engine.store.talk import DEFAULT, Talk
from tests.jobs import imitation
from tests.jobs.imitated_cluster import Elsewhere, gpu_worker
from tests.pages.fakes import SUMMARY

ADMITTED = "admitted"


def small(seed: int) -> Recipe:
    return pin(Recipe.build(samples=2, length=16, evaluation=None, seed=seed))


OWN, FOREIGN, HIDDEN = small(1), small(2), small(3)
LINEAR = "mlp.up_proj"


@dataclass
class App:
    """A public app, in which `who` is the visitor whose messages are answered."""

    engine: BackgroundEngine
    who: str = "ann"

    def submit(self, recipe: Recipe, who: str = "ann") -> str:
        self.who = who
        return self.engine.submit(recipe)

    def kind(self, recipe: Recipe, who: str = "ann") -> str:
        """Why a recipe is refused, or `ADMITTED`."""
        try:
            self.submit(recipe, who)
        except PublicModeError as error:
            return error.kind
        return ADMITTED


def _ask(self: BackgroundEngine, function: object, *args: object, **named: object) -> Answer[Any]:
    """In place of a worker's answers: the demo model's shape, and nothing else."""
    return Answer(SUMMARY) if function is worker.summarise_model else Answer(pending=True)


@pytest.fixture
def open_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., App]:
    monkeypatch.setattr(engine_run, "run", imitation.run)
    monkeypatch.setattr(BackgroundEngine, "start", lambda self: None)
    monkeypatch.setattr(BackgroundEngine, "_ask", _ask)

    def open_with(**limits: Any) -> App:
        app: App
        engine = BackgroundEngine(Store(tmp_path / "home"), policy=Policy(**limits), visitor=lambda: app.who)
        app = App(engine)
        return app

    return open_with


@pytest.fixture
def app(open_app: Callable[..., App], tmp_path: Path) -> App:
    """With a finished run of ann's and one of bob's, and one of the operator's on a private text."""
    made = open_app()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classes, "new_code", lambda: CODE)
        for made.who in ("ann", "bob"):
            made.engine.create_class(f"of-{made.who}", guided=True)
    made.submit(FOREIGN, "bob")
    made.submit(OWN, "ann")
    for recipe in (OWN, FOREIGN):
        execute(recipe, made.engine.store.folder(recipe.key))
    execute(hidden(tmp_path), made.engine.store.folder(hidden(tmp_path).key))
    return made


def hidden(directory: Path) -> Recipe:
    return HIDDEN.model_copy(update={"calibration": str(directory / "secret.txt")})


def linear(recipe: Recipe) -> LinearRequest:
    return LinearRequest(recipe.key, 0, LINEAR)


def trial(**fields: Any) -> PreviewRequest:
    """A formula to be tried on a linear."""
    return PreviewRequest(Recipe.build(pruner="formula", **fields).model_dump_json(), 0, LINEAR)


CODE = "AAAA-BBBB-CCCC"
SERVERS_OWN = {"start", "close", "health", "texts", "store", "public", "may_change"}
"""What no visitor's message reaches: the server calls it, or it only says what is drawn."""
CASES: list[tuple[str, tuple[Any, ...], str]] = [
    ("exposures", (), ADMITTED),
    ("status", (), ADMITTED),
    ("runs", (), ADMITTED),
    ("active", (), ADMITTED),
    ("held", (), ADMITTED),
    ("resume_held", (), "off"),
    ("drop_held", (), "off"),
    ("talks", (), ADMITTED),
    ("latest_talk", (), ADMITTED),
    ("talk", (DEFAULT,), ADMITTED),
    ("save_talk", (Talk(),), "off"),
    ("add_talk", (Talk(),), "off"),
    ("import_talk", (b"{}", "talk.json"), "off"),
    ("rename_talk", (DEFAULT, "Mine"), "off"),
    ("delete_talk", (DEFAULT,), "off"),
    *(
        case
        for name, rest in (
            ("presentation", ()),
            ("start_talk", ("window",)),
            ("leave_talk", ("window",)),
            ("go_to_view", (1,)),
            ("restart_clock", ()),
        )
        for case in (
            (name, (DEFAULT, "", *rest), "foreign"),
            (name, (DEFAULT, "guessed", *rest), "foreign"),
            (name, (DEFAULT, "x" * 16, *rest), ADMITTED),
        )
    ),
    ("free_space", (), "off"),
    ("create_class", ("new",), ADMITTED),
    ("find_class", ("of-bob",), ADMITTED),
    ("attend_class", ("of-bob",), ADMITTED),
    ("answer_question", ("of-bob", "groups.row", 0), ADMITTED),
    ("enter_class", ("of-bob", CODE), ADMITTED),
    ("set_steps", ("of-ann", ["groups.row"], True), ADMITTED),
    ("reveal_answer", ("of-ann", "groups.row"), ADMITTED),
    ("clear_class", ("of-ann",), ADMITTED),
    ("capacity", ("auto",), ADMITTED),
    ("summary", ("demo",), ADMITTED),
    ("summary", ("/etc",), "model"),
    ("summary", ("/etc/a.gguf",), "model"),
    ("summary", ("~nosuchuser",), "model"),
    ("summary", ("assets/demo-model",), "model"),
    ("summary", ("EleutherAI/pythia-14m",), "model"),
    ("summary", ("EleutherAI/pythia-14m", "main"), "model"),
    ("submit", (Recipe.build(),), ADMITTED),
    ("submit", (Recipe.build(model="/etc/passwd"),), "model"),
    ("submit", (Recipe.build(model="a.gguf", revision="gguf:0123456789abcdef"),), "model"),
    ("submit", (Recipe.build(model="EleutherAI/pythia-14m"),), "model"),
    ("submit", (Recipe.build(evaluation="/etc/passwd.txt"),), "text"),
    ("submit", (Recipe.build(evaluation=("stories", "c4")),), "text"),
    ("submit", (Recipe.build(calibration="README.md.txt"),), "text"),
    ("submit", (Recipe.build(tasks=("boolq",)),), "off"),
    ("submit", (Recipe.build(samples=100_000, length=512),), "cost"),
    (
        "submit",
        (Recipe.build(allocation="manual", sparsity=0.5, settings={"manual.ratios": (0.5,) * 1_000}),),
        "length",
    ),
    ("repeat", (OWN,), "off"),
    ("series", (Recipe.build(),), ADMITTED),
    ("series", (Recipe.build(model="/etc/passwd"),), "model"),
    ("series", (Recipe.build(evaluation="/etc/passwd.txt"),), "model"),
    ("cancel", (OWN.key,), ADMITTED),
    ("cancel", (FOREIGN.key,), "foreign"),
    ("cancel", ("HIDDEN",), "foreign"),
    ("delete", (OWN.key,), "off"),
    ("delete", (FOREIGN.key,), "off"),
    ("restore", (FOREIGN.key,), "off"),
    ("label", (OWN.key, Label(name="Mine", note="A note")), ADMITTED),
    ("label", (OWN.key, Label(note="x" * 301)), "length"),
    ("label", (OWN.key, Label(pinned=True)), "off"),
    ("label", (FOREIGN.key, Label(name="Not mine")), "foreign"),
    ("import_run", (b"{}", "run.json"), "off"),
    ("save_text", ("A text.", ".txt", "text"), "off"),
    ("save", (OWN.key,), "off"),
    ("masks", (FOREIGN.key,), "foreign"),
    ("masks", ("HIDDEN",), "model"),
    *(
        case
        for name in ("view", "events", "measure")
        for case in ((name, (FOREIGN.key,), ADMITTED), (name, ("HIDDEN",), "model"))
    ),
    ("overlap", (OWN.key, FOREIGN.key), ADMITTED),
    ("overlap", (OWN.key, "HIDDEN"), "model"),
    *(
        case
        for name in ("picture", "inspect", "spectrum")
        for case in (
            (name, (linear(FOREIGN),), ADMITTED),
            (name, (LinearRequest("HIDDEN", 0, LINEAR),), "model"),
        )
    ),
    ("submit", (Recipe.build(pruner="formula", settings={"formula.expression": "rank(W) * a"}),), ADMITTED),
    ("preview", (trial(),), ADMITTED),
    ("preview", (trial(model="EleutherAI/pythia-14m"),), "model"),
    ("preview", (trial(calibration="/etc/passwd.txt"),), "text"),
    ("text", (TextRequest(FOREIGN.key, "Once"),), ADMITTED),
    ("text", (TextRequest(FOREIGN.key, "x" * 2_001),), "length"),
    ("text", (TextRequest(FOREIGN.key, "Once", tokens=100_000),), "length"),
    ("text", (TextRequest("HIDDEN", "Once"),), "model"),
    ("read", (ReadRequest(FOREIGN.key, "Once", tokens=200),), ADMITTED),
    ("read", (ReadRequest(FOREIGN.key, "x" * 2_001),), "length"),
    ("read", (ReadRequest(FOREIGN.key, "Once", tokens=201),), "length"),
    ("read", (ReadRequest("HIDDEN", "Once"),), "model"),
]


def test_every_message_has_a_rule_and_a_case() -> None:
    """Derived from the code: a new message without a decision fails here."""
    members = {name for name in dir(BackgroundEngine) if not name.startswith("_")} - SERVERS_OWN
    assert members == {name for name, _, _ in CASES}
    for name in members:
        member = inspect.getattr_static(BackgroundEngine, name)
        assert hasattr(getattr(member, "fget", member), "rule"), name


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    CASES,
    ids=[f"{at}-{name}-{expected}" for at, (name, _, expected) in enumerate(CASES)],
)
def test_what_ann_may_do(
    app: App, tmp_path: Path, name: str, arguments: tuple[Any, ...], expected: str
) -> None:
    app.who = "ann"
    found = kind_of(app.engine, name, tuple(_with_key(value, hidden(tmp_path).key) for value in arguments))
    assert found == expected


def _with_key(value: Any, key: str) -> Any:
    """Put the key of the hidden run, which depends on the test's directory, in the place of its name."""
    if value == "HIDDEN":
        return key
    if getattr(value, "key", None) == "HIDDEN":
        return type(value)(**{**vars(value), "key": key})
    return value


def kind_of(engine: BackgroundEngine, name: str, arguments: tuple[Any, ...]) -> str:
    """The kind of refusal that a message gets, or `ADMITTED`; a refused question has a failed answer."""
    kinds: list[str] = []
    noted = PublicModeError.__init__

    def note(self: PublicModeError, sentence: str, *, kind: Any) -> None:
        kinds.append(kind)
        noted(self, sentence, kind=kind)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PublicModeError, "__init__", note)
        try:
            member = getattr(engine, name)
            answer = member(*arguments) if callable(member) else member
        except PublicModeError as error:
            assert kinds == [error.kind] and _is_sentence(str(error))
            return error.kind
    if isinstance(answer, Answer) and answer.failed:
        assert _is_sentence(answer.message)
        return kinds[0]
    assert not kinds
    return ADMITTED


def _is_sentence(message: str) -> bool:
    """What is wrong, and what to do instead."""
    return message[0].isupper() and message.count(". ") >= 1 and message.endswith(".")


# Classes


def test_the_operator_limits_the_classes_of_all_visitors(open_app: Callable[..., App]) -> None:
    app = open_app(classes=2)
    for app.who in ("ann", "bob"):
        app.engine.create_class(f"of-{app.who}", guided=True)
    with pytest.raises(ClassError, match="2 classes"):
        app.engine.create_class("of-cid", guided=True)
    with pytest.raises(ClassError, match="Only the teacher"):
        app.engine.clear_class("of-ann")


def test_the_operator_turns_classes_off(
    open_app: Callable[..., App], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRUNESCOPE_PUBLIC_CLASSES", "0")
    policy = Policy.from_environment(exposed=True)
    assert policy is not None and policy.classes == 0 and Policy().classes == 20
    app = open_app(classes=0)
    assert kind_of(app.engine, "create_class", ("a",)) == "off"


# Names and files


def test_whether_a_file_exists_cannot_be_told(app: App, tmp_path: Path) -> None:
    (tmp_path / "here.txt").write_text("secret")
    sentences = []
    for name in ("here.txt", "gone.txt"):
        with pytest.raises(PublicModeError) as refused:
            app.submit(Recipe.build(evaluation=str(tmp_path / name)))
        sentences.append(str(refused.value).replace(name, ""))
    assert sentences[0] == sentences[1]


def test_runs_on_private_texts_are_not_listed(app: App, tmp_path: Path) -> None:
    keys = {run.key for run in app.engine.runs() if not run.recorded}
    assert keys == {OWN.key, FOREIGN.key}
    assert hidden(tmp_path).key in {run.key for run in app.engine.store.list()}


def test_messages_tell_nothing_about_the_machine(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    home = str(app.engine.store.home)
    failing = Recipe.build(samples=2, length=16, evaluation=None, seed=9)
    folder = app.engine.store.folder(failing.key)
    folder.create(failing)
    folder.append(
        RunStarted(
            key=failing.key,
            recipe=failing.model_dump(mode="json"),
            started="",
            environment=imitation.ENVIRONMENT,
        )
    )
    folder.end(Failed(message=f"The disk of {home} is full."))
    told = [
        app.engine.view(failing.key).record.error,
        app.engine.view(failing.key).message,
        *(run.message for run in app.engine.runs() if run.key == failing.key),
        *(event.message for event in app.engine.events(failing.key) if isinstance(event, Failed)),
    ]
    with pytest.raises(StoreError) as missing:
        app.engine.view("0" * 20)
    monkeypatch.setattr(Store, "check_writable", lambda store: (_ for _ in ()).throw(StoreError(home)))
    with pytest.raises(StoreError) as refused:
        app.submit(Recipe.build(seed=5))
    assert len(told) == 4
    for sentence in (*told, str(missing.value), str(refused.value)):
        assert sentence and home not in sentence and "the run store" in sentence


def test_a_guessed_path_is_not_confirmed(app: App, tmp_path: Path) -> None:
    def told(guess: str) -> list[str]:
        answers = [app.engine.summary(guess).message]
        for send, value in ((app.submit, Recipe.build(model=guess)), (app.engine.view, guess)):
            with pytest.raises(PrunescopeError) as error:
                send(value)  # type: ignore[operator]
            answers.append(str(error.value))
        return [answer.replace(guess[:60], "") for answer in answers]

    home = app.engine.store.home
    assert told(str(home)) == told(str(home.with_name("away")))


# Shares of the machine


def test_a_visitor_has_four_runs_and_others_have_theirs(open_app: Callable[..., App]) -> None:
    app = open_app()
    assert [app.kind(small(seed)) for seed in range(6)] == [ADMITTED] * 4 + ["queue"] * 2
    assert app.kind(small(0)) == ADMITTED, "one that is there already costs nothing"
    assert app.kind(small(6), "bob") == ADMITTED
    app.who = "ann"
    app.engine.cancel(small(3).key)
    assert app.kind(small(4)) == ADMITTED


def test_messages_at_the_same_time_get_no_more(
    open_app: Callable[..., App], monkeypatch: pytest.MonkeyPatch
) -> None:
    app, kinds = open_app(), []
    cost = BackgroundEngine._cost

    def slowly(self: BackgroundEngine, recipe: Recipe) -> Any:
        time.sleep(0.02)  # so that the others arrive meanwhile
        return cost(self, recipe)

    monkeypatch.setattr(BackgroundEngine, "_cost", slowly)
    with ThreadPoolExecutor(8) as threads:
        kinds = list(threads.map(app.kind, map(small, range(8))))
    assert sorted(kinds) == [ADMITTED] * 4 + ["queue"] * 4


def test_who_resumes_a_run_of_the_operator_does_not_name_it(open_app: Callable[..., App]) -> None:
    app = open_app()
    app.engine.store.folder(OWN.key).create(OWN)  # interrupted at once
    app.submit(OWN)
    assert kind_of(app.engine, "label", (OWN.key, Label(name="Mine"))) == "foreign"
    assert kind_of(app.engine, "cancel", (OWN.key,)) == ADMITTED


def test_the_queue_has_an_end(open_app: Callable[..., App]) -> None:
    app = open_app(queue=3)
    assert [app.kind(small(seed), f"visitor {seed}") for seed in range(4)] == [ADMITTED] * 3 + ["queue"]


def test_a_run_that_two_want_is_the_first_ones(open_app: Callable[..., App]) -> None:
    app = open_app()
    key = app.submit(small(1), "ann")
    assert app.submit(small(1), "bob") == key and not app.engine.may_change(key)
    with pytest.raises(PublicModeError):
        app.engine.cancel(key)
    assert app.engine.active() == [key]


def test_one_run_of_a_visitor_is_computed_at_a_time(open_app: Callable[..., App]) -> None:
    app = open_app()
    for seed, who in ((1, "ann"), (2, "ann"), (3, "bob"), (4, "cem")):
        app.submit(small(seed), who)
    queue = app.engine._runs
    queue.drive(Elsewhere([gpu_worker(name) for name in "ab"]))  # type: ignore[arg-type]
    sent = [key for key, job in queue._jobs.items() if job.task is not None]
    assert sent == [small(1).key, small(3).key]


def test_without_an_estimate_nothing_is_admitted(
    open_app: Callable[..., App], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_app()
    monkeypatch.setattr(BackgroundEngine, "_ask", lambda *args, **kwargs: Answer(pending=True))
    assert app.kind(small(1)) == "starting" and app.engine.active() == []


def test_the_oldest_results_of_visitors_make_room(open_app: Callable[..., App], tmp_path: Path) -> None:
    app = open_app(disk=1)
    store = app.engine.store
    execute(small(1), store.folder(small(1).key))  # the operator's
    for seed in (2, 3):
        app.engine.public.policy = Policy()  # type: ignore[union-attr]
        app.submit(small(seed))
        execute(small(seed), store.folder(small(seed).key))
        app.engine._runs._forget(small(seed).key)
        time.sleep(0.01)  # so that their order is known
    store.label(small(2).key, Label(pinned=True))
    one = store.size(small(3).key)
    app.engine.public.policy = Policy(disk=2 * one + SUMMARY.prunable // 8 + 500)  # type: ignore[union-attr]
    app.submit(small(4))
    execute(small(4), store.folder(small(4).key))  # running: it stays, whatever happens
    assert app.kind(small(5), "bob") == ADMITTED
    kept = {run.key for run in store.list()}
    assert kept == {small(1).key, small(2).key, small(4).key}
    assert not (store.trash / small(3).key).exists()
    assert app.kind(small(6), "cem") in (ADMITTED, "disk")
    assert {small(1).key, small(2).key, small(4).key} <= {run.key for run in store.list()}


def test_what_an_ended_app_accepted_continues_without_an_owner(
    open_app: Callable[..., App], tmp_path: Path
) -> None:
    before = open_app()
    key = before.submit(small(1))
    before.engine._runs.close()
    for lock in before.engine._runs._accepted._locks.values():
        lock.release()
    app = open_app()
    app.engine._runs.restore()
    app.engine._continue_held()
    assert app.engine.active() == [key] and app.engine.held() == []


# The environment


@pytest.mark.parametrize(
    ("value", "exposed", "public"),
    [
        ("", False, False), ("", True, True), ("0", True, False), ("off", True, False),
        ("1", False, True), ("true", False, True), ("ture", False, True),
    ],
)  # fmt: skip
def test_when_an_app_is_public(
    monkeypatch: pytest.MonkeyPatch, value: str, exposed: bool, public: bool
) -> None:
    monkeypatch.setenv("PRUNESCOPE_PUBLIC", value)
    assert (Policy.from_environment(exposed=exposed) is not None) == public


def test_the_environment_sets_the_limits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given = {
        "": "1", "_MODELS": "EleutherAI/pythia-14m, /srv/models, ../x,~root", "_TEXTS": "c4,/etc/passwd",
        "_SECONDS": "30", "_QUEUE": "-5", "_DISK": "10", "_PROMPT": "many",
    }  # fmt: skip
    for name, value in given.items():
        monkeypatch.setenv(f"PRUNESCOPE_PUBLIC{name}", value)
    engine = BackgroundEngine(Store(tmp_path))
    assert engine.public is not None
    assert engine.public.policy == Policy(
        models=("demo", "EleutherAI/pythia-14m"), texts=("stories", "c4"), seconds=30, disk=10_000_000
    )


def test_an_engine_of_ones_own_has_no_visitors(tmp_path: Path) -> None:
    assert BackgroundEngine(Store(tmp_path)).public is None


def test_errors_keep_their_type(app: App) -> None:
    with pytest.raises(PrunescopeError) as error:
        app.engine.view("../../etc/passwd")
    assert isinstance(error.value, StoreError)


def test_only_who_cancelled_a_run_reads_that_the_bundled_one_stands_in_for_it(
    open_app: Callable[..., App],
) -> None:
    app = open_app()
    recipe = pin(Recipe.build(pruner="wanda"))
    key = app.submit(recipe, "ann")
    assert app.engine.view(key).state == "queued"
    app.engine.cancel(key)
    assert app.engine.view(key).recorded and app.engine.view(key).attempt == "", "it had not begun"
    folder = app.engine.store.folder(key)
    folder.create(recipe)
    with folder.lock():
        folder.append(imitation.started(recipe))
        folder.end(Cancelled())
    assert app.engine.view(key).recorded and "was cancelled" in app.engine.view(key).attempt
    app.who = "bob"
    assert app.engine.view(key).recorded and app.engine.view(key).attempt == ""
