"""The explanation of each chart of a run, and of two runs in one chart."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine.analysis.explanations import allocation, corrections, depth, linears, search, weights
from engine.analysis.explanations.explanation import Explanation, explanation
from engine.record import RunRecord

OF_RUNS: dict[str, Callable[[RunRecord], Explanation]] = {
    "sparsity": linears.sparsity_map,
    "output_error": linears.output_errors,
    "alignment": depth.neuron_alignment,
    "depth": depth.error_over_depth,
    "swaps": corrections.swaps,
    "refinement": corrections.refinement,
    "recovery": corrections.update,
    "coverage": weights.coverage,
    "search": search.objective,
    "allocation": allocation.sparsity_per_block,
    "alignment_uniform": search.against_uniform,
    "rows": allocation.sparsity_per_row,
}
"""By the chart's name, see `engine.charts.run_charts`."""


def of_both(chart: str, runs: Sequence[RunRecord], names: Sequence[str]) -> Explanation:
    """Explain a chart of two runs: the main sentence about each, after its name."""
    found = [OF_RUNS[chart](run) for run in runs]
    sentences = [f"{name}: {each.sentences[0]}" for name, each in zip(names, found, strict=True)]
    return explanation(sentences, found[0].lesson)
