"""How a run was measured and where it was computed, as rows of a table: what, and its value."""

from __future__ import annotations

from pathlib import Path

from engine.charts import numbers
from engine.record import RunRecord

HELD = {"resident": "held whole in memory", "streamed": "read block by block from the disk"}
Rows = list[tuple[str, str]]


def measured(record: RunRecord) -> Rows:
    """What the numbers were measured on, how long it took, and how much memory."""
    rows = [("Perplexity", record.protocol.perplexity), ("Calibration", record.protocol.statistics)]
    rows += [(f"Perplexity on {Path(windows.corpus).name}", record.protocol.perplexity_on(windows)) for windows in record.protocol.evaluations[1:]]
    for windows in (record.protocol.calibration, *record.protocol.evaluations):
        if windows:
            text = f"{Path(windows.corpus).name} ({windows.role})"
            rows.append((f"Windows of {text}", f"{windows.tokens:,} tokens, fingerprint {windows.fingerprint}"))
            rows += [(f"{name[:1].upper()}{name[1:]} of {text}", value) for name, value in windows.identity.items()]
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
    rows = [("Started", record.started or numbers.NOTHING), ("Key", str(record.key))]
    if record.environment is None:
        return rows
    machine = record.environment
    software = f"Prunescope {machine.prunescope}, torch {machine.torch}, transformers {machine.transformers}, Python {machine.python}"
    return [
        ("Machine", f"{machine.device_name} ({machine.device}), {machine.threads} threads, {machine.platform}"),
        ("Software", software),
        *rows,
    ]
