"""The README.md of a saved model: what was done to which model, what it cost, how to load and to repeat it,
and what not to expect of it.

A pure function of the record, so the same run gives the same card anywhere. Nothing of the machine's disk
gets in: of directories and files only the last part of the name. Does not judge the model beyond what was
measured.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from math import isfinite
from pathlib import PurePosixPath

from engine.evaluation.tasks.catalogue import TASKS
from engine.events import TaskScore, WindowsReady
from engine.export.citations import bibtex, cited
from engine.export.command_line import command
from engine.export.redaction import name_of, places, without_places
from engine.models.identity import DEMO, looks_like_path
from engine.pruning.presets import PRESETS
from engine.recipe import Recipe
from engine.record import Evaluation, RunRecord

NOTHING = "-"
Rows = Sequence[Sequence[str]]


def model_card(record: RunRecord) -> str:
    """The card of a finished run as Markdown with the hub's front matter.

    Raises:
        ValueError: the record has no recipe or no model, so there is nothing to describe.
    """
    if record.recipe is None or record.model is None:
        raise ValueError("A model card needs a run with a recipe and a model.")
    recipe = without_places(record.recipe)
    parts = [
        _front_matter(record.recipe, recipe),
        f"# {PurePosixPath(recipe.model).name}, {_percent(record.sparsity.achieved)} of its prunable weights removed",
        _what_was_done(record, record.recipe, recipe),
        *_results(record),
        *_sparsity(record),
        *_how_to_load(),
        *_how_to_repeat(record, record.recipe, recipe),
        *_limitations(record),
        *_citations(recipe),
    ]
    text = "\n\n".join(part for part in parts if part) + "\n"
    for place in places(record.recipe):  # a warning may quote one
        text = text.replace(place, name_of(place))
    return text


def _on_hub(recipe: Recipe) -> bool:
    return recipe.model != DEMO and not looks_like_path(recipe.model)


def _front_matter(original: Recipe, recipe: Recipe) -> str:
    """YAML between dashes, every text quoted as JSON, which YAML reads alike. The licence stays the base
    model's.
    """
    fields: dict[str, object] = {"library_name": "transformers", "pipeline_tag": "text-generation"}
    if _on_hub(original):
        link = f"https://huggingface.co/{recipe.model}"
        fields = {
            "base_model": recipe.model,
            "license": "other",
            "license_name": "see-base-model",
            "license_link": link,
            **fields,
        }
    methods = {getattr(recipe, axis) for axis in ("score", "update", "refinement", "allocation")} - {
        "none",
        "uniform",
    }
    tags = [
        "prunescope",
        "pruning",
        "sparsity",
        *([recipe.pruner] if recipe.pruner else []),
        *sorted(methods),
        recipe.pattern,
    ]
    fields["tags"] = list(dict.fromkeys(tags))
    return "\n".join(
        [
            "---",
            *(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in fields.items()),
            "---",
        ]
    )


def _what_was_done(record: RunRecord, original: Recipe, recipe: Recipe) -> str:
    version = f" {record.environment.prunescope}" if record.environment else ""
    pruner = PRESETS[recipe.pruner].title if recipe.pruner else ", ".join(_methods(recipe))
    shape = (
        "without a pattern"
        if recipe.mask_pattern.fixed_sparsity is None
        else f"in the pattern {recipe.pattern}"
    )
    shared = (
        "the same share from every block"
        if recipe.allocation == "uniform"
        else f"shared out by {recipe.methods['allocation'].title}"
    )
    text = record.protocol.calibration
    seen = (
        f", calibrated on {text.windows:,} windows of {text.length:,} tokens of {name_of(text.corpus)}"
        if text
        else ""
    )
    return (
        f"This is {_base(original, recipe)} after one-shot pruning, without any training, by Prunescope{version}: {pruner} set "
        f"{_percent(record.sparsity.achieved)} of the prunable weights to zero {shape}, {shared}{seen}."
    )


def _base(original: Recipe, recipe: Recipe) -> str:
    if _on_hub(original):
        revision = f" at revision `{recipe.revision}`" if recipe.revision else ""
        return f"[{recipe.model}](https://huggingface.co/{recipe.model}){revision}"
    return (
        "Prunescope's bundled demonstration model"
        if recipe.model == DEMO
        else f"the model in the local directory `{recipe.model}`"
    )


def _methods(recipe: Recipe) -> list[str]:
    """The chosen methods that do something, by their titles."""
    return [
        recipe.methods[axis].title
        for axis in ("score", "update", "refinement")
        if getattr(recipe, axis) != "none"
    ]


def _evaluations(record: RunRecord) -> list[tuple[Evaluation, WindowsReady | None]]:
    """What was measured, each with what it was measured on."""
    windows = {text.corpus: text for text in record.protocol.evaluations}
    return [(evaluation, windows.get(evaluation.corpus)) for evaluation in record.evaluations]


def _results(record: RunRecord) -> Iterator[str]:
    yield "## Results"
    found = _evaluations(record)
    if not found and not record.tasks.dense:
        yield "Neither perplexity nor tasks were measured."
    if found:
        heads = [
            "Text",
            "Perplexity, dense",
            "pruned",
            "ratio",
            "Bits per byte, dense",
            "pruned",
            "Predicted tokens",
        ]
        yield _table(heads, [_evaluation_row(evaluation) for evaluation, _ in found])
        yield "Dense and pruned were measured under the same protocol:"
        yield "\n".join(
            f"- {name_of(item.corpus)}: {record.protocol.perplexity_on(windows)}." for item, windows in found
        )
    if record.tasks.dense:
        yield _table(
            ["Task, no examples in the prompt", "Measure", "Dense", "Pruned", "Examples", "Source"],
            _task_rows(record),
        )
    yield _table(
        ["Text", "Used for", "Windows", "Tokens a window", "Tokens", "Chosen", "Identity"], _text_rows(record)
    )


def _evaluation_row(item: Evaluation) -> list[str]:
    bits = [_number(score.bits_per_byte, 4) for score in (item.dense, item.pruned)]
    perplexities = [_number(score.perplexity) for score in (item.dense, item.pruned)]
    return [name_of(item.corpus), *perplexities, _number(item.ratio, 4), *bits, f"{item.dense.tokens:,}"]


def _task_rows(record: RunRecord) -> list[list[str]]:
    pruned = {score.task: score for score in record.tasks.pruned}
    return [
        [
            TASKS[score.task].title,
            score.metric,
            _score(score),
            _score(pruned.get(score.task)),
            f"{score.examples:,}",
            name_of(score.source),
        ]
        for score in record.tasks.dense
    ]


def _score(score: TaskScore | None) -> str:
    if score is None:
        return NOTHING
    error = f" ± {100 * score.stderr:.1f}" if score.stderr is not None else ""
    return f"{100 * score.value:.1f}{error} %"


def _text_rows(record: RunRecord) -> list[list[str]]:
    texts = [record.protocol.calibration, *record.protocol.evaluations]
    return [
        [
            name_of(text.corpus),
            text.role,
            f"{text.windows:,} of {text.available:,}",
            f"{text.length:,}",
            f"{text.tokens:,}",
            "all in order" if text.seed is None else f"seed {text.seed}",
            "; ".join(
                [
                    *(f"{name} {value}" for name, value in text.identity.items()),
                    f"fingerprint {text.fingerprint}",
                ]
            ),
        ]
        for text in texts
        if text
    ]


def _sparsity(record: RunRecord) -> Iterator[str]:
    assert record.model is not None, "model_card looked"
    facts, model = record.sparsity, record.model
    skipped = ", ".join(f"{kind} {weights:,}" for kind, weights in facts.skipped.items()) or "none"
    rows = [
        ["Asked", _percent(facts.target)],
        ["Removed, of the prunable weights", _percent(facts.achieved, 3)],
        [
            "Prunable, of all weights (coverage)",
            f"{_percent(facts.coverage, 3)} ({model.prunable:,} of {model.parameters:,})",
        ],
        ["Removed, of all weights", _percent((facts.achieved or 0.0) * (facts.coverage or 0.0), 3)],
        ["Never pruned", skipped],
    ]
    yield "## Sparsity"
    yield _table(["What", "Value"], rows)
    blocks = sorted(record.blocks, key=lambda block: block.index)
    yield _table(
        ["Block", "Removed", "Relative error behind it", "Cosine"],
        [
            [
                str(block.index),
                _percent(block.sparsity, 2),
                _number(block.relative_error, 4),
                _number(block.cosine, 5),
            ]
            for block in blocks
        ],
    )


def _how_to_load() -> Iterator[str]:
    yield "## Load it"
    yield LOADING


def _how_to_repeat(record: RunRecord, original: Recipe, recipe: Recipe) -> Iterator[str]:
    own = [f"`{name_of(place)}`" for place in places(original)]
    yield "## Repeat it"
    yield f"With Prunescope this command gives the same result (run `{record.key}`)." + (
        f" Give your own paths for {', '.join(own)}." if own else ""
    )
    yield f"```bash\n{command(recipe)}\n```"
    yield "The recipe in full:"
    yield f"```json\n{json.dumps(recipe.model_dump(mode='json'), indent=2, ensure_ascii=False)}\n```"
    yield "Computed with:"
    yield _table(["What", "Value"], _environment_rows(record))


def _environment_rows(record: RunRecord) -> list[list[str]]:
    machine, model = record.environment, record.model
    if machine is None or model is None:
        return []
    return [
        [
            "Software",
            f"Prunescope {machine.prunescope}, torch {machine.torch}, transformers {machine.transformers}, Python {machine.python}",
        ],
        [
            "Machine",
            f"{machine.device_name} ({machine.device}), {machine.threads} threads, {machine.platform}",
        ],
        ["Model", f"{model.architecture}, {model.parameters:,} weights in {model.dtype}, {model.residence}"],
        ["Started", record.started or NOTHING],
    ]


def _limitations(record: RunRecord) -> Iterator[str]:
    yield "## Limitations"
    texts, tasks = (
        [name_of(item.corpus) for item, _ in _evaluations(record)],
        [TASKS[score.task].title for score in record.tasks.dense],
    )
    known = [
        *([f"perplexity on {', '.join(texts)}"] if texts else []),
        *([f"accuracy on {', '.join(tasks)}"] if tasks else []),
    ]
    lines = [
        "The zeros are stored like any other number: this model takes as much memory and time as the dense one until a format or a kernel makes "
        "use of them.",
        f"What it lost was measured as {' and '.join(known) or 'nothing'}. Other texts, languages and tasks, bias and safety were not measured.",
        "It was not trained after pruning. What holds of the base model, its licence and intended use included, holds of this one: see base model.",
        *record.warnings,
    ]
    yield "\n".join(f"- {line}" for line in lines)


def _citations(recipe: Recipe) -> Iterator[str]:
    """The papers of the methods used, each once, as BibTeX."""
    found = cited(recipe)
    if found:
        yield "## Papers"
        yield "```bibtex\n" + "\n\n".join(map(bibtex, found)) + "\n```"


def _table(heads: Sequence[str], rows: Rows) -> str:
    """A Markdown table; empty without rows."""
    if not rows:
        return ""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |"
        for line in lines
    )


def _percent(share: float | None, digits: int = 1) -> str:
    return NOTHING if share is None else f"{100 * share:.{digits}f} %"


def _number(value: float | None, digits: int = 2) -> str:
    if value is None:
        return NOTHING
    if not isfinite(value):
        return "not finite"
    return f"{value:,.{digits}f}" if abs(value) < 1e6 else f"{value:.3e}"


LOADING = """```python
from transformers import AutoModelForCausalLM, AutoTokenizer

place = "."  # this directory, or its name on the hub
model = AutoModelForCausalLM.from_pretrained(place, dtype="auto")
tokenizer = AutoTokenizer.from_pretrained(place)
```"""
