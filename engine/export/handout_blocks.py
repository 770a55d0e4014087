"""What a handout consists of, besides charts and runs: texts, values, settings, tables and questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Text:
    """Markdown of the app, in which a formula stands between dollar signs; foreign text in it is escaped."""

    markdown: str


@dataclass(frozen=True)
class Value:
    """A number in words, with its label and what it means; both plain text."""

    label: str
    value: str
    explanation: str = ""


@dataclass(frozen=True)
class Setting:
    """The value of a control with which the charts are drawn; both plain text."""

    label: str
    value: str


@dataclass(frozen=True)
class Frame:
    """A table under its caption."""

    caption: str
    data: pd.DataFrame


@dataclass(frozen=True)
class Question:
    """A question with its choices, Markdown.

    Attributes:
        right: index of the right choice.
        why: the explanation.
        shown: what the answer brings to light: more blocks.
    """

    text: str
    choices: Sequence[str]
    right: int
    why: str
    shown: Sequence[Any] = ()
