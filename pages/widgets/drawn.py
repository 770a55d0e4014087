"""The browser tells the server when it has drawn a page: until then the engine does not compete with it for
the processor, which on two cores would make the first numbers seconds later.
"""

from __future__ import annotations

import streamlit as st

from pages.widgets.component import NOTHING
from pages.widgets.server import DRAWN

TELL = st.components.v2.component(
    "page_drawn",
    html=NOTHING,
    # Drawn is what leaves the browser idle for a while: charts are drawn after all elements have arrived.
    js="""const LONG = 5, PAUSE = 100; // idle moments in a row, and milliseconds between two of them
    const LEAST = 20; // milliseconds that are left in an idle moment
    let told = false; // once per tab
    export default function ({ data }) {
      if (told) return;
      told = true;
      const idle = window.requestIdleCallback ?? ((call) => call({ timeRemaining: () => LEAST }));
      let count = 0;
      const look = (deadline) => {
        count = deadline.timeRemaining() >= LEAST ? count + 1 : 0;
        if (count < LONG) setTimeout(() => idle(look), PAUSE);
        else fetch(new URL(data, location.href), { method: "POST" }).catch(() => {});
      };
      idle(look);
    }""",
)


def tell_when_drawn() -> None:
    """Have the browser tell the server; at the end of a page."""
    TELL(key="unseen.drawn", data=DRAWN)
