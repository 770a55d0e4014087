"""The lessons in their order. A lesson is an entry here and a module of its name, which has its `STEPS`."""

from pages.widgets.learn.lesson import Lesson

LESSONS = (
    Lesson("by_hand", "Prune a matrix by hand", 6, "Which weights can go, and how would one notice?"),
    Lesson("outlier", "One outlier feature", 5, "Why does a single loud input change everything?"),
    Lesson("groups", "Who competes with whom", 5, "A layer, a row, four neighbours: what does each freedom cost?"),
    Lesson("survivors", "Updating the survivors", 6, "Can the weights that stay make up for those that go?"),
)
