"""The charts of size and speed, tested on their data."""

from __future__ import annotations

import pandas as pd
import pytest

from engine.charts import palette
from engine.charts.overlay.pair import Pair
from engine.charts.overlay.size_speed import latencies_of_both, sizes_of_both
from engine.charts.size_speed import latencies, model_sizes, why_zeros_save_nothing
from tests.charts.measurements import KERNELS, MILLION, SIZE, SPEED, measured
from tests.charts.records import record


def stacks(chart):
    """Return the length of each part of a bar, by the row's name."""
    names, found = chart.figure.layout.yaxis.ticktext, {}
    for trace in (trace for trace in chart.figure.data if trace.type == "bar"):
        for place, value in zip(trace.y, trace.x, strict=True):
            found.setdefault(names[place], {})[trace.name] = value
    return found


def test_each_format_is_a_bar_of_never_pruned_and_prunable_weights():
    chart = model_sizes(SIZE)
    assert stacks(chart) == {
        "dense": {"never pruned": 4, "dense": 16},
        "zeros stored": {"never pruned": 4, "pruned": 16},
        "sparse rows (CSR)": {"never pruned": 4, "pruned": 17},
        "bitmask + values": {"never pruned": 4, "pruned": 8.5},
        "dense, zipped": {"never pruned": 3, "dense": 15},
        "zeros, zipped": {"never pruned": 3, "pruned": 9},
    }
    assert chart.figure.layout.xaxis.title.text == "Size of the whole model, MB"
    (line,) = chart.figure.layout.shapes
    assert line.x0 == line.x1 == 20


def test_two_of_four_is_a_bar_only_where_the_masks_are_so():
    chart = model_sizes(SIZE.model_copy(update={"semi_structured": 12_400_000, "not_semi_structured": ""}))
    assert (
        stacks(chart)["2:4"] == {"never pruned": 4, "pruned": 8.4}
        and "as 2:4 the model takes 12.4 MB" in chart.caption
    )
    without = model_sizes(SIZE)
    assert "2:4" not in stacks(without) and "The masks are not 2:4." in without.caption
    assert "as bitmask and values the model takes 12.5 MB of 20 MB" in without.alt


def test_large_models_are_drawn_in_gigabytes():
    large = {name: 1000 * getattr(SIZE, name) for name in ("rest", "dense", "bitmask", "csr")}
    chart = model_sizes(SIZE.model_copy(update=large))
    assert chart.figure.layout.xaxis.title.text.endswith("GB") and stacks(chart)["dense"]["dense"] == 16


def test_labels_and_table_have_the_same_numbers_as_the_bars():
    chart = model_sizes(SIZE)
    (labels,) = (trace for trace in chart.figure.data if trace.type == "scatter")
    assert [label.strip() for label in labels.text][:2] == ["20 MB · 100 %", "20 MB · 100 %"] and labels.text[
        3
    ].strip() == "12.5 MB · 62 %"
    assert chart.table["bytes"].tolist() == [20e6, 20e6, 21e6, 12.5e6, 18e6, 12e6]
    assert chart.table["share"].tolist() == pytest.approx([1, 1, 1.05, 0.625, 0.9, 0.6])
    assert chart.table["how"].tolist() == ["counted"] * 4 + ["measured"] * 2
    assert labels.x[4] == 20, "a label that the dashed line would cross begins after it"


def test_a_sample_is_said_to_be_one():
    whole, part = (
        SIZE,
        SIZE.model_copy(update={"compressed": SIZE.compressed.model_copy(update={"share": 1 / 50})}),
    )
    assert (
        "all bytes" in model_sizes(whole).caption
        and "extrapolated from 2 % of the bytes" in model_sizes(part).caption
    )


def test_sparse_rows_are_called_what_they_are():
    assert "larger than dense" in model_sizes(SIZE).caption
    assert "smaller than dense" in model_sizes(SIZE.model_copy(update={"csr": 10 * MILLION})).caption


def test_each_stage_has_a_panel_with_medians_and_quartiles():
    chart = latencies(measured())
    prefill, _, token, _ = chart.figure.data
    assert list(prefill.x) == pytest.approx([100, 99]) and list(token.x) == pytest.approx([10, 20])
    assert list(prefill.error_x.array) == pytest.approx([10, 9.9]) and list(
        prefill.error_x.arrayminus
    ) == pytest.approx([10, 9.9])
    assert list(prefill.marker.color) == [palette.VERMILLION, palette.BLUE]
    assert [axis.ticktext for axis in chart.figure.select_yaxes()] == [("dense", "pruned")] * 2
    assert [note.text for note in chart.figure.layout.annotations] == [
        "prompt of 256 tokens (prefill)",
        "one more token (with the KV cache)",
    ]
    assert [axis.title.text for axis in chart.figure.select_xaxes()][-1] == "Median time of a pass, ms"


def test_labels_say_tokens_a_second():
    _, labels, _, single = latencies(measured()).figure.data
    assert [label.strip() for label in labels.text] == ["100 ms · 2,560 tokens/s", "99 ms · 2,586 tokens/s"]
    assert [label.strip() for label in single.text] == ["10 ms · 100 tokens/s", "20 ms · 50 tokens/s"]


def test_the_kernels_are_a_third_bar():
    chart = latencies(measured(speed=KERNELS, device="cuda", device_name="a card"))
    assert chart.figure.layout.yaxis.ticktext == ("dense", "pruned", "2:4 kernels") and list(
        chart.figure.data[0].x
    ) == pytest.approx([100, 99, 60])
    assert "2:4 kernels: × 0.60 for the prompt and × 0.90 for one more token." in chart.caption
    assert "on a card (cuda), batch 1" in chart.caption, "threads say nothing of a GPU"


def test_the_words_tell_a_difference_from_noise():
    caption = latencies(measured()).caption
    assert "× 0.99 (within the spread) for the prompt and × 2.00 for one more token." in caption
    assert (
        "Medians of 21 passes and 60 passes of each model" in caption
        and "(cpu, 2 threads), batch 1, float32" in caption
    )
    assert "not measured, because the masks are not 2:4" in caption


def test_one_stage_alone_is_drawn_too():
    alone = SPEED.model_copy(update={"timings": SPEED.timings[:2], "no_token": "One token: not measured."})
    chart = latencies(measured(speed=alone))
    assert (
        len(chart.figure.data) == 2
        and "One token: not measured." in chart.caption
        and "token," not in chart.alt
    )
    assert "× 0.99 for the prompt;" in why_zeros_save_nothing(measured(speed=alone))


def test_the_table_of_the_times_is_in_seconds():
    table = latencies(measured()).table
    assert table["seconds"].tolist() == [0.1, 0.099, 0.01, 0.02] and table[
        "of_dense"
    ].tolist() == pytest.approx([1, 0.99, 1, 2])
    assert table["tokens_per_second"].tolist() == pytest.approx([2560, 256 / 0.099, 100, 50])


def test_one_sentence_says_why_zeros_buy_nothing_with_what_was_measured():
    sentence = why_zeros_save_nothing(measured())
    assert sentence.count(".") - sentence.count(".9") - sentence.count(".0") == 1 and sentence.endswith(".")
    for words in (
        "the same 20 MB",
        "× 0.99 for the prompt",
        "× 2.00 for one more token",
        "storage keeps each zero",
        "kernels multiply by it",
    ):
        assert words in sentence


@pytest.mark.parametrize(
    "chart", [model_sizes(SIZE), latencies(measured()), latencies(measured(speed=KERNELS))]
)
def test_the_charts_keep_the_house_rules(chart):
    assert (
        chart.title and chart.caption and chart.alt.endswith(".") and chart.figure.layout.title.text is None
    )
    assert (
        chart.figure.layout.uirevision == "kept" and chart.figure.layout.paper_bgcolor == palette.TRANSPARENT
    )
    assert isinstance(chart.table, pd.DataFrame) and len(chart.table)
    assert all(axis.range[0] == 0 for axis in chart.figure.select_xaxes()), "bars begin at zero"


class TestOfBoth:
    pair = Pair(record(pruner="wanda"), record(pruner="ria"))

    def test_each_format_has_a_bar_per_run_and_a_format_of_one_run_has_one(self):
        packed = SIZE.model_copy(update={"semi_structured": 12_400_000, "bitmask": 10_000_000})
        chart = sizes_of_both(self.pair, (SIZE, packed))
        rows = ("sparse rows (CSR)", "bitmask + values", "zeros, zipped", "2:4")
        assert chart.figure.layout.yaxis.ticktext == rows
        first, _, second, labels = chart.figure.data
        assert list(first.x) == [21, 12.5, 12, None] and list(second.x) == [21, 10, 12, 12.4]
        assert first.customdata[1] == "12.5 MB · 62 %" and labels.text[3].strip() == "12.4 MB · 62 %"
        (line,) = chart.figure.layout.shapes
        assert line.x0 == 20, "the dense model of both"
        assert set(chart.table["run"]) == set(self.pair.names) and len(chart.table) == 13
        assert "RIA 50%: 21 MB · 105 % as sparse rows" in chart.alt

    def test_times_are_relative_to_the_dense_model_that_was_timed_with_each(self):
        busy = SPEED.model_copy(
            update={
                "timings": tuple(
                    one.model_copy(
                        update={name: 3 * getattr(one, name) for name in ("median", "low", "high")}
                    )
                    for one in KERNELS.timings
                )
            }
        )
        chart = latencies_of_both(self.pair, (measured(), measured(speed=busy, device_name="another")))
        first, labels, second, _ = chart.figure.data
        rows = ("the prompt", "one more token", "the prompt, 2:4 kernels", "one more token, 2:4 kernels")
        assert chart.figure.layout.yaxis.ticktext == rows
        assert list(first.x)[:2] == pytest.approx([0.99, 2]) and list(first.x)[2:] == [None, None]
        assert list(second.x) == pytest.approx([0.99, 2, 0.6, 0.9])
        assert first.customdata[0] == "× 0.99 · 99 ms" and second.customdata[0] == "× 0.99 · 297 ms"
        assert list(labels.x) == [1, 2] and len(labels.text) == 2, "after the line that it would cross"
        assert "on a processor" in chart.caption and "on another" in chart.caption
        assert "lines: middle half." in latencies(measured()).caption and "lines" not in chart.caption
        assert list(chart.figure.data[3].x) == pytest.approx([1, 2, 1, 1]), "no label on the line"
