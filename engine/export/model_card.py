"""The README.md of a saved model: how the model was pruned, how good it still is, how to load it, how to
reproduce it, and its limitations.

A pure function of the record, so the same run gives the same card anywhere. Paths of the machine are reduced
to the names of files and directories. The card claims nothing beyond what was measured. The text is in
model_card.md.jinja.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cache
from math import isfinite
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from engine import numbers
from engine.evaluation.tasks.catalogue import task_title
from engine.events import TaskScore
from engine.export.citations import bibtex, cited
from engine.export.command_line import command
from engine.export.redaction import file_name, paths, without_paths
from engine.models.gguf.unpacked import is_content
from engine.models.identity import DEMO, looks_like_path
from engine.pruning.presets import PRESETS
from engine.recipe import Recipe
from engine.record import RunRecord

if TYPE_CHECKING:
    from jinja2 import Template


def model_card(record: RunRecord, notes: Sequence[str] = (), *, with_tokenizer: bool = True) -> str:
    """Return the card of a finished run as Markdown with the hub's front matter.

    Args:
        notes: limitations of the saved model besides the run's warnings.
        with_tokenizer: whether the model is saved with a tokenizer.

    Raises:
        ValueError: the record has no recipe or no model, so there is nothing to describe.
    """
    if record.recipe is None or record.model is None:
        raise ValueError("A model card needs a run with a recipe and a model.")
    original, recipe, protocol = record.recipe, without_paths(record.recipe), record.protocol
    pruned = {score.task: score for score in record.tasks.pruned}
    tasks = [(task_title(score.task), score, pruned.get(score.task)) for score in record.tasks.dense]
    corpora = [file_name(item.corpus) for item in record.evaluations]
    measures = [f"perplexity on {', '.join(corpora)}"] if corpora else []
    measures += [f"accuracy on {', '.join(title for title, *_ in tasks)}"] if tasks else []
    text = _template().render(
        record=record,
        recipe=recipe,
        model=record.model,
        machine=record.environment,
        protocol=protocol,
        front_matter=_front_matter(original),
        base=_base(original, recipe),
        pruner=PRESETS[recipe.pruner].title if recipe.pruner else ", ".join(_method_titles(recipe)),
        windows={text.corpus: text for text in protocol.evaluations},
        tasks=tasks,
        texts=[text for text in (protocol.calibration, *protocol.evaluations) if text],
        paths=paths(original),
        command=command(recipe),
        measures=measures,
        notes=[*record.warnings, *notes],
        with_tokenizer=with_tokenizer,
        papers=cited(recipe),
        unknown=numbers.UNKNOWN,
    )
    for path in paths(original):  # a warning may quote one
        text = text.replace(path, file_name(path))
    # Optional parts leave blank lines; the code blocks never have two in a row.
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


@cache
def _template() -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    # No autoescaping: Markdown's code blocks are verbatim.
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,  # a misspelt name fails instead of leaving a gap
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "bibtex": bibtex,
        "cell": _cell,
        "file": file_name,
        "json": lambda value, indent=None: json.dumps(value, indent=indent, ensure_ascii=False),
        "number": _number,
        "percent": numbers.percent,
        "prose": _prose,
        "score": _score,
    }
    return environment.get_template("model_card.md.jinja")


def _on_hub(recipe: Recipe) -> bool:
    return recipe.model != DEMO and not looks_like_path(recipe.model)


def _front_matter(recipe: Recipe) -> dict[str, object]:
    """Return the fields of the hub's front matter. The licence stays the base model's."""
    fields: dict[str, object] = {}
    if _on_hub(recipe):
        fields = {
            "base_model": recipe.model,
            "license": "other",
            "license_name": "see-base-model",
            "license_link": f"https://huggingface.co/{recipe.model}",
        }
    # The names that say that nothing was chosen.
    methods = {recipe.score, recipe.update, recipe.refinement, recipe.allocation} - {"none", "uniform"}
    pruner = [recipe.pruner] if recipe.pruner else []
    tags = ["prunescope", "pruning", "sparsity", *pruner, *sorted(methods), recipe.pattern]
    return {
        **fields,
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": list(dict.fromkeys(tags)),
    }


def _base(original: Recipe, recipe: Recipe) -> str:
    """Return the dense model in words, with a link if it is on the hub."""
    if _on_hub(original):
        revision = f" at revision `{recipe.revision}`" if recipe.revision else ""
        return f"[{recipe.model}](https://huggingface.co/{recipe.model}){revision}"
    if recipe.model == DEMO:
        return "Prunescope's bundled demonstration model"
    if is_content(original.revision):
        return f"the model in the GGUF file `{recipe.model}`"
    return f"the model in the local directory `{PurePosixPath(recipe.model).name}`"


def _method_titles(recipe: Recipe) -> list[str]:
    axes = ("score", "update", "refinement")
    return [recipe.methods[axis].title for axis in axes if getattr(recipe, axis) != "none"]


def _score(score: TaskScore | None) -> str:
    return numbers.accuracy(score.value, score.stderr) if score else numbers.UNKNOWN


def _number(value: float | None, digits: int) -> str:
    if value is None:
        return numbers.UNKNOWN
    if not isfinite(value):
        return "not finite"
    return f"{value:,.{digits}f}" if abs(value) < 1e6 else f"{value:.3e}"


def _prose(text: str) -> str:
    """Escape what Markdown would pass through as HTML, and keep the text on one line."""
    # `&` first: otherwise it would be escaped in `&lt;` as well.
    return " ".join(text.split("\n")).replace("&", "&amp;").replace("<", "&lt;")


def _cell(text: str) -> str:
    """Escape a text for a cell of a table, which a bar would end."""
    return _prose(text).replace("|", "\\|")
