"""A talk: the views of the app that a presenter steps through in order, each with notes for the speaker.

A view is a page with its parameters, as in a link, so anything that a link can show can be part of a talk.
Talks are exchanged as files, so nothing in one is trusted: a view leads only to a page of this app, and
`check` bounds every text before a talk is stored. Pages draw titles and notes as foreign text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from typing import Annotated
from urllib.parse import parse_qsl, urlencode, urlparse

from pydantic import AfterValidator, ValidationError

from engine import numbers
from engine.errors import StoreError
from engine.events import Facts

HOME_PAGE = "explore"  # the app's first page, which has no name in its address
PAGES = (HOME_PAGE, "compare", "microscope", "generate", "learn", "methods", "runs")
"""The pages that a view can show."""
NOT_IN_VIEWS = frozenset({"present", "talk", "notes", "room", "embed", "embed_options"})
"""Parameters that a view cannot have: the first ones would start a talk within the talk, and Streamlit keeps
the last two for itself.
"""
DEFAULT = "Default talk"
"""The name of the bundled talk, and of what it was changed into."""
UNNAMED = "My talk"
"""The name of a talk that has none: the only one that earlier versions stored, or an imported one."""

MOST_VIEWS = 60
MOST_TITLE = 200
MOST_NOTES = 5_000
MOST_PARAMETERS, MOST_VALUE = 60, 5_000
"""The limits of one view; in characters, except the number of parameters."""
MOST_BYTES = 2_000_000
"""Of a file that is imported."""
MOST_NAME = 50
NAME = re.compile(rf"[^\W_][\w ',()&+-]{{0,{MOST_NAME - 1}}}")
"""Names of talks are names of files, too: no dots and no separators."""


def _known_page(page: str) -> str:
    if page not in PAGES:
        raise ValueError(f"there is no page {page[:60]}")
    return page


def _for_view(parameters: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in parameters.items() if name not in NOT_IN_VIEWS}


class View(Facts):
    """One step of a talk.

    Attributes:
        title: the caption that the audience reads.
        page: the page's name in the address, one of `PAGES`.
        parameters: the address's parameters; several values of one are comma-separated.
        notes: what the speaker reads: lines of text in which `**bold**` and lists are drawn.
    """

    title: str
    page: Annotated[str, AfterValidator(_known_page)]
    parameters: Annotated[dict[str, str], AfterValidator(_for_view)] = {}  # pydantic copies the default
    notes: str = ""

    @property
    def link(self) -> str:
        """The view's address, relative to the app's."""
        path = "" if self.page == HOME_PAGE else self.page
        return f"{path}?{urlencode(self.parameters)}" if self.parameters else path


class Talk(Facts):
    """The views in presentation order."""

    name: str = UNNAMED
    views: tuple[View, ...] = ()

    def moved(self, index: int, by: int) -> Talk:
        """Return the talk with one view moved by `by` places, at most to either end."""
        views = list(self.views)
        # The place is computed before the pop, so the last one is `len - 1`.
        views.insert(min(max(index + by, 0), len(views) - 1), views.pop(index))
        return self._with(views)

    def without(self, index: int) -> Talk:
        """Return the talk without one view."""
        return self._with([*self.views[:index], *self.views[index + 1 :]])

    def with_view(self, view: View, index: int | None = None) -> Talk:
        """Return the talk with a view appended, or in the place of the one with this index."""
        if index is None:
            return self._with([*self.views, view])
        return self._with([*self.views[:index], view, *self.views[index + 1 :]])

    def named(self, name: str) -> Talk:
        """Return the talk under another name."""
        return self.model_copy(update={"name": name})

    def _with(self, views: list[View]) -> Talk:
        return self.model_copy(update={"views": tuple(views)})


def check(talk: Talk) -> None:
    """Check the name and the limits of a talk.

    Raises:
        StoreError: the talk may not be stored; the message says why.
    """
    clean_name(talk.name)
    if len(talk.views) > MOST_VIEWS:
        raise StoreError(f"A talk has at most {MOST_VIEWS} views, but this one has {len(talk.views):,}.")
    for place, view in enumerate(talk.views, start=1):
        if len(view.parameters) > MOST_PARAMETERS:
            raise StoreError(
                f"View {place} has {len(view.parameters):,} parameters, but at most {MOST_PARAMETERS} are "
                "accepted."
            )
        values = max((text for item in view.parameters.items() for text in item), key=len, default="")
        for what, text, most in (
            ("title", view.title, MOST_TITLE),
            ("notes", view.notes, MOST_NOTES),
            ("link", values, MOST_VALUE),
        ):
            if len(text) > most:
                raise StoreError(
                    f"View {place} is too long: its {what} may have {most:,} characters, but there are "
                    f"{len(text):,}. Shorten it."
                )


def clean_name(text: str) -> str:
    """Return a talk's name without superfluous spaces.

    Raises:
        StoreError: no talk can have this name.
    """
    name = unicodedata.normalize("NFC", " ".join(text.split()))
    if not NAME.fullmatch(name):
        shown = name if len(name) <= 60 else f"{name[:60]}…"
        raise StoreError(
            f"The name “{shown}” cannot be used for a talk. A name has 1 to {MOST_NAME} characters: letters, "
            "digits, spaces and - _ ' , ( ) & +, and begins with a letter or a digit."
        )
    return name


def free_name(wanted: str, taken: Collection[str]) -> str:
    """Return the name, with the lowest number after it that makes it different from all that are taken; case
    does not count, as on many file systems.
    """
    known = {name.casefold() for name in taken}
    name, number = wanted, 1
    while name.casefold() in known:
        number += 1
        name = f"{wanted[: MOST_NAME - len(f' {number}')].rstrip()} {number}"
    return name


def to_file(talk: Talk) -> bytes:
    """Return the talk as the content of a file that `from_file` reads."""
    return f"{talk.model_dump_json(indent=1)}\n".encode()


def from_file(content: bytes, file: str) -> Talk:
    """Return the talk in a file from elsewhere. What a newer version has added to it is left out.

    Args:
        content: JSON, as `to_file` writes it; the talks of earlier versions have no name.
        file: the file's name, for messages and as the name of a talk that has none.

    Raises:
        StoreError: the file holds no talk, or one that exceeds a limit.
    """
    file = file[:200]
    wanted = "Use a file that “Export” on the Present page has written."
    if len(content) > MOST_BYTES:
        raise StoreError(
            f"The file {file} has {numbers.size(len(content))}, but a talk has at most "
            f"{numbers.size(MOST_BYTES)}. {wanted}"
        )
    try:
        talk = Talk.model_validate_json(content, extra="ignore")
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part)[:60] for part in fault["loc"]) or "its beginning"
        raise StoreError(
            f"The file {file} is not a talk: {fault['msg'][:200].lower()} at {where}. {wanted}"
        ) from error
    if not talk.views:
        raise StoreError(f"The talk in {file} has no views. {wanted}")
    if "name" not in talk.model_fields_set:
        stem = file.rpartition(".")[0]
        talk = talk.named(stem if NAME.fullmatch(stem) else UNNAMED)
    talk = talk.named(clean_name(talk.name))
    check(talk)
    return talk


def view_from_link(link: str, title: str = "", notes: str = "") -> View:
    """Return the view that a link to this app shows.

    Args:
        link: as copied from the browser, or only its last part (`compare?x=1`, `?run=KEY`).

    Raises:
        StoreError: no page has this name.
    """
    try:
        parsed = urlparse(link.strip())
    except ValueError:  # such as half an IPv6 address
        raise StoreError(f"The link {link} is not an address. Copy it from the browser.") from None
    # Only the last part: the app's address may have a prefix, with which the first page's ends in a slash.
    name = parsed.path.strip("/").rpartition("/")[2] or HOME_PAGE
    if name not in PAGES and parsed.netloc and parsed.path.endswith("/"):
        name = HOME_PAGE
    if name not in PAGES:
        raise StoreError(
            f"The link {link} cannot be shown: there is no page {name}. The pages are {', '.join(PAGES)}."
        )
    parameters: dict[str, str] = {}
    for key, value in parse_qsl(parsed.query, keep_blank_values=True):
        parameters[key] = f"{parameters[key]},{value}" if key in parameters else value
    return View(title=title.strip() or name.capitalize(), page=name, parameters=parameters, notes=notes)
