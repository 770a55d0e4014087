"""The lessons in their order. A lesson is an entry here and a module of its name, which has its `STEPS`."""

from pages.widgets.learn.lesson import Lesson

LESSONS = (
    Lesson("by_hand", "Prune a matrix by hand", 6, "Which weights can go, and how would one notice?"),
    Lesson("outlier", "One outlier feature", 5, "Why does a single loud input change everything?"),
    Lesson(
        "groups", "Who competes with whom", 5, "A layer, a row, four neighbours: what does each freedom cost?"
    ),
    Lesson("survivors", "Updating the survivors", 6, "Can the weights that stay make up for those that go?"),
    Lesson(
        "allocation",
        "Who deserves the weights",
        8,
        "Should every block lose the same, and how would one know?",
    ),
    Lesson(
        "symmetric", "Both sides of a weight", 6, "Why do whole neurons die, and which scores protect them?"
    ),
    Lesson("swapping", "Mending a mask by swaps", 7, "Can a mask be made better once the score has decided?"),
    Lesson(
        "explosion",
        "Why perplexity explodes",
        8,
        "How do small errors become a catastrophe, and what do the zeros buy?",
    ),
)
