"""What a run reads: the texts to calibrate and to measure on, one's own among them, and the zero-shot tasks.

A text that is pasted or uploaded becomes a file on the machine of the app, named by its content, and stands
in the recipe by that path; it is offered in the tab that brought it and in no other. A file that no run has
used for a week is dropped when the app starts.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from engine import numbers
from engine.corpora.named import NAMED, describe
from engine.corpora.user_texts import MOST_BYTES, save_text
from engine.errors import PrunescopeError
from engine.evaluation.tasks.catalogue import INSTALL, TASKS, available
from engine.recipe import BUNDLED_LENGTH, USUAL_LENGTH
from pages.widgets.explore.controls import choice, key, number, several
from pages.widgets.explore.fields import Checked

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

TITLES = {"stories": "Bundled stories"}
OWN_TEXTS = "own_texts"
"""Where a tab keeps the names of its own texts by path."""


def draw_text(engine: BackgroundEngine, checked: Checked) -> None:
    """The widgets of the section Text."""
    known = ["stories", *NAMED, *_own()]
    choice(
        "Calibrate on",
        "calibration",
        known,
        checked,
        format_func=_title,
        accept_new_options=True,
        help=CORPUS_HELP,
    )
    several(
        "Measure perplexity on",
        "evaluation",
        known,
        checked,
        format_func=_title,
        accept_new_options=True,
        help=CORPUS_HELP + "  \nSeveral texts are measured in one run; with none there is no perplexity.",
        placeholder="Nothing",
    )
    _draw_protocols(checked)
    _draw_own(engine)
    number("Calibration windows", "samples", checked)
    usual = BUNDLED_LENGTH if checked.fields["model"] == "demo" else f"{USUAL_LENGTH:,}, or the model's most"
    number(
        "Tokens a window",
        "length",
        checked,
        placeholder=str(usual),
        help="Of calibration and measurement. Empty: what the literature takes.",
    )
    number("Seed", "seed", checked, help="Chooses the calibration windows. The same seed gives the same run.")
    _draw_tasks(checked)


def _title(name: str) -> str:
    return TITLES.get(name) or (NAMED[name].title if name in NAMED else _own().get(name, Path(name).name))


def _draw_protocols(checked: Checked) -> None:
    """Of each named corpus that is chosen, what it is, and what has to be fetched for it."""
    evaluation = checked.fields["evaluation"]
    chosen = dict.fromkeys(
        [checked.fields["calibration"], *([evaluation] if isinstance(evaluation, str) else evaluation or ())]
    )
    for name in chosen:
        if name in NAMED:
            found = describe(name)
            there = (
                "on this machine" if found.cached else f"{numbers.size(found.bytes_to_download)} to download"
            )
            st.caption(f"[{found.title}]({found.url}) ({there}): {found.protocol}")


def _draw_own(engine: BackgroundEngine) -> None:
    with st.popover("A text of your own", icon=":material/upload_file:", width="stretch"):
        st.caption(
            f"UTF-8, at most {numbers.size(MOST_BYTES)}. It stays on this machine and is offered in this tab alone."
        )
        with st.form("own.form", clear_on_submit=True, border=False):
            file = st.file_uploader(
                "A .txt file, or a .jsonl with a string or an object with `text` a line",
                type=["txt", "jsonl"],
                key="own.file",
                max_upload_size=MOST_BYTES // 1_000_000,
            )
            pasted = st.text_area("or paste it here", key="own.pasted", height=120)
            use = st.segmented_control(
                "for", ["Both", "Calibration", "Measurement"], default="Both", required=True, key="own.use"
            )
            if st.form_submit_button("Use this text", icon=":material/check:"):
                _take(engine, file, pasted, str(use))
        if sentence := st.session_state.pop("own.fault", None):
            st.error(sentence, icon=":material/error:")


def _take(engine: BackgroundEngine, file: object, pasted: str, use: str) -> None:
    """Keep the text, and put it into the form when the page runs again (its widgets are drawn by now)."""
    name = getattr(file, "name", "Pasted text")
    try:
        content = file.getvalue() if file is not None else pasted  # type: ignore[attr-defined]
        path = str(save_text(content, engine.texts, Path(name).suffix or ".txt", Path(name).stem))
    except PrunescopeError as error:
        st.session_state["own.fault"] = str(error)
        return
    st.session_state[OWN_TEXTS] = {**_own(), path: name}
    fields = {"calibration": path} if use in ("Both", "Calibration") else {}
    st.session_state["put"] = {**fields, **({"evaluation": path} if use in ("Both", "Measurement") else {})}
    st.rerun()


def _own() -> dict[str, str]:
    """The tab's own texts: path and name."""
    found: dict[str, str] = st.session_state.get(OWN_TEXTS, {})
    return found


def _draw_tasks(checked: Checked) -> None:
    """Zero-shot tasks, or why there are none."""
    missing = not available()
    several(
        "Try on zero-shot tasks",
        "tasks",
        list(TASKS),
        checked,
        format_func=lambda name: TASKS[name].title if name in TASKS else name,
        placeholder="No tasks" if not missing else "Not installed",
        disabled=missing and not st.session_state[key("tasks")],
        help="Dense and pruned model answer the same questions.  \n"
        + "  \n".join(f"**{task.title}**: {task.explanation}" for task in TASKS.values()),
    )
    if missing:
        st.caption(INSTALL)
    elif checked.fields["tasks"]:
        number(
            "Examples of each task",
            "task_limit",
            checked,
            placeholder="all",
            help="The first ones in the task's own order. Empty: all of them.",
        )


CORPUS_HELP = (
    "Bundled stories work offline. WikiText-2, C4 and PTB come from the hub once and are kept. "
    "Or type the path of a `.txt`, `.jsonl` or `.npy` file on this machine."
)
