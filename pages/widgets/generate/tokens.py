"""A text token by token: what pruning cost on each, what both models expected in its place, and which tokens suffered most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from engine.charts import numbers
from engine.charts.generate.guesses import guess_bars
from engine.charts.generate.losses import added_losses
from engine.charts.generate.marked import marked_text, worst_tokens
from engine.jobs.store import RunSummary
from engine.jobs.views import ReadRequest
from engine.reading import Reading
from pages.widgets.chart import draw_chart
from pages.widgets.generate.asking import Views, draw_failure, drawn
from pages.widgets.generate.text import TEXT, text_of

if TYPE_CHECKING:
    from engine.jobs.background import BackgroundEngine

LEGEND = "Beneath each token: nats of loss that pruning added. Orange: worse; blue: better; + 0.7 halves the token's probability."


def draw_tokens(engine: BackgroundEngine, runs: Sequence[RunSummary]) -> None:
    """The text, one run's losses on it, a token to look at, and the worst ones."""
    text = text_of(TEXT)
    if not text.strip() or not runs:
        st.caption("Type or paste a text; each of its tokens is looked at." if not text.strip() else "Choose a run whose weights are here.")
        return
    run = runs[0]
    if len(runs) > 1:
        titles = {one.title: one for one in runs}
        run = titles[st.segmented_control("Read by", list(titles), default=run.title, key="reader", required=True) or run.title]
    request = ReadRequest(run.key, text, losses=True)
    drawn(engine, [request], lambda views: _draw(views, request))


def _draw(views: Views, request: ReadRequest) -> None:
    view = views[request]
    if view.state == "failed":
        draw_failure(view)
    elif view.reading is None:
        st.skeleton(height=220)
    else:
        _draw_reading(view.reading)


def _draw_reading(reading: Reading) -> None:
    tokens = reading.tokens
    dense, pruned = numbers.perplexity(reading.dense_perplexity), numbers.perplexity(reading.pruned_perplexity)
    st.markdown(f"Perplexity of this text: **{dense}** dense, **{pruned}** pruned, over {len(tokens) - 1} predicted tokens.")
    chosen = _choose(reading)
    with st.container(border=True):
        st.html(marked_text(tokens, chosen))
        st.caption(LEGEND)
    grid = st.grid(2, min_column_width=400, border=True)
    with grid.cell():
        draw_chart(guess_bars(tokens[chosen]), "guesses")
    with grid.cell():
        draw_chart(added_losses(tokens, chosen), "added")
        st.markdown("**The tokens that suffer most**")
        st.dataframe(worst_tokens(tokens), hide_index=True, height=220, column_config={"loss added": st.column_config.NumberColumn(format="%+.2f")})


def _choose(reading: Reading) -> int:
    """The token to look at; the one that lost most, where nobody has chosen."""
    last = len(reading.tokens) - 1
    if last == 1:
        return 1
    if st.session_state.get("token", 0) > last:  # of another text
        st.session_state["token"] = reading.worst
    return int(st.slider("Token to look at", 1, last, reading.worst, key="token", help="The arrow keys move it."))
