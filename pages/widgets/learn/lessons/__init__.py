"""The lessons in order. A lesson is an entry here and a module with its `STEPS`."""

from pages.widgets.learn.lesson import Lesson

LESSONS = (
    Lesson(
        name="by_hand",
        module="pruning_by_hand",
        title="Prune a matrix by hand",
        minutes=6,
        question="Which weights can be removed, and how can you tell?",
    ),
    Lesson(
        name="outlier",
        module="outlier_feature",
        title="One outlier feature",
        minutes=5,
        question="Why does a single strong input change everything?",
    ),
    Lesson(
        name="groups",
        module="comparison_groups",
        title="Comparison groups",
        minutes=5,
        question="A layer, a row, four neighbours: what does each choice cost?",
    ),
    Lesson(
        name="survivors",
        module="weight_updates",
        title="Updating the remaining weights",
        minutes=6,
        question="Can the remaining weights make up for the removed ones?",
    ),
    Lesson(
        name="allocation",
        module="sparsity_allocation",
        title="Allocating the sparsity",
        minutes=9,
        question="Should every block lose the same share, and how can you tell?",
    ),
    Lesson(
        name="symmetric",
        module="symmetric_scores",
        title="Both sides of a weight",
        minutes=6,
        question="Why do whole neurons die, and which scores protect them?",
    ),
    Lesson(
        name="swapping",
        module="mask_refinement",
        title="Refining a mask by swaps",
        minutes=7,
        question="Can a mask be improved after the score has chosen it?",
    ),
    Lesson(
        name="explosion",
        module="perplexity_explosion",
        title="Why perplexity explodes",
        minutes=9,
        question="How do small errors become a catastrophe, and what do zeros save?",
    ),
    Lesson(
        name="invent",
        module="own_score",
        title="Invent a score",
        minutes=10,
        question="Can you write a better score than the published ones, and how would you know?",
    ),
)
