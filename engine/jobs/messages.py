"""What a visitor of a public app may do with each message that pages send to the engine.

Every message has a rule, which a public engine applies before the message itself:

    @message(own_run("Cancelling"))
    def cancel(self, key: str) -> None: ...

A rule gets the message's arguments and raises `PublicModeError`. Without public mode, rules do nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar

from engine.errors import PrunescopeError, PublicModeError
from engine.jobs.policy import INSTEAD
from engine.jobs.questions import Answer
from engine.jobs.requests import TextRequest

if TYPE_CHECKING:
    from engine.jobs.public import PublicMode
    from engine.jobs.requests import LinearRequest, PreviewRequest, ReadRequest
    from engine.recipe import Recipe
    from engine.store.summary import Label


class Receiver(Protocol):
    """What receives messages; `public` is None if the app is its user's own."""

    @property
    def public(self) -> PublicMode | None: ...


ROOM = re.compile(r"[\w-]{16,64}")
"""The rooms of visitors, as `secrets.token_urlsafe` makes them."""
Rule = Callable[..., None]
Args = ParamSpec("Args")
Value = TypeVar("Value")
Self = TypeVar("Self", bound=Receiver)


def message(
    rule: Rule,
) -> Callable[[Callable[Concatenate[Self, Args], Value]], Callable[Concatenate[Self, Args], Value]]:
    """Return the decorator of a message that visitors may send if the rule admits it.

    In public mode the message raises `PublicModeError`, and its answer and errors tell nothing about the
    machine. A refused question is a failed answer, like any other that fails.
    """

    def decorate(send: Callable[Concatenate[Self, Args], Value]) -> Callable[Concatenate[Self, Args], Value]:
        @wraps(send)
        def sent(self: Self, *args: Args.args, **kwargs: Args.kwargs) -> Value:
            public = self.public
            if public is None:
                return send(self, *args, **kwargs)
            try:
                rule(public, *args, **kwargs)
                return public.shown(send(self, *args, **kwargs))
            except PrunescopeError as error:
                # A refusal quotes only what the visitor sent: redacted, it would confirm a guessed path.
                if not isinstance(error, PublicModeError):
                    public.redact_error(error)
                if _answers(send):
                    return Answer(message=str(error))  # type: ignore[return-value]
                raise

        sent.rule = rule  # type: ignore[attr-defined]
        return sent  # type: ignore[return-value]

    return decorate


def refusal(send: Callable[..., object]) -> str:
    """Return why visitors cannot send a message at all; empty if it depends on its arguments."""
    return str(getattr(getattr(send, "rule", None), "refusal", ""))


def anyone(public: PublicMode, *args: Any, **kwargs: Any) -> None:
    """Admit every visitor."""


def off(what: str, why: str) -> Rule:
    """Return the rule that refuses a message."""
    sentence = f"{what} is off in public mode, because {why}. {INSTEAD}"

    def refuse(public: PublicMode, *args: Any, **kwargs: Any) -> None:
        raise PublicModeError(sentence, kind="off")

    refuse.refusal = sentence  # type: ignore[attr-defined]
    return refuse


def classes_on(public: PublicMode, name: str, guided: bool = True) -> None:
    """Admit everyone if the operator admits classes at all; `Classes.create` checks their number."""
    if not public.policy.classes:
        raise PublicModeError(f"Classes are off in this public app. {INSTEAD}", kind="off")


def own_run(what: str) -> Rule:
    """Return the rule that admits who has started the run."""

    def check(public: PublicMode, key: str) -> None:
        public.require_own(key, what)

    return check


def listed_recipe(public: PublicMode, recipe: Recipe) -> None:
    """Admit recipes of listed models and texts; `PublicMode.admission` checks the rest."""
    public.policy.check_recipe(recipe)


def shown_recipe(public: PublicMode, recipe: Recipe) -> None:
    """Admit recipes whose runs visitors see."""
    if not public.policy.shows(recipe):
        raise PublicModeError(
            "Runs of this recipe are not shown in public mode, because its model or a text is not public. "
            "Choose others.",
            kind="model",
        )


def listed_model(public: PublicMode, model: str, revision: str | None = None) -> None:
    """Admit listed models."""
    if sentence := public.policy.refuses_model(model, revision):
        raise PublicModeError(sentence[0].upper() + sentence[1:], kind="model")


def listed_preview(public: PublicMode, request: PreviewRequest) -> None:
    """Admit recipes of listed models and texts."""
    from engine.recipe import Recipe

    public.policy.check_recipe(Recipe.model_validate_json(request.recipe))


def shown_runs(public: PublicMode, *keys: str) -> None:
    """Admit runs that visitors see."""
    for key in keys:
        public.require_shown(key)


def shown_linear(public: PublicMode, request: LinearRequest, *spans: Any, **named: Any) -> None:
    """Admit linears of runs that visitors see."""
    public.require_shown(request.key)


def short_text(public: PublicMode, request: TextRequest | ReadRequest) -> None:
    """Admit short texts for runs that visitors see."""
    text = request.prompt if isinstance(request, TextRequest) else request.text
    public.policy.check_text(text, request.tokens)
    public.require_shown(request.key)


def own_label(public: PublicMode, key: str, label: Label) -> None:
    """Admit short names and notes of the visitor's own runs."""
    public.check_label(key, label)


def own_or_recorded(public: PublicMode, key: str) -> None:
    """Admit runs that the visitor has started, and bundled ones, which everybody has."""
    public.require_shown(key)
    public.require_own_or_recorded(key, "Downloading masks")


def own_room(public: PublicMode, name: str, room: str = "", *args: Any, **kwargs: Any) -> None:
    """Admit rooms that cannot be guessed: who knows one moves the talk that is presented in it."""
    if not ROOM.fullmatch(room):
        raise PublicModeError(
            "In public mode, a talk is presented in a room of your own, or others could move it. Start it, "
            "or open its notes, from the Present page.",
            kind="foreign",
        )


def _answers(send: Callable[..., object]) -> bool:
    """Whether a message is a question, by its annotation (a string)."""
    return str(send.__annotations__.get("return", "")).startswith("Answer[")
