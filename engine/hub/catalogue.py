"""Models worth starting with, small to mid, from one data file: `assets/catalogue.json`.

Only models whose main revision holds safetensors are in it (OPT's holds pickles alone). Sizes are those of
the configurations; what a download really takes is asked of the hub before it.
"""

from __future__ import annotations

import difflib
import json
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

FILE = Path(__file__).parents[2] / "assets" / "catalogue.json"
ALIKE, MOST = 0.75, 3
"""How much a name must resemble another one to be offered for it, and how many are."""


class Entry(BaseModel):
    """A model of the hub.

    Attributes:
        family: the architecture that it is of.
        parameters: all weights, tied ones once.
        bytes: of its weights in `dtype`; a file may hold a little more, such as masks that older checkpoints
            saved.
        licence: as the hub names it.
        gated: whether its authors ask for consent first.
        why: what it is good for, in a sentence.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    title: str
    family: str
    parameters: int
    blocks: int
    bytes: int
    dtype: str
    licence: str
    gated: bool
    why: str


@cache
def catalogue() -> tuple[Entry, ...]:
    """All entries, the smallest first."""
    entries = [Entry.model_validate(item) for item in json.loads(FILE.read_text(encoding="utf-8"))]
    return tuple(sorted(entries, key=lambda entry: entry.parameters))


def near(name: str) -> list[str]:
    """Ids of the catalogue that a mistyped one resembles, by the whole id or by the part behind the owner."""
    ids = [entry.id for entry in catalogue()]
    short = {one.rpartition("/")[2].lower(): one for one in ids}
    wanted = name.lower()
    found = difflib.get_close_matches(wanted, [one.lower() for one in ids], MOST, ALIKE)
    tails = difflib.get_close_matches(wanted.rpartition("/")[2], list(short), MOST, ALIKE)
    whole = {one.lower(): one for one in ids}
    return list(dict.fromkeys([*(whole[one] for one in found), *(short[one] for one in tails)]))[:MOST]
