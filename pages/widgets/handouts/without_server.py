"""Handouts for the command line: made by the same code as those of the pages, in a process without a server.

Each function returns the name of the handout's file, without its extension, and the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

from streamlit.logger import set_log_level

from engine.charts.report.handout import Section, handout
from engine.errors import StoreError
from engine.jobs.in_process import InProcessEngine
from engine.registry import unknown_name
from engine.store.talk import Talk, view_from_link
from pages.widgets import engine_handle
from pages.widgets.compare.links import LEFT, PAIR, RIGHT
from pages.widgets.handouts.lesson import about, lesson_sections
from pages.widgets.handouts.talk import talk_sections
from pages.widgets.learn.lessons import LESSONS

Made = tuple[str, str]


def talk(name: str, *, notes: bool) -> Made:
    """Make the handout of a talk.

    Raises:
        StoreError: there is no such talk, or it is damaged.
    """
    engine = _engine()
    names = {known.casefold(): known for known in engine.talks()}
    if name.casefold() not in names:
        raise _unknown("talk", name, list(names.values()))
    found = engine.talk(names[name.casefold()])
    return found.name, handout(found.name, talk_sections(engine, found, notes=notes))


def lesson(name: str) -> Made:
    """Make the handout of a lesson, named as in its address.

    Raises:
        StoreError: there is no such lesson.
    """
    found = next((lesson for lesson in LESSONS if name in (lesson.name, lesson.title)), None)
    if found is None:
        raise _unknown("lesson", name, [lesson.name for lesson in LESSONS])
    _engine()  # which the steps ask for
    return f"lesson-{found.name}", handout(found.title, lesson_sections(found, {}), about=about(found))


def pair(one: str, other: str) -> Made:
    """Make the handout of two runs, as Compare shows them.

    Raises:
        StoreError: they are the same, or one has no numbers yet.
    """
    if one == other:
        raise StoreError(f"Both keys name the run {one}. Choose two different runs.")
    address = urlencode({"section": PAIR, LEFT: one, RIGHT: other})
    name, sections = "comparison", _sections([f"compare?{address}"])
    if not sections[0].blocks:
        raise StoreError(
            f"The runs {one} and {other} cannot be compared: one of them has no numbers yet. Finish it first."
        )
    return name, handout("Comparison: two runs", sections)


def links(addresses: Sequence[str]) -> Made:
    """Make a handout with a section for each link.

    Raises:
        StoreError: one is not a link to a page of the app.
    """
    return "handout", handout("Prunescope", _sections(addresses))


def _sections(addresses: Sequence[str]) -> list[Section]:
    views = tuple(view_from_link(address) for address in addresses)
    return talk_sections(_engine(), Talk(views=views), notes=False)


def _engine() -> InProcessEngine:
    """Return an engine, which all pages in this process use from now on."""
    set_log_level("error")  # Streamlit warns that it draws for no browser
    engine = InProcessEngine()
    engine_handle.use(engine)
    return engine


def _unknown(kind: str, name: str, known: Sequence[str]) -> StoreError:
    sentence = unknown_name(kind, name, known)
    return StoreError(sentence[0].upper() + sentence[1:])
