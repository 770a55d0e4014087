"""What the run on Explore is compared with: nothing, the dense model, an alternative of the run (which need
not exist yet), or any other run. The address names it as `with=KEY` or `with=dense`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.analysis.alternatives import Alternatives, alternatives, is_other_pruner
from engine.analysis.comparison.differences import differences
from engine.charts.overlay.headline import incomparable_perplexities
from engine.charts.overlay.pair import Pair, dense_reference
from engine.errors import PrunescopeError
from engine.jobs.views import RunView
from engine.models.known_files import KNOWN_FILES
from engine.numbers import listed
from engine.recipe import Recipe
from engine.record import RunRecord
from pages.widgets.engine_handle import find_view
from pages.widgets.explore import session
from pages.widgets.explore.widget_values import restore_unsent, set_value
from pages.widgets.known_model import draw_how_to_get, is_absent
from pages.widgets.literal import literal
from pages.widgets.live import live
from pages.widgets.present.presenter import is_presenting
from pages.widgets.progress import progress_words, share
from pages.widgets.run_picker import finished_runs, labels, offered, words

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

    from engine.jobs.service import BackgroundEngine
    from engine.store.summary import RunSummary

NOTHING, DENSE = "", "dense"
FIXED = {NOTHING: "Nothing", DENSE: "The dense model"}
WIDGET = "with.choice"
WIDTH = 530
"""Most width of the choice and its label, pixels."""
LINE = "<style>.st-key-compare_with { min-height: 2.5rem; }</style>"
"""Gives the line of the choice the height of a selectbox."""
MOST_DIFFERENCES = 4


def second_view(engine: BackgroundEngine) -> RunView | None:
    """Return the run to compare with as it is now; None for nothing, the dense model and an unknown run."""
    key = session.compared()
    return None if key in FIXED else find_view(engine, key)


def second_record(engine: BackgroundEngine, record: RunRecord) -> RunRecord | None:
    """Return what to draw into the charts of a run; None if nothing is chosen, or it does not exist yet."""
    key = session.compared()
    if key == DENSE:
        return dense_reference(record) if record.model is not None else None
    view = second_view(engine)
    return None if view is None or view.record.key == record.key else view.record


def draw_label(view: RunView) -> DeltaGenerator:
    """Draw the label of the choice; return the line for `draw_choice`, which has its final height already."""
    line = st.container(
        key="compare_with", width=WIDTH, horizontal=True, vertical_alignment="center", gap="small"
    )
    if _is_offered(view):
        line.html(LINE)
        line.markdown("Compare with", width="content")
    return line


def draw_choice(engine: BackgroundEngine, view: RunView) -> None:
    """Draw the choice. It has all runs, which a new server has to read: draw it after what need not wait."""
    if not _is_offered(view):
        return
    assert view.record.recipe is not None, "otherwise there is nothing to compare"
    options = _options(view, _runs(engine), alternatives(view.record.recipe))
    chosen = session.compared()
    # Set before the widget is drawn: the choice may come from the address.
    set_value(WIDGET, chosen if chosen in options else NOTHING)
    st.selectbox(
        "Compare with",
        list(options),
        format_func=options.__getitem__,
        key=WIDGET,
        on_change=_choose,
        label_visibility="collapsed",
        width="stretch",  # with a fixed width it would take a line of its own on a narrow page
    )


def draw_second(engine: BackgroundEngine, view: RunView) -> None:
    """Draw what differs, and the second run's progress or the offer to compute it; nothing without one."""
    key = session.compared()
    if view.record.recipe is None or key in FIXED:
        return
    recipe = alternatives(view.record.recipe).recipe(key)
    if key == view.record.key:
        st.caption("This is the run itself. Choose another one to compare it with.")
    elif key in _runs(engine):
        _draw_second(engine, view.record)
    elif recipe is not None:
        _draw_offer(engine, recipe)
    else:
        st.warning(
            f"The address compares with the run {literal(key)}, but there is no run with that key here. "
            "Choose another one.",
            icon=":material/info:",
        )


def _is_offered(view: RunView) -> bool:
    return view.record.recipe is not None and not is_presenting()


def _runs(engine: BackgroundEngine) -> dict[str, RunSummary]:
    """Return the runs whose recipe is known, by key."""
    return {run.key: run for run in engine.runs() if run.recipe is not None}


def _options(view: RunView, runs: dict[str, RunSummary], known: Alternatives) -> dict[str, str]:
    """Return the labels of the choices by key: alternatives that exist, those that do not, all other runs."""
    recipe, own = view.record.recipe, view.record.key
    assert recipe is not None, "only then is there something to compare"
    finished = [run for run in finished_runs(list(runs.values())) if run.key != own]
    uniform = known.uniform.key if known.uniform else None
    related = [
        run
        for run in finished
        if run.key == uniform or (run.recipe is not None and is_other_pruner(recipe, run.recipe))
    ]
    related.sort(key=lambda run: run.key != uniform)
    computable = () if is_absent(recipe) else (known.uniform, *known.pruners)
    missing = [one for one in computable if one is not None and one.key not in runs]
    first, ended = {run.key for run in related}, {run.key for run in finished}
    others = [run.key for run in finished if run.key not in first]
    chosen = session.compared()
    if chosen in runs and chosen != own and chosen not in ended:  # running, or failed
        others.insert(0, chosen)
    listed_runs = [*related, *(runs[key] for key in offered([runs[key] for key in others], [chosen]))]
    label = labels(listed_runs, words)
    return {
        **FIXED,
        **{run.key: label[run.key] for run in related},
        **{one.key: f"{one.title} · not computed yet" for one in missing},
        **{run.key: label[run.key] for run in listed_runs if run.key not in first},
    }


def _choose() -> None:
    restore_unsent()
    session.compare_with(st.session_state[WIDGET])


def _draw_second(engine: BackgroundEngine, record: RunRecord) -> None:
    """Say what differs, and how far the second run is."""
    seen = second_view(engine)
    if seen is None:
        st.warning("The run to compare with cannot be read. See Runs.", icon=":material/link_off:")
        return
    st.caption(_differences(record, seen.record))
    live(
        "run.second",
        lambda: second_view(engine),
        _draw_progress,
        left=lambda view: view is not None and view.active,
        seen=seen,
    )


def _draw_progress(view: RunView | None) -> None:
    if view is not None and view.attempt:
        st.caption(f":material/info: {literal(view.attempt)} The bundled result is drawn.")
    if view is None or view.state == "finished":
        return
    title = literal(view.record.title or "The run to compare with")
    if view.active:
        st.progress(share(view), text=f"{title}: {progress_words(view)}")
    else:
        reason = view.record.error or view.message or f"it was {view.state}."
        st.warning(f"{title} is not complete: {literal(reason)}", icon=":material/info:")


def _differences(record: RunRecord, other: RunRecord) -> str:
    """Return how the recipes differ, and whether the perplexities can be compared."""
    assert record.recipe is not None, "only then is there a choice"
    found = differences(record.recipe, other.recipe) if other.recipe else []
    changes = [f"{item.field} {item.one} → {item.other}" for item in found]
    pair = Pair(record, other)
    said = f"Differs in {listed(changes, MOST_DIFFERENCES)}." if changes else "The recipes are the same."
    return literal(f"{said} {incomparable_perplexities(pair)}")


def _draw_offer(engine: BackgroundEngine, recipe: Recipe) -> None:
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        if is_absent(recipe):
            name, file = literal(recipe.model_name), KNOWN_FILES.get(recipe.model)
            st.markdown(
                f"{literal(recipe.title)} is not computed yet, and {name} is not on this machine.",
                width="stretch",
            )
            if file is not None:
                draw_how_to_get(file, "with.absent")
            return
        st.markdown(f"{literal(recipe.title)} is not computed yet.", width="stretch")
        st.button(
            "Compute it",
            key="with.compute",
            type="primary",
            icon=":material/play_arrow:",
            on_click=_submit,
            args=(engine, recipe),
        )


def _submit(engine: BackgroundEngine, recipe: Recipe) -> None:
    try:
        session.compare_with(engine.submit(recipe))
    except PrunescopeError as error:
        session.complain(error)
