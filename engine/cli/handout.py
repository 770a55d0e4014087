"""The command `handout`: a talk, a lesson, a comparison or any view of the app as one HTML file, as the pages
make it.
"""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

from engine.cli.stored import add_force, folder_of
from engine.errors import EngineError

MAKER = "pages.widgets.handouts.without_server"
"""Makes the pages. Imported by name: the engine does without pages and Streamlit, this command does not."""


def add_handout_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `handout`."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--talk", metavar="NAME", help="a talk of the Present page, such as “Default talk”")
    what.add_argument("--lesson", metavar="NAME", help="a lesson by its name in the address, such as by_hand")
    what.add_argument(
        "--compare", metavar="KEY", nargs=2, help="two runs, each by its key or the beginning of its key"
    )
    what.add_argument(
        "--link",
        metavar="LINK",
        nargs="+",
        help="links to views of the app, a section each, such as 'compare?section=Leaderboard'",
    )
    parser.add_argument("--notes", action="store_true", help="with the speaker's notes of a talk")
    parser.add_argument(
        "--out", metavar="FILE", help="the file to write (default: NAME.html in this directory)"
    )
    add_force(parser)


def handout(arguments: argparse.Namespace) -> int:
    """Write a handout and print its path."""
    try:
        maker = import_module(MAKER)
    except ImportError as error:
        raise EngineError(
            f"A handout needs {error.name}, which is not installed. Install it with pip."
        ) from error
    from engine.export.output_file import save_report

    if arguments.notes and not arguments.talk:
        raise EngineError("Only a talk has speaker's notes. Leave out --notes, or choose a talk with --talk.")
    if arguments.talk:
        name, page = maker.talk(arguments.talk, notes=arguments.notes)
    elif arguments.lesson:
        name, page = maker.lesson(arguments.lesson)
    elif arguments.compare:
        name, page = maker.pair(*(folder_of(key).key for key in arguments.compare))
    else:
        name, page = maker.links(arguments.link)
    out = Path(arguments.out or f"{name}.html")
    save_report(page, out, force=arguments.force)
    print(out)
    return 0
