"""A record as tables for a file: one row a block, one row a linear.

How a run was measured and where it was computed, as rows of a table: what, and its value.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from engine import numbers
from engine.charts.chart import done_blocks
from engine.record import RunRecord

HELD = {"resident": "held whole in memory", "streamed": "read block by block from the disk"}
Rows = list[tuple[str, str]]


def measured(record: RunRecord) -> Rows:
    """What the numbers were measured on, how long it took, and how much memory."""
    rows = [("Perplexity", record.protocol.perplexity), ("Calibration", record.protocol.statistics)]
    rows += [
        (f"Perplexity on {Path(windows.corpus).name}", record.protocol.perplexity_on(windows))
        for windows in record.protocol.evaluations[1:]
    ]
    for windows in (record.protocol.calibration, *record.protocol.evaluations):
        if windows:
            text = f"{Path(windows.corpus).name} ({windows.role})"
            rows.append(
                (f"Windows of {text}", f"{windows.tokens:,} tokens, fingerprint {windows.fingerprint}")
            )
            rows += [
                (f"{name[:1].upper()}{name[1:]} of {text}", value) for name, value in windows.identity.items()
            ]
    if record.model:
        model = record.model
        weights = f"{numbers.count(model.parameters)} weights in {model.dtype}, {numbers.size(model.bytes)}"
        rows.append(("Model", f"{model.architecture}, {weights}, {HELD[model.residence]}"))
    rows += [(f"Time, {phase}", numbers.seconds(seconds)) for phase, seconds in record.timings.items()]
    rows.append(("Most memory of the process", numbers.size(record.peak_host)))
    if record.peak_device is not None:
        rows.append(("Most memory on the device", numbers.size(record.peak_device)))
    return rows


def surroundings(record: RunRecord) -> Rows:
    """The machine, the software, when, and the key."""
    rows = [("Started", record.started or numbers.UNKNOWN), ("Key", str(record.key))]
    if record.environment is None:
        return rows
    machine = record.environment
    software = f"Prunescope {machine.prunescope}, torch {machine.torch}, transformers {machine.transformers}, Python {machine.python}"
    return [
        (
            "Machine",
            f"{machine.device_name} ({machine.device}), {machine.threads} threads, {machine.platform}",
        ),
        ("Software", software),
        *rows,
    ]


def block_table(record: RunRecord) -> pd.DataFrame:
    """One row a block that is done."""
    columns = ["index", "sparsity", "alignment", "relative_error", "cosine", "seconds"]
    return pd.DataFrame(
        [[getattr(block, name) for name in columns] for block in done_blocks(record)],
        columns=["block", *columns[1:]],
    )


def evaluation_table(record: RunRecord) -> pd.DataFrame:
    """One row a corpus that the model was measured on."""
    columns = [
        "corpus",
        "dense perplexity",
        "pruned perplexity",
        "ratio",
        "dense bits per byte",
        "pruned bits per byte",
        "predicted tokens",
    ]
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
    rows = [
        [block.index, *(getattr(linear, name) for name in columns)]
        for block in done_blocks(record)
        for linear in block.linears
    ]
    return pd.DataFrame(rows, columns=["block", "linear", *columns[1:]])
