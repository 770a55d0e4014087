"""A record as tables: results per block, linear and evaluation text, and how the run was measured.

`measurement_rows` and `environment_rows` are pairs of a label and a value; the other tables are for files.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from engine import numbers
from engine.charts.chart import done_blocks
from engine.export.spreadsheet import inert
from engine.record import RunRecord

HELD = {"resident": "held whole in memory", "streamed": "read block by block from the disk"}
Rows = list[tuple[str, str]]


def to_csv(table: pd.DataFrame) -> str:
    """Return a table as CSV, without formulas for a spreadsheet: names may come from elsewhere."""
    is_number = pd.api.types.is_numeric_dtype
    texts = {name: column.map(inert) for name, column in table.items() if not is_number(column)}
    return table.assign(**texts).rename(columns=inert).to_csv(index=False)


def measurement_rows(record: RunRecord) -> Rows:
    """Return what the numbers were measured on, and the time and memory that it took."""
    protocol = record.protocol
    rows = [("Perplexity", protocol.perplexity), ("Calibration", protocol.statistics)]
    rows += [
        (f"Perplexity on {Path(windows.corpus).name}", protocol.perplexity_on(windows))
        for windows in protocol.evaluations[1:]  # the first is the headline perplexity
    ]
    for windows in (protocol.calibration, *protocol.evaluations):
        if windows:
            # the file name only: no paths of the machine
            text = f"{Path(windows.corpus).name} ({windows.role})"
            rows.append(
                (f"Windows of {text}", f"{windows.tokens:,} tokens, fingerprint {windows.fingerprint}")
            )
            rows += [
                # capitalize() would lower the rest
                (f"{name[:1].upper()}{name[1:]} of {text}", value)
                for name, value in windows.identity.items()
            ]
    if record.model:
        model = record.model
        weights = f"{numbers.count(model.parameters)} weights in {model.dtype}, {numbers.size(model.bytes)}"
        rows.append(("Model", f"{model.architecture}, {weights}, {HELD[model.residence]}"))
        if model.source is not None:
            rows.append(("Weights read from", f"GGUF file {model.source.file}: {model.source.types}"))
    if record.recipe is not None:
        rows += [
            (f"Method from a file, {axis}", f"{getattr(record.recipe, axis)} of {origin}")
            for axis, origin in record.recipe.origins.items()
        ]
    rows += [(f"Time, {phase}", numbers.seconds(seconds)) for phase, seconds in record.timings.items()]
    rows.append(("Peak memory of the process", numbers.size(record.peak_host)))
    if record.peak_device is not None:
        rows.append(("Peak memory on the device", numbers.size(record.peak_device)))
    return rows


def environment_rows(record: RunRecord) -> Rows:
    """Return the machine, the software, the start time, and the key."""
    rows = [("Started", record.started or numbers.UNKNOWN), ("Key", str(record.key))]
    if record.imported:
        rows.append(("Origin", "computed elsewhere and imported"))
    if record.environment is None:
        return rows
    machine = record.environment
    device = f"{machine.device_name} ({machine.device}), {machine.threads} threads, {machine.platform}"
    software = (
        f"Prunescope {machine.prunescope}, torch {machine.torch}, transformers {machine.transformers}, "
        f"Python {machine.python}"
    )
    return [("Machine", device), ("Software", software), *rows]


def block_table(record: RunRecord) -> pd.DataFrame:
    """Return one row per finished block."""
    columns = ["index", "sparsity", "alignment", "relative_error", "cosine", "seconds"]
    table = pd.DataFrame(
        [[getattr(block, name) for name in columns] for block in done_blocks(record)],
        columns=["block", *columns[1:]],
    )
    return with_origin(table, record)


def linear_table(record: RunRecord) -> pd.DataFrame:
    """Return one row per linear of the finished blocks."""
    columns = ["name", "rows", "columns", "removed", "sparsity", "output_error"]
    rows = [
        [block.index, *(getattr(linear, name) for name in columns)]
        for block in done_blocks(record)
        for linear in block.linears
    ]
    return with_origin(pd.DataFrame(rows, columns=["block", "linear", *columns[1:]]), record)


def with_origin(table: pd.DataFrame, record: RunRecord) -> pd.DataFrame:
    """Return a table of a run's numbers, with a column that marks those of an imported run."""
    return table.assign(origin="imported") if record.imported else table


def evaluation_table(record: RunRecord) -> pd.DataFrame:
    """Return one row per corpus that the model was evaluated on."""
    rows = [
        {
            "corpus": Path(item.corpus).name,
            "dense perplexity": item.dense.perplexity,
            "pruned perplexity": item.pruned.perplexity,
            "ratio": item.ratio,
            "dense bits per byte": item.dense.bits_per_byte,
            "pruned bits per byte": item.pruned.bits_per_byte,
            "predicted tokens": item.dense.tokens,
        }
        for item in record.evaluations
    ]
    return pd.DataFrame(rows)
