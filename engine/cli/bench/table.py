"""`bench --shape table`: the pruned perplexity of the bundled model under every preset and allocation, as the
Markdown table in the README.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.errors import RecipeError
from engine.pruning.axes import ALLOCATIONS, Allocation
from engine.pruning.presets import PRESETS
from engine.recipe import Recipe
from engine.record import RunRecord
from engine.run import run

COLUMNS: dict[str, dict[str, Any]] = {
    "50 %": {"sparsity": 0.5},
    "60 %": {"sparsity": 0.6},
    "70 %": {"sparsity": 0.7},
    "2:4": {"pattern": "2:4"},
}
TIMED = ("60 %", "2:4")
"""The time shown for a row is that of the first of these columns that has a run."""
BASES = ("wanda", "sparsegpt")
"""The pruners that allocations are shown with."""
VARIANTS: dict[str, dict[str, Any]] = {
    "ria, per row": {"pruner": "ria", "group": "row"},
    "ria-r2-dsnot, without relative growing": {
        "pruner": "ria-r2-dsnot",
        "settings": {"r2-dsnot.relative_grow": "no"},
    },
    "symwanda, per layer": {"pruner": "symwanda", "group": "layer"},
    "multiflow, per layer": {"pruner": "multiflow", "group": "layer"},
    "multiflow, per layer + global-magnitude": {
        "pruner": "multiflow",
        "group": "layer",
        "allocation": "global-magnitude",
    },
    "apt-sm, masks of the dense weights": {"pruner": "apt-sm", "settings": {"mrp.mask": "dense"}},
    "apt-mm, masks of the dense weights": {"pruner": "apt-mm", "settings": {"mrp.mask": "dense"}},
    "admm, per row": {"pruner": "admm", "group": "row"},
    "admm, masks of the dense weights": {"pruner": "admm", "settings": {"admm.steps": 1}},
    "ria, zigzag permutation": {"pruner": "ria", "permutation": "zigzag"},
    "ria, assignment permutation": {"pruner": "ria", "permutation": "assignment"},
}
"""Recipe fields of the rows between the presets and the allocations, by label."""


def print_table() -> None:
    """Run everything and print the table row by row."""
    print(f"| pruner | {' | '.join(COLUMNS)} | time |\n|---|{'---|' * (len(COLUMNS) + 1)}")
    for name, fields in _rows().items():
        records = {column: _record({**fields, **more}) for column, more in COLUMNS.items()}
        if not any(records.values()):  # no column allows this combination
            continue
        cells = [
            f"{record.pruned.perplexity:.1f}" if record is not None and record.pruned is not None else ""
            for record in records.values()
        ]
        timed = next(record for column in TIMED if (record := records[column]) is not None)
        print(f"| {name} | {' | '.join(cells)} | {_pruning_seconds(timed):.1f} s |", flush=True)


def _rows() -> dict[str, dict[str, Any]]:
    """Return the recipe fields of every row by the row's label."""
    rows: dict[str, dict[str, Any]] = {name: {"pruner": name} for name in PRESETS} | VARIANTS
    for base in BASES:
        for allocation in ALLOCATIONS.values():
            if not allocation.even and not allocation.from_user:
                rows |= _over(base, allocation)
    return rows


def _over(base: str, allocation: Allocation) -> dict[str, dict[str, Any]]:
    """Return the recipe fields of an allocation over a base pruner, by label.

    A parameter that switches between block and row sparsities gives a row for each of its choices.
    """
    fields = {"pruner": base, "allocation": allocation.name}
    name = next(iter(allocation.whole_rows), None)
    parameter = None if name is None else allocation.parameter(name)
    if parameter is None:
        return {f"{base} + {allocation.name}": fields}
    return {
        f"{base} + {allocation.name} ({choice})": {
            **fields,
            "settings": {f"{allocation.name}.{parameter.name}": choice},
        }
        for choice in parameter.choices
    }


def _record(fields: Mapping[str, Any]) -> RunRecord | None:
    """Return the run's record, or None if the recipe is rejected (for instance an allocation with N:M)."""
    try:
        recipe = Recipe.build(fields)
    except RecipeError:
        return None
    record = RunRecord.fold(run(recipe))
    if record.error is not None:
        raise RuntimeError(record.error)
    return record


def _pruning_seconds(record: RunRecord) -> float:
    """Return the run's seconds without loading, tokenising and evaluating."""
    return sum(
        seconds for phase, seconds in record.timings.items() if phase not in ("load", "windows", "evaluate")
    )
