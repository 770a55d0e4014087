"""Calibration and evaluation: the texts, the user's own among them, the windows, and the zero-shot tasks.

A pasted or uploaded text becomes a file on the app's machine, named after its content, and the recipe refers
to it by path. It is offered only in the browser tab that uploaded it. When the app starts, it deletes such
files that no run has used for a week.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from engine import numbers
from engine.corpora.named import CALIBRATION_CORPORA, NAMED, describe
from engine.corpora.user_texts import MOST_BYTES
from engine.errors import PrunescopeError
from engine.evaluation.tasks.catalogue import INSTALL, TASKS, available
from engine.jobs.policy import TASKS_OFF
from engine.models.identity import DEMO
from engine.recipe.validation import BUNDLED_LENGTH, DEFAULT_CORPUS, USUAL_LENGTH
from pages.widgets.explore.controls import key, multiselect, number, select, set_fields_later
from pages.widgets.explore.fields import Checked
from pages.widgets.literal import literal
from pages.widgets.public_mode import draw_refusal

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

TITLES = {"stories": "Bundled stories"}
USER_TEXTS = "own_texts"
"""Session key of the names of this tab's own texts by path."""
UPLOAD_ERROR = "own.fault"


def draw_text(engine: BackgroundEngine, checked: Checked) -> None:
    """Draw the fields of the section."""
    public = engine.public
    hint = CORPUS_HELP if public is None else ""
    known = list(public.policy.texts) if public else ["stories", *NAMED, *_user_texts()]
    select(
        "Calibration text",
        "calibration",
        [name for name in known if name not in NAMED or name in CALIBRATION_CORPORA],
        checked,
        format_func=_title,
        accept_new_options=public is None,
        help=f"The text whose activations the scores and weight updates use. {hint}",
    )
    multiselect(
        "Evaluation text",
        "evaluation",
        known,
        checked,
        format_func=_title,
        accept_new_options=public is None,
        help=f"The texts that perplexity is measured on; none for no perplexity. {hint}",
        placeholder="None",
    )
    _draw_protocols(checked)
    _draw_upload(engine)
    number("Calibration windows", "samples", checked)
    bundled = checked.fields["model"] == DEMO or checked.fields["calibration"] == DEFAULT_CORPUS
    length = str(BUNDLED_LENGTH) if bundled else f"{USUAL_LENGTH:,} or the maximum"
    number(
        "Tokens per window",
        "length",
        checked,
        placeholder=length,
        help="For calibration and evaluation. Leave empty for the length that papers use, or the model's "
        "maximum if that is shorter. The bundled stories hold only about 90 windows of 256 tokens.",
    )
    number("Seed", "seed", checked, help="Selects the calibration windows. The same seed gives the same run.")
    number(
        "Order of the windows",
        "order",
        checked,
        help="Changes only how sums round: 0 as chosen, 1 reversed, from 2 on permuted. Differences between "
        "orders are noise.",
    )
    _draw_tasks(engine, checked)


def _title(name: str) -> str:
    if name in NAMED:
        return NAMED[name].title
    return TITLES.get(name) or _user_texts().get(name, Path(name).name)


def _draw_protocols(checked: Checked) -> None:
    """Describe each chosen named corpus, and how much of it has to be downloaded."""
    evaluation = checked.fields["evaluation"]
    evaluations = [evaluation] if isinstance(evaluation, str) else evaluation or ()
    for name in dict.fromkeys([checked.fields["calibration"], *evaluations]):
        if name in NAMED:
            corpus = describe(name)
            size = (
                "on this machine"
                if corpus.cached
                else f"{numbers.size(corpus.bytes_to_download)} to download"
            )
            st.caption(f"[{corpus.title}]({corpus.url}) ({size}): {corpus.protocol}")


def _draw_upload(engine: BackgroundEngine) -> None:
    if draw_refusal(engine, engine.save_text):
        return
    with st.popover("Use your own text", icon=":material/upload_file:", width="stretch"):
        st.caption(
            f"UTF-8, at most {numbers.size(MOST_BYTES)}. The text stays on this machine and is offered only "
            "in this browser tab."
        )
        with st.form("own.form", clear_on_submit=True, border=False):
            file = st.file_uploader(
                "A .txt file, or a .jsonl file with a string or an object with a `text` field per line",
                type=["txt", "jsonl"],
                key="own.file",
                max_upload_size=MOST_BYTES // 1_000_000,  # in MB
            )
            pasted = st.text_area("Or paste the text", key="own.pasted", height=120)
            use = st.segmented_control(
                "Use it for",
                ["Both", "Calibration", "Evaluation"],
                default="Both",
                required=True,
                key="own.use",
            )
            if st.form_submit_button("Use this text", icon=":material/check:"):
                _save(engine, file, pasted, str(use))
        if message := st.session_state.pop(UPLOAD_ERROR, None):
            st.error(literal(message), icon=":material/error:")


def _save(engine: BackgroundEngine, file: object, pasted: str, use: str) -> None:
    """Save the text and select it in the form.

    The form's widgets are drawn by now, so it changes when the page runs again.
    """
    name = getattr(file, "name", "Pasted text")
    try:
        content = file.getvalue() if file is not None else pasted  # type: ignore[attr-defined]
        path = str(engine.save_text(content, Path(name).suffix or ".txt", Path(name).stem))
    except PrunescopeError as error:
        st.session_state[UPLOAD_ERROR] = str(error)
        return
    st.session_state[USER_TEXTS] = {**_user_texts(), path: name}
    fields = {"calibration": ("Both", "Calibration"), "evaluation": ("Both", "Evaluation")}
    set_fields_later({field: path for field, uses in fields.items() if use in uses})
    st.rerun()  # now, or the form would show the old texts until the next click


def _user_texts() -> dict[str, str]:
    """Return the names of this tab's own texts by path."""
    texts: dict[str, str] = st.session_state.get(USER_TEXTS, {})
    return texts


def _draw_tasks(engine: BackgroundEngine, checked: Checked) -> None:
    """Draw the zero-shot tasks, or how to install what they need."""
    if engine.public is not None and not checked.fields["tasks"]:
        st.caption(f":material/lock: {TASKS_OFF}")
        return
    missing = not available()
    multiselect(
        "Zero-shot tasks",
        "tasks",
        list(TASKS),
        checked,
        format_func=lambda name: TASKS[name].title if name in TASKS else name,
        placeholder="None" if not missing else "Not installed",
        disabled=missing and not st.session_state[key("tasks")],  # tasks from an address can be removed
        help="The dense and the pruned model answer the same questions.  \n"
        + "  \n".join(f"**{task.title}**: {task.explanation}" for task in TASKS.values()),
    )
    if missing:
        st.caption(INSTALL)
    elif checked.fields["tasks"]:
        number(
            "Examples per task",
            "task_limit",
            checked,
            placeholder="all",
            help="The first examples in the task's own order. Leave empty for all.",
        )


CORPUS_HELP = (
    "Bundled stories work offline. WikiText-2, C4 and PTB are downloaded once from the Hugging Face hub. "
    "Or type the path of a `.txt`, `.jsonl` or `.npy` file on this machine."
)
