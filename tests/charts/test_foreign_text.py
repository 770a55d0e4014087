"""Names from elsewhere are drawn as they are: by Plotly, which reads HTML, and by a spreadsheet."""

import csv
from io import StringIO

import pandas as pd
import pytest

from engine.charts.chart import literal, short_names
from engine.charts.compare.two_runs import pair_allocation
from engine.charts.generate.predictions import prediction_bars
from engine.charts.generate.token_loss import added_losses
from engine.charts.tables import to_csv
from engine.evaluation.text_types import Guess, Reading, Token
from engine.store.folder import RunFolder
from engine.store.runs import RECORDED

LURE = '<a href="http://evil.example">x</a><b>%{x}&lt;'


def texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return [text for child in inner for text in texts(child)]


def test_what_plotly_would_read_is_escaped() -> None:
    assert literal(LURE) == '&lt;a href="http://evil.example">x&lt;/a>&lt;b>&#37;{x}&amp;lt;'
    assert literal("self_attn.q_proj, 50 %") == "self_attn.q_proj, 50 %"


def test_the_names_of_runs_and_linears() -> None:
    record = RunFolder(next(RECORDED.iterdir())).record()
    chart = pair_allocation((record, record), (LURE, "ours"))
    drawn = [text for text in texts(chart.figure.to_dict()) if "evil" in text]
    assert drawn and all("<a" not in text and "%{x}&lt;" not in text for text in drawn)
    assert list(chart.table) == ["block", LURE, "ours"], "a table shows text as it is"
    assert "<a" not in str(list(short_names([LURE, "other"]).values()))


def test_tokens() -> None:
    token = Token(1, LURE, LURE, 1.0, 2.0, 0.3, (Guess(1, LURE, 0.5, 0.5),))
    for chart in (prediction_bars(token), added_losses(Reading((Token(0, "a", "a"), token), 2))):
        drawn = [text for text in texts(chart.figure.to_plotly_json()) if "evil" in text]
        assert drawn and all("<a" not in text for text in drawn)


@pytest.mark.parametrize("cell", ["=cmd|' /C calc'!A0", "+1+2", "-1+2", "@SUM(A1)", "\t=1", " =1"])
def test_a_spreadsheet_computes_no_cell(cell: str) -> None:
    table = pd.DataFrame({"name": [cell, "-", "q_proj"], cell: pd.array([-1, None, 3], dtype="Int64")})
    header, first, *rest = csv.reader(StringIO(to_csv(table), newline=""))
    assert header == ["name", f"'{cell}"] and first == [f"'{cell}", "-1"]
    assert rest == [["-", ""], ["q_proj", "3"]], "numbers and single tokens stay"
