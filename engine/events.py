"""The events of a run: small frozen records that round-trip through JSON, one per line of `events.jsonl`.

Events hold numbers that are ready to draw, never tensors. Non-finite numbers are written as the strings
"Infinity", "-Infinity" and "NaN", so that a line is always strict JSON. The order of a run without errors:

    RunStarted, [Fetching ...], ModelLoaded, [Fetching ...], WindowsReady (calibration), [WindowsReady
    (evaluation) ...], [BlockMeasured ...], [CandidateTried ..., CandidateChosen ...], Allocated, BlockPruned
    ..., [Evaluated ...], [TaskProgressed ..., TaskMeasured ...], Finished

A run ends with exactly one of Finished, Failed, Cancelled, Interrupted. If it is resumed later, `Resumed`
follows.
"""

from __future__ import annotations

from math import isfinite
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class Facts(BaseModel):
    """Base class of events, records and their parts: frozen, and unknown fields are an error."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",  # so that a damaged or newer file is noticed
        ser_json_inf_nan="strings",
        protected_namespaces=(),
        serialize_by_alias=True,  # `lambda` is a keyword, so some fields have another name in JSON
        validate_by_name=True,  # our own code uses the field's name
    )

    @property
    def not_finite(self) -> tuple[str, ...]:
        """The fields that hold NaN or infinity, themselves or in a part."""
        return tuple(name for name, value in vars(self).items() if not _is_finite(value))


def _is_finite(value: object) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_finite, value))
    if isinstance(value, Facts):
        return not value.not_finite
    return not isinstance(value, float) or isfinite(value)


class Event(Facts):
    """Base class of all events.

    Attributes:
        elapsed: seconds since the run began, or since it was last resumed.
        ends: whether no other event may follow, except after resuming.
    """

    elapsed: float = 0.0
    ends: ClassVar[bool] = False


class Environment(Facts):
    """The machine and the versions that computed a run."""

    prunescope: str
    python: str
    torch: str
    transformers: str
    platform: str
    device: str
    device_name: str
    threads: int


class RunStarted(Event):
    """The recipe is valid and work begins. `started` is ISO 8601 in UTC."""

    event: Literal["run_started"] = "run_started"
    key: str
    recipe: dict[str, Any]
    started: str
    environment: Environment


class Fetching(Event):
    """Something is being downloaded, or prepared for use.

    Attributes:
        what: a file or a dataset.
        done: bytes that are done.
        total: bytes in total, None if unknown.
        note: an optional sentence, for instance why it waits.
        doing: what is done with it: `fetching`, `unpacking` or `tokenising`.
    """

    event: Literal["fetching"] = "fetching"
    what: str
    done: int
    total: int | None
    note: str = ""
    doing: str = "fetching"


class LinearShape(Facts):
    """A prunable linear of a block, of shape `[rows, columns]` = `[out, in]`."""

    name: str
    rows: int
    columns: int


class WeightSource(Facts):
    """The GGUF file that a model's weights were read from; most were quantised in it.

    Attributes:
        file: its name.
        tensors: the number of tensors by type, for instance Q4_1; the type with the most weights first.
    """

    file: str
    tensors: dict[str, int] = Field(min_length=1)

    @property
    def types(self) -> str:
        """The types in words: `Q4_1 (210 tensors), F32 (61), Q8_0 (1)`."""
        (main, count), *others = self.tensors.items()
        unit = "tensor" if count == 1 else "tensors"
        return ", ".join([f"{main} ({count:,} {unit})", *(f"{kind} ({many:,})" for kind, many in others)])

    @property
    def sentence(self) -> str:
        """Where the weights come from."""
        return f"The weights were read from the GGUF file {self.file}: {self.types}."


class ModelLoaded(Event):
    """The model is in memory.

    Attributes:
        path: the path of its list of blocks, for instance `model.layers`.
        prunable: number of weights in the linears of the blocks.
        skipped: number of weights that are never pruned, by kind; `prunable` and these add up to
            `parameters`.
        bytes: size of all weights in memory.
        residence: `resident` if all weights are in memory, `streamed` if each block is read from the disk
            when it is needed.
        digest: hash of its configuration and its weight files, 64 hexadecimal digits; None in older runs.
        source: the GGUF file that its weights come from; None for others.
    """

    event: Literal["model_loaded"] = "model_loaded"
    architecture: str
    path: str
    parameters: int
    prunable: int
    skipped: dict[str, int]
    blocks: int
    linears: tuple[tuple[LinearShape, ...], ...]
    dtype: str
    bytes: int
    residence: Literal["resident", "streamed"] = "resident"
    digest: str | None = None
    source: WeightSource | None = None


class WindowsReady(Event):
    """Token windows are ready.

    Attributes:
        role: what they are for.
        corpus: the name of the corpus, or its file.
        documents: number of documents they were cut from, None for a file of token ids.
        windows: number of windows.
        length: tokens per window.
        available: number of windows in the corpus.
        seed: the seed that drew them, None if all are used in order.
        fingerprint: SHA-256 of the token ids (int64, little endian, row-major), 16 hex digits.
        identity: source, revision and split of a named corpus.
        starts: number of windows that begin with the start token; None if the tokenizer does not put one in
            front of a text by itself.
    """

    event: Literal["windows_ready"] = "windows_ready"
    role: Literal["calibration", "evaluation"]
    corpus: str
    documents: int | None
    windows: int
    length: int
    available: int
    seed: int | None
    fingerprint: str
    identity: dict[str, str] = {}
    starts: int | None = None

    @property
    def tokens(self) -> int:
        return self.windows * self.length


class BlockMeasured(Event):
    """What an allocation measured on one dense block; `Allocation.measure` names the quantity."""

    event: Literal["block_measured"] = "block_measured"
    index: int
    value: float

    @property
    def not_finite(self) -> tuple[str, ...]:
        """Nothing: NaN says that the block has no such quantity."""
        return ()


REFERENCE_STEP = "uniform"
"""The step of the one candidate that a search only compares with: the same sparsity everywhere."""
EVOLUTION_STEP = "evolution"
"""The step whose strengths are generations."""


class Candidate(Facts):
    """One allocation that a search has tried.

    A search runs in steps. In each it varies one number, the strength, and chooses the candidate with the
    smallest objective; `Allocation.objective` says what that is.

    Attributes:
        step: the search's name for the step; `REFERENCE_STEP` for the reference, `EVOLUTION_STEP` for the
            parent of a generation.
        strength: the number that the step varies; `lambda` in JSON. The generation of an evolution.
        objective: the sum of `block_objectives`, if the search has any; for a stopped candidate it covers
            only the blocks that were computed, so it is a lower bound.
        block_objectives: each block's part of the objective, first block first; `alignment` in JSON. Empty if
            the objective is of the model as a whole.
        ratios: the sparsity of each block.
        stopped: whether it was abandoned because another candidate was better already.
        chosen: whether the search chose it.
    """

    step: str
    strength: float = Field(validation_alias="lambda", serialization_alias="lambda")
    objective: float
    block_objectives: tuple[float, ...] = Field(validation_alias="alignment", serialization_alias="alignment")
    ratios: tuple[float, ...]
    stopped: bool = False
    chosen: bool = False

    @property
    def is_reference(self) -> bool:
        return self.step == REFERENCE_STEP

    @property
    def place(self) -> str:
        """The strength in words."""
        return strength_words(self.step, self.strength)


def strength_words(step: str, strength: float) -> str:
    """Return `λ = 0.1`, or `generation 3` of an evolution."""
    return f"generation {strength:g}" if step == EVOLUTION_STEP else f"λ = {strength:g}"


class CandidateTried(Event):
    """A search has tried one candidate."""

    event: Literal["candidate_tried"] = "candidate_tried"
    candidate: Candidate


class CandidateChosen(Event):
    """A step of a search has ended with the smallest objective, the first one on ties."""

    event: Literal["candidate_chosen"] = "candidate_chosen"
    step: str
    strength: float = Field(validation_alias="lambda", serialization_alias="lambda")


QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
"""Quantiles of the rows at which a `RowSpread` holds the sparsity."""


class RowSpread(Facts):
    """How the sparsity of one linear is distributed over its rows.

    Attributes:
        consumer: the linear that reads its rows as input columns; None if there is no single one, and then
            the rows are uniform.
        quantiles: sparsities of the rows at `QUANTILES`.
    """

    name: str
    consumer: str | None
    quantiles: tuple[float, ...]


class Allocated(Event):
    """The allocation has decided how much each block loses.

    Attributes:
        ratios: the sparsity per block.
        clipped: blocks whose ratio was clipped to a limit.
        rows: per block, the linears that could get a sparsity per row; empty if the method does not look at
            rows.
    """

    event: Literal["allocated"] = "allocated"
    ratios: tuple[float, ...]
    clipped: tuple[int, ...] = ()
    rows: tuple[tuple[RowSpread, ...], ...] = ()


class LinearPruned(Facts):
    """One linear after pruning.

    Attributes:
        removed: number of weights that the mask removes.
        sparsity: fraction of its weights that are zero: removed, or kept and zero.
        initial_zeros: number of weights that were exactly zero before; not counted by older versions.
        kept_zeros: number of kept weights that are exactly zero; not counted by older versions.
        tied: number of weights with exactly the score at the cut, of which some are kept and others removed,
            see `engine.pruning.selection.Selection`; not counted by older versions.
        tied_removed: how many of them the mask removed before any refinement.
        output_error: `||X W^T - X W'^T||_F / ||X W^T||_F` over a sample of calibration tokens.
        error_before_update: the same with the final mask but the dense values of the kept weights; None
            without an update.
        error_before_refinement: the same with the mask as the score decided it; None without a refinement.
        swaps: number of swaps that the refinement made; None without one.
        drift_before: mean over the rows of the error that the refinement lowers (`Refinement.measure`),
            before it; None for methods without one.
        drift_after: the same after it.
    """

    name: str
    rows: int
    columns: int
    removed: int
    sparsity: float
    output_error: float
    error_before_update: float | None = None
    error_before_refinement: float | None = None
    swaps: int | None = None
    drift_before: float | None = None
    drift_after: float | None = None
    initial_zeros: int = 0
    kept_zeros: int = 0
    tied: int = 0
    tied_removed: int = 0

    @property
    def zeros(self) -> int:
        """Number of its weights that are zero."""
        return self.removed + self.kept_zeros


class BlockPruned(Event):
    """A block is pruned, and the windows have passed through it.

    Attributes:
        sparsity: fraction of its prunable weights that are zero.
        alignment: neuron alignment distance A (arXiv 2411.07066) between the dense and the pruned block with
            the same input, summed over its linears; 0 = unchanged.
        relative_error: `||h - h'|| / ||h||` between the dense and the pruned hidden states of the evaluation
            windows after the block; None without evaluation.
        cosine: mean cosine of the same hidden states over the tokens.
        seconds: time that the block took.
        unpruned_zeros: number of weights that are zero in its linears that were left dense.
    """

    event: Literal["block_pruned"] = "block_pruned"
    index: int
    sparsity: float
    alignment: float
    relative_error: float | None
    cosine: float | None
    seconds: float
    linears: tuple[LinearPruned, ...]
    unpruned_zeros: int = 0


class Score(Facts):
    """A measured perplexity.

    Attributes:
        perplexity: `exp(nll)`.
        nll: mean negative log likelihood per predicted token, in nats.
        tokens: number of predicted tokens.
        bits_per_byte: bits per byte of text, comparable between tokenizers; None if the text is unknown.
    """

    perplexity: float
    nll: float
    tokens: int
    bits_per_byte: float | None = None

    @property
    def not_finite(self) -> tuple[str, ...]:
        """Not the perplexity, which may overflow although the model of a finite nll was measured."""
        return tuple(name for name in super().not_finite if name != "perplexity")


class Evaluated(Event):
    """The perplexities of the dense and the pruned model on one corpus."""

    event: Literal["evaluated"] = "evaluated"
    corpus: str
    dense: Score
    pruned: Score


Which = Literal["dense", "pruned"]


class TaskProgressed(Event):
    """A model is being evaluated on a task.

    Attributes:
        done: examples scored so far.
        total: examples in total; 0 while they are being loaded.
    """

    event: Literal["task_progressed"] = "task_progressed"
    which: Which
    task: str
    done: int
    total: int


class TaskScore(Facts):
    """One model's score on one task.

    Attributes:
        task: its name in the catalogue.
        metric: the name of the metric in lm-eval.
        value: the mean over the examples.
        stderr: the standard error of the mean, None for a single example.
        examples: number of examples scored: the first ones of the split, in its order.
        available: number of examples in the split.
        truncated: number of examples longer than the model takes, whose beginning was cut off.
        source: where the examples come from.
        harness: the version of lm-eval and its name of the task.
        outcomes: one digit per example, in order; 1 = correct.
    """

    task: str
    metric: str
    value: float
    stderr: float | None
    examples: int
    available: int
    truncated: int = 0
    source: str
    harness: str
    outcomes: str


class TaskMeasured(Event):
    """The score of one model on one task."""

    event: Literal["task_measured"] = "task_measured"
    which: Which
    score: TaskScore


class Noted(Event):
    """Something the reader of the result should know, for instance an approximation."""

    event: Literal["noted"] = "noted"
    message: str


class Resumed(Event):
    """The run continues after the given number of finished blocks."""

    event: Literal["resumed"] = "resumed"
    blocks: int


class Finished(Event):
    """The run completed.

    Attributes:
        coverage: prunable weights / all weights.
        timings: seconds per phase.
        peak_host: peak memory of the process in bytes; None if the system does not report it.
        peak_device: peak memory on the accelerator in bytes; None on a CPU.
    """

    event: Literal["finished"] = "finished"
    ends: ClassVar[bool] = True
    coverage: float
    timings: dict[str, float]
    peak_host: int | None
    peak_device: int | None


class Failed(Event):
    """The run ended with an error. `detail` is the traceback, for the log only."""

    event: Literal["failed"] = "failed"
    ends: ClassVar[bool] = True
    message: str
    detail: str = ""


class Cancelled(Event):
    """The user cancelled the run. `forced`: its process was stopped, since it did not react in time."""

    event: Literal["cancelled"] = "cancelled"
    ends: ClassVar[bool] = True
    forced: bool = False


class Interrupted(Event):
    """The process that computed the run ended before the run."""

    event: Literal["interrupted"] = "interrupted"
    ends: ClassVar[bool] = True
    reason: str


AnyEvent = Annotated[
    RunStarted
    | Fetching
    | ModelLoaded
    | WindowsReady
    | BlockMeasured
    | CandidateTried
    | CandidateChosen
    | Allocated
    | BlockPruned
    | Evaluated
    | TaskProgressed
    | TaskMeasured
    | Noted
    | Resumed
    | Finished
    | Failed
    | Cancelled
    | Interrupted,
    Field(discriminator="event"),  # the `event` field picks the class; otherwise each of them would be tried
]
_ADAPTER: TypeAdapter[Event] = TypeAdapter(AnyEvent)  # built once: compiling this union is slow


def to_line(event: Event) -> str:
    """Return the event as one line of strict JSON."""
    return event.model_dump_json()


def from_line(line: str | bytes, *, extra: Literal["forbid", "ignore"] = "forbid") -> Event:
    """Return the event that `to_line` wrote.

    Args:
        extra: what to do about unknown fields.

    Raises:
        pydantic.ValidationError: the line is not an event.
    """
    return _ADAPTER.validate_json(line, extra=extra)
