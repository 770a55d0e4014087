"""Lesson 8: why perplexity explodes, and what zeros save."""

from __future__ import annotations

import streamlit as st

from engine.charts.lessons import perplexity_explosion as charts
from engine.charts.lessons import sparse_formats as format_charts
from engine.charts.lessons.two_models import ratios_on_both
from engine.lessons import perplexity_explosion as lesson
from engine.lessons import sparse_formats
from engine.lessons.perplexity_explosion import DAMAGED, LAYERS
from engine.lessons.sparse_formats import SIDE, Product
from engine.lessons.two_models import agreement, pairs_in_order
from engine.numbers import percent, perplexity
from engine.pruning.presets import PRESETS
from engine.recipe import Recipe
from engine.record import RunRecord
from pages.widgets import engine_handle
from pages.widgets.chart import draw_chart
from pages.widgets.learn.controls import choice, controls_locked, slider
from pages.widgets.learn.layout import panes
from pages.widgets.learn.lesson import Step
from pages.widgets.learn.question import ask, draw_summary
from pages.widgets.learn.real_model import draw_about_model, draw_amount, runs_on_both
from pages.widgets.learn.recorded_runs import finished_records

SPARSITIES = range(10, 100, 10)
FIRST_SPARSITY = 0.3
"""The initial sparsity of the chain."""
PRUNERS = {"Magnitude": "magnitude", "Wanda": "wanda", "SparseGPT": "sparsegpt"}
WIDTHS = {"2 bytes (float16)": 2, "4 bytes (float32)": 4}
CACHE_SECONDS = 600.0
"""For how long all users see one measurement before it is repeated."""


def _draw_loss() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "A model reads a text and gives each next token a probability. "
            "The **loss** of a token is minus the logarithm of its probability. Perplexity is"
        )
        st.latex(r"\mathrm{PPL} = \exp\Big( \frac{1}{T} \sum_{t=1}^{T} -\ln p_t \Big)")
        before, one = lesson.token_losses(), lesson.token_losses(1, 6)  # no token damaged, and one at 10⁻⁶
        answered = ask(
            "explosion.one",
            f"Twenty tokens have a perplexity of {perplexity(before.perplexity)}. "
            "The probability of one of them falls to 10⁻⁶. What happens to the perplexity?",
            [
                "It hardly changes: it is one token of twenty.",
                "It about doubles.",
                "It becomes about a million.",
            ],
            1,
            f"It becomes {perplexity(one.perplexity)}. One token adds ln 10⁶ ≈ 13.8 nats to a sum over "
            "twenty tokens. "
            "The mean grows by almost 0.7, and exp(0.7) ≈ 2.",
        )
        damaged = int(slider("Damaged tokens", 0, len(DAMAGED), 0, 1, "explosion.spoilt"))
        exponent = slider("Their probability is 10 to the power of minus", 1, 9, 6, 1, "explosion.exponent")
    losses = lesson.token_losses(damaged, exponent)
    with right:
        if answered or not damaged:  # a damaged token would give the answer away
            grid = st.grid(2, min_column_width=140, border=True)
            grid.metric("Mean loss", f"{losses.nll:.2f} nats")
            grid.metric(
                "Perplexity",
                perplexity(losses.perplexity),
                help="exp of the mean loss of the twenty tokens, computed by the engine.",
            )
            draw_chart(charts.loss_bars(losses), "explosion.losses")
        else:
            st.info("Answer the question first, then damage tokens.", icon=":material/quiz:")


def _draw_layers() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "Each layer is pruned independently and loses a little. The next layer gets the damaged signal "
            "and damages it "
            "again. A layer with the relative error ε keeps the share 1 − ε² of the signal's energy, "
            "and **the kept shares multiply**:"
        )
        st.latex(r"\text{error after } L \text{ layers} \approx \sqrt{1 - (1 - \varepsilon^2)^L}")
        answered = ask(
            "explosion.layers",
            f"Each layer alone has an error of {percent(lesson.chain(FIRST_SPARSITY).typical, 0)}. "
            f"How large is the error after {LAYERS} layers?",
            [
                "The same: errors cancel.",
                "More than half.",
                f"More than 300 %: {LAYERS} times as much.",
            ],
            1,
            _layers_explanation(FIRST_SPARSITY),
        )
        sparsity = slider("Sparsity, %", 0, 90, round(100 * FIRST_SPARSITY), 5, "explosion.sparsity") / 100
        layers = int(slider("Layers", 1, LAYERS, 8, 1, "explosion.depth"))
    with right:
        if not answered:
            return
        # layers pruned in turn, each on its pruned predecessors' output
        draw_chart(charts.error_through_layers(lesson.chain(sparsity), layers), "explosion.chain")
        records = _recorded("wanda")
        if records:
            draw_chart(charts.error_in_runs(records, sparsity), "explosion.runs")


def _layers_explanation(sparsity: float) -> str:
    chain = lesson.chain(sparsity)
    return (
        f"At {percent(sparsity, 0)} sparsity, each layer has an error of about {percent(chain.typical, 0)}. "
        f"After all layers the error is {percent(chain.error[-1], 0)}. "
        "The errors neither cancel nor simply add up. They add like the legs of a right triangle, "
        "and the limit is 100 %, where nothing of the signal is left."
    )


def _draw_cliff() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "Now a whole model: recorded runs of the bundled model at 10 to 90 % sparsity. "
            "The mean loss starts to rise at about half and grows by a few nats in total. "
            "Perplexity is its exponential, and explodes."
        )
        answered = ask(
            "explosion.cliff",
            "Each time the mean loss grows by 1 nat, the perplexity …",
            ["grows by 1.", "is multiplied by 2.7.", "is squared."],
            1,
            "exp(a + 1) = e · exp(a). So compare perplexities by their ratio, or compare losses. "
            "A difference of 10 is a catastrophe at 5 and nothing at 5,000.",
        )
        pruner = choice("Pruner", list(PRUNERS), "explosion.pruner", default="Wanda")
        sparsity = slider("Sparsity, %", 10, 90, 60, 10, "explosion.at") / 100
    with right:
        if not answered:
            return
        records = _recorded(PRUNERS[pruner])
        if records:
            draw_chart(charts.loss_and_perplexity(records, sparsity), "explosion.cliff")


def _draw_real() -> None:
    left, right = panes()
    with left:
        draw_about_model()
        amount, fields = draw_amount("explosion.amount", patterns=True)
        pruners = [preset for preset in PRESETS.values() if preset.pattern in (None, fields.get("pattern"))]
        found = runs_on_both({preset.title: {"pruner": preset.name, **fields} for preset in pruners})
        if not found:
            return
        same, pairs = pairs_in_order(found)
        answered = ask(
            "explosion.real",
            f"{len(found)} pruners at {amount} on both models: do they rank in the same order?",
            ["In exactly the same order.", "Mostly: few pairs change places.", "Hardly."],
            agreement(found),  # computed, because it depends on the sparsity
            f"{same} of {pairs} pairs are in the same order. A ranking on one model is evidence about "
            "another, not proof.",
        )
    with right:
        if answered:
            draw_chart(ratios_on_both(found, amount), "explosion.real")


def _recorded(pruner: str) -> list[RunRecord]:
    """Return the bundled runs of a pruner at all `SPARSITIES`, empty if one is missing."""
    recipes = [Recipe.build(pruner=pruner, sparsity=share / 100) for share in SPARSITIES]
    return finished_records(engine_handle.shared_engine(), recipes)


def _draw_bytes() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "The weights are zero now. What does this save? A dense matrix stores a zero like any other "
            "number. "
            "A format without zeros must say *where* the other values are: **sparse rows** (CSR) store a "
            "4-byte column "
            "with each value, a **bitmask** one bit per weight, and **2:4** two bits "
            "for each of the two values that it stores out of four."
        )
        answered = ask(
            "explosion.bytes",
            "Half of the weights are zero, in float16. "
            "How many bytes do sparse rows take, compared with dense storage?",
            ["Half as many.", "As many.", "One and a half times as many."],
            2,
            "Each value of 2 bytes needs a column of 4 bytes: half of the weights, but three times the "
            "bytes. "
            "Sparse rows are smaller only beyond two thirds of zeros.",
        )
        width = WIDTHS[choice("Bytes per value", list(WIDTHS), "explosion.width")]
        share = slider("Zeros, %", 0, 95, 50, 5, "explosion.zeros") / 100
    with right:
        if answered:
            draw_chart(format_charts.size_curves(width, share), "explosion.sizes")


def _draw_time() -> None:
    left, right = panes()
    with left:
        st.markdown(
            f"And the time? A {SIDE:,} × {SIDE:,} weight is multiplied with 64 inputs, "
            "on the machine where Prunescope runs: with 0, 50, 90 and 99 % zeros, "
            "by the dense kernel and by a kernel for sparse rows."
        )
        answered = ask(
            "explosion.time",
            "90 % of the weights are zero. How much faster is the ordinary dense product?",
            ["Ten times.", "Twice.", "Not at all."],
            2,
            "A dense kernel multiplies by a zero as by any other number. Only a kernel that skips zeros "
            "saves time. "
            "Skipping zeros at irregular places is slow too, so it needs many zeros, "
            "or a regular pattern such as 2:4 that the hardware supports.",
        )
        if answered:
            st.button(
                "Measure again",
                key="explosion.again",
                icon=":material/speed:",
                disabled=controls_locked(),
                on_click=_timings.clear,  # for all users, as they share the measurement
            )
    with right:
        if answered:
            draw_chart(format_charts.product_times(_timings()), "explosion.times")
    draw_summary(
        [
            "Perplexity is an exponential: losses that grow steadily make it explode. "
            "A few damaged tokens are enough.",
            "From layer to layer, the kept shares of the signal multiply; skip connections soften this.",
            "Zeros alone save neither bytes nor seconds. A format or a kernel that skips them does, "
            "each from its own threshold on.",
        ],
        "Magnitude",
        {"pruner": "magnitude", "sparsity": "0.6"},
        "Prune the bundled model and measure its size and speed",
    )


@st.cache_data(ttl=CACHE_SECONDS, show_spinner="Measuring for about two seconds")
def _timings() -> tuple[Product, ...]:
    """Time the products, once for all users: simultaneous measurements would slow each other down."""
    return sparse_formats.timings()


STEPS = (
    Step("loss", "A mean of losses", _draw_loss),
    Step("layers", "Layer after layer", _draw_layers),
    Step("cliff", "The cliff", _draw_cliff),
    Step("real", "A real model", _draw_real),
    Step("bytes", "Storage", _draw_bytes),
    Step("time", "Speed", _draw_time),
)
