"""The choices besides the axes, explained: the kinds of pattern, the comparison groups of an unstructured
one, the permutations of an N:M pattern, and what becomes of the biases.

They are registry entries like the methods, so that the command line, the forms and the reference page treat
them alike. The arithmetic is in `engine.pruning.patterns`; a test checks that the names agree.
"""

from __future__ import annotations

from engine.pruning import papers
from engine.registry import Method, Registry

PATTERNS: Registry[Method] = Registry("pattern")
GROUPS: Registry[Method] = Registry("group")
PERMUTATIONS: Registry[Method] = Registry("permutation")
BIASES: Registry[Method] = Registry("bias")
LAYOUTS: dict[str, Registry[Method]] = {
    registry.axis: registry for registry in (PATTERNS, GROUPS, PERMUTATIONS, BIASES)
}

PATTERNS.add(
    Method(
        name="unstructured",
        title="Unstructured",
        explanation="Removes the weights with the lowest scores in each comparison group, wherever they are.",
        helps="Loses the least quality at a given sparsity, but brings no speedup on ordinary hardware.",
        formula=r"\# \{ M_{ij} = 0 \} = \lfloor n s \rfloor \quad \text{in each group of } n",
    )
)
PATTERNS.add(
    Method(
        name="n:m",
        title="N:M",
        explanation="Keeps the n highest-scored of each m consecutive weights in a row, so the sparsity is "
        "1 - n/m. Every input width must be divisible by m.",
        helps="NVIDIA's sparse tensor cores can speed up 2:4. It loses more quality than unstructured "
        "pruning; 4:8 shows what more freedom is worth.",
        formula=r"\sum_{j \in \text{group}} M_{ij} = n, \quad s = 1 - \tfrac{n}{m}",
        paper=papers.SEMI_STRUCTURED,
    )
)

GROUPS.add(
    Method(
        name="layer",
        title="The whole linear",
        explanation="All weights of a linear compete with one another, so its rows may end up with "
        "different sparsities.",
        helps="For scores that are comparable between neurons, such as magnitude or relative importance. It "
        "may remove whole neurons.",
        formula=r"n = \text{out} \cdot \text{in}",
    )
)
GROUPS.add(
    Method(
        name="row",
        title="Each row",
        explanation="The weights of each output neuron compete with one another, so every row has the same "
        "sparsity.",
        helps="Wanda's choice, and a safe one. Mask refinements and sparsities per row require it.",
        formula=r"n = \text{in}",
    )
)
GROUPS.add(
    Method(
        name="block",
        title="128 columns at a time",
        explanation="The weights of all rows compete within blocks of 128 columns.",
        helps="SparseGPT's choice: each block of columns is decided on weights that already contain the "
        "updates for the blocks before it.",
        formula=r"n = 128 \cdot \text{out}",
    )
)

PERMUTATIONS.add(
    Method(
        name="none",
        title="No permutation",
        explanation="Each m adjacent columns form a group.",
        helps="The only layout that sparse tensor cores can run directly.",
    )
)
PERMUTATIONS.add(
    Method(
        name="zigzag",
        title="Zig-zag",
        explanation="Sorts columns by their total score and distributes them over the groups back and "
        "forth, so that strong columns do not share a group.",
        helps="Takes almost no time, and helps most if a few columns have most of the score. Sparse tensor "
        "cores would need the columns stored in that order.",
        formula=r"\sum_i S_{i \pi(1)} \ge \sum_i S_{i \pi(2)} \ge \dots \quad \text{into the groups } 1, "
        r"\dots, g, g, \dots, 1, 1, \dots",
        paper=papers.RIA,
    )
)
PERMUTATIONS.add(
    Method(
        name="assignment",
        title="Linear assignment",
        explanation="Assigns columns to groups, one position at a time, so that the kept score is as large "
        "as possible.",
        helps="Better than zig-zag for small groups, at the cost of one assignment problem per position. "
        "Wide linears are processed in chunks.",
        formula=r"\max_\pi \sum_i \sum_g \sum_{n \text{ highest } j \in g} S_{i \pi(j)}",
        paper=papers.RIA,
    )
)

BIASES.add(
    Method(
        name="keep",
        title="Keep the biases",
        explanation="Biases stay as they are, and a linear without one stays without.",
        helps="The usual choice: the pruned model has the dense one's configuration.",
        formula=r"b' = b",
    )
)
BIASES.add(
    Method(
        name="compensate",
        title="Compensate with the biases",
        explanation="Adds to each bias what the linear's output lost on average over the calibration text. A "
        "linear without a bias gets one if the model's configuration has an entry for it.",
        helps="Costs almost nothing and never raises a linear's error on the calibration text, whatever the "
        "score, refinement and weight update. It helps most if inputs have large means.",
        formula=r"b' = b + (W - W')\, \mathbb{E}[X]",
        paper=papers.FLAP,
        sources="FLAP removes whole columns; here the same compensation is applied to single weights.",
    )
)
