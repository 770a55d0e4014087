"""Prunescope's engine: everything but the pages. It runs without Streamlit, Plotly and Dask."""

VERSION = "0.1.0"
