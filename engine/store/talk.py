"""A talk: the views of the app that a presenter steps through in order, stored in the home directory so that
it can be prepared in advance.

A view is a page with its parameters, as in a link, so anything that a link can show can be part of a talk.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qsl, urlparse

from pydantic import ValidationError

from engine.errors import StoreError
from engine.events import Facts
from engine.hardware import disk
from engine.recipe import Recipe, pin
from engine.store import atomic_files

MOST_VIEWS = 60
HOME_PAGE = "explore"  # the app's first page, which has no name in its address
FILE = "talk.json"


class View(Facts):
    """One step of a talk.

    Attributes:
        title: the caption that the audience reads.
        page: the page's name in the address; `explore` is the app's first page.
        parameters: the address's parameters; several values of one are comma-separated.
    """

    title: str
    page: str
    parameters: dict[str, str] = {}  # pydantic copies the default for each view


class Talk(Facts):
    """The views in presentation order."""

    views: tuple[View, ...] = ()

    def moved(self, index: int, by: int) -> Talk:
        """Return the talk with one view moved by `by` places, at most to either end."""
        views = list(self.views)
        # The place is computed before the pop, so the last one is `len - 1`.
        views.insert(min(max(index + by, 0), len(views) - 1), views.pop(index))
        return Talk(views=tuple(views))

    def without(self, index: int) -> Talk:
        """Return the talk without one view."""
        return Talk(views=self.views[:index] + self.views[index + 1 :])

    def with_view(self, view: View) -> Talk:
        """Return the talk with a view appended.

        Raises:
            StoreError: the talk is full.
        """
        if len(self.views) >= MOST_VIEWS:
            raise StoreError(f"A talk has at most {MOST_VIEWS} views. Remove one first.")
        return Talk(views=(*self.views, view))


def default_talk() -> Talk:
    """Return the bundled 10-minute talk: from a matrix pruned by hand to a text that falls apart, on recorded
    runs and one live run.
    """
    wanda = {sparsity: pin(Recipe.build(pruner="wanda", sparsity=sparsity)).key for sparsity in (0.5, 0.7)}
    searched = pin(Recipe.build(pruner="wanda", sparsity=0.7, allocation="neuroal")).key
    views = (
        View(
            title="Which weights can be removed? Prune a matrix by hand",
            page="learn",
            parameters={"lesson": "by_hand"},
        ),
        View(title="Remove half of a model's weights, live", page=HOME_PAGE),
        View(
            title="What removing half costs",
            page=HOME_PAGE,
            parameters={"run": wanda[0.5], "focus": "numbers"},
        ),
        View(
            title="The error grows with depth",
            page=HOME_PAGE,
            parameters={"run": wanda[0.7], "focus": "depth"},
        ),
        View(title="Every pruner has a cliff", page="compare"),
        View(
            title="The same on a real language model",
            page="learn",
            parameters={"lesson": "explosion", "step": "real"},
        ),
        View(
            title="How much of each block? A search decides",
            page=HOME_PAGE,
            parameters={"run": searched, "focus": "search"},
        ),
        View(title="One layer under the microscope", page="microscope", parameters={"run": wanda[0.5]}),
        View(title="The text falls apart", page="generate"),
    )
    return Talk(views=views)


def load_talk(home: Path) -> Talk:
    """Return the talk that was prepared, or the default one.

    Raises:
        StoreError: the file is damaged.
    """
    path = home / FILE
    try:
        return Talk.model_validate_json(path.read_bytes()) if path.is_file() else default_talk()
    except (OSError, ValidationError) as error:
        raise StoreError(
            f"The talk in {path} cannot be read. Delete that file to return to the default talk."
        ) from error


def save_talk(home: Path, talk: Talk) -> None:
    """Write a talk.

    Raises:
        StoreError: the disk refuses.
    """
    with atomic_files.store_errors(home):
        disk.make_private(home)
    atomic_files.write(home / FILE, talk.model_dump_json(indent=1).encode())


def reset_talk(home: Path) -> None:
    """Return to the default talk.

    Raises:
        StoreError: the disk refuses.
    """
    with atomic_files.store_errors(home):
        (home / FILE).unlink(missing_ok=True)


def view_from_link(link: str, pages: tuple[str, ...], title: str = "") -> View:
    """Return the view that a link to this app shows.

    Args:
        link: as copied from the browser, or only its last part (`compare?x=1`, `?run=KEY`).
        pages: the names of the app's pages.

    Raises:
        StoreError: no page has this name.
    """
    parsed = urlparse(link.strip())
    # Only the last part: behind a proxy the app's address may have a prefix.
    name = parsed.path.strip("/").rpartition("/")[2] or HOME_PAGE
    if name not in pages:
        raise StoreError(
            f"The link {link} cannot be shown: there is no page {name}. The pages are {', '.join(pages)}."
        )
    parameters: dict[str, str] = {}
    for key, value in parse_qsl(parsed.query, keep_blank_values=True):
        parameters[key] = f"{parameters[key]},{value}" if key in parameters else value
    return View(title=title.strip() or name.capitalize(), page=name, parameters=parameters)
