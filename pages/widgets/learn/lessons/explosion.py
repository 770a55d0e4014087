"""Lesson 8: why a perplexity explodes, and what zeros do not buy."""

from __future__ import annotations

import streamlit as st

from engine.charts.lessons import explosion as charts
from engine.charts.lessons import zeros as zero_charts
from engine.lessons import explosion as lesson
from engine.lessons import zeros
from engine.lessons.explosion import LAYERS, SPOILT
from engine.lessons.zeros import SIDE, Product
from engine.numbers import percent, perplexity
from engine.recipe import Recipe
from pages.widgets import engine_handle
from pages.widgets.chart import draw_chart
from pages.widgets.learn.controls import choice, locked, slider
from pages.widgets.learn.frame import panes
from pages.widgets.learn.lesson import Step
from pages.widgets.learn.question import ask, remember
from pages.widgets.learn.recorded import all_finished

SPARSITIES = range(10, 100, 10)
FIRST = 0.3
"""The sparsity that the chain is first seen at."""
PRUNERS = {"Magnitude": "magnitude", "Wanda": "wanda", "SparseGPT": "sparsegpt"}
WIDTHS = {"2 bytes (float16)": 2, "4 bytes (float32)": 4}
MEMORY = 600.0
"""Seconds for which a timing is shown to everybody, before it is taken anew."""


def _draw_loss() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "A model reads a text and gives each next token a probability. The **loss** of a token is minus its logarithm. Perplexity is"
        )
        st.latex(r"\mathrm{PPL} = \exp\Big( \frac{1}{T} \sum_{t=1}^{T} -\ln p_t \Big)")
        before, one = lesson.sentence(), lesson.sentence(1, 6)
        answered = ask(
            "explosion.one",
            f"Twenty tokens, perplexity {perplexity(before.perplexity)}. One of them falls to a probability of 10⁻⁶. What becomes of the perplexity?",
            ["It hardly moves: it is one of twenty.", "It about doubles.", "It becomes about a million."],
            1,
            f"It becomes {perplexity(one.perplexity)}. One token adds ln 10⁶ ≈ 13.8 nats to a sum of twenty; "
            "the mean grows by almost 0.7, and e to that is 2.",
        )
        spoilt = int(slider("Tokens that pruning spoils", 0, len(SPOILT), 0, 1, "explosion.spoilt"))
        exponent = slider("Their probability becomes 10 to the minus", 1, 9, 6, 1, "explosion.exponent")
    now = lesson.sentence(spoilt, exponent)
    with right:
        if answered or not spoilt:
            grid = st.grid(2, min_column_width=140, border=True)
            grid.metric("Mean loss", f"{now.nll:.2f} nats")
            grid.metric(
                "Perplexity",
                perplexity(now.perplexity),
                help="exp of the mean loss of the twenty tokens, by the engine's own function.",
            )
            draw_chart(charts.token_losses(now), "explosion.losses")
        else:
            st.info("Answer first, then spoil tokens.", icon=":material/quiz:")


def _draw_layers() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "Each layer is pruned by itself and loses a little. The next one gets that damaged signal and damages it again. "
            "A layer that is off by ε keeps the share 1 − ε² of the signal's energy, and **what is kept multiplies**:"
        )
        st.latex(r"\text{error behind } L \text{ layers} \approx \sqrt{1 - (1 - \varepsilon^2)^L}")
        answered = ask(
            "explosion.layers",
            f"Each layer alone is off by {percent(lesson.chain(FIRST).typical, 0)}. How far off is the signal behind {LAYERS} of them?",
            [
                "By as much: errors cancel out.",
                "By more than half.",
                f"By more than 300 %: {LAYERS} times as much.",
            ],
            1,
            _layer_words(FIRST),
        )
        sparsity = slider("Sparsity, %", 0, 90, round(100 * FIRST), 5, "explosion.sparsity") / 100
        layers = int(slider("Layers", 1, LAYERS, 8, 1, "explosion.depth"))
    with right:
        if not answered:
            return
        draw_chart(charts.error_through_layers(lesson.chain(sparsity), layers), "explosion.chain")
        records = all_finished(
            engine_handle.shared_engine(), [_recipe("wanda", share) for share in SPARSITIES]
        )
        if records:
            draw_chart(charts.error_in_runs(records, sparsity), "explosion.runs")


def _layer_words(sparsity: float) -> str:
    chain = lesson.chain(sparsity)
    return (
        f"Pruned to {percent(sparsity, 0)} each layer is off by about {percent(chain.typical, 0)}, and the signal behind all of them by "
        f"{percent(chain.error[-1], 0)}. They neither cancel nor add: they add like the legs of a right triangle, and it ends at 100 %, "
        "where nothing of the signal is left."
    )


def _draw_cliff() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "Now a whole model: runs of the bundled one, at 10 to 90 %. The mean loss begins to rise at about half "
            "and gains a few nats in all. Perplexity is its exponential, and explodes."
        )
        answered = ask(
            "explosion.cliff",
            "Each time the mean loss grows by 1 nat, the perplexity …",
            ["grows by 1.", "is multiplied by 2.7.", "is squared."],
            1,
            "exp(a + 1) = e · exp(a). So compare perplexities by their ratio, or compare losses; "
            "a difference of 10 is a catastrophe at 5 and nothing at 5,000.",
        )
        pruner = choice("Pruner", list(PRUNERS), "explosion.pruner", default="Wanda")
        sparsity = slider("Sparsity, %", 10, 90, 60, 10, "explosion.at") / 100
    with right:
        if not answered:
            return
        records = all_finished(
            engine_handle.shared_engine(), [_recipe(PRUNERS[pruner], share) for share in SPARSITIES]
        )
        if records:
            draw_chart(charts.loss_and_perplexity(records, sparsity), "explosion.cliff")


def _recipe(pruner: str, share: int) -> Recipe:
    return Recipe.build(pruner=pruner, sparsity=share / 100)


def _draw_bytes() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "The weights are zero now. What is saved? A dense matrix stores a zero like any other number. To leave zeros out, a format has to say "
            "*where* the others are: **sparse rows** (CSR) note a 4-byte column with each value, a **bitmask** one bit for every weight, "
            "**2:4** two bits for each of the two values that it stores of four."
        )
        answered = ask(
            "explosion.bytes",
            "Half of the weights are zero, in float16. How many bytes do sparse rows take, against dense storage?",
            ["Half as many.", "As many.", "One and a half times as many."],
            2,
            "A value of 2 bytes drags a column of 4 bytes along: half of the weights times three. Only beyond two thirds of zeros it begins to pay.",
        )
        width = WIDTHS[choice("Bytes of a value", list(WIDTHS), "explosion.width")]
        share = slider("Zeros, %", 0, 95, 50, 5, "explosion.zeros") / 100
    with right:
        if answered:
            draw_chart(zero_charts.size_curves(width, share), "explosion.sizes")


def _draw_time() -> None:
    left, right = panes()
    with left:
        st.markdown(
            f"And the time? A weight of {SIDE:,} × {SIDE:,} numbers is multiplied with 64 inputs, here and now, on the machine that serves this "
            "page: with 0, 50, 90 and 99 % zeros, by the dense kernel and by one for sparse rows."
        )
        answered = ask(
            "explosion.time",
            "90 % of the weights are zero. How much faster is the ordinary dense product?",
            ["Ten times.", "Twice.", "Not at all."],
            2,
            "A dense kernel multiplies by each zero as by any other number. Time is saved only by a kernel that skips them, and skipping in "
            "no order is slow itself, so it takes many zeros, or an order like 2:4 that hardware knows.",
        )
        if answered:
            st.button(
                "Measure again",
                key="explosion.again",
                icon=":material/speed:",
                disabled=locked(),
                on_click=_timings.clear,
            )
    with right:
        if answered:
            draw_chart(zero_charts.product_times(_timings()), "explosion.times")
    remember(
        [
            "Perplexity is an exponential: losses that grow evenly make it explode. A few spoilt tokens are enough.",
            "Through depth, what is kept of the signal multiplies; skip connections soften that.",
            "Zeros alone save neither bytes nor seconds. A format or a kernel that leaves them out does, and each has its own threshold.",
        ],
        "Magnitude",
        {"pruner": "magnitude", "sparsity": "0.6"},
        "Prune the bundled model and measure its size and speed",
    )


@st.cache_data(ttl=MEMORY, show_spinner="Measuring for about two seconds")
def _timings() -> tuple[Product, ...]:
    """Taken once for all who look: a class that measures at the same time would time one another."""
    return zeros.timings()


STEPS = (
    Step("loss", "A mean of losses", _draw_loss),
    Step("layers", "Layer upon layer", _draw_layers),
    Step("cliff", "The cliff", _draw_cliff),
    Step("bytes", "What zeros weigh", _draw_bytes),
    Step("time", "What zeros cost", _draw_time),
)
