"""Check a recipe and fill in what follows from its fields.

`faults` needs only the recipe, `faults_against` also the shape of the model, which its configuration gives
without any weights. Both return all faults at once. A message names what was requested, what is wrong with
it, and what to change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from math import isclose
from typing import Any

from engine.corpora.named import CALIBRATION_CORPORA, NAMED, holds_token_ids
from engine.errors import Fault
from engine.evaluation.tasks.catalogue import TASKS
from engine.hardware.device import missing_device
from engine.models.identity import DEMO, canonical
from engine.pruning.axes import ALLOCATIONS, AXES, REFINEMENTS, SCORES, UPDATES
from engine.pruning.patterns import DEFAULT_SPARSITY, UNSTRUCTURED, Group, Pattern, make_pattern
from engine.pruning.recommendations import all_pruners, resolve
from engine.registry import Method, unknown_name

HIGHEST_SPARSITY = 0.99
DEFAULT_CORPUS = "stories"
USUAL_LENGTH, BUNDLED_LENGTH = 2048, 256
"""Default tokens per window: the usual value in the literature, and that for the bundled model and text."""
DEFAULT_TASK_LIMIT = 100
KNOWN_CORPORA = (DEFAULT_CORPUS, *NAMED)
OFFERED_CORPORA = {"calibration": (DEFAULT_CORPUS, *CALIBRATION_CORPORA), "evaluation": KNOWN_CORPORA}
"""By role, the names to offer."""
FILE_ENDINGS = (".txt", ".jsonl", ".npy")
NO_BIAS = (
    "compensation was requested, but no linear of this model has a bias, and its configuration cannot give "
    "it one; choose keep."
)
DEFAULT_METHODS = {"score": "wanda", "allocation": "uniform", "update": "none", "refinement": "none"}


def expand_pruner(given: Mapping[str, Any]) -> tuple[dict[str, Any], list[Fault]]:
    """Replace `pruner` by the fields that the preset sets, or the one that a recommendation stands for at the
    sparsity or pattern. A field that contradicts the preset is a fault.
    """
    fields = dict(given)
    name = fields.pop("pruner", None)
    if name is None:
        return fields, []
    if not isinstance(name, str) or name not in all_pruners():
        return fields, [Fault("pruner", unknown_name("pruner", name, all_pruners()))]
    preset = resolve(name, fields)
    choices, pattern = preset.choices, preset.pattern
    # A pattern or sparsity of the user's comes first.
    if pattern is not None and fields.get("pattern") is None and fields.get("sparsity") is None:
        fields["pattern"] = pattern
    contradictions = [
        Fault(
            axis,
            f"the pruner {name} sets {axis} to {choice}, but {fields[axis]} was requested; "
            "leave one of them out.",
        )
        for axis, choice in choices.items()
        if fields.get(axis, choice) != choice
    ]
    return {**fields, **choices}, contradictions


def faults(given: Mapping[str, Any]) -> list[Fault]:
    """Return the faults of fields whose types are right."""
    unknown = [
        Fault(axis, _unknown(given, axis))
        for axis, registry in AXES.items()
        if axis in given and given[axis] not in registry
    ]
    return [
        *unknown,
        *_pattern_faults(given),
        # Combinations can only be judged if all names are known.
        *([] if unknown else _combination_faults(given)),
        *_setting_faults(given),
        *_corpus_faults(given),
        *_task_faults(given),
    ]


def _unknown(given: Mapping[str, Any], axis: str) -> str:
    """Return the message for an unknown name; a pinned recipe knows which method file it comes from."""
    path = given.get("method_files", {}).get(axis)
    if path is None:
        return AXES[axis].unknown(given[axis])
    return (
        f"the {axis} {given[axis]} comes from the method file {path}, which is not loaded; load it with "
        "--methods (the app: PRUNESCOPE_METHODS)."
    )


def complete(given: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in what follows from the other fields. There must be no faults."""
    fields: dict[str, Any] = {**DEFAULT_METHODS, "pattern": UNSTRUCTURED, **given}
    pattern = make_pattern(fields["pattern"])
    if pattern.fixed_sparsity is None:
        fields["group"] = fields.get("group") or default_group(fields)
        fields["permutation"] = None
    else:
        fields["permutation"] = fields.get("permutation") or "none"
        fields["sparsity"] = pattern.fixed_sparsity
        fields["pattern"] = pattern.name  # 02:4 becomes 2:4
    # -0.0 becomes 0.0, so that both have one key
    fields["sparsity"] = abs(float(fields.get("sparsity", DEFAULT_SPARSITY)))
    fields["evaluation"] = simplest(fields.get("evaluation", DEFAULT_CORPUS))
    if (
        fields.get("length") is None
        and canonical(fields.get("model", DEMO)) != DEMO
        and fields.get("calibration", DEFAULT_CORPUS) == DEFAULT_CORPUS
    ):
        fields["length"] = (
            BUNDLED_LENGTH  # of longer windows, the stories hold fewer than a run usually takes
        )
    if not fields.get("tasks"):
        # without tasks it has no effect, so it must not change the key
        fields["task_limit"] = DEFAULT_TASK_LIMIT
    settings = dict(fields.get("settings", {}))
    fields["settings"] = {
        key: parameter.coerced(settings.get(key, parameter.default))
        for key, parameter in _parameters(chosen_methods(fields)).items()
    }
    return fields


def simplest(evaluation: str | Sequence[str] | None) -> str | tuple[str, ...] | None:
    """Return one text as a string, none as None, several as a tuple."""
    if evaluation is None or isinstance(evaluation, str):
        return evaluation
    return tuple(evaluation) if len(evaluation) > 1 else next(iter(evaluation), None)


def default_group(given: Mapping[str, Any]) -> Group:
    """Return the comparison group of an unstructured pattern if the recipe does not set one.

    Rows for a refinement, which swaps within rows. Otherwise the group of the update or of the score, except
    that an allocation published with a smaller group replaces whole layers by that.
    """
    fields = {**DEFAULT_METHODS, **given}
    own = UPDATES.named(fields["update"]).group or SCORES.named(fields["score"]).default_group
    if REFINEMENTS.named(fields["refinement"]).touches:
        return Group.ROW
    published = ALLOCATIONS.named(fields["allocation"]).group
    return published if published is not None and own is Group.LAYER else own


def chosen_methods(given: Mapping[str, Any]) -> list[Method]:
    """Return the chosen methods, without those whose names are unknown."""
    names = {axis: given.get(axis, default) for axis, default in DEFAULT_METHODS.items()}
    return [AXES[axis][name] for axis, name in names.items() if name in AXES[axis]]


def _parameters(methods: Sequence[Method]) -> dict[str, Any]:
    return {
        f"{method.name}.{parameter.name}": parameter for method in methods for parameter in method.parameters
    }


def _pattern_faults(given: Mapping[str, Any]) -> Iterator[Fault]:
    try:
        pattern = make_pattern(given.get("pattern", UNSTRUCTURED))
    except ValueError as error:
        yield Fault("pattern", f"{error}.")
        return
    name, implied = pattern.name, pattern.fixed_sparsity
    if implied is None:
        if given.get("permutation") not in (None, "none"):
            message = "only an N:M pattern such as 2:4 has groups to permute columns between; "
            yield Fault("permutation", message + "leave the permutation out.")
        return
    if implied > HIGHEST_SPARSITY:
        message = f"the pattern {name} has a sparsity of {implied:.6g}, but at most {HIGHEST_SPARSITY:g} is "
        yield Fault("pattern", message + "possible; keep more weights of each group.")
        return
    sparsity, allocation = given.get("sparsity"), given.get("allocation", "uniform")
    # A rounded sparsity such as 0.333333 is accepted.
    if sparsity is not None and not isclose(sparsity, implied, abs_tol=1e-6):
        message = f"the pattern {name} has a sparsity of {implied:.4g}, but {sparsity:g} was requested; "
        yield Fault("sparsity", message + "leave the sparsity out.")
    if given.get("group") is not None:
        message = (
            f"with {name}, each {pattern.group_width} consecutive columns of a row form a comparison group; "
        )
        yield Fault("group", message + "leave the group out.")
    # An allocation without effect would still change the key.
    if allocation in ALLOCATIONS and not ALLOCATIONS[allocation].even:
        message = f"with {name}, every block and row has the same sparsity, so {allocation} has nothing to "
        yield Fault("allocation", message + "allocate; choose uniform.")


def _combination_faults(given: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield the faults of methods that are valid alone but cannot be combined."""
    fields = {**DEFAULT_METHODS, **given}
    group = Group(fields.get("group") or default_group(fields))
    try:
        pattern = make_pattern(fields.get("pattern", UNSTRUCTURED), group, fields.get("permutation"))
    except ValueError:  # already a fault of the pattern
        return
    yield from _joint_faults(fields["score"], pattern)
    yield from _row_faults(fields, pattern)


def _joint_faults(name: str, pattern: Pattern) -> Iterator[Fault]:
    """Yield the faults of a score that decides whole groups of an N:M pattern."""
    score, group = SCORES[name], pattern.n_and_m
    if not score.joint:
        return
    if not group:
        message = f"the score {name} decides groups of m columns as a whole; "
        yield Fault("pattern", message + "choose an N:M pattern such as 2:4.")
        return
    if refusal := score.refuses(group["n"], group["m"]):
        yield Fault("pattern", f"{refusal}; choose a smaller m.")
    if pattern.permuted:
        message = f"the score {name} rates groups, so there are no scores of columns to permute by; "
        yield Fault("permutation", message + "leave the permutation out.")


def _row_faults(fields: Mapping[str, Any], pattern: Pattern) -> Iterator[Fault]:
    """Yield the faults of methods that work within rows, if weights of different rows compete."""
    if pattern.fixes_row_counts:
        return
    refinement, allocation = REFINEMENTS[fields["refinement"]], ALLOCATIONS[fields["allocation"]]
    if refinement.touches:
        message = f"{refinement.title} swaps weights within a row, but the weights compete {pattern.scope}; "
        yield Fault("refinement", message + "set the group to row, or choose an N:M pattern.")
    requested = fields.get("settings", {})
    settings = {
        parameter.name: requested.get(f"{allocation.name}.{parameter.name}", parameter.default)
        for parameter in allocation.parameters
    }
    if allocation.rows(settings):
        message = (
            f"{allocation.title} gives each row its own sparsity, but the weights compete {pattern.scope}; "
        )
        even = " and ".join(
            f"{allocation.name}.{name} to {value}" for name, value in allocation.whole_rows.items()
        )
        yield Fault("allocation", message + f"set {even}, or the group to row.")


def _setting_faults(given: Mapping[str, Any]) -> Iterator[Fault]:
    known = _parameters(chosen_methods(given))
    # Methods of files that are not loaded, which is a fault already; what they declare is not known.
    absent = {given.get(axis) for axis in given.get("method_files", {})} - {
        method.name for method in chosen_methods(given)
    }
    for key, value in given.get("settings", {}).items():
        if key.partition(".")[0] in absent:
            continue
        if key not in known:
            available = ", ".join(known) or "none"
            message = f"no chosen method has this parameter; available parameters: {available}."
            yield Fault(f"settings.{key}", message)
        elif fault := known[key].fault(value):
            yield Fault(f"settings.{key}", f"{fault}.")


def _corpus_faults(given: Mapping[str, Any]) -> Iterator[Fault]:
    for role in ("calibration", "evaluation"):
        names = corpora_in(given, role)
        for name in names:
            if name not in KNOWN_CORPORA and not name.lower().endswith(FILE_ENDINGS):
                message = (
                    f"expected {', '.join(OFFERED_CORPORA[role])}, or a .txt, .jsonl or .npy file, got "
                    f"{name!r}."
                )
                yield Fault(role, message)
        yield from _repetitions(role, names, "text")


def corpora_in(given: Mapping[str, Any], role: str) -> tuple[str, ...]:
    """Return the corpora named by the field `role` of a recipe: none, one or several."""
    value = given.get(role)
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)


def _task_faults(given: Mapping[str, Any]) -> Iterator[Fault]:
    names = given.get("tasks", ())
    for name in names:
        if name not in TASKS:
            yield Fault("tasks", f"there is no task {name!r}; available tasks: {', '.join(TASKS)}.")
    yield from _repetitions("tasks", names, "task")


def _repetitions(field: str, names: Sequence[str], what: str) -> Iterator[Fault]:
    for name, count in Counter(names).items():
        if count > 1:
            yield Fault(field, f"{name} is listed more than once; list each {what} once.")


def faults_against(
    given: Mapping[str, Any],
    widths: Mapping[str, int],
    sizes: Sequence[int],
    context_length: int | None = None,
    devices: Collection[str] | None = None,
    *,
    has_biases: bool = True,
) -> list[Fault]:
    """Return the faults of a complete recipe for a model of this shape on a machine with these devices.

    Args:
        given: the recipe's fields.
        widths: input width of each prunable linear, by name.
        sizes: number of prunable weights per block.
        context_length: the longest window that the model takes, in tokens; None if unknown.
        devices: those of the machine; None if any may be chosen.
        has_biases: whether a linear has a bias or can get one.
    """
    absent = None if devices is None else missing_device(given["device"], devices)
    return [
        *([] if absent is None else [absent]),
        *([] if has_biases or given["bias"] == "keep" else [Fault("bias", NO_BIAS)]),
        *_width_faults(given, widths),
        *_ratio_faults(given, sizes),
        *_length_faults(given, context_length),
    ]


def _width_faults(given: Mapping[str, Any], widths: Mapping[str, int]) -> Iterator[Fault]:
    m = make_pattern(given["pattern"]).group_width
    bad = [(name, width) for name, width in widths.items() if m is not None and width % m]
    if bad:
        name, width = bad[0]
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        message = (
            f"{given['pattern']} needs input widths divisible by {m}, but {name}{more} has {width} inputs; "
        )
        yield Fault("pattern", message + "choose another pattern.")


def _ratio_faults(given: Mapping[str, Any], sizes: Sequence[int]) -> Iterator[Fault]:
    allocation = ALLOCATIONS.version(given["allocation"], given.get("digests", {}).get("allocation"))
    parameters = {
        parameter.name: given["settings"][f"{allocation.name}.{parameter.name}"]
        for parameter in allocation.parameters
    }
    if refusal := allocation.refuses(parameters, sizes, given["sparsity"]):
        name, message = refusal
        yield Fault(f"settings.{allocation.name}.{name}", message)


def _length_faults(given: Mapping[str, Any], context_length: int | None) -> Iterator[Fault]:
    names = (*corpora_in(given, "calibration"), *corpora_in(given, "evaluation"))
    cuts_text = not all(map(holds_token_ids, names))  # token ids come as windows of their own length
    length = given["length"]
    if context_length is not None and length is not None and length > context_length and cuts_text:
        message = f"the model takes at most {context_length} tokens per window, but {length} were requested; "
        yield Fault("length", message + "use shorter windows.")
