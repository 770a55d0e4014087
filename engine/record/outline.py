"""The outline of a run: its record without what there is per block, per linear or per candidate.

Lists and comparisons hold the outlines of thousands of runs. A record has 200 kB in memory, an outline about
a fiftieth of that.
"""

from __future__ import annotations

from engine.events import Facts, Score
from engine.recipe import Recipe
from engine.record import RunRecord, State, is_imported, title_of
from engine.record.parts import Protocol, SparsityFacts


class Outline(Facts):
    """The fields and properties of a `RunRecord` that have the same meaning here. `protocol` has the first
    evaluation text only.
    """

    key: str | None = None
    state: State = "empty"
    error: str | None = None
    elapsed: float = 0.0
    progress: float = 0.0
    recipe: Recipe | None = None
    protocol: Protocol = Protocol()
    dense: Score | None = None
    pruned: Score | None = None
    ratio: float | None = None
    sparsity: SparsityFacts = SparsityFacts()
    timings: dict[str, float] = {}
    resumed: int | None = None

    @property
    def imported(self) -> bool:
        return is_imported(self.key)

    @property
    def title(self) -> str:
        return title_of(self.recipe, self.key)


def outline(record: RunRecord) -> Outline:
    """Return the outline of a record."""
    facts = {name: getattr(record, name) for name in Outline.model_fields}
    facts["protocol"] = record.protocol.model_copy(update={"evaluations": ()})
    facts["sparsity"] = record.sparsity.model_copy(update={"skipped": {}})
    return Outline.model_construct(**facts)
