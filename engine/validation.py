"""What makes a recipe refused, in the user's words, all at once.

`faults` needs the recipe alone; `faults_against` also needs the model's shape, which a configuration gives without any weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isclose
from typing import Any

from engine.errors import Fault
from engine.pruning.allocations.manual import TOLERANCE, weighted_mean
from engine.pruning.methods import AXES, SCORES
from engine.pruning.patterns import parse_pattern
from engine.pruning.presets import PRESETS
from engine.registry import Method

DEFAULT_SPARSITY = 0.5
DEFAULT_METHODS = {"score": "wanda", "allocation": "uniform", "update": "none", "refinement": "none"}


def expand_pruner(given: Mapping[str, Any]) -> tuple[dict[str, Any], list[Fault]]:
    """The fields with `pruner` replaced by what it stands for; a choice that contradicts it is a fault."""
    fields = dict(given)
    name = fields.pop("pruner", None)
    if name is None:
        return fields, []
    if not isinstance(name, str) or name not in PRESETS:
        return fields, [Fault("pruner", f"{PRESETS.unknown(name)}")]
    choices = PRESETS[name].choices
    faults = [
        Fault(axis, f"the pruner {name} means {axis} {choice}, but {fields[axis]} was asked; leave one of the two out.")
        for axis, choice in choices.items()
        if fields.get(axis, choice) != choice
    ]
    return {**fields, **choices}, faults


def faults(given: Mapping[str, Any]) -> list[Fault]:
    """Everything that is wrong with fields whose types are right."""
    return [*_unknown_methods(given), *_pattern_faults(given), *_setting_faults(given), *_corpus_faults(given)]


def complete(given: Mapping[str, Any]) -> dict[str, Any]:
    """Faultless fields with everything filled in that follows from the others."""
    fields: dict[str, Any] = {**DEFAULT_METHODS, "pattern": "unstructured", **given}
    n_of_m = parse_pattern(fields["pattern"])
    if n_of_m is None:
        fields["group"] = fields.get("group") or SCORES[fields["score"]].default_group
    else:
        fields["sparsity"] = 1 - n_of_m[0] / n_of_m[1]
        fields["pattern"] = f"{n_of_m[0]}:{n_of_m[1]}"
    fields["sparsity"] = abs(float(fields.get("sparsity", DEFAULT_SPARSITY)))  # -0.0 is 0
    settings = dict(fields.get("settings", {}))
    fields["settings"] = {
        key: parameter.coerced(settings.get(key, parameter.default)) for key, parameter in _parameters(chosen_methods(fields)).items()
    }
    return fields


def chosen_methods(given: Mapping[str, Any]) -> list[Method]:
    """The known methods among the choices on the axes."""
    names = {axis: given.get(axis, default) for axis, default in DEFAULT_METHODS.items()}
    return [AXES[axis][name] for axis, name in names.items() if name in AXES[axis]]


def _parameters(methods: Sequence[Method]) -> dict[str, Any]:
    return {f"{method.name}.{parameter.name}": parameter for method in methods for parameter in method.parameters}


def _unknown_methods(given: Mapping[str, Any]) -> list[Fault]:
    return [Fault(axis, registry.unknown(given[axis])) for axis, registry in AXES.items() if axis in given and given[axis] not in registry]


def _pattern_faults(given: Mapping[str, Any]) -> list[Fault]:
    try:
        n_of_m = parse_pattern(given.get("pattern", "unstructured"))
    except ValueError as error:
        return [Fault("pattern", f"{error}.")]
    if n_of_m is None:
        return []
    (n, m), found = n_of_m, []
    implied = 1 - n / m
    if given.get("sparsity") is not None and not isclose(given["sparsity"], implied, abs_tol=1e-6):
        found.append(
            Fault("sparsity", f"the pattern {n}:{m} removes {implied:.4g} of the weights, but {given['sparsity']:g} was asked; leave it out.")
        )
    if given.get("group") is not None:
        found.append(Fault("group", f"with {n}:{m} each {m} consecutive columns of a row are the comparison group; leave the group out."))
    if given.get("allocation", "uniform") != "uniform":
        found.append(Fault("allocation", f"with {n}:{m} every block has the same sparsity, so the allocation must be uniform."))
    return found


def _setting_faults(given: Mapping[str, Any]) -> list[Fault]:
    known = _parameters(chosen_methods(given))
    found = []
    for key, value in given.get("settings", {}).items():
        if key not in known:
            names = ", ".join(known) if known else "none of the chosen methods has any"
            found.append(Fault(f"settings.{key}", f"no chosen method has this parameter; those there are: {names}."))
        elif fault := known[key].fault(value):
            found.append(Fault(f"settings.{key}", f"{fault}."))
    return found


def _corpus_faults(given: Mapping[str, Any]) -> list[Fault]:
    found = []
    for role in ("calibration", "evaluation"):
        name = given.get(role)
        if name is not None and name != "stories" and not name.endswith((".txt", ".jsonl", ".npy")):
            found.append(Fault(role, f"expected 'stories' or a .txt, .jsonl or .npy file, got {name!r}."))
    return found


def faults_against(given: Mapping[str, Any], widths: Mapping[str, int], sizes: Sequence[int], longest: int | None = None) -> list[Fault]:
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
    return [Fault("pattern", f"{given['pattern']} needs input widths that {n_of_m[1]} divides, but {name}{more} has {width} inputs.")]


def _ratio_faults(given: Mapping[str, Any], sizes: Sequence[int]) -> list[Fault]:
    if given["allocation"] != "manual":
        return []
    ratios = given["settings"]["manual.ratios"]
    if len(ratios) != len(sizes):
        return [Fault("settings.manual.ratios", f"the model has {len(sizes)} blocks, but {len(ratios)} ratios were given; give one a block.")]
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
    cuts_text = any(name is not None and not name.endswith(".npy") for name in (given["calibration"], given["evaluation"]))
    if longest is None or given["length"] <= longest or not cuts_text:
        return []
    return [Fault("length", f"the model takes at most {longest} tokens a window, but {given['length']} were asked.")]
