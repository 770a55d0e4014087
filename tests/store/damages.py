"""Kinds of damage to the folder of a finished run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from engine.store.folder import RunFolder

HUGE = 40 * 2**30
"""Bytes of a sparse file, which takes no space."""


def lines(folder: RunFolder) -> list[bytes]:
    return folder.events_path.read_bytes().splitlines(keepends=True)


def put(folder: RunFolder, events: Iterable[bytes]) -> None:
    folder.events_path.write_bytes(b"".join(events))


def garbage(path: Path) -> None:
    path.write_bytes(b"\x00garbage\xff" * 9)


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def add(path: Path, content: bytes) -> None:
    path.write_bytes(path.read_bytes() + content)


def make_directory(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()
    (path / "something").touch()


def make_pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def make_loop(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(path.name)


def change_digit(folder: RunFolder) -> None:
    """Change a number so that nothing but a checksum can tell."""
    content = folder.events_path.read_bytes()
    assert b'"output_error":0.1' in content
    folder.events_path.write_bytes(content.replace(b'"output_error":0.1', b'"output_error":0.2', 1))


def cut_events(folder: RunFolder) -> None:
    put(folder, lines(folder)[:3])
    folder.record_path.unlink()


OTHER_THINGS: dict[str, Callable[[Path], object]] = {
    "a directory": make_directory,
    "a pipe": make_pipe,
    "a link to itself": make_loop,
    "40 GB": lambda path: os.truncate(path, HUGE),
    "a list": lambda path: path.write_text("[]"),
}
DAMAGES: dict[str, Callable[[RunFolder], object]] = {
    "garbage in the recipe": lambda folder: garbage(folder.recipe_path),
    "no recipe": lambda folder: folder.recipe_path.unlink(),
    "recipe of another kind": lambda folder: folder.recipe_path.write_text('{"colour": "red"}'),
    "recipe of another run": lambda folder: folder.recipe_path.write_text(
        folder.recipe().model_copy(update={"seed": 77}).model_dump_json()
    ),
    "garbage in the events": lambda folder: folder.events_path.write_bytes(b"garbage\n" * 3),
    "truncated events": lambda folder: shorten(folder.events_path),
    "truncated events, no record": cut_events,
    "no events": lambda folder: folder.events_path.unlink(),
    "first event missing": lambda folder: put(folder, lines(folder)[1:]),
    "first event and record missing": lambda folder: [
        put(folder, lines(folder)[1:]),
        folder.record_path.unlink(),
    ],
    "a block's event missing": lambda folder: put(folder, [*lines(folder)[:2], *lines(folder)[3:]]),
    "tail of zeros": lambda folder: add(folder.events_path, bytes(500)),
    "tail of zeros as a line": lambda folder: add(folder.events_path, bytes(500) + b"\n"),
    "doubled events": lambda folder: put(folder, [line for line in lines(folder) for _ in range(2)]),
    "doubled end": lambda folder: put(folder, [*lines(folder), lines(folder)[-1]]),
    "doubled file": lambda folder: put(folder, lines(folder) * 2),
    "events reversed": lambda folder: put(folder, reversed(lines(folder))),
    "a digit changed": change_digit,
    "garbage in the record": lambda folder: garbage(folder.record_path),
    "garbage in the checksums": lambda folder: folder.checksums_path.write_bytes(b"99 x\n"),
    "garbage in a block": lambda folder: garbage(folder.blocks.path(2)),
    "a shortened block": lambda folder: shorten(folder.blocks.path(2)),
    "a block missing": lambda folder: folder.blocks.path(2).unlink(),
    "a directory for a block": lambda folder: make_directory(folder.blocks.path(2)),
    "a pipe for a block": lambda folder: make_pipe(folder.blocks.path(2)),
    "no blocks": lambda folder: shutil.rmtree(folder.path / "blocks"),
    "a file for the blocks": lambda folder: [
        shutil.rmtree(folder.path / "blocks"),
        (folder.path / "blocks").touch(),
    ],
    "the files of another run": lambda folder: [
        shutil.copytree(other, folder.path, dirs_exist_ok=True)
        for other in folder.path.parent.iterdir()
        if other != folder.path
    ],
    "nothing in it": lambda folder: [shutil.rmtree(folder.path), folder.path.mkdir()],
    **{
        f"{what} for {name}": lambda folder, make=make, name=name: make(folder.path / name)
        for what, make in OTHER_THINGS.items()
        for name in ("recipe.json", "events.jsonl", "record.json")
    },
}
"""Each leaves a run that is neither what it was nor what a crash leaves."""
