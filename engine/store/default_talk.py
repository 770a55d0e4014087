"""The bundled 10-minute talk: from a matrix pruned by hand to a text that falls apart, on recorded runs and
one live run. The figures in its notes are read from those runs.
"""

from __future__ import annotations

from functools import cache

from engine import numbers
from engine.errors import StoreError
from engine.recipe import Recipe, pin
from engine.recipe.real_model import real_recipe
from engine.record import RunRecord
from engine.store.folder import RunFolder
from engine.store.runs import RECORDED
from engine.store.talk import DEFAULT, HOME_PAGE, Talk, View

HALF, MOST = 0.5, 0.7
PRUNERS = {"magnitude": "magnitude", "Wanda": "wanda", "SparseGPT": "sparsegpt"}
"""The pruners that the notes compare, by the name in a sentence."""


@cache
def default_talk() -> Talk:
    """Return the talk."""
    half, most = (pin(Recipe.build(pruner="wanda", sparsity=sparsity)) for sparsity in (HALF, MOST))
    searched = pin(Recipe.build(pruner="wanda", sparsity=MOST, allocation="neuroal"))
    views = (
        View(
            title="Which weights can be removed? Prune a matrix by hand",
            page="learn",
            parameters={"lesson": "by_hand"},
            notes=BY_HAND,
        ),
        View(title="Remove half of a model's weights, live", page=HOME_PAGE, notes=_live(half)),
        View(
            title="What removing half costs",
            page=HOME_PAGE,
            parameters={"run": half.key, "focus": "numbers"},
            notes=_cost(half),
        ),
        View(
            title="The error grows with depth",
            page=HOME_PAGE,
            parameters={"run": most.key, "focus": "depth"},
            notes=_depth(most),
        ),
        View(title="Every pruner has a cliff", page="compare", notes=_cliff()),
        View(
            title="The same on a real language model",
            page="learn",
            parameters={"lesson": "explosion", "step": "real"},
            notes=_real_model(),
        ),
        View(
            title="How much of each block? A search decides",
            page=HOME_PAGE,
            parameters={"run": searched.key, "focus": "search"},
            notes=_search(most, searched),
        ),
        View(
            title="One layer under the microscope",
            page="microscope",
            parameters={"run": half.key},
            notes=MICROSCOPE,
        ),
        View(title="The text falls apart", page="generate", notes=TEXT),
    )
    return Talk(name=DEFAULT, views=views)


BY_HAND = """**1½ minutes.** One linear layer, 8 inputs and 8 outputs. Remove half of its 64 weights.
- Ask the room which weight to remove first. The obvious answer is the smallest one.
- Click a few small weights, then one small weight of a strong input. Watch the output error.
- The point: a weight matters through its input. That is Wanda's score, |weight| × input norm."""

MICROSCOPE = """**1 minute.** One linear layer of the pruned model, with half of its weights removed.
- Wanda compares the weights of one row, so every row loses the same share and no output neuron is lost.
- Look for columns: inputs with a small norm lose more of their weights.
- The threshold in the histogram of scores separates what is kept from what is removed."""

TEXT = """**1 minute.** Move the slider from 0 to 90 % and read aloud what the model writes.
- Ask the room at which sparsity the story stops making sense, and at which the sentences do.
- Perplexity told us the average cost per token. The text shows what that cost looks like.
- **To close:** half of the weights go cheaply, the rest do not, and which half you remove matters."""


def _live(half: Recipe) -> str:
    record = _record(half)
    took = record and f"On the machine that recorded it, this run took {numbers.about(record.elapsed)}."
    return _lines(
        "**1 minute.** Start the run, and talk while it computes.",
        "- Blocks are pruned in order. Each one is calibrated on the output of the pruned blocks before it.",
        "- Nothing is retrained: the method sees a few calibration texts once.",
        took and f"- {took}",
    )


def _cost(half: Recipe) -> str:
    record = _record(half)
    figures = record and _perplexities(record)
    return _lines(
        "**1 minute.** Perplexity before and after, under the same protocol.",
        figures and f"- Half of the weights are gone, and perplexity goes from {figures}.",
        "- Perplexity is the exponential of the mean loss per token, so compare ratios, not differences.",
        "- Stored zeros alone save neither memory nor time; that needs a sparse format and kernels for it.",
    )


def _depth(most: Recipe) -> str:
    record = _record(most)
    errors = [block.relative_error for block in record.blocks] if record else []
    known = [error for error in errors if error is not None]
    grows = known and (
        f"- Here, the first block's output is off by {numbers.percent(known[0], 0)}, the last one's by "
        f"{numbers.percent(known[-1], 0)}."
    )
    return _lines(
        f"**1 minute.** The same pruner at {numbers.short_percent(MOST)}, block by block.",
        grows,
        "- Each block receives a damaged signal and damages it further.",
    )


def _cliff() -> str:
    costs = []
    for name, pruner in PRUNERS.items():
        record = _record(pin(Recipe.build(pruner=pruner, sparsity=MOST)))
        if record and record.pruned:
            costs.append(f"{numbers.perplexity(record.pruned.perplexity)} with {name}")
    return _lines(
        "**1½ minutes.** Perplexity against sparsity, one curve per pruner.",
        "- All curves are flat at first and then rise steeply. Better methods move the cliff to the right.",
        costs and f"- At {numbers.short_percent(MOST)}: {numbers.listed(costs)}.",
        "- SparseGPT also changes the weights that it keeps. That is what the extra time buys.",
    )


def _real_model() -> str:
    dense, costs = None, []
    for name, pruner in PRUNERS.items():
        record = _record(real_recipe(pruner=pruner, sparsity=HALF))
        if record and record.pruned:
            costs.append(f"{numbers.perplexity(record.pruned.perplexity)} with {name}")
            dense = record.dense
    return _lines(
        "**1 minute.** So far the model was tiny. This one has 135 million weights and is in use.",
        "- Ask first: will the pruners come in the same order as on the small model?",
        dense
        and f"- At {numbers.short_percent(HALF)}, perplexity on the beginning of WikiText-2 goes from "
        f"{numbers.perplexity(dense.perplexity)} to {numbers.listed(costs)}.",
        "- The calibration text is children's stories, not WikiText-2 as in the papers.",
    )


def _search(most: Recipe, searched: Recipe) -> str:
    uniform, found = _record(most), _record(searched)
    better = (
        uniform
        and found
        and uniform.pruned
        and found.pruned
        and f"- At the same target of {numbers.short_percent(MOST)}, perplexity is "
        f"{numbers.perplexity(found.pruned.perplexity)} instead of "
        f"{numbers.perplexity(uniform.pruned.perplexity)}."
    )
    return _lines(
        "**1 minute.** Should every block lose the same share? NeuroAL tries allocations.",
        "- It compares the input norms of the dense and the sparse model. It needs no training.",
        found and f"- This search tried {len(found.search)} candidates.",
        better,
    )


def _record(recipe: Recipe) -> RunRecord | None:
    """Return a bundled run; None in an installation without them."""
    try:
        return RunFolder(RECORDED / recipe.key, recorded=True).record()
    except StoreError:
        return None


def _perplexities(record: RunRecord) -> str | None:
    if record.dense is None or record.pruned is None:
        return None
    return f"{numbers.perplexity(record.dense.perplexity)} to {numbers.perplexity(record.pruned.perplexity)}"


def _lines(*lines: object) -> str:
    """Return the lines that there are."""
    return "\n".join(str(line) for line in lines if line)
