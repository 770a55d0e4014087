"""A recipe as command line options, and back. The options follow the recipe's field names; one table,
`FIELDS`, serves both directions.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engine import COMMAND
from engine.errors import Fault, RecipeError
from engine.evaluation.tasks.catalogue import TASKS
from engine.models.known_files import KNOWN_FILES
from engine.pruning.axes import AXES
from engine.pruning.patterns import UNSTRUCTURED
from engine.recipe import Recipe, faults_here
from engine.recipe.validation import OFFERED_CORPORA

TEXTS = {role: ", ".join(names) for role, names in OFFERED_CORPORA.items()}


def names_in(text: str) -> tuple[str, ...]:
    """Return the names in a comma-separated text; none for `none`.

    The name of an existing file is never split, so such a name may contain a comma.
    """
    if text == "none":
        return ()
    return (
        (text,) if os.path.isfile(text) else tuple(part.strip() for part in text.split(",") if part.strip())
    )


def _count(text: str) -> int | None:
    return None if text == "all" else int(text)


FIELDS: dict[str, tuple[Callable[[str], Any], str]] = {
    "pruner": (
        str,
        f"a preset, for instance wanda or apt-sm, or best or fast; `{COMMAND} methods` lists them",
    ),
    "model": (str, "`demo`, a directory, a GGUF file, or a hub id (default: demo)"),
    "revision": (str, "the hub revision"),
    "score": (str, "how weights are ranked"),
    "pattern": (str, "`unstructured` or n:m, for instance 2:4 (it implies the sparsity)"),
    "group": (str, "comparison group: layer, row or block (default: the score's own)"),
    "permutation": (
        str,
        "with n:m, how columns are permuted into groups: none, zigzag or assignment (default: none)",
    ),
    "sparsity": (float, "fraction of the prunable weights to remove (default: 0.5)"),
    "allocation": (str, "how sparsity is allocated to the blocks"),
    "update": (str, "how the remaining weights are updated"),
    "refinement": (str, "how the mask is refined afterwards"),
    "bias": (
        str,
        "keep, or compensate: biases replace what the removed weights contributed on average (default: keep)",
    ),
    "calibration": (str, f"{TEXTS['calibration']}, or a .txt, .jsonl or .npy file (default: stories)"),
    "evaluation": (
        names_in,
        f"{TEXTS['evaluation']}, or files, comma-separated, or `none` to measure no perplexity (default: "
        "stories)",
    ),
    "tasks": (names_in, f"zero-shot tasks, comma-separated: {', '.join(TASKS)}"),
    "task-limit": (_count, "how many examples of each task, from its first, or `all` (default: 100)"),
    "samples": (int, "calibration windows (default: 64)"),
    "length": (
        int,
        "tokens per window (default: 2048, or the model's maximum if that is less; 256 for demo)",
    ),
    "seed": (int, "seed for choosing the calibration windows (default: 0)"),
    "order": (
        int,
        "order of the calibration windows: 0 as chosen, 1 reversed, 2 and more permuted (default: 0)",
    ),
    "device": (str, "auto, cuda, mps or cpu"),
    "dtype": (str, "auto, float32, bfloat16 or float16"),
    "residence": (
        str,
        "auto, resident (the whole model in memory) or streamed (read block by block from the disk)",
    ),
}


def add_recipe_options(parser: argparse.ArgumentParser) -> None:
    """Add the recipe file, one option per field, and `--set`."""
    parser.add_argument("recipe", nargs="?", help="a recipe file (JSON); options override its fields")
    for name, (_, explanation) in FIELDS.items():
        # Without `type=`, because argparse would stop at the first bad value; the recipe reports all of them.
        parser.add_argument(f"--{name}", help=explanation)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="METHOD.PARAMETER=VALUE",
        help="a parameter of a chosen method; may be repeated",
    )


def recipe_of(arguments: argparse.Namespace) -> Recipe:
    """Return the recipe that the arguments describe.

    Raises:
        RecipeError: with every fault of the file, the options and the recipe.
    """
    fields = _file_fields(arguments.recipe) if arguments.recipe else {}
    texts = {name: getattr(arguments, field_of(name)) for name in FIELDS}
    given = {field_of(name): _value(name, text) for name, text in texts.items() if text is not None}
    # A new pruner, score or pattern makes what the file says about the old one meaningless.
    if "pruner" in given or "score" in given:
        fields = {
            name: value
            for name, value in fields.items()
            if name not in ("score", "update", "refinement", "bias", "group", "settings", "method_files")
        }
    if "pattern" in given:
        fields = {
            name: value for name, value in fields.items() if name not in ("sparsity", "group", "permutation")
        }
    settings, faults = _settings(arguments.set)
    merged = {**fields, **given, "settings": {**fields.get("settings", {}), **settings}}
    try:
        recipe = Recipe.build(merged)
    except RecipeError as error:
        faults += error.faults
    if faults:
        said = {fault.field for fault in faults}
        raise RecipeError([*faults, *(fault for fault in faults_here(merged) if fault.field not in said)])
    return recipe


def _file_fields(name: str) -> dict[str, Any]:
    try:
        fields = json.loads(Path(name).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise RecipeError(
            [Fault("recipe", f"the file {name} cannot be read as a recipe: {error}")]
        ) from error
    if not isinstance(fields, dict):
        raise RecipeError(
            [Fault("recipe", f"the file {name} does not hold a JSON object, so it is not a recipe.")]
        )
    if fields.get("digests"):  # a pinned recipe, so complete: what it lacks has come with a later version
        with suppress(ValidationError):  # `build` says what is wrong
            fields["settings"] = Recipe.model_validate(fields).settings
    # `pin` sets the digests again, for the files as they are now.
    return {key: value for key, value in fields.items() if key != "digests"}


def _value(name: str, text: str) -> Any:
    """Return the text as the field's type; text that does not parse is left for the recipe to reject."""
    try:
        return FIELDS[name][0](text)
    except ValueError:
        return text


def _settings(pairs: list[str]) -> tuple[dict[str, Any], list[Fault]]:
    settings: dict[str, Any] = {}
    faults = []
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            faults.append(Fault("set", f"expected METHOD.PARAMETER=VALUE, got {pair!r}."))
            continue
        settings[key] = _parse(key, text)
    return settings, faults


def _parse(key: str, text: str) -> Any:
    name, _, parameter = key.partition(".")
    for registry in AXES.values():
        known = registry[name].parameter(parameter) if name in registry else None
        if known is not None:
            return known.parse(text)
    return text


def command(recipe: Recipe) -> str:
    """Return the command line that reproduces a recipe: the preset, if it has one, and what differs from the
    defaults.
    """
    # The same preset, so that only what differs from it is listed.
    default = Recipe.build({"pruner": recipe.pruner} if recipe.pruner else {})
    parts = [*COMMAND.split(), "prune"]
    if recipe.pruner:
        parts += ["--pruner", recipe.pruner]
    for name in FIELDS:
        if name == "pruner" or _is_implied(name, recipe):
            continue
        value = getattr(recipe, field_of(name))
        if value != getattr(default, field_of(name)) or name == "sparsity":  # the sparsity is always shown
            parts += [f"--{name}", _text(name, value)]
    for path in sorted(set(recipe.method_files.values())):
        parts += ["--methods", path]
    for key, value in _unusual(recipe).items():
        parts += ["--set", f"{key}={','.join(map(str, value)) if isinstance(value, tuple) else value}"]
    return shlex.join(parts)


def field_of(option: str) -> str:
    """Return the recipe's field that an option sets."""
    return option.replace("-", "_")


def _text(name: str, value: Any) -> str:
    if value is None:
        return "all" if name == "task-limit" else "none"
    return ",".join(value) or "none" if isinstance(value, tuple) else str(value)


def _unusual(recipe: Recipe) -> dict[str, Any]:
    """Return the settings that differ from their methods' defaults."""
    defaults = {
        f"{method.name}.{parameter.name}": parameter.default
        for method in recipe.methods.values()
        for parameter in method.parameters
    }
    # The setting of an unknown method, which a run of another version may have, is not a default.
    return {key: value for key, value in recipe.settings.items() if value != defaults.get(key)}


def _is_implied(name: str, recipe: Recipe) -> bool:
    """Return whether a field follows from others: a pattern's sparsity, a local model's fingerprint."""
    if name == "revision":
        return recipe.model in ("demo", *KNOWN_FILES) or Path(recipe.model).exists()
    if name == "permutation":
        return recipe.permutation in (None, "none")
    return recipe.pattern != UNSTRUCTURED and name in ("sparsity", "group")
