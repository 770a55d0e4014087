"""A record as tables for a file: one row a block, one row a linear."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from engine.charts.chart import done_blocks
from engine.record import RunRecord


def block_table(record: RunRecord) -> pd.DataFrame:
    """One row a block that is done."""
    columns = ["index", "sparsity", "alignment", "relative_error", "cosine", "seconds"]
    return pd.DataFrame([[getattr(block, name) for name in columns] for block in done_blocks(record)], columns=["block", *columns[1:]])


def evaluation_table(record: RunRecord) -> pd.DataFrame:
    """One row a corpus that the model was measured on."""
    columns = ["corpus", "dense perplexity", "pruned perplexity", "ratio", "dense bits per byte", "pruned bits per byte", "predicted tokens"]
    rows = [
        [
            Path(item.corpus).name,
            item.dense.perplexity,
            item.pruned.perplexity,
            item.ratio,
            item.dense.bits_per_byte,
            item.pruned.bits_per_byte,
            item.dense.tokens,
        ]
        for item in record.evaluations
    ]
    return pd.DataFrame(rows, columns=columns)


def linear_table(record: RunRecord) -> pd.DataFrame:
    """One row a linear that is done."""
    columns = ["name", "rows", "columns", "removed", "sparsity", "output_error"]
    rows = [[block.index, *(getattr(linear, name) for name in columns)] for block in done_blocks(record) for linear in block.linears]
    return pd.DataFrame(rows, columns=["block", "linear", *columns[1:]])
