"""What makes a recipe refused, in the user's words, all at once.

`faults` needs the recipe alone; `faults_against` also needs the model's shape, which a configuration gives
without any weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isclose
from typing import Any

from engine.corpora.named import NAMED
from engine.errors import Fault
from engine.evaluation.tasks.catalogue import TASKS
from engine.pruning.allocations.manual import TOLERANCE
from engine.pruning.axes import ALLOCATIONS, AXES, REFINEMENTS, SCORES
from engine.pruning.patterns import Group, parse_pattern
from engine.pruning.presets import PRESETS
from engine.pruning.scores.joint import MOST_SETS, sets
from engine.pruning.shares import weighted_mean
from engine.registry import Method

DEFAULT_SPARSITY = 0.5
DEFAULT_CORPUS = "stories"
DEFAULT_TASK_LIMIT = 100
KNOWN_CORPORA = (DEFAULT_CORPUS, *NAMED)
FILE_ENDINGS = (".txt", ".jsonl", ".npy")
DEFAULT_METHODS = {"score": "wanda", "allocation": "uniform", "update": "none", "refinement": "none"}


def expand_pruner(given: Mapping[str, Any]) -> tuple[dict[str, Any], list[Fault]]:
    """The fields with `pruner` replaced by what it stands for; a choice that contradicts it is a fault."""
    fields = dict(given)
    name = fields.pop("pruner", None)
    if name is None:
        return fields, []
    if not isinstance(name, str) or name not in PRESETS:
        return fields, [Fault("pruner", f"{PRESETS.unknown(name)}")]
    choices, own_pattern = PRESETS[name].choices, PRESETS[name].pattern
    if own_pattern is not None and fields.get("pattern") is None and fields.get("sparsity") is None:
        fields["pattern"] = own_pattern
    faults = [
        Fault(
            axis,
            f"the pruner {name} means {axis} {choice}, but {fields[axis]} was asked; leave one of the two out.",
        )
        for axis, choice in choices.items()
        if fields.get(axis, choice) != choice
    ]
    return {**fields, **choices}, faults


def faults(given: Mapping[str, Any]) -> list[Fault]:
    """Everything that is wrong with fields whose types are right."""
    unknown = _unknown_methods(given)
    product = [] if unknown else _product_faults(given)
    return [
        *unknown,
        *_pattern_faults(given),
        *product,
        *_setting_faults(given),
        *_corpus_faults(given),
        *_task_faults(given),
    ]


def complete(given: Mapping[str, Any]) -> dict[str, Any]:
    """Faultless fields with everything filled in that follows from the others."""
    fields: dict[str, Any] = {**DEFAULT_METHODS, "pattern": "unstructured", **given}
    n_of_m = parse_pattern(fields["pattern"])
    if n_of_m is None:
        fields["group"] = fields.get("group") or default_group(fields)
        fields["permutation"] = None
    else:
        fields["permutation"] = fields.get("permutation") or "none"
        fields["sparsity"] = 1 - n_of_m[0] / n_of_m[1]
        fields["pattern"] = f"{n_of_m[0]}:{n_of_m[1]}"
    fields["sparsity"] = abs(float(fields.get("sparsity", DEFAULT_SPARSITY)))  # -0.0 is 0
    fields["evaluation"] = simplest(fields.get("evaluation", DEFAULT_CORPUS))
    if not fields.get("tasks"):
        fields["task_limit"] = DEFAULT_TASK_LIMIT  # it decides nothing
    settings = dict(fields.get("settings", {}))
    fields["settings"] = {
        key: parameter.coerced(settings.get(key, parameter.default))
        for key, parameter in _parameters(chosen_methods(fields)).items()
    }
    return fields


def simplest(evaluation: str | Sequence[str] | None) -> str | tuple[str, ...] | None:
    """One text as itself, none as None, several as a tuple."""
    if evaluation is None or isinstance(evaluation, str):
        return evaluation
    return tuple(evaluation) if len(evaluation) > 1 else next(iter(evaluation), None)


def default_group(given: Mapping[str, Any]) -> Group:
    """What competes where nothing was said: within rows for a refinement (which swaps within them), else the
    score's own group; an allocation that was published with another takes that instead of whole layers.
    """
    fields = {**DEFAULT_METHODS, **given}
    own = SCORES[fields["score"]].default_group
    if fields["refinement"] != "none":
        return Group.ROW
    published = ALLOCATIONS[fields["allocation"]].group
    return published if published is not None and own is Group.LAYER else own


def chosen_methods(given: Mapping[str, Any]) -> list[Method]:
    """The known methods among the choices on the axes."""
    names = {axis: given.get(axis, default) for axis, default in DEFAULT_METHODS.items()}
    return [AXES[axis][name] for axis, name in names.items() if name in AXES[axis]]


def _parameters(methods: Sequence[Method]) -> dict[str, Any]:
    return {
        f"{method.name}.{parameter.name}": parameter for method in methods for parameter in method.parameters
    }


def _unknown_methods(given: Mapping[str, Any]) -> list[Fault]:
    return [
        Fault(axis, registry.unknown(given[axis]))
        for axis, registry in AXES.items()
        if axis in given and given[axis] not in registry
    ]


def _pattern_faults(given: Mapping[str, Any]) -> list[Fault]:
    try:
        n_of_m = parse_pattern(given.get("pattern", "unstructured"))
    except ValueError as error:
        return [Fault("pattern", f"{error}.")]
    if n_of_m is None:
        if given.get("permutation") in (None, "none"):
            return []
        return [
            Fault(
                "permutation",
                "only the groups of an N:M pattern such as 2:4 can be dealt other columns; leave the permutation out.",
            )
        ]
    (n, m), found = n_of_m, []
    implied = 1 - n / m
    if given.get("sparsity") is not None and not isclose(given["sparsity"], implied, abs_tol=1e-6):
        found.append(
            Fault(
                "sparsity",
                f"the pattern {n}:{m} removes {implied:.4g} of the weights, but {given['sparsity']:g} was asked; leave it out.",
            )
        )
    if given.get("group") is not None:
        found.append(
            Fault(
                "group",
                f"with {n}:{m} each {m} consecutive columns of a row are the comparison group; leave the group out.",
            )
        )
    allocation = given.get("allocation", "uniform")
    if allocation in ALLOCATIONS and not ALLOCATIONS[allocation].even:
        found.append(
            Fault(
                "allocation",
                f"with {n}:{m} every block and row loses the same share, so {allocation} has nothing to share out; choose uniform.",
            )
        )
    return found


def _product_faults(given: Mapping[str, Any]) -> list[Fault]:
    """Choices that are fine alone and do not go together."""
    fields = {**DEFAULT_METHODS, **given}
    try:
        n_of_m = parse_pattern(fields.get("pattern", "unstructured"))
    except ValueError:  # said already
        return []
    joint = _joint_faults(fields, n_of_m) if SCORES[fields["score"]].joint else []
    return [*joint, *(_row_faults(fields) if n_of_m is None else [])]


def _joint_faults(fields: Mapping[str, Any], n_of_m: tuple[int, int] | None) -> list[Fault]:
    name = fields["score"]
    if n_of_m is None:
        return [
            Fault(
                "pattern",
                f"the score {name} decides whole groups of m columns at once, so it needs an N:M pattern such as 2:4.",
            )
        ]
    found = []
    if sets(*n_of_m) > MOST_SETS:
        possible = f"{sets(*n_of_m):,} sets to remove in each group of {fields['pattern']}"
        found.append(
            Fault(
                "pattern",
                f"the score {name} would have to weigh {possible}, and does so for at most {MOST_SETS:,}; take a smaller m.",
            )
        )
    if fields.get("permutation") not in (None, "none"):
        found.append(
            Fault(
                "permutation",
                f"the score {name} ranks groups, not columns, so there is nothing to deal columns by; leave it out.",
            )
        )
    return found


def _row_faults(fields: Mapping[str, Any]) -> list[Fault]:
    """Methods that need each row's count for itself."""
    group = fields.get("group") or default_group(fields)
    if group == Group.ROW:
        return []
    competing = {
        Group.LAYER: "over the whole linear",
        Group.BLOCK: f"within blocks of 128 columns, as {fields['score']} does by itself",
    }
    found = []
    refinement, allocation = REFINEMENTS[fields["refinement"]], ALLOCATIONS[fields["allocation"]]
    if refinement.name != "none":
        words = f"{refinement.title} swaps weights within a row, but the weights compete {competing[Group(group)]}; set the group to row, or use N:M."
        found.append(Fault("refinement", words))
    settings = {parameter.name: parameter.default for parameter in allocation.parameters}
    chosen = fields.get("settings", {})
    settings |= {
        name: chosen[f"{allocation.name}.{name}"]
        for name in settings
        if f"{allocation.name}.{name}" in chosen
    }
    if allocation.rows(settings):
        words = f"the row step gives every row a sparsity of its own, but the weights compete {competing[Group(group)]}"
        found.append(
            Fault("allocation", f"{words}; set {allocation.name}.step to block, or the group to row.")
        )
    return found


def _setting_faults(given: Mapping[str, Any]) -> list[Fault]:
    known = _parameters(chosen_methods(given))
    found = []
    for key, value in given.get("settings", {}).items():
        if key not in known:
            names = ", ".join(known) if known else "none of the chosen methods has any"
            found.append(
                Fault(f"settings.{key}", f"no chosen method has this parameter; those there are: {names}.")
            )
        elif fault := known[key].fault(value):
            found.append(Fault(f"settings.{key}", f"{fault}."))
    return found


def _corpus_faults(given: Mapping[str, Any]) -> list[Fault]:
    found = []
    for role in ("calibration", "evaluation"):
        names = corpora_in(given, role)
        for name in names:
            if name not in KNOWN_CORPORA and not name.endswith(FILE_ENDINGS):
                found.append(
                    Fault(
                        role,
                        f"expected {', '.join(KNOWN_CORPORA)}, or a .txt, .jsonl or .npy file, got {name!r}.",
                    )
                )
        found += [
            Fault(role, f"{name} is there more than once; name each text once.")
            for name in dict.fromkeys(names)
            if names.count(name) > 1
        ]
    return found


def corpora_in(given: Mapping[str, Any], role: str) -> tuple[str, ...]:
    """The corpora that a recipe's field names: none, one or several."""
    value = given.get(role)
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)


def _task_faults(given: Mapping[str, Any]) -> list[Fault]:
    names = given.get("tasks", ())
    unknown = [
        Fault("tasks", f"there is no task {name!r}; those there are: {', '.join(TASKS)}.")
        for name in names
        if name not in TASKS
    ]
    return unknown + [
        Fault("tasks", f"{name} is there more than once; name each task once.")
        for name in set(names)
        if names.count(name) > 1
    ]


def faults_against(
    given: Mapping[str, Any], widths: Mapping[str, int], sizes: Sequence[int], longest: int | None = None
) -> list[Fault]:
    """Everything that is wrong with a complete recipe's fields for a model of this shape.

    Args:
        given: the recipe's fields.
        widths: input width of each prunable linear, by name.
        sizes: prunable weights of each block.
        longest: the most tokens the model takes, where it says so.
    """
    return [*_width_faults(given, widths), *_ratio_faults(given, sizes), *_length_faults(given, longest)]


def _width_faults(given: Mapping[str, Any], widths: Mapping[str, int]) -> list[Fault]:
    n_of_m = parse_pattern(given["pattern"])
    if n_of_m is None:
        return []
    bad = [(name, width) for name, width in widths.items() if width % n_of_m[1]]
    if not bad:
        return []
    name, width = bad[0]
    more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
    return [
        Fault(
            "pattern",
            f"{given['pattern']} needs input widths that {n_of_m[1]} divides, but {name}{more} has {width} inputs.",
        )
    ]


def _ratio_faults(given: Mapping[str, Any], sizes: Sequence[int]) -> list[Fault]:
    if given["allocation"] != "manual":
        return []
    ratios = given["settings"]["manual.ratios"]
    if len(ratios) != len(sizes):
        return [
            Fault(
                "settings.manual.ratios",
                f"the model has {len(sizes)} blocks, but {len(ratios)} ratios were given; give one a block.",
            )
        ]
    mean = weighted_mean(ratios, sizes)
    if given["settings"]["manual.rescale"] == "yes" or abs(mean - given["sparsity"]) <= TOLERANCE:
        return []
    return [
        Fault(
            "settings.manual.ratios",
            f"the ratios remove {mean:.4g} of the weights, but the sparsity asked is {given['sparsity']:g}; "
            "set the sparsity to that, or manual.rescale to yes.",
        )
    ]


def _length_faults(given: Mapping[str, Any], longest: int | None) -> list[Fault]:
    names = (*corpora_in(given, "calibration"), *corpora_in(given, "evaluation"))
    cuts_text = any(not name.endswith(".npy") for name in names)
    if longest is None or given["length"] is None or given["length"] <= longest or not cuts_text:
        return []
    return [
        Fault(
            "length", f"the model takes at most {longest} tokens a window, but {given['length']} were asked."
        )
    ]
