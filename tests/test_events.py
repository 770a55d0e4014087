"""Every event as one line of strict JSON and back."""

import json
from math import inf, nan
from typing import NoReturn

import pytest
from pydantic import ValidationError

from engine import events
from engine.events import Event, from_line, to_line
from tests.event_samples import ENVIRONMENT, block_pruned, candidate, model_loaded, run_started, windows_ready

EXAMPLES: list[Event] = [
    run_started(),
    model_loaded(),
    windows_ready("calibration"),
    windows_ready("evaluation", seed=None, documents=None),
    events.Allocated(ratios=(0.5, 0.25)),
    events.Allocated(ratios=()),
    events.Allocated(
        ratios=(0.01, 0.99),
        clipped=(0, 1),
        rows=(
            (events.RowSpread(name="q", consumer="o", quantiles=(0.0, 0.1, 0.2, 0.5, 0.7, 0.9, 0.99)),),
            (),
        ),
    ),
    events.Fetching(what="model.safetensors", done=10, total=None),
    events.Fetching(what="wikitext2", done=10, total=20, note="The server asks to wait 3 s."),
    events.BlockMeasured(index=3, value=nan),
    events.CandidateTried(candidate=candidate("block", 0.05)),
    events.CandidateTried(candidate=candidate("row", 0.0, alignment=(inf,), stopped=True)),
    events.CandidateChosen(step="row", strength=0.25),
    block_pruned(0),
    block_pruned(1, relative_error=None, cosine=None),
    block_pruned(1, relative_error=inf, cosine=nan, alignment=-inf),
    events.Evaluated(
        corpus="stories",
        dense=events.Score(perplexity=20.5, nll=3.02, tokens=999),
        pruned=events.Score(perplexity=1e300, nll=690.0, tokens=999),
    ),
    events.Evaluated(
        corpus="stories",
        dense=events.Score(perplexity=inf, nll=800.0, tokens=9),
        pruned=events.Score(perplexity=nan, nll=nan, tokens=9),
    ),
    events.TaskMeasured(
        which="dense",
        score=events.TaskScore(
            task="boolq",
            metric="acc",
            value=0.5,
            stderr=None,
            examples=1,
            available=9,
            source="hub",
            harness="boolq",
            outcomes="1",
        ),
    ),
    events.TaskProgressed(which="pruned", task="boolq", done=3, total=100),
    events.Noted(message="model.layers.0: «0,5 %»\nand a second line \u2028 with \U0001f40d and a \\ \" '"),
    events.Resumed(blocks=3),
    events.Finished(coverage=0.9, timings={"load": 0.5, "prune": inf}, peak_host=2**40, peak_device=None),
    events.Failed(message="The disk is full.", detail="Traceback ...\n  File ..."),
    events.Failed(message="It failed."),
    events.Cancelled(),
    events.Cancelled(forced=True, elapsed=12.5),
    events.Interrupted(reason="The worker process ended."),
]


def kinds(kind: type[Event]) -> set[type[Event]]:
    return {
        found
        for child in kind.__subclasses__()
        for found in {child, *kinds(child)}
        if found.__module__ == events.__name__
    }


def refuse(constant: str) -> NoReturn:
    raise AssertionError(f"{constant} is not JSON")


def test_every_kind_of_event_has_an_example() -> None:
    assert {type(event) for event in EXAMPLES} == kinds(Event)


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.event)
def test_round_trip(event: Event) -> None:
    line = to_line(event)
    assert "\n" not in line and "\r" not in line
    back = from_line(line)
    assert type(back) is type(event)
    assert to_line(back) == line  # not `==` of the events, for nan is not nan
    assert to_line(from_line(line.encode())) == line
    assert json.loads(line, parse_constant=refuse)["event"] == event.event


@pytest.mark.parametrize("value", [inf, -inf, nan])
def test_non_finite_numbers_round_trip(value: float) -> None:
    back = from_line(to_line(block_pruned(0, relative_error=value, alignment=value)))
    assert isinstance(back, events.BlockPruned)
    assert repr(back.relative_error) == repr(back.alignment) == repr(value)


@pytest.mark.parametrize("value", [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, 123456789.123456789])
def test_finite_numbers_round_trip_exactly(value: float) -> None:
    back = from_line(to_line(block_pruned(0, alignment=value)))
    assert isinstance(back, events.BlockPruned)
    assert back.alignment == value


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.event)
def test_an_event_is_frozen(event: Event) -> None:
    with pytest.raises(ValidationError):
        event.elapsed = 3.0


@pytest.mark.parametrize(
    "kind", sorted(kinds(Event), key=lambda kind: kind.__name__), ids=lambda kind: kind.__name__
)
def test_which_events_end_a_run(kind: type[Event]) -> None:
    assert kind.ends == (kind.__name__ in {"Finished", "Failed", "Cancelled", "Interrupted"})


def test_event_names_are_unique() -> None:
    names = [kind.model_fields["event"].default for kind in kinds(Event)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"event": "no_such"}',
        '{"event": "resumed"}',
        '{"event": "cancelled", "more": 1}',
        "run started",
    ],
)
def test_invalid_lines_are_rejected(line: str) -> None:
    with pytest.raises(ValidationError):
        from_line(line)


def test_elapsed_defaults_to_zero_and_round_trips() -> None:
    assert from_line('{"event": "cancelled"}').elapsed == 0.0
    assert from_line(to_line(events.Resumed(blocks=1, elapsed=3.25))).elapsed == 3.25


def test_the_number_of_tokens_in_windows() -> None:
    assert windows_ready("calibration").tokens == 4 * 16


def test_the_environment_is_part_of_the_line() -> None:
    assert json.loads(to_line(run_started()))["environment"] == ENVIRONMENT.model_dump()
