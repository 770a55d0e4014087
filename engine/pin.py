"""Pinning: names in a recipe that stand for files get the fingerprint of what the files hold, so that the key follows the content."""

from __future__ import annotations

import hashlib
from pathlib import Path

from engine.corpora.documents import corpus_path
from engine.corpora.named import NAMED
from engine.errors import Fault, RecipeError
from engine.models.names import canonical, fingerprint
from engine.recipe import Recipe
from engine.validation import simplest


def pin(recipe: Recipe) -> Recipe:
    """The recipe with one name for each model and file, and their content fingerprints.

    Raises:
        RecipeError: a corpus file is not there.
    """
    faults: list[Fault] = []
    absolute: dict[str, str] = {}
    digests: dict[str, str] = {}
    for role, names in (("calibration", (recipe.calibration,)), ("evaluation", recipe.evaluations)):
        for place, name in enumerate(names):
            if name in NAMED:  # the same text everywhere; the record says which commit it was read at
                continue
            path = corpus_path(name, role)
            if not path.is_file():
                faults.append(Fault(role, f"the file {name} was asked for, but it is not there; check the path."))
                continue
            absolute[name] = name if name == "stories" else str(path.resolve())
            digests[f"{role}.{place}" if place else role] = _digest(path)
    if recipe.model.startswith(("/", ".", "~")) and not Path(recipe.model).expanduser().is_dir():
        faults.append(Fault("model", f"the directory {recipe.model} was asked for, but it is not there; check the path."))
    if faults:
        raise RecipeError(faults)
    model = canonical(recipe.model)
    revision = fingerprint(model) or recipe.revision
    evaluation = simplest(tuple(absolute.get(name, name) for name in recipe.evaluations))
    texts = {"calibration": absolute.get(recipe.calibration, recipe.calibration), "evaluation": evaluation}
    return recipe.model_copy(update={"model": model, "revision": revision, "digests": digests, **texts})


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
