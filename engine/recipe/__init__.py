"""The recipe: everything that decides the result of a run, validated and frozen, with a key.

`Recipe.build` checks the fields and reports all faults at once. It fills in what follows from other fields
(the sparsity of an N:M pattern, the default group of a score, the default parameters of the chosen methods),
so that two ways to write the same recipe have the same key. `pin` then adds fingerprints of the files that
the recipe names, so that the key changes with their content.

When a method gets another parameter, recipes that were stored without it keep their meaning and their key:
`Parameter.before` is the value that they have, and a setting with this value does not count for the key. A
new recipe (of a form, a link, a command) gets the default, which may be another value: then it has a new key,
and all other recipes keep theirs. `RESULT_VERSION` is for changes that no parameter describes.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from engine.corpora.named import NAMED, ROLES, corpus_path
from engine.errors import Fault, RecipeError
from engine.hardware.file_hash import sha256
from engine.models.gguf.unpacked import is_content
from engine.models.identity import DEMO, canonical, fingerprint, path_fault
from engine.numbers import short_percent
from engine.pruning.axes import ALLOCATIONS, AXES, REFINEMENTS, SCORES, UPDATES, Score
from engine.pruning.patterns import DEFAULT_SPARSITY, UNSTRUCTURED, Group, Pattern, make_pattern
from engine.pruning.presets import PRESETS, PRUNER_FIELDS, preset_of
from engine.recipe import validation
from engine.recipe.validation import BUNDLED_LENGTH, USUAL_LENGTH, simplest
from engine.registry import Method, Origin, Parameter

RESULT_VERSION = 3
"""Increased whenever the same recipe would give different numbers, so that stored results are not reused for
it.
"""

SAVED = "model"
"""The name of the directory into which a run saves its pruned model."""

Value = str | int | float | tuple[float, ...]


class Recipe(BaseModel):
    """What to prune, with which methods, how far, and how to measure it. Create it with `Recipe.build`.

    Attributes:
        model: `demo` (the bundled model), a local directory, a GGUF file, or a hub id.
        revision: the hub revision, or the content fingerprint of a local directory or GGUF file (set by
            `pin`).
        dtype: `auto` is float32 on a CPU, and the dtype of the model's files on an accelerator.
        device: `auto` is the first available of cuda, mps and cpu.
        residence: whether the whole model is in memory (`resident`) or read block by block from the disk
            (`streamed`); `auto` decides by the free memory. The result is the same, so it is not part of the
            key.
        calibration: a named corpus (`stories`, `wikitext2`, `c4`, `ptb`), or a `.txt`, `.jsonl` or `.npy`
            file.
        evaluation: one or several of the same kinds, or None to measure no perplexity.
        tasks: zero-shot tasks that the dense and the pruned model are evaluated on.
        task_limit: maximum number of examples per task; None for all.
        samples: number of calibration windows.
        length: tokens per window, for calibration and evaluation; None for 2,048 (or the model's maximum, if
            smaller), and for 256 on the bundled model. `build` sets 256 to calibrate another model on the
            bundled stories.
        seed: draws the calibration windows.
        order: the order of the calibration windows, which changes nothing but rounding: 0 as they were
            chosen, 1 reversed, from 2 on a permutation drawn with this number.
        score, update, allocation, refinement: names in the registry.
        pattern: `unstructured` or `n:m`.
        group: the comparison group of an unstructured pattern; None with N:M.
        permutation: how columns are assigned to the groups of an N:M pattern; None without one.
        sparsity: fraction of the prunable weights to remove.
        bias: whether the biases replace what the removed weights contributed on average (`compensate`), or
            stay as they are (`keep`).
        settings: parameters of the chosen methods as `method.parameter`.
        digests: content fingerprints of corpus files by role, and of the method files of the chosen methods
            by axis (set by `pin`).
        method_files: the paths of those method files by axis (set by `pin`); like `residence`, not part of
            the key.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(default="demo", min_length=1)
    revision: str | None = None
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: Literal["auto", "cuda", "mps", "cpu"] = "auto"
    residence: Literal["auto", "resident", "streamed"] = "auto"
    calibration: str = Field(default="stories", min_length=1)
    evaluation: str | tuple[str, ...] | None = "stories"
    tasks: tuple[str, ...] = ()
    task_limit: int | None = Field(default=validation.DEFAULT_TASK_LIMIT, ge=1, le=1_000_000)
    samples: int = Field(default=64, ge=1, le=100_000)
    length: int | None = Field(default=None, ge=2, le=1_000_000)
    seed: int = Field(default=0, ge=0, le=2**63 - 1)  # fits into an int64
    order: int = Field(default=0, ge=0, le=1_000_000)
    score: str = "wanda"
    pattern: str = UNSTRUCTURED
    group: Group | None = None
    permutation: Literal["none", "zigzag", "assignment"] | None = None
    sparsity: float = Field(default=DEFAULT_SPARSITY, ge=0, le=validation.HIGHEST_SPARSITY)
    allocation: str = "uniform"
    update: str = "none"
    refinement: str = "none"
    bias: Literal["keep", "compensate"] = "keep"
    settings: dict[str, Value] = Field(default_factory=dict)
    digests: dict[str, str] = Field(default_factory=dict)
    method_files: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fill_in_parameters_of_later_versions(self) -> Self:
        for name, parameter, applies in self._later_parameters():
            self.settings.setdefault(name, parameter.before if applies else parameter.default)
        return self

    @classmethod
    def build(cls, fields: Mapping[str, Any] | None = None, **more: Any) -> Self:
        """Return the recipe with these fields. `pruner` names a preset, which sets score, update and
        refinement.

        Raises:
            RecipeError: with every fault.
        """
        given, faults = validation.expand_pruner({**(fields or {}), **more})
        given, invalid = _without_invalid(cls, given)
        faults += invalid + validation.faults(given)
        if faults:
            raise RecipeError(faults)
        return cls.model_validate(validation.complete(given))

    @property
    def key(self) -> str:
        """A hash of everything that decides the result. Runs are stored and found by it."""
        return self.key_in(RESULT_VERSION)

    def key_in(self, version: int) -> str:
        """Return the key under a given `RESULT_VERSION`."""
        # They may differ between two machines without changing the result.
        fields = self.model_dump(mode="json", exclude={"residence", "method_files"})
        # Recipes that were stored before there was a choice keep their keys.
        for name in ("bias", "order"):
            if fields[name] == type(self).model_fields[name].default:
                del fields[name]
        if is_content(self.revision):  # of a GGUF file, which is the same model wherever it is
            fields["model"] = self.revision
        for name, parameter, applies in self._later_parameters():
            if not applies or self.settings.get(name) == parameter.before:
                fields["settings"].pop(name, None)
        content = json.dumps([version, fields], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:20]  # 80 bits

    def _later_parameters(self) -> Iterator[tuple[str, Parameter, bool]]:
        """Yield the chosen methods' parameters that stored recipes may lack: the setting's name, the
        parameter, and whether it has an effect in this recipe.
        """
        with_file = not AXES.keys().isdisjoint(self.digests)
        for axis, method in self.methods.items():
            for parameter in method.parameters:
                # In a method file a new parameter is new content, hence a new key anyway.
                if parameter.before is not None and axis not in self.digests:
                    # The key must not depend on whether the method file is loaded.
                    applies = with_file or parameter.applies(self.model_dump())
                    yield f"{method.name}.{parameter.name}", parameter, applies

    @property
    def model_identity(self) -> tuple[str, str | None]:
        """Equal for recipes of the same model: its name and revision, or the content of a GGUF file alone."""
        return ("", self.revision) if is_content(self.revision) else (self.model, self.revision)

    @property
    def model_name(self) -> str:
        """The last part of the model's path or id; with the directory of its run for a model that a run has
        saved, since all of those are called `model`.
        """
        path = Path(self.model)
        return f"{path.parent.name}/{path.name}" if path.is_absolute() and path.name == SAVED else path.name

    @property
    def mask_pattern(self) -> Pattern:
        """The rule that turns scores into this recipe's masks."""
        return make_pattern(self.pattern, self.group, self.permutation)

    @property
    def evaluations(self) -> tuple[str, ...]:
        """The evaluation texts as a tuple, which may be empty."""
        return (self.evaluation,) if isinstance(self.evaluation, str) else self.evaluation or ()

    def window(self, context_length: int | None) -> int:
        """Return the tokens per window for a model that takes at most `context_length` (None: unknown)."""
        if self.length is not None:
            return self.length
        return BUNDLED_LENGTH if self.model == DEMO else min(USUAL_LENGTH, context_length or USUAL_LENGTH)

    @property
    def pruner(self) -> str | None:
        """The preset that sets exactly these methods, None if there is none."""
        return preset_of({name: getattr(self, name) for name in PRUNER_FIELDS})

    @property
    def pruner_title(self) -> str:
        """The title of the preset, or the names of the chosen methods: `Wanda`, `ria + obs`, `Wanda + bias`,
        and `abs(W)·a + obs` for a formula.
        """
        score = self.scoring.label
        preset = PRESETS[self.pruner] if self.pruner and not score else None
        names = (score or self.score, self.update, self.refinement)
        title = preset.title if preset else " + ".join(name for name in names if name != "none")
        own = self.bias == "compensate" and not (preset and preset.bias == self.bias)
        return f"{title} + bias" if own else title

    @property
    def shape_title(self) -> str:
        """The sparsity or the N:M pattern: `60%`, `2:4`."""
        return short_percent(self.sparsity) if self.pattern == UNSTRUCTURED else self.pattern

    @property
    def title(self) -> str:
        """A short description for lists: `Wanda 60% with OWL on demo`."""
        allocation = with_allocation(self.allocation)
        return f"{self.pruner_title} {self.shape_title}{allocation} on {self.model_name}"

    @property
    def scoring(self) -> Score:
        """The chosen score, with what it declares for its parameters unless this version cannot read them."""
        score, parameters = SCORES.named(self.score), self.parameters("score")
        stated = {
            name: self.settings.get(f"{score.name}.{name}", value) for name, value in parameters.items()
        }
        return score.with_parameters(parameters) if stated == parameters else score

    @property
    def methods(self) -> dict[str, Method]:
        """The chosen method per axis; a stand-in for one that this version does not have."""
        return {
            axis: registry.named(getattr(self, axis), self.digests.get(axis))
            for axis, registry in AXES.items()
        }

    @property
    def origins(self) -> dict[str, Origin]:
        """The method files of the chosen methods that are not built in, by axis."""
        return {
            axis: Origin(self.method_files.get(axis, "unknown"), self.digests[axis])
            for axis in AXES
            if axis in self.digests
        }

    @property
    def method_sources(self) -> list[str]:
        """A sentence about each chosen method that is not built in: its file, and whether that is loaded."""
        sentences = []
        for axis, origin in self.origins.items():
            registry, name = AXES[axis], getattr(self, axis)
            state = " That file is not loaded here."
            if registry.has_version(name, origin.digest):
                state = ""
            elif name in registry:
                state = " That file is loaded with another content here."
            sentences.append(f"The {axis} {name} comes from {origin}.{state}")
        return sentences

    @property
    def reads_text(self) -> bool:
        """Whether a method needs statistics of the calibration text, so that it matters which one it is."""
        methods = (self.scoring, UPDATES.named(self.update), REFINEMENTS.named(self.refinement))
        return any(method.needs for method in methods) or self.allocation != "uniform"

    def parameters(self, axis: str) -> dict[str, Any]:
        """Return all parameters of the method chosen on an axis.

        A run of another version may lack some, or have values that are not valid here: those get the default.
        """
        method, found = self.methods[axis], {}
        for parameter in method.parameters:
            value = self.settings.get(f"{method.name}.{parameter.name}", parameter.default)
            found[parameter.name] = parameter.default if parameter.fault(value, tried=False) else value
        return found


def with_allocation(name: str) -> str:
    """Return what a title says about an allocation: ` with OWL`, nothing for the uniform one."""
    return "" if name == "uniform" else f" with {ALLOCATIONS.named(name).title}"


def _without_invalid(recipe: type[Recipe], given: dict[str, Any]) -> tuple[dict[str, Any], list[Fault]]:
    """Split off the fields of the wrong type or range, each with a fault, so that the rest can still be
    checked.
    """
    faults: dict[str, Fault] = {}
    try:
        recipe.model_validate(given)
    except ValidationError as error:
        for item in error.errors():
            field = str(item["loc"][0]) if item["loc"] else "recipe"
            named = f"settings.{item['loc'][1]}" if field == "settings" and len(item["loc"]) > 1 else field
            # Of a setting's value pydantic says only what the last of the possible types requires.
            said = "expected a text, a number or a list of numbers" if named != field else item["msg"]
            faults[named] = Fault(named, _message(recipe, field, item["type"], said, item["input"]))
    invalid = {name.partition(".")[0] for name in faults}
    # One bad setting leaves out all settings: `settings.x` belongs to the field `settings`.
    return {name: value for name, value in given.items() if name not in invalid}, list(faults.values())


def _message(recipe: type[Recipe], field: str, kind: str, message: str, value: Any) -> str:
    if kind == "extra_forbidden":
        return f"a recipe has no such field; available fields: pruner, {', '.join(recipe.model_fields)}."
    return f"{message[0].lower()}{message[1:]}, got {value!r}."


def pin(recipe: Recipe) -> Recipe:
    """Return the recipe with canonical names of its model and files, and fingerprints of their content.

    Raises:
        RecipeError: a file or directory that the recipe names does not exist, or the recipe is one of another
            version, with methods or settings that this one does not have.
    """
    if faults := [*validation.faults(recipe.model_dump()), *faults_here(recipe.model_dump())]:
        raise RecipeError(faults)
    absolute: dict[str, str] = {}
    digests: dict[str, str] = {}
    for role, names in (("calibration", (recipe.calibration,)), ("evaluation", recipe.evaluations)):
        for place, name in enumerate(names):
            if name in NAMED:  # the same text everywhere; the record states its commit
                continue
            path = corpus_path(name, role)
            # `stories` is bundled, so its path depends on the machine.
            absolute[name] = name if name == "stories" else str(path.resolve())
            digests[f"{role}.{place}" if place else role] = _digest(path)
    origins = {axis: registry[getattr(recipe, axis)].origin for axis, registry in AXES.items()}
    method_files = {axis: origin.path for axis, origin in origins.items() if origin}
    digests |= {axis: origin.digest for axis, origin in origins.items() if origin}
    model = canonical(recipe.model)
    revision = fingerprint(model) or recipe.revision  # None for a hub id, which keeps its revision
    evaluation = simplest(tuple(absolute.get(name, name) for name in recipe.evaluations))
    texts = {"calibration": absolute.get(recipe.calibration, recipe.calibration), "evaluation": evaluation}
    found = {"digests": digests, "method_files": method_files}
    return recipe.model_copy(update={"model": model, "revision": revision, **found, **texts})


def faults_here(fields: Mapping[str, Any]) -> list[Fault]:
    """Return the faults of the names that a recipe's fields give to its model and its texts, on this machine.
    Fields of a wrong type are skipped.
    """
    given, _ = _without_invalid(Recipe, dict(fields))
    faults = []
    for role in ROLES:
        for name in validation.corpora_in(given, role):
            path = corpus_path(name, role)
            # Unlike `Path.is_file`, these raise nothing for a name that is too long.
            if name not in NAMED and not os.path.isfile(path):
                wrong = "is not a file" if os.path.exists(path) else "does not exist"
                faults.append(Fault(role, f"the file {name} was requested, but it {wrong}; check the path."))
    if fault := path_fault(given.get("model", DEMO), given.get("revision")):
        faults.append(Fault("model", f"{given['model']} was requested, but {fault}."))
    return faults


def _digest(path: Path) -> str:
    return sha256(path)[:16]  # 64 bits
