"""An engine that computes nothing: canned records of the demo model, and the whole interface that a page
uses.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from engine.analysis.comparison.overlap import LinearOverlap
from engine.analysis.microscope.types import Preview, Tried
from engine.analysis.size_speed import Measurement
from engine.errors import StoreError
from engine.evaluation.text_types import Guess, PromptTexts, Reading, Token
from engine.events import (
    BlockPruned,
    Cancelled,
    Environment,
    Evaluated,
    Event,
    Failed,
    Finished,
    Interrupted,
    LinearPruned,
    LinearShape,
    ModelLoaded,
    RunStarted,
    Score,
    WindowsReady,
)
from engine.hardware.memory import Capacity
from engine.jobs.library import Library
from engine.jobs.presentations import Presentations
from engine.jobs.public import PublicMode
from engine.jobs.questions import Answer
from engine.jobs.requests import LinearRequest, PreviewRequest, ReadRequest, TextRequest
from engine.jobs.views import EngineStatus, RunView, Saved
from engine.models.known_files import KNOWN_FILES
from engine.models.shape import LinearKind, ModelSummary, Storage
from engine.pruning.axes import UPDATES
from engine.pruning.patterns import make_pattern
from engine.recipe import Recipe
from engine.recipe.real_model import pin_known
from engine.record import RunRecord
from engine.store.classes import Classes
from engine.store.runs import Store
from engine.store.series import Series, series
from engine.store.summary import RunSummary
from tests.charts.specimens import Sample
from tests.pages.decisions import allocated, deciding

BLOCKS = 8
SHAPES = {
    "self_attn.q_proj": (128, 128),
    "self_attn.k_proj": (64, 128),
    "self_attn.v_proj": (64, 128),
    "self_attn.o_proj": (128, 128),
    "mlp.gate_proj": (384, 128),
    "mlp.up_proj": (384, 128),
    "mlp.down_proj": (128, 384),
}
PRUNABLE = BLOCKS * sum(rows * columns for rows, columns in SHAPES.values())
SUMMARY = ModelSummary(
    name="demo",
    architecture="LlamaForCausalLM",
    parameters=PRUNABLE + 264_320,
    prunable=PRUNABLE,
    skipped={"embeddings": 262_144, "norms and biases": 2_176},
    blocks=BLOCKS,
    sizes=(PRUNABLE // BLOCKS,) * BLOCKS,
    linears=tuple(
        LinearKind(path=f"model.layers.0.{name}", rows=rows, columns=columns, count=BLOCKS)
        for name, (rows, columns) in SHAPES.items()
    ),
    largest_block=PRUNABLE // BLOCKS + 256,
    largest_grams=sum(columns**2 for _, columns in SHAPES.values()),
    outside=262_272,
    width=128,
    vocabulary=2048,
    context_length=512,
    dtype="float32",
    bytes=7_000_000,
    storage=Storage(place="bundled", total=7_120_000),
    device="cpu",
    speeds={"cpu": 5e10},
)


def opening(recipe: Recipe) -> list[Event]:
    """A run until its first block."""
    return [*starting(recipe), *deciding(recipe, BLOCKS), allocated(recipe, BLOCKS)]


def _corpus(recipe: Recipe) -> str:
    return next(iter(recipe.evaluations), "stories")


def starting(recipe: Recipe) -> list[Event]:
    """A run until its windows are ready."""
    environment = Environment(
        prunescope="1.0",
        python="3.11",
        torch="2.13.0",
        transformers="5.23.0",
        platform="Linux",
        device="cpu",
        device_name="x86_64",
        threads=2,
    )
    shapes = tuple(
        LinearShape(name=name, rows=rows, columns=columns) for name, (rows, columns) in SHAPES.items()
    )
    windows = {
        "length": recipe.window(SUMMARY.context_length),
        "fingerprint": "0123456789abcdef",
    }
    return [
        RunStarted(
            key=recipe.key,
            recipe=recipe.model_dump(mode="json"),
            started="2026-01-01T00:00:00+00:00",
            environment=environment,
        ),
        ModelLoaded(
            architecture=SUMMARY.architecture,
            path="model.layers",
            parameters=SUMMARY.parameters,
            prunable=PRUNABLE,
            skipped=SUMMARY.skipped,
            blocks=BLOCKS,
            linears=(shapes,) * BLOCKS,
            dtype="float32",
            bytes=SUMMARY.bytes,
        ),
        WindowsReady(
            role="calibration",
            corpus=recipe.calibration,
            documents=93,
            windows=recipe.samples,
            available=81,
            seed=recipe.seed,
            **windows,
        ),
        WindowsReady(
            role="evaluation",
            corpus=_corpus(recipe),
            documents=47,
            windows=42,
            available=42,
            seed=None,
            **windows,
        ),
    ]


def block(index: int, sparsity: float, recipe: Recipe | None = None) -> BlockPruned:
    """A pruned block with numbers of a plausible size; with what the recipe's update and refinement report,
    if there is one.
    """
    linears = tuple(
        LinearPruned(
            name=name,
            rows=rows,
            columns=columns,
            removed=int(rows * columns * sparsity),
            sparsity=sparsity,
            output_error=0.12 + 0.02 * index + 0.01 * place,
            **(_reported(recipe, index, rows * columns) if recipe else {}),
        )
        for place, (name, (rows, columns)) in enumerate(SHAPES.items())
    )
    return BlockPruned(
        elapsed=0.4 + 0.35 * index,
        index=index,
        sparsity=sparsity,
        alignment=2e-4 * (1 + index % 3),
        relative_error=0.08 + 0.035 * index,
        cosine=0.995 - 0.006 * index,
        seconds=0.35,
        linears=linears,
    )


def _reported(recipe: Recipe, index: int, weights: int) -> dict[str, Any]:
    found: dict[str, Any] = (
        {"error_before_update": 0.2 + 0.025 * index} if UPDATES[recipe.update].touches else {}
    )
    if recipe.refinement != "none":
        drifts = {"drift_before": 3.0 + index % 3, "drift_after": 0.1 + 0.02 * index}
        found |= {
            "error_before_refinement": 0.17 + 0.015 * index,
            "swaps": weights // (40 + 5 * index),
            **drifts,
        }
    return found


def events(recipe: Recipe, blocks: int = BLOCKS, end: Event | None = None) -> list[Event]:
    """A run with so many blocks done, and its end if it has one."""
    ratios = allocated(recipe, BLOCKS).ratios
    found = [*opening(recipe), *(block(index, ratios[index], recipe) for index in range(blocks))]
    if isinstance(end, Finished):
        dense, pruned = (
            Score(perplexity=48.12, nll=3.8737, tokens=10_710),
            Score(perplexity=55.03, nll=4.0079, tokens=10_710),
        )
        found.append(Evaluated(elapsed=3.4, corpus=_corpus(recipe), dense=dense, pruned=pruned))
    return found if end is None else [*found, end]


FINISHED = Finished(
    elapsed=3.42,
    coverage=PRUNABLE / SUMMARY.parameters,
    timings={"load": 0.2, "prune": 2.9, "evaluate": 0.3},
    peak_host=700_000_000,
    peak_device=None,
)
ENDS: dict[str, Event | None] = {
    "running": None,
    "finished": FINISHED,
    "failed": Failed(
        elapsed=1.2,
        message=(
            "The Hessian of block 3 cannot be factored, even with a damping of 1. Use more calibration "
            "windows."
        ),
    ),
    "cancelled": Cancelled(elapsed=1.2),
    "interrupted": Interrupted(elapsed=1.2, reason="The process that computed this run was killed."),
}


def run_view(
    recipe: Recipe, state: str, blocks: int = 3, place: int | None = None, *, recorded: bool = False
) -> RunView:
    """What the engine shows of a run in a state; a recorded one has no weights."""
    if state == "queued":
        return RunView(RunRecord(key=recipe.key, recipe=recipe), "queued", place)
    done = BLOCKS if state == "finished" else blocks
    record = RunRecord.fold(events(recipe, done, ENDS[state]))
    return RunView(record, state, recorded=recorded, has_weights=state == "finished" and not recorded)  # type: ignore[arg-type]


def deciding_view(recipe: Recipe, steps: int | None = None) -> RunView:
    """What the engine shows while it decides how much each block loses, after so many steps of that (all
    without).
    """
    return RunView(RunRecord.fold([*starting(recipe), *deciding(recipe, BLOCKS)[:steps]]), "running")


@dataclass
class FakeEngine(Library):
    """The interface of the background engine over a dictionary of views; `submitted` and `cancelled` note
    what a page asked for.
    """

    views: dict[str, RunView] = field(default_factory=dict)
    status: EngineStatus = field(default_factory=lambda: EngineStatus("ready", "The engine is ready."))
    model: Answer[ModelSummary] = field(default_factory=lambda: Answer(SUMMARY))
    room: Answer[Capacity] = field(
        default_factory=lambda: Answer(Capacity(host_free=20_000_000_000, disk_free=80_000_000_000))
    )
    written: Answer[PromptTexts] | None = None
    saved: Answer[Saved] = field(default_factory=lambda: Answer(pending=True))
    measured: Answer[Measurement] = field(default_factory=lambda: Answer(pending=True))
    inspected: Answer[Any] | None = None
    asked: list[ReadRequest] = field(default_factory=list)
    reading: Answer[Reading] | None = None
    overlapping: Answer[tuple[LinearOverlap, ...]] = field(default_factory=lambda: Answer(pending=True))
    store: Store = field(default_factory=lambda: Store("/nowhere"))
    public: PublicMode | None = None
    submitted: list[Recipe] = field(default_factory=list)
    repeated: list[Recipe] = field(default_factory=list)
    replaced: dict[str, RunView] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)
    waiting: dict[str, Recipe] = field(default_factory=dict)
    becomes: str = "running"
    classes: Classes = field(default_factory=lambda: Classes(None))
    who: str = "ann"

    def visitor(self) -> str:
        """The session: the test driver has the same one for all."""
        return self.who

    def __post_init__(self) -> None:
        self._presentations = Presentations(self.talk)

    def exposures(self) -> list[str]:
        return []

    def start(self) -> None:
        """Nothing to start."""

    def submit(self, recipe: Recipe) -> str:
        self.submitted.append(recipe)
        if recipe.key in self.views and self.views[recipe.key].recorded:
            self.replaced[recipe.key] = self.views[recipe.key]
        self.views[recipe.key] = run_view(recipe, self.becomes)
        return recipe.key

    def repeat(self, recipe: Recipe) -> str:
        self.repeated.append(recipe)
        return self.submit(recipe)

    def series(self, recipe: Recipe) -> Series:
        return series(self.runs(), pin_known(recipe) if recipe.model in KNOWN_FILES else recipe)

    def view(self, key: str) -> RunView:
        if key in self.waiting:
            return run_view(self.waiting[key], "queued")
        if key not in self.views:
            raise StoreError(
                f"There is no run {key} in this store. It may have been deleted, or computed elsewhere."
            )
        return self.views[key]

    def runs(self) -> list[RunSummary]:
        replaced = [(key, view) for key, view in self.replaced.items() if self.views[key].state != "finished"]
        return [_summary(key, view) for key, view in (*self.views.items(), *replaced)]

    def events(self, key: str) -> list[Event]:
        view = self.view(key)
        assert view.record.recipe is not None
        return events(view.record.recipe, len(view.record.blocks), ENDS[view.state])

    def active(self) -> list[str]:
        return [key for key, view in self.views.items() if view.active]

    def cancel(self, key: str) -> None:
        self.cancelled.append(key)

    def held(self) -> list[str]:
        return list(self.waiting)

    def resume_held(self) -> None:
        for recipe in self.waiting.values():
            self.submit(recipe)
        self.waiting.clear()

    def drop_held(self) -> None:
        self.waiting.clear()

    def text(self, request: TextRequest) -> Answer[PromptTexts]:
        return self.written or Answer(PromptTexts(**_texts(request)))

    def picture(self, request: LinearRequest, rows: Any = None, columns: Any = None) -> Answer[Any]:
        return self.inspected or Answer(_sample(self, request).picture(rows, columns))

    def inspect(self, request: LinearRequest) -> Answer[Any]:
        return self.inspected or Answer(_sample(self, request).study())

    def spectrum(self, request: LinearRequest) -> Answer[Any]:
        return self.inspected or Answer(_sample(self, request).spectrum())

    def preview(self, request: PreviewRequest) -> Answer[Any]:
        self.asked.append(request)
        one, other = (
            Tried(sample.score_distribution(), sample.picture(), 0.2)
            for sample in (Sample(*SHAPES[request.linear]), Sample(*SHAPES[request.linear]))
        )
        return self.inspected or Answer(Preview(one, other, 0.9, 2048))

    def save(self, key: str) -> Answer[Saved]:
        return self.saved

    def measure(self, key: str) -> Answer[Measurement]:
        return self.measured

    def read(self, request: ReadRequest) -> Answer[Reading]:
        self.asked.append(request)
        return self.reading if self.reading is not None else Answer(_reading(request))

    def overlap(self, one: str, other: str) -> Answer[tuple[LinearOverlap, ...]]:
        return self.overlapping

    def summary(self, model: str, revision: str | None = None) -> Answer[ModelSummary]:
        return self.model

    def capacity(self, device: str) -> Answer[Capacity]:
        return self.room


def _sample(engine: FakeEngine, request: LinearRequest) -> Sample:
    """A random weight of the linear's shape, in the run's pattern."""
    recipe = engine.view(request.key).record.recipe
    assert recipe is not None
    return Sample(*SHAPES[request.linear], make_pattern(recipe.pattern, recipe.group))


def _summary(key: str, view: RunView) -> RunSummary:
    facts: dict[str, Any] = {
        "recipe": view.record.recipe,
        "record": view.record,
        "size": 20_000,
        "changed": 1_767_225_600.0,
    }
    return RunSummary(
        key=key,
        state=view.state,
        recorded=view.recorded,
        imported=view.imported,
        has_weights=view.has_weights,
        **facts,
    )


def _reading(request: ReadRequest) -> Reading:
    """Five tokens, of which the third has the largest increase in loss, and a continuation that differs from
    run to run.
    """
    guesses = (Guess(10, "cat", 0.5, 0.1), Guess(11, "dog", 0.25, 0.0), Guess(12, "the", 0.0, 0.4))
    tokens = [Token(0, "A", "A")]
    written = (
        (" and", " it", " was", " happy.")
        if request.which == "dense"
        else (" and", " the", " the", f" {request.key[:4]}.")
    )
    given = ((" small", 0.5), (" <b>cat</b>", 4.0), (" sat", -0.5), ("\n", 0.0))
    for place, (word, gained) in enumerate(
        (*given, *((word, 1.0) for word in (written if request.tokens else ())))
    ):
        compared = (1.0 + place, 1.0 + place + gained, 0.3, guesses) if request.losses else ()
        tokens.append(Token(sum(word.encode()), word, word, *compared))
    return Reading(tuple(tokens), 1 + len(given))


def _texts(request: TextRequest) -> dict[str, Any]:
    return {
        "prompt": request.prompt,
        "dense": " She liked to play in the garden with her dog.",
        "pruned": " She liked to play and the dog was a big and the tree.",
        "tokens": request.tokens,
        "temperature": request.temperature,
        "seed": request.seed,
    }
