"""Zero-shot accuracies of two runs: the marks of the second next to those of the page's run."""

from __future__ import annotations

from dataclasses import replace

from engine.charts import palette
from engine.charts.chart import Chart, literal
from engine.charts.overlay.pair import Pair, both_tables
from engine.charts.tasks import OFFSET, accuracy_marks, task_scores
from engine.evaluation.tasks.compare import compare, mean


def tasks_of_both(pair: Pair) -> Chart:
    """Return the accuracies of both runs on the tasks that the page's run was evaluated on.

    The dense marks are those of the page's run.
    """
    single = task_scores(pair.first.tasks.dense, pair.first.tasks.pruned)
    other = task_scores(pair.second.tasks.dense, pair.second.tasks.pruned)
    rows = list(compare(pair.first.tasks.dense, pair.second.tasks.pruned))
    total = mean(rows)
    drawn = rows + ([total] if total else [])
    if all(row.pruned is None for row in rows):
        return replace(
            single, caption=f"Not compared: {pair.names[1]} was not evaluated on these. {single.caption}"
        )
    single.figure.for_each_trace(
        lambda trace: trace.update(name=literal(pair.names[0])), selector={"name": "pruned"}
    )
    single.figure.add_trace(
        accuracy_marks(
            literal(pair.names[1]),
            {"symbol": "square", "size": 9, "color": palette.GREEN},
            [place + 2 * OFFSET for place in range(len(drawn))],
            [(row.pruned, row.pruned_stderr) for row in drawn],
        )
    )
    return replace(
        single,
        title="Zero-shot accuracy of both runs and of the dense model",
        table=both_tables(pair, single.table, other.table),
        alt=f"{single.alt} Squares: {pair.names[1]}.",
        caption=f"{pair.names[0]}: {single.caption} {pair.names[1]}: {other.caption.split(' Bars:')[0]}",
    )
