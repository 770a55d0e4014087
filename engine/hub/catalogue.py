"""A list of models that are good to start with, small to medium-sized, from `assets/catalogue.json`.

Only models whose main revision has safetensors are listed. OPT's has only pickles; conversions of opt-125m
and opt-1.3b are in their revisions refs/pr/35 and refs/pr/25. Sizes are computed from the configurations; the
actual size of a download is requested from the hub.
"""

from __future__ import annotations

import difflib
import json
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

FILE = Path(__file__).parents[2] / "assets" / "catalogue.json"
SIMILARITY = 0.75  # of 1, how similar two names must be for one to be suggested for the other
MAX_SUGGESTIONS = 3


class Entry(BaseModel):
    """A model of the hub.

    Attributes:
        family: its architecture.
        parameters: number of weights, tied ones counted once.
        bytes: size of the weights in `dtype`. The file may be slightly larger, for instance because of masks
            that older checkpoints saved.
        licence: the hub's name for it.
        gated: whether the authors require consent first.
        why: what the model is good for, in one sentence.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")  # a misspelt key fails

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
    """Return all entries, the smallest first."""
    entries = [Entry.model_validate(item) for item in json.loads(FILE.read_text(encoding="utf-8"))]
    return tuple(sorted(entries, key=lambda entry: entry.parameters))


def similar_ids(name: str) -> list[str]:
    """Return the ids of the catalogue that `name` may be a misspelling of.

    The whole id is compared, and also the part after the owner alone.
    """
    ids = [entry.id for entry in catalogue()]
    by_id = {id_.lower(): id_ for id_ in ids}
    by_short_name = {id_.rpartition("/")[2].lower(): id_ for id_ in ids}
    wanted = name.lower()
    whole = difflib.get_close_matches(wanted, by_id, MAX_SUGGESTIONS, SIMILARITY)
    short = difflib.get_close_matches(wanted.rpartition("/")[2], by_short_name, MAX_SUGGESTIONS, SIMILARITY)
    found = [*(by_id[match] for match in whole), *(by_short_name[match] for match in short)]
    return list(dict.fromkeys(found))[:MAX_SUGGESTIONS]
