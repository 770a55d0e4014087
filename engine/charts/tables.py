"""A record as tables for a file: one row a block, one row a linear."""

from __future__ import annotations

import pandas as pd

from engine.charts.chart import done_blocks
from engine.record import RunRecord


def block_table(record: RunRecord) -> pd.DataFrame:
    """One row a block that is done."""
    columns = ["index", "sparsity", "alignment", "relative_error", "cosine", "seconds"]
    return pd.DataFrame([[getattr(block, name) for name in columns] for block in done_blocks(record)], columns=["block", *columns[1:]])


def linear_table(record: RunRecord) -> pd.DataFrame:
    """One row a linear that is done."""
    columns = ["name", "rows", "columns", "removed", "sparsity", "output_error"]
    rows = [[block.index, *(getattr(linear, name) for name in columns)] for block in done_blocks(record) for linear in block.linears]
    return pd.DataFrame(rows, columns=["block", "linear", *columns[1:]])
