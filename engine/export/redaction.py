"""Removing paths from what is shared: of a directory or file, only the last part of its path is kept.

Model cards and reports are meant for other people, so neither the recipe nor the messages in them may reveal
where files are on the machine that computed the run.
"""

from __future__ import annotations

from pathlib import PurePath, PurePosixPath, PureWindowsPath

from engine.events import WindowsReady
from engine.models.gguf.unpacked import is_content
from engine.models.identity import looks_like_path
from engine.recipe import Recipe
from engine.record import RunRecord
from engine.record.parts import Protocol


def without_paths(recipe: Recipe) -> Recipe:
    """Return the recipe with the names of directories and files in place of their paths.

    A directory's fingerprint is removed too: next to a bare name it would look like a revision on the hub.
    That of a GGUF file, which says which file is meant, and the digests of texts and method files stay.
    """
    texts = tuple(file_name(text) for text in recipe.evaluations)
    evaluation = texts if isinstance(recipe.evaluation, tuple) else next(iter(texts), None)
    changes: dict[str, object] = {"calibration": file_name(recipe.calibration), "evaluation": evaluation}
    changes["method_files"] = {axis: file_name(path) for axis, path in recipe.method_files.items()}
    if looks_like_path(recipe.model):
        changes["model"] = file_name(recipe.model)
        if not is_content(recipe.revision):
            changes["revision"] = None
    return recipe.model_copy(update=changes)


def file_name(name: str) -> str:
    """Return the last part of a path, of Windows or not; any other name as it is."""
    # A record that was imported from Windows has backslashes, which a POSIX path would keep.
    kind: type[PurePath] = PureWindowsPath if PureWindowsPath(name).is_absolute() else PurePosixPath
    return kind(name).name if looks_like_path(name) else name


def paths(recipe: Recipe) -> list[str]:
    """Return the different paths in a recipe, the longest first, so that none is replaced inside another."""
    names = {recipe.model, recipe.calibration, *recipe.evaluations, *recipe.method_files.values()}
    return sorted((name for name in names if looks_like_path(name)), key=lambda name: (-len(name), name))


def shareable(record: RunRecord) -> RunRecord:
    """Return the record with names in place of paths: in the recipe, the corpora, and the messages that may
    quote one.
    """
    if record.recipe is None:
        return record
    found = paths(record.recipe)

    def redact(text: str) -> str:
        for path in found:
            text = text.replace(path, file_name(path))
        return text

    changes: dict[str, object] = {
        "recipe": without_paths(record.recipe),
        "model": record.model and record.model.model_copy(update={"name": file_name(record.model.name)}),
        "protocol": shareable_protocol(record.protocol),
        "evaluations": tuple(
            item.model_copy(update={"corpus": file_name(item.corpus)}) for item in record.evaluations
        ),
        "warnings": tuple(map(redact, record.warnings)),
        "error": record.error and redact(record.error),
    }
    return record.model_copy(update=changes)


def shareable_protocol(protocol: Protocol) -> Protocol:
    """Return the protocol with names in place of the paths of its texts."""

    def rename(windows: WindowsReady | None) -> WindowsReady | None:
        return windows and windows.model_copy(update={"corpus": file_name(windows.corpus)})

    return protocol.model_copy(
        update={
            "calibration": rename(protocol.calibration),
            "evaluation": rename(protocol.evaluation),
            "evaluations": tuple(map(rename, protocol.evaluations)),
        }
    )
