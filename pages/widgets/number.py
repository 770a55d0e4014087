"""A number with its protocol: what it means and what it was measured on, under the question mark beside it."""

from __future__ import annotations

import streamlit as st

from engine.charts.headline import run_numbers
from engine.record import RunRecord

CARD = 125
"""Least width of a number, pixels."""


def draw_numbers(record: RunRecord) -> None:
    """The six numbers of a run; those that are not known yet are a dash, so nothing moves when they come."""
    with st.container(border=True):
        grid = st.grid(6, min_column_width=CARD, gap="xsmall")
        for number in run_numbers(record):
            grid.metric(number.label, number.value, help=number.protocol)
