"""How much of a run its record knows, in words that a sentence can begin with."""

from __future__ import annotations

from engine.events import BlockPruned
from engine.numbers import decimal
from engine.record import RunRecord

MANY = 1_000
"""A multiple beyond which its digits say nothing more."""


def done_blocks(record: RunRecord) -> list[BlockPruned]:
    """Return the finished blocks in the model's order."""
    return sorted(record.blocks, key=lambda block: block.index)


def is_complete(record: RunRecord) -> bool:
    """Return whether all blocks are pruned."""
    return record.model is not None and len(record.blocks) == record.model.blocks


def scope(record: RunRecord) -> str:
    """Return the beginning of a sentence about the blocks so far; empty if all are pruned."""
    if is_complete(record):
        return ""
    total = record.model.blocks if record.model else len(record.blocks)
    blocks = f"in the {len(record.blocks)} of {total} blocks that"
    return f"{blocks} are finished so far, " if record.state == "running" else f"{blocks} were pruned, "


def nothing_measured(record: RunRecord) -> str:
    """Return why there are no numbers of blocks."""
    if record.blocks:
        return "None of these numbers is known for this run."
    return "No block is finished yet." if record.state in ("empty", "running") else "No block was pruned."


def points(share: float) -> str:
    """Return a difference of two shares: `3.2 percentage points`."""
    return f"{decimal(100 * share, 1)} percentage points"


def times_median(value: float, median: float) -> str:
    """Return `2.3 times the median`; the median is above 0."""
    many = f"{value / median:.1f}" if value < MANY * median else f"more than {MANY:,}"
    return f"{many} times the median"
