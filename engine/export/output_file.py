"""Files that the user names for a result: a file is only replaced by a newer result of the same kind.

Everything is written next to its place and swapped in, so a failure leaves the old file as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from engine.errors import StoreError
from engine.export.exported_record import ExportedRecord, exported
from engine.export.run_table import MARKS
from engine.hardware import disk
from engine.record import RunRecord

if TYPE_CHECKING:
    from torch import Tensor

REPORT_MARKS = (b'<p class="kind">Prunescope report</p>', b'<p class="kind">Prunescope handout</p>')
"""A line of every report and handout; see `engine/charts/report/page.html.jinja`."""


def save_masks(masks: Mapping[str, Tensor], path: Path, *, force: bool = False) -> None:
    """Write the masks: a bool tensor `[out, in]` per linear under its path in the model, True = kept.

    Args:
        force: whether to replace a file that holds something else.

    Raises:
        StoreError: the file holds something else, or cannot be written.
    """
    from safetensors.torch import save_file  # imports PyTorch, which a report does without

    tensors = {name: mask.contiguous() for name, mask in masks.items()}
    _replace(path, lambda temporary: save_file(tensors, temporary), "masks", _holds_masks, force)


def save_record(record: RunRecord, path: Path, *, force: bool = False) -> None:
    """Write a record as JSON; arguments and errors as for `save_masks`."""
    text = exported(record).model_dump_json(indent=1).encode()
    _replace(path, lambda temporary: temporary.write_bytes(text), "record", _holds_record, force)


def save_report(html: str, path: Path, *, force: bool = False) -> None:
    """Write a report or a handout; arguments and errors as for `save_masks`."""
    text = html.encode()
    _replace(path, lambda temporary: temporary.write_bytes(text), "report", _holds_report, force)


def save_table(table: str, path: Path, *, force: bool = False) -> None:
    """Write a table of runs in one of its formats; arguments and errors as for `save_masks`."""
    text = table.encode()
    _replace(path, lambda temporary: temporary.write_bytes(text), "table", _holds_table, force)


def _replace(
    path: Path, fill: Callable[[Path], object], what: str, holds: Callable[[Path], bool], force: bool
) -> None:
    """Let `fill` write a file and put it in the place of `path`, if that `holds` an earlier result."""
    try:
        # An empty file holds nothing that could be lost.
        if not force and path.is_file() and path.stat().st_size and not holds(path):
            raise StoreError(
                f"The {what} cannot be written to {path}: that file holds something else. Choose another "
                "file, or replace it with --force."
            )
        if path.exists() and not path.is_file():  # a pipe, or a directory, which the system refuses
            fill(path)
        else:
            disk.replace_file(path.resolve(), fill)  # a link stays, and what it points to is replaced
    except (OSError, SafetensorError) as error:
        # A SafetensorError has no strerror and may span several lines.
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise StoreError(
            f"The {what} cannot be written to {path}: {reason}. Free some space, or choose another file."
        ) from error


def _holds_masks(path: Path) -> bool:
    try:
        with safe_open(path, "np") as file:
            return all(file.get_slice(name).get_dtype() == "BOOL" for name in file.keys())  # noqa: SIM118
    except (OSError, SafetensorError):
        return False


def _holds_record(path: Path) -> bool:
    try:
        return ExportedRecord.model_validate_json(path.read_bytes()).recipe is not None
    except (OSError, ValueError):
        return False


def _holds_report(path: Path) -> bool:
    try:
        content = path.read_bytes()
    except OSError:
        return False
    return any(mark in content for mark in REPORT_MARKS)


def _holds_table(path: Path) -> bool:
    try:
        return path.read_bytes().startswith(tuple(mark.encode() for mark in MARKS))
    except OSError:
        return False
