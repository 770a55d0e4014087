"""What can be asked of a pattern, explained: its kinds, the groups that compete in an unstructured one, the
permutations of an N:M one.

Entries of registries like the methods, so that the command line, the forms and the reference draw on them in
the same way; the arithmetic is in `engine.pruning.patterns`. What a recipe accepts is said there and in
`engine.recipe`; a test holds both to these names.
"""

from __future__ import annotations

from engine.pruning import papers
from engine.registry import Method, Registry

PATTERNS: Registry[Method] = Registry("pattern")
GROUPS: Registry[Method] = Registry("group")
PERMUTATIONS: Registry[Method] = Registry("permutation")
LAYOUTS: dict[str, Registry[Method]] = {
    registry.axis: registry for registry in (PATTERNS, GROUPS, PERMUTATIONS)
}

PATTERNS.add(
    Method(
        name="unstructured",
        title="Unstructured",
        explanation="The weights with the lowest scores of each comparison group go, wherever they stand.",
        helps="Loses the least at a given sparsity; ordinary hardware gains no speed from it.",
        formula=r"\# \{ M_{ij} = 0 \} = \lfloor n s \rfloor \quad \text{in each group of } n",
    )
)
PATTERNS.add(
    Method(
        name="n:m",
        title="N:M",
        explanation="Of each m consecutive weights of a row the n highest-scored stay, so the sparsity is 1 - n/m; m must divide each width.",
        helps="2:4 is what the sparse units of NVIDIA's GPUs can speed up; it costs more than unstructured. 4:8 shows what more freedom is worth.",
        formula=r"\sum_{j \in \text{group}} M_{ij} = n, \quad s = 1 - \tfrac{n}{m}",
        paper=papers.SEMI_STRUCTURED,
    )
)

GROUPS.add(
    Method(
        name="layer",
        title="The whole linear",
        explanation="All weights of a linear compete, so its rows may end up with different sparsities.",
        helps="Where the score can be compared between neurons, as magnitude or relative importance can; it may cut whole neurons off.",
        formula=r"n = \text{out} \cdot \text{in}",
    )
)
GROUPS.add(
    Method(
        name="row",
        title="Each row",
        explanation="The weights of each output neuron compete among themselves, so every row loses the same share.",
        helps="Wanda's choice, and a safe one; refinements and sparsities of single rows need it.",
        formula=r"n = \text{in}",
    )
)
GROUPS.add(
    Method(
        name="block",
        title="128 columns at a time",
        explanation="Within 128 columns the weights of all rows compete.",
        helps="SparseGPT's choice: it decides on weights that have been updated up to there.",
        formula=r"n = 128 \cdot \text{out}",
    )
)

PERMUTATIONS.add(
    Method(
        name="none",
        title="No permutation",
        explanation="Each m columns that stand side by side are a group.",
        helps="The only layout that sparse units run as it is.",
    )
)
PERMUTATIONS.add(
    Method(
        name="zigzag",
        title="Zig-zag",
        explanation="Columns are sorted by their total score and dealt over the groups in turn, there and back, so that strong ones do not meet.",
        helps="Takes no time, and gains most where a few columns hold most of the score. Sparse units would have to store the columns in that order.",
        formula=r"\sum_i S_{i \pi(1)} \ge \sum_i S_{i \pi(2)} \ge \dots \quad \text{into the groups } 1, \dots, g, g, \dots, 1, 1, \dots",
        paper=papers.RIA,
    )
)
PERMUTATIONS.add(
    Method(
        name="assignment",
        title="Linear assignment",
        explanation="Place by place, columns are assigned to the groups so that the score that stays is as large as possible.",
        helps="Better than zig-zag where groups are small, at the price of one assignment problem for each place; wide linears are done in parts.",
        formula=r"\max_\pi \sum_i \sum_g \sum_{n \text{ highest } j \in g} S_{i \pi(j)}",
        paper=papers.RIA,
    )
)
