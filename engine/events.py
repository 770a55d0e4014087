"""The vocabulary of a run: everything that happens, as small frozen records that round-trip through JSON.

Events carry numbers ready to draw, never tensors. Non-finite numbers are written as the strings "Infinity",
"-Infinity" and "NaN", so a line is always strict JSON. Order of a run without a fault:

    RunStarted, [Fetching ...], ModelLoaded, [Fetching ...], WindowsReady (calibration), [WindowsReady
    (evaluation) ...], [BlockMeasured ...], [CandidateTried ..., CandidateChosen ...], Allocated, BlockPruned
    ..., [Evaluated ...], [TaskProgressed ..., TaskMeasured ...], Finished

A run ends with exactly one of Finished, Failed, Cancelled, Interrupted. An interrupted run that is taken up
again goes on with `Resumed`.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class Facts(BaseModel):
    """A frozen piece of an event or a record."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        ser_json_inf_nan="strings",
        protected_namespaces=(),
        serialize_by_alias=True,
        validate_by_name=True,
    )


class Event(Facts):
    """Something that happened.

    Attributes:
        elapsed: seconds since the run (or its resumption) began.
    """

    elapsed: float = 0.0
    ends: ClassVar[bool] = False


class Environment(Facts):
    """Where a run was computed."""

    prunescope: str
    python: str
    torch: str
    transformers: str
    platform: str
    device: str
    device_name: str
    threads: int


class RunStarted(Event):
    """The recipe is accepted and work begins. `started` is ISO 8601, UTC."""

    event: Literal["run_started"] = "run_started"
    key: str
    recipe: dict[str, Any]
    started: str
    environment: Environment


class Fetching(Event):
    """Something comes over the network, or is made ready for use.

    Attributes:
        what: a file or a dataset.
        done: bytes that are there.
        total: bytes that there will be, None where nobody says.
        note: a sentence where there is something to say, for instance why it waits.
    """

    event: Literal["fetching"] = "fetching"
    what: str
    done: int
    total: int | None
    note: str = ""


class LinearShape(Facts):
    """A prunable linear of a block: `[rows, columns]` = `[out, in]`."""

    name: str
    rows: int
    columns: int


class ModelLoaded(Event):
    """The model is in memory.

    Attributes:
        path: its list of blocks, for instance `model.layers`.
        prunable: weights of the linears in the blocks.
        skipped: the weights that are never pruned, by kind; with `prunable` they add up to `parameters`.
        bytes: size of the weights in memory, were they all there at once.
        residence: `resident` when they are, `streamed` when each block is read from the disk as its turn
            comes.
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


class WindowsReady(Event):
    """Token windows are cut.

    Attributes:
        role: what they are for.
        corpus: the corpus's name or file.
        documents: documents they were cut from, None for token ids given as such.
        windows: how many windows.
        length: tokens a window.
        available: how many windows the corpus holds.
        seed: the seed that chose among them, None where all are used in order.
        fingerprint: SHA-256 of the token ids (int64, little endian, row-major), 16 hex digits.
        identity: where a named corpus comes from: source, revision, split.
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

    @property
    def tokens(self) -> int:
        return self.windows * self.length


class BlockMeasured(Event):
    """What an allocation measured on one dense block before it decides; the method's `measure` names the
    quantity.
    """

    event: Literal["block_measured"] = "block_measured"
    index: int
    value: float


Step = Literal["uniform", "block", "row"]


class Candidate(Facts):
    """One setting that a search looked at.

    Attributes:
        step: `uniform` is the reference that nothing is chosen from.
        strength: NeuroAL's lambda.
        objective: what the search minimises; of a candidate that was stopped, the part that was computed: a
            lower bound.
        alignment: the blocks' parts of the objective, first block first; of a stopped candidate those that
            were computed.
        ratios: the blocks' sparsities.
        stopped: whether it was given up because it was worse than another already.
        chosen: whether the search chose it.
    """

    step: Step
    strength: float = Field(validation_alias="lambda", serialization_alias="lambda")
    objective: float
    alignment: tuple[float, ...]
    ratios: tuple[float, ...]
    stopped: bool = False
    chosen: bool = False


class CandidateTried(Event):
    """A search has looked at one setting."""

    event: Literal["candidate_tried"] = "candidate_tried"
    candidate: Candidate


class CandidateChosen(Event):
    """A step of a search has ended: the smallest objective, the first on ties."""

    event: Literal["candidate_chosen"] = "candidate_chosen"
    step: Step
    strength: float = Field(validation_alias="lambda", serialization_alias="lambda")


QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
"""At which shares of the rows a `RowSpread` says the sparsity."""


class RowSpread(Facts):
    """How the rows of one linear share its sparsity.

    Attributes:
        consumer: the linear whose input columns its rows became, None where there is no clear one and the
            rows stay uniform.
        quantiles: the rows' sparsities at `QUANTILES`.
    """

    name: str
    consumer: str | None
    quantiles: tuple[float, ...]


class Allocated(Event):
    """How much each block will lose.

    Attributes:
        ratios: one sparsity a block.
        clipped: the blocks whose ratio was held at a limit.
        rows: of each block, the linears whose rows have sparsities of their own or might have had; empty
            where no method looks at rows.
    """

    event: Literal["allocated"] = "allocated"
    ratios: tuple[float, ...]
    clipped: tuple[int, ...] = ()
    rows: tuple[tuple[RowSpread, ...], ...] = ()


class LinearPruned(Facts):
    """One linear after pruning.

    Attributes:
        sparsity: share of its weights removed.
        output_error: `||X W^T - X W'^T||_F / ||X W^T||_F` over a sample of calibration tokens.
        error_before_update: the same with the mask alone, before the weights that stay were updated; None
            without an update.
        error_before_refinement: the same with the mask as the score decided it; None without a refinement.
        swaps: entries that the refinement exchanged; None without one.
        drift_before: mean over the rows of |e_i|, the refinement's own measure (methods that have one),
            before it.
        drift_after: the same behind it.
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


class BlockPruned(Event):
    """One block is pruned and the windows have passed through it.

    Attributes:
        sparsity: share of its prunable weights removed.
        alignment: NeuroAL's A (arXiv 2411.07066), dense against pruned from the same input, summed over the
            block's linears; 0 = unchanged.
        relative_error: `||h - h'|| / ||h||` of the evaluation windows' hidden states behind the block, dense
            against pruned; None without evaluation.
        cosine: mean over tokens of their cosine.
        seconds: the time it took.
    """

    event: Literal["block_pruned"] = "block_pruned"
    index: int
    sparsity: float
    alignment: float
    relative_error: float | None
    cosine: float | None
    seconds: float
    linears: tuple[LinearPruned, ...]


class Score(Facts):
    """A measured perplexity.

    Attributes:
        perplexity: `exp(nll)`.
        nll: mean negative log likelihood a predicted token, nats.
        tokens: predicted tokens.
        bits_per_byte: bits that the model needs for a byte of the text, comparable between tokenizers; None
            where the text is not known.
    """

    perplexity: float
    nll: float
    tokens: int
    bits_per_byte: float | None = None


class Evaluated(Event):
    """Dense and pruned perplexity on one corpus, under one protocol."""

    event: Literal["evaluated"] = "evaluated"
    corpus: str
    dense: Score
    pruned: Score


Which = Literal["dense", "pruned"]


class TaskProgressed(Event):
    """A model is being tried on a task.

    Attributes:
        done: examples that are scored.
        total: examples that will be; 0 while they are being loaded.
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
        metric: lm-eval's name of the measure.
        value: the mean over the examples.
        stderr: its standard error, None for a single example.
        examples: how many were asked: the first of the task's split, in its own order.
        available: how many the split holds.
        truncated: examples that are longer than the model takes, and lost their beginning.
        source: where the examples come from.
        harness: lm-eval's version and its name of the task.
        outcomes: one digit an example in order, 1 = right.
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
    """A model was tried on a task."""

    event: Literal["task_measured"] = "task_measured"
    which: Which
    score: TaskScore


class Noted(Event):
    """A sentence the reader of the result should know, for instance an approximation."""

    event: Literal["noted"] = "noted"
    message: str


class Resumed(Event):
    """An interrupted run goes on behind the blocks that it had finished."""

    event: Literal["resumed"] = "resumed"
    blocks: int


class Finished(Event):
    """All is done.

    Attributes:
        coverage: prunable weights / all weights.
        timings: seconds by phase.
        peak_host: most memory the process held, bytes (None where the system does not say).
        peak_device: most memory allocated on the accelerator, bytes (None on a CPU).
    """

    event: Literal["finished"] = "finished"
    ends: ClassVar[bool] = True
    coverage: float
    timings: dict[str, float]
    peak_host: int | None
    peak_device: int | None


class Failed(Event):
    """The run ended with an error. `detail` is the traceback, for the log and never for a page."""

    event: Literal["failed"] = "failed"
    ends: ClassVar[bool] = True
    message: str
    detail: str = ""


class Cancelled(Event):
    """The run was cancelled by a person."""

    event: Literal["cancelled"] = "cancelled"
    ends: ClassVar[bool] = True
    forced: bool = False


class Interrupted(Event):
    """The process that computed the run ended before the run did."""

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
    Field(discriminator="event"),
]
_ADAPTER: TypeAdapter[Event] = TypeAdapter(AnyEvent)


def to_line(event: Event) -> str:
    """The event as one line of strict JSON."""
    return event.model_dump_json()


def from_line(line: str | bytes) -> Event:
    """The event that `to_line` wrote.

    Raises:
        pydantic.ValidationError: the line is not an event.
    """
    return _ADAPTER.validate_json(line)
