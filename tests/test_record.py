"""The record is the fold of the events: every ending, every prefix, and resumed runs."""

import json
from math import exp, inf, isfinite, nan

import pytest

from engine import events
from engine.events import Allocated, BlockMeasured, CandidateChosen, CandidateTried, Event, RowSpread
from engine.record import RunRecord
from tests.event_samples import (
    BLOCKS,
    ENVIRONMENT,
    PRUNABLE,
    block_pruned,
    candidate,
    model_loaded,
    recipe,
    run_started,
    windows_ready,
)

DENSE = events.Score(perplexity=exp(3.0), nll=3.0, tokens=100)
PRUNED = events.Score(perplexity=exp(3.5), nll=3.5, tokens=100)
START: list[Event] = [
    run_started(),
    model_loaded(),
    windows_ready("calibration"),
    windows_ready("evaluation", seed=None),
    events.Allocated(ratios=(0.5,) * BLOCKS, elapsed=0.9),
]
FINISHED = events.Finished(
    coverage=0.6, timings={"load": 0.5, "prune": 6.0}, peak_host=1000, peak_device=None, elapsed=9.0
)
WHOLE: list[Event] = [
    *START,
    *(block_pruned(index) for index in range(BLOCKS)),
    events.Evaluated(corpus="stories", dense=DENSE, pruned=PRUNED),
    FINISHED,
]
ENDINGS: dict[str, tuple[Event, str | None]] = {
    "finished": (FINISHED, None),
    "failed": (
        events.Failed(message="The disk is full.", detail="Traceback", elapsed=9.0),
        "The disk is full.",
    ),
    "cancelled": (events.Cancelled(elapsed=9.0), None),
    "interrupted": (
        events.Interrupted(reason="The worker process ended.", elapsed=9.0),
        "The worker process ended.",
    ),
}


def test_without_events_the_record_is_empty() -> None:
    record = RunRecord.fold([])
    assert record == RunRecord()
    assert (
        record.state == "empty"
        and record.progress == 0.0
        and record.remaining is None
        and record.ratio is None
    )
    assert record.key is None and record.blocks == () and record.warnings == ()


def test_a_complete_run() -> None:
    record = RunRecord.fold(WHOLE)
    assert record.state == "finished" and record.error is None and record.elapsed == 9.0
    assert record.recipe == recipe() and record.key == recipe().key
    assert record.started == "2025-01-02T03:04:05Z" and record.environment == ENVIRONMENT
    assert record.model is not None
    assert (record.model.name, record.model.architecture, record.model.blocks) == (
        "demo",
        "TinyForCausalLM",
        BLOCKS,
    )
    assert (record.dense, record.pruned) == (DENSE, PRUNED)
    assert record.ratio == pytest.approx(exp(0.5))
    assert (
        [block.index for block in record.blocks] == [0, 1, 2]
        and record.progress == 1.0
        and record.remaining == 0.0
    )
    assert record.allocation == (0.5,) * BLOCKS
    assert (
        record.timings == {"load": 0.5, "prune": 6.0}
        and record.peak_host == 1000
        and record.peak_device is None
    )
    assert (
        record.sparsity.target == 0.5 and record.sparsity.achieved == 0.5 and record.sparsity.coverage == 0.6
    )
    assert record.sparsity.skipped == {"embeddings": 80, "norms": 16}
    assert record.resumed is None


@pytest.mark.parametrize("state", ENDINGS)
@pytest.mark.parametrize("blocks", [0, 1, BLOCKS])
def test_every_ending_keeps_the_earlier_results(state: str, blocks: int) -> None:
    ending, error = ENDINGS[state]
    record = RunRecord.fold([*START, *(block_pruned(index) for index in range(blocks)), ending])
    assert record.state == state and record.error == error and record.elapsed == 9.0
    assert (
        len(record.blocks) == blocks and record.recipe is not None and record.protocol.calibration is not None
    )
    assert record.dense is None and record.ratio is None


@pytest.mark.parametrize("state", ENDINGS)
def test_a_run_may_end_before_the_model_is_loaded(state: str) -> None:
    ending, error = ENDINGS[state]
    record = RunRecord.fold([run_started(), ending])
    assert record.state == state and record.error == error and record.model is None and record.progress == 0.0


def test_every_prefix_is_a_record_that_round_trips() -> None:
    for count in range(len(WHOLE) + 1):
        record = RunRecord.fold(WHOLE[:count])
        assert RunRecord.model_validate_json(record.model_dump_json()) == record
        assert record.state == ("empty" if count == 0 else "finished" if count == len(WHOLE) else "running")


def test_folding_step_by_step_gives_the_same_record() -> None:
    record = RunRecord()
    for count, event in enumerate(WHOLE, start=1):
        before = record.model_dump_json()
        later = record.after([event])
        assert record.model_dump_json() == before, "the record before was changed"
        record = later
        assert record == RunRecord.fold(WHOLE[:count])


def test_elapsed_is_taken_from_the_last_event() -> None:
    assert [RunRecord.fold(WHOLE[:count]).elapsed for count in (1, 2, 6, 7)] == [0.0, 0.5, 1.0, 3.0]


def test_progress_and_remaining_time() -> None:
    record = RunRecord.fold(START)
    assert record.progress == 0.0 and record.remaining is None
    record = RunRecord.fold([*START, block_pruned(0, seconds=2.0)])
    assert record.progress == pytest.approx(1 / 3) and record.remaining == pytest.approx(4.0)
    record = RunRecord.fold([*START, block_pruned(0, seconds=2.0), block_pruned(1, seconds=4.0)])
    assert record.remaining == pytest.approx(3.0)


def test_the_achieved_sparsity_weights_linears_by_size() -> None:
    record = RunRecord.fold([*START, block_pruned(0, removed=(32, 0)), block_pruned(1, removed=(0, 4))])
    assert record.sparsity.achieved == pytest.approx(36 / 96)
    assert record.sparsity.coverage == pytest.approx(PRUNABLE / (PRUNABLE + 96))
    assert record.sparsity.target == 0.5


def test_the_target_of_n_of_m_follows_from_the_pattern() -> None:
    assert RunRecord.fold([run_started(pattern="1:4")]).sparsity.target == pytest.approx(0.75)


def test_warnings_are_kept_once_in_order() -> None:
    notes = [events.Noted(message=text) for text in ("second", "first", "second", "third")]
    assert RunRecord.fold([*START, *notes]).warnings == ("second", "first", "third")


@pytest.mark.parametrize("ending", [ENDINGS[state][0] for state in ("failed", "cancelled", "interrupted")])
def test_a_resumed_run(ending: Event) -> None:
    before = [*START, block_pruned(0), ending]
    record = RunRecord.fold([*before, events.Resumed(blocks=1)])
    assert (
        record.state == "running" and record.error is None and record.resumed == 1 and record.allocation == ()
    )
    assert [block.index for block in record.blocks] == [0]
    rest = [
        events.Resumed(blocks=1),
        START[-1],  # the allocation is repeated
        block_pruned(1),
        block_pruned(2),
        events.Evaluated(corpus="stories", dense=DENSE, pruned=PRUNED),
        FINISHED,
    ]
    resumed, whole = RunRecord.fold([*before, *rest]), RunRecord.fold(WHOLE)
    assert resumed.model_copy(update={"resumed": None}) == whole


def test_a_block_that_is_pruned_again_counts_once() -> None:
    record = RunRecord.fold(
        [*START, block_pruned(0, seconds=9.0), events.Resumed(blocks=0), block_pruned(0, seconds=2.0)]
    )
    assert [block.seconds for block in record.blocks] == [2.0] and record.progress == pytest.approx(1 / 3)


def test_a_resumed_run_that_loads_the_model_again() -> None:
    again = [events.Resumed(blocks=1), *START[1:], block_pruned(1)]
    record = RunRecord.fold([*START, block_pruned(0), ENDINGS["interrupted"][0], *again])
    assert record.state == "running" and [block.index for block in record.blocks] == [0, 1]
    assert record.sparsity.achieved == pytest.approx(0.5) and record.sparsity.target == 0.5


@pytest.mark.parametrize(
    ("dense", "pruned", "ratio"),
    [(3.0, 3.0, 1.0), (3.0, 2.0, exp(-1)), (3.0, 900.0, inf), (800.0, 801.0, exp(1)), (-inf, 3.0, inf)],
)
def test_the_ratio_of_perplexities(dense: float, pruned: float, ratio: float) -> None:
    scores = [
        events.Score(perplexity=exp(nll) if nll < 700 else inf, nll=nll, tokens=9) for nll in (dense, pruned)
    ]
    assert RunRecord.fold(
        [*START, events.Evaluated(corpus="stories", dense=scores[0], pruned=scores[1])]
    ).ratio == pytest.approx(ratio)


@pytest.mark.parametrize("nll", [nan, inf])
def test_a_broken_model_has_no_finite_ratio(nll: float) -> None:
    broken = events.Score(perplexity=nll, nll=nll, tokens=9)
    record = RunRecord.fold([*START, events.Evaluated(corpus="stories", dense=DENSE, pruned=broken)])
    assert record.ratio is not None and not isfinite(record.ratio)
    text = record.model_dump_json()
    assert RunRecord.model_validate_json(text).model_dump_json() == text
    json.loads(text, parse_constant=lambda constant: pytest.fail(f"{constant} is not JSON"))


def test_the_ratio_of_a_nan_perplexity_is_nan() -> None:
    broken = events.Score(perplexity=nan, nll=nan, tokens=9)
    ratio = RunRecord.fold([*START, events.Evaluated(corpus="stories", dense=DENSE, pruned=broken)]).ratio
    assert repr(ratio) in {"nan", "None"}, "infinite would say that the model was measured"


def test_the_protocol_in_words() -> None:
    protocol = RunRecord.fold(START).protocol
    for part in ("4 windows", "16 tokens", "stories", "float32", "seed 7 of 50"):
        assert part in protocol.statistics
    assert "all in order" in protocol.perplexity and "seed" not in protocol.perplexity
    assert "start token" not in protocol.perplexity
    begun = protocol.evaluation.model_copy(update={"starts": 1}) if protocol.evaluation else None
    assert "(all in order; the start token is at the beginning of 1 of them)" in protocol.perplexity_on(begun)
    assert RunRecord().protocol.perplexity == "not measured"


def test_the_contract_of_record_json() -> None:
    """Fields that scripts may rely on."""
    record = json.loads(RunRecord.fold(WHOLE).model_dump_json())
    assert record["dense"]["perplexity"] == pytest.approx(exp(3.0)) and record["pruned"][
        "perplexity"
    ] == pytest.approx(exp(3.5))
    assert {"target", "achieved", "coverage"} <= record["sparsity"].keys()
    for block in record["blocks"]:
        assert {"index", "sparsity", "alignment", "relative_error", "seconds"} <= block.keys()
    assert isinstance(record["search"], list) and isinstance(record["warnings"], list)
    assert {"timings", "environment", "protocol"} <= record.keys()


def test_a_search_is_recorded_with_its_choice() -> None:
    tried = [
        CandidateTried(candidate=candidate("block", strength, objective=1 - strength))
        for strength in (0.01, 0.02)
    ]
    row = CandidateTried(candidate=candidate("row", 0.02))
    record = RunRecord.fold([*START[:4], *tried, CandidateChosen(step="block", strength=0.02), row])
    assert [(entry.step, entry.strength, entry.chosen) for entry in record.search] == [
        ("block", 0.01, False),
        ("block", 0.02, True),
        ("row", 0.02, False),
    ]
    entry = json.loads(record.model_dump_json())["search"][1]
    assert (
        entry["step"] == "block"
        and entry["lambda"] == 0.02
        and entry["objective"] == 0.98
        and entry["chosen"] is True
    )
    assert RunRecord.model_validate_json(record.model_dump_json()) == record


def test_a_search_repeated_after_an_interruption_is_recorded_once() -> None:
    tried = CandidateTried(candidate=candidate("block", 0.01))
    record = RunRecord.fold([*START[:4], tried, CandidateChosen(step="block", strength=0.01), tried])
    assert len(record.search) == 1


def test_block_measurements_and_row_spreads_are_recorded() -> None:
    spread = RowSpread(name="mlp", consumer=None, quantiles=(0.5,) * 7)
    allocated = Allocated(ratios=(0.2, 0.4, 0.9), clipped=(2,), rows=((spread,), (), ()))
    record = RunRecord.fold(
        [*START[:4], BlockMeasured(index=0, value=3.5), BlockMeasured(index=2, value=1.5), allocated]
    )
    assert record.measured == {0: 3.5, 2: 1.5} and record.clipped == (2,) and record.rows[0] == (spread,)
    assert RunRecord.model_validate_json(record.model_dump_json()) == record


def test_a_fold_takes_time_linear_in_its_events() -> None:
    """With time that is quadratic in the number of any of these, this test would take minutes."""
    many = range(12_000)
    found = RunRecord.fold(
        [
            *START,
            *(events.Noted(message=f"note {number}") for number in many),
            *(BlockMeasured(index=number, value=0.5) for number in many),
            *(CandidateTried(candidate=candidate("block", float(number))) for number in many),
            *(CandidateChosen(step="block", strength=float(number)) for number in many),
        ]
    )
    assert len(found.warnings) == len(found.measured) == len(found.search) == len(many)
    assert all(tried.chosen for tried in found.search)
