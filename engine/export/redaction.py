"""Paths of somebody's disk in what is shared: of directories and files only the last part of the name gets
out.

A model card and a report are for other people, so neither the recipe nor a sentence in them may say where
things lie on the machine that computed.
"""

from __future__ import annotations

from pathlib import PurePath, PurePosixPath, PureWindowsPath

from engine.events import WindowsReady
from engine.models.identity import looks_like_path
from engine.recipe import Recipe
from engine.record import Protocol, RunRecord


def without_places(recipe: Recipe) -> Recipe:
    """The recipe with the names of directories and files in the place of their paths.

    A directory's fingerprint goes too: beside a bare name it would be taken for a revision of the hub. The
    digests of text files stay.
    """
    texts = tuple(name_of(text) for text in recipe.evaluations)
    evaluation = texts if isinstance(recipe.evaluation, tuple) else next(iter(texts), None)
    changes: dict[str, object] = {"calibration": name_of(recipe.calibration), "evaluation": evaluation}
    if looks_like_path(recipe.model):
        changes |= {"model": name_of(recipe.model), "revision": None}
    return recipe.model_copy(update=changes)


def name_of(place: str) -> str:
    """The last part of a path; other names as they are."""
    kind: type[PurePath] = PureWindowsPath if PureWindowsPath(place).is_absolute() else PurePosixPath
    return kind(place).name if looks_like_path(place) else place


def places(recipe: Recipe) -> list[str]:
    """The paths in a recipe, each once, the longest first."""
    names = {recipe.model, recipe.calibration, *recipe.evaluations}
    return sorted((name for name in names if looks_like_path(name)), key=lambda name: (-len(name), name))


def shareable(record: RunRecord) -> RunRecord:
    """The record with names in the place of paths: in the recipe, the corpora, and the sentences that may
    quote one.
    """
    if record.recipe is None:
        return record
    found = places(record.recipe)

    def said(text: str) -> str:
        for place in found:
            text = text.replace(place, name_of(place))
        return text

    changes: dict[str, object] = {
        "recipe": without_places(record.recipe),
        "model": record.model and record.model.model_copy(update={"name": name_of(record.model.name)}),
        "protocol": _protocol(record.protocol),
        "evaluations": tuple(
            item.model_copy(update={"corpus": name_of(item.corpus)}) for item in record.evaluations
        ),
        "warnings": tuple(map(said, record.warnings)),
        "error": record.error and said(record.error),
    }
    return record.model_copy(update=changes)


def _protocol(protocol: Protocol) -> Protocol:
    changes: dict[str, object] = {
        "calibration": _windows(protocol.calibration),
        "evaluation": _windows(protocol.evaluation),
        "evaluations": tuple(map(_windows, protocol.evaluations)),
    }
    return protocol.model_copy(update=changes)


def _windows(windows: WindowsReady | None) -> WindowsReady | None:
    return windows and windows.model_copy(update={"corpus": name_of(windows.corpus)})
