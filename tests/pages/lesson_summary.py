"""What the last step of a lesson ends with, once its question is answered."""

from __future__ import annotations

from urllib.parse import parse_qsl

from streamlit.testing.v1 import AppTest

from engine.pruning.axes import AXES
from engine.pruning.pattern_choices import LAYOUTS
from engine.pruning.presets import PRESETS
from pages.widgets.explore import address as addresses
from pages.widgets.explore.fields import check, defaults
from pages.widgets.methods.reference import search
from tests.pages.conftest import words
from tests.pages.fakes import SUMMARY


def expect_summary(app: AppTest) -> None:
    """Check that there is a summary whose links find a method and are a valid recipe."""
    assert "**What to remember**" in words(app)
    method, trial = (dict(parse_qsl(link.proto.query_string)) for link in app.get("page_link")[-2:])
    assert any(
        search(registry, method["methods.find"])
        for registry in {"pruner": PRESETS, **AXES, **LAYOUTS}.values()
    )
    fields, complaints = addresses.read(trial, defaults())
    assert trial and not complaints
    assert check(fields, SUMMARY).recipe is not None
