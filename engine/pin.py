"""Pinning: names in a recipe that stand for files get the fingerprint of what the files hold, so that the key follows the content."""

from __future__ import annotations

import hashlib
from pathlib import Path

from engine.corpora.documents import corpus_path
from engine.errors import Fault, RecipeError
from engine.models.names import canonical, fingerprint
from engine.recipe import Recipe


def pin(recipe: Recipe) -> Recipe:
    """The recipe with one name for each model and file, and their content fingerprints.

    Raises:
        RecipeError: a corpus file is not there.
    """
    faults: list[Fault] = []
    files: dict[str, str] = {}
    digests: dict[str, str] = {}
    for role in ("calibration", "evaluation"):
        name = getattr(recipe, role)
        if name is None:
            continue
        path = corpus_path(name, role)
        if not path.is_file():
            faults.append(Fault(role, f"the file {name} was asked for, but it is not there; check the path."))
            continue
        files[role] = name if name == "stories" else str(path.resolve())
        digests[role] = _digest(path)
    if recipe.model.startswith(("/", ".", "~")) and not Path(recipe.model).expanduser().is_dir():
        faults.append(Fault("model", f"the directory {recipe.model} was asked for, but it is not there; check the path."))
    if faults:
        raise RecipeError(faults)
    model = canonical(recipe.model)
    revision = fingerprint(model) or recipe.revision
    return recipe.model_copy(update={"model": model, "revision": revision, "digests": digests, **files})


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
