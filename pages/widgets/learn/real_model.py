"""The step of a lesson that asks whether its finding holds on a real language model, on bundled runs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import streamlit as st

from engine.analysis.calibration_text import OF_REAL_MODEL
from engine.lessons.two_models import OnBoth, on_both
from engine.models.known_files import SMOLLM2
from engine.recipe import Recipe, pin
from engine.recipe.real_model import PATTERN, SPARSITIES, real_recipe
from engine.record import RunRecord
from pages.widgets import engine_handle
from pages.widgets.known_model import draw_how_to_get
from pages.widgets.learn.controls import choice
from pages.widgets.learn.recorded_runs import draw_missing_notice

AMOUNTS = tuple(f"{100 * sparsity:g} %" for sparsity in SPARSITIES)


def draw_amount(key: str, *, patterns: bool = False) -> tuple[str, dict[str, object]]:
    """Draw the choice of the sparsity, or of the pattern too; return it in words and as recipe fields."""
    fields: dict[str, dict[str, object]] = {
        words: {"sparsity": sparsity} for words, sparsity in zip(AMOUNTS, SPARSITIES, strict=True)
    }
    if patterns:
        fields[PATTERN] = {"pattern": PATTERN}
    words = choice("Sparsity", tuple(fields), key, default=AMOUNTS[-1])
    return words, fields[words]


def draw_about_model() -> None:
    """Say which model the runs are of, and how to get it."""
    st.markdown(
        "The bundled model has 1.8 million weights and has read children's stories only. Here the same "
        f"recipes prune a model that people use. {SMOLLM2.origin} "
        f"{OF_REAL_MODEL}"
    )
    draw_how_to_get(SMOLLM2)


def runs_on_both(
    recipes: Mapping[str, Mapping[str, object]], reference: str | None = None
) -> tuple[OnBoth, ...]:
    """Return what pruning costs on both models, as far as there are runs on both; nothing, after a notice,
    unless there are two to compare.

    Args:
        recipes: the fields of a recipe by name.
        reference: the name of the one that the others are compared with, without which there is nothing.
    """
    keys = {name: _keys(tuple(fields.items())) for name, fields in recipes.items()}
    pairs = {name: (_finished(bundled), _finished(real)) for name, (bundled, real) in keys.items()}
    found = {name: (bundled, real) for name, (bundled, real) in pairs.items() if bundled and real}
    if len(found) < 2 or (reference is not None and reference not in found):
        draw_missing_notice()
        return ()
    return on_both(found)


@lru_cache(maxsize=128)  # thirty recipes take 20 ms, as often as the page is drawn
def _keys(fields: tuple[tuple[str, object], ...]) -> tuple[str, str]:
    """Return the keys of the runs of a recipe on the bundled and on the real model."""
    return pin(Recipe.build(dict(fields))).key, real_recipe(**dict(fields)).key


def _finished(key: str) -> RunRecord | None:
    view = engine_handle.find_view(engine_handle.shared_engine(), key)
    return view.record if view is not None and view.state == "finished" else None
