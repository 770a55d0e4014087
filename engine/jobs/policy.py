"""What a visitor of a public app may do (`PRUNESCOPE_PUBLIC=1`), as limits that its operator can set.

| variable | limit | default |
|---|---|---|
| `PRUNESCOPE_PUBLIC_MODELS` | hub ids besides the bundled model, comma-separated | none |
| `PRUNESCOPE_PUBLIC_TEXTS` | of wikitext2, c4 and ptb, besides the bundled stories | none |
| `PRUNESCOPE_PUBLIC_SECONDS` | estimated time of a run | 120 |
| `PRUNESCOPE_PUBLIC_QUEUE` | running and queued runs of everyone | 40 |
| `PRUNESCOPE_PUBLIC_DISK` | results of visitors, MB; the oldest unpinned ones are deleted | 2000 |
| `PRUNESCOPE_PUBLIC_PROMPT` | characters of a prompt, a text or the settings of a method | 2000 |
| `PRUNESCOPE_PUBLIC_NOTE` | characters of a run's name and of its note | 300 |
| `PRUNESCOPE_PUBLIC_CLASSES` | classes on Learn of everyone; 0 = none can be created | 20 |

A value that cannot be read counts as the default, with a warning in the log. Imports nothing heavy: the app
reads it before its first page.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine import numbers
from engine.errors import Fault, PublicModeError, Refusal

if TYPE_CHECKING:
    from engine.cost.estimate import Cost
    from engine.recipe import Recipe
    from engine.store.summary import Label

VARIABLE = "PRUNESCOPE_PUBLIC"
RUNNING, WAITING = 1, 3
"""Runs of one visitor at the same time."""
TOKENS = 200
"""The longest continuation of a prompt, as the pages offer it."""
INSTEAD = "Run Prunescope on your own machine to do this: one command in its README starts it."

TASKS_OFF = f"Zero-shot tasks are off in public mode, because they take long. {INSTEAD}"
METHODS_OFF = f"Methods of your own are off in public mode. {INSTEAD}"
HUB_ID = re.compile(r"[\w][\w.-]*(/[\w][\w.-]*)?")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Policy:
    """The limits of a public app; sizes in bytes and characters, times in seconds."""

    models: tuple[str, ...] = ("demo",)
    texts: tuple[str, ...] = ("stories",)
    seconds: int = 120
    queue: int = 40
    disk: int = 2_000_000_000
    prompt: int = 2_000
    note: int = 300
    classes: int = 20

    @classmethod
    def from_environment(cls, *, exposed: bool = False) -> Policy | None:
        """Return the policy that the environment sets; None if the app is its user's own.

        Args:
            exposed: whether other machines reach the app. Then it is public unless `PRUNESCOPE_PUBLIC=0`.
        """
        if not _is_on(os.environ.get(VARIABLE, ""), exposed):
            return None
        return cls(
            models=(*cls.models, *_names("MODELS", _is_hub_id)),
            texts=(*cls.texts, *_names("TEXTS", _is_named_text)),
            seconds=_number("SECONDS", cls.seconds),
            queue=_number("QUEUE", cls.queue),
            disk=1_000_000 * _number("DISK", cls.disk // 1_000_000),
            prompt=_number("PROMPT", cls.prompt),
            note=_number("NOTE", cls.note),
            classes=_number("CLASSES", cls.classes),
        )

    def faults(self, given: Mapping[str, Any]) -> list[Fault]:
        """Return what of a recipe's fields is not on the lists. Reads no file that they name."""
        return [Fault(field, sentence) for field, _, sentence in self._faults(given)]

    def check_recipe(self, recipe: Recipe) -> None:
        """Check names and lengths.

        Raises:
            PublicModeError: of the kinds `model`, `text`, `off` and `length`.
        """
        for _, kind, sentence in self._faults(recipe.model_dump()):
            raise PublicModeError(sentence[0].upper() + sentence[1:], kind=kind)
        self.check_length("The settings of this recipe have", str(dict(recipe.settings)))

    def _faults(self, given: Mapping[str, Any]) -> Iterator[tuple[str, Refusal, str]]:
        from engine.pruning.axes import AXES
        from engine.recipe.validation import corpora_in

        if refusal := self.refuses_model(given["model"], given["revision"]):
            yield "model", "model", refusal
        for field in ("calibration", "evaluation"):
            for name in corpora_in(given, field):
                if name not in self.texts:
                    yield field, "text", self._unlisted("text", name, self.texts)
        if given["tasks"]:
            yield "tasks", "off", TASKS_OFF
        for axis, registry in AXES.items():
            if (method := registry.get(str(given.get(axis)))) is not None and method.origin is not None:
                yield axis, "off", METHODS_OFF

    def refuses_model(self, model: str, revision: str | None) -> str:
        """Return why visitors may not use a model; empty if they may."""
        if model not in self.models:
            return self._unlisted("model", model, self.models)
        # The bundled model has one revision: the fingerprint of its files.
        if revision is not None and model != "demo":
            return f"In public mode, models have their newest revision; leave out the revision. {INSTEAD}"
        return ""

    def shows(self, recipe: Recipe) -> bool:
        """Return whether visitors see the runs of a recipe: only those of listed models, of models with
        bundled runs, and of public texts, because other names tell what is on this machine. Nor those with
        methods from method files, which are off.
        """
        from engine.models.known_files import KNOWN_FILES
        from engine.recipe.validation import KNOWN_CORPORA

        texts = {recipe.calibration, *recipe.evaluations}
        return (
            recipe.model in {*self.models, *KNOWN_FILES}
            and texts.issubset(KNOWN_CORPORA)
            and not recipe.origins
        )

    def check_cost(self, cost: Cost) -> None:
        """Check an estimate.

        Raises:
            PublicModeError: the run takes too long, or does not fit on this machine.
        """
        if cost.seconds > self.seconds:
            raise PublicModeError(
                f"This run would take about {numbers.about(cost.seconds)}, but in public mode a run may take "
                f"{numbers.about(self.seconds)}. Choose fewer windows, a cheaper method or a smaller model; "
                "on your own machine, Prunescope has no such limit.",
                kind="cost",
            )
        if not cost.fits:
            raise PublicModeError(f"{cost.problem} {cost.advice}".strip(), kind="cost")

    def check_text(self, text: str, tokens: int) -> None:
        """Check a prompt or a text, and the number of tokens to be written after it.

        Raises:
            PublicModeError: one of them is too long.
        """
        self.check_length("This text has", text)
        if tokens > TOKENS:
            raise PublicModeError(
                f"A continuation of {tokens} tokens was requested, but in public mode it has at most "
                f"{TOKENS}. Request fewer.",
                kind="length",
            )

    def check_label(self, label: Label, before: Label) -> None:
        """Check a run's new label.

        Raises:
            PublicModeError: it is too long, or changes the pin.
        """
        if label.pinned != before.pinned:
            raise PublicModeError(
                f"Pinning is off in public mode, because it holds disk space. {INSTEAD}", kind="off"
            )
        self.check_length("This name or note has", max(label.name, label.note, key=len), self.note)

    def check_length(self, what: str, text: str, most: int | None = None) -> None:
        """Raises PublicModeError: the text is longer than `most` characters, by default those of a prompt."""
        most = self.prompt if most is None else most
        if len(text) > most:
            raise PublicModeError(
                f"{what} {len(text):,} characters, but in public mode at most {most:,} are allowed. Shorten "
                "it, or run Prunescope on your own machine.",
                kind="length",
            )

    def _unlisted(self, what: str, name: str, listed: tuple[str, ...]) -> str:
        shown = name if len(name) <= 60 else f"{name[:60]}…"
        return (
            f"the {what} {shown} was requested, but in public mode only these can be used: "
            f"{', '.join(listed)}. Choose one of them, or run Prunescope on your own machine."
        )


def _is_on(value: str, exposed: bool) -> bool:
    if not value.strip():
        return exposed
    # Anything but a clear no: a typing error must not open the app.
    return value.strip().lower() not in ("0", "false", "no", "off")


def _names(name: str, accepted: Callable[[str], bool]) -> tuple[str, ...]:
    names = [item.strip() for item in os.environ.get(f"{VARIABLE}_{name}", "").split(",")]
    for item in names:
        if item and not accepted(item):
            _log.warning("%s_%s names %s, which visitors cannot be offered; ignored.", VARIABLE, name, item)
    return tuple(item for item in dict.fromkeys(names) if item and accepted(item))


def _is_hub_id(name: str) -> bool:
    """A directory is not offered: its path would tell about this machine."""
    return bool(HUB_ID.fullmatch(name)) and name not in Policy.models


def _is_named_text(name: str) -> bool:
    from engine.corpora.named import NAMED

    return name in NAMED


def _number(name: str, default: int) -> int:
    text = os.environ.get(f"{VARIABLE}_{name}", "").strip()
    if not text:
        return default
    if text.isascii() and text.isdigit():
        return int(text)
    _log.warning("%s_%s=%s is not a whole number; %s is used.", VARIABLE, name, text, default)
    return default
